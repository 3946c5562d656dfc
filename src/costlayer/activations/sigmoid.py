"""sigmoid: a probability from one score."""

from costlayer.pair import Activation, Interval
from costlayer.words import absolute, exp, log, log1p, where


def terms(z):
    e = exp(-absolute(z))
    r = 1.0 / (1.0 + e)
    v = where(z >= 0.0, r, e * r)
    gain = e * r * r
    return v, gain, where(z >= 0.0, -gain, gain) * (1.0 - e) * r


def inverse(v):
    return log(v) - log1p(-v)


SIGMOID = Activation(
    name="sigmoid",
    summary="The score is the log-odds of a probability.",
    range=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="1/(1 + exp(-z))",
    gain="v*(1 - v)",
    terms=terms,
    inverse=inverse,
    flat=(-5.0, 5.0),
    instead="sigmoid+cross_entropy, whose gradient is the error itself",
    limits="v → 0 and v → 1 as z → ∓∞, where the gain falls as e^−|z|.",
    reference="Cox (1958), The regression analysis of binary sequences",
)
