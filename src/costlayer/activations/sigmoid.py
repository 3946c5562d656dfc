"""sigmoid: a probability from one score."""

from costlayer.pair import Activation, Interval
from costlayer.words import absolute, exp, expm1, log, log1p, where


def terms(z):
    m = absolute(z)
    e = exp(-m)
    s = 1.0 + e
    gain = e / (1.0 + e * (2.0 + e))  # s * s would round s twice
    bend = gain * expm1(-m) / s
    return where(z >= 0.0, 1.0, e) / s, gain, where(z >= 0.0, bend, -bend)


def error(z, y):
    """v − y from the nearer end of the range, or from ½ in the middle: y less that is exact where v and y are close.
    And half the second derivative of its square."""
    m = absolute(z)
    e = exp(-m)
    s = 1.0 + e
    right, middle = z >= 0.0, m < 1.0
    a, b = where(right, 1.0 - y, y), where(right, y, 1.0 - y)  # from the nearer end to y, and from y to the farther
    off = where(middle, where(right, 0.5 - y, y - 0.5), a) + where(middle, 0.5 - 0.5 * e, -e) / s
    # φ'² + φ'' (v − y) is φ' n/s², n = 2e − a − b e²; by 1 − e², so that it cancels only where n passes 0
    near = b > 0.5
    n = where(near, e * (2.0 - e), 2.0 * e - 1.0) + where(near, a, -b) * s * expm1(-m)
    square = 1.0 + e * (2.0 + e)
    return where(right, off, -off), e * n / (square * square)


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
    error=error,
    flat=(-5.0, 5.0),
    instead="sigmoid+cross_entropy, whose gradient is the error itself",
    limits="v → 0 and v → 1 as z → ∓∞, where the gain falls as e^−|z|.",
    reference="Cox (1958), The regression analysis of binary sequences",
)
