"""tanh: a prediction between −1 and 1."""

from costlayer.pair import Activation, Interval
from costlayer.words import absolute, exp, log1p
from costlayer.words import tanh as hyperbolic_tangent


def terms(z):
    e = exp(-2.0 * absolute(z))
    r = 1.0 / (1.0 + e)
    v = hyperbolic_tangent(z)
    gain = 4.0 * e * r * r  # 1 - v * v has no digits left once v rounds to 1
    return v, gain, -2.0 * v * gain


def inverse(v):
    return 0.5 * (log1p(v) - log1p(-v))


TANH = Activation(
    name="tanh",
    summary="The score is squashed between −1 and 1.",
    range=Interval(-1.0, 1.0, low_closed=False, high_closed=False),
    formula="tanh(z)",
    gain="1 - v**2",
    terms=terms,
    inverse=inverse,
    flat=(-5.0, 5.0),
    instead="sigmoid+cross_entropy with the targets −1 and 1 written as 0 and 1, or identity+{cost}",
    limits="v → −1 and v → 1 as z → ∓∞, where the gain falls as 4 e^−2|z|.",
    reference="LeCun, Bottou, Orr and Müller (1998), Efficient BackProp, section 4.4",
)
