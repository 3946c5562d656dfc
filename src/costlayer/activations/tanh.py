"""tanh: a prediction between −1 and 1."""

from costlayer.pair import Activation, Interval
from costlayer.words import absolute, exp, log1p, where
from costlayer.words import tanh as hyperbolic_tangent


def terms(z):
    e = exp(-2.0 * absolute(z))
    v = hyperbolic_tangent(z)
    gain = 4.0 * e / (1.0 + e * (2.0 + e))  # 1 - v * v has no digits left once v rounds to 1
    return v, gain, -2.0 * v * gain


def error(z, y):
    """v − y, measured from 1 or −1 where v is beyond ½, and half the second derivative of its square."""
    m = absolute(z)
    e = exp(-2.0 * m)
    v = hyperbolic_tangent(z)
    end = where(z >= 0.0, 1.0, -1.0)
    offset = -2.0 * end * e / (1.0 + e)
    outer = m > 0.5625  # tanh(0.5625) = 0.51
    square = 1.0 + e * (2.0 + e)
    # φ'² + φ'' (v − y) is φ' (1 + |v| (2t − 3 |v|)), with t = ±y; written so that it cancels only where it passes 0
    t = y * end
    base = where(t > 0.0, e * (2.0 - e), 2.0 * e - 1.0) * 2.0 / square
    half = base + where(t > 0.0, t - 1.0, t + 1.0) * absolute(v)
    return where(outer, offset - (y - end), v - y), 8.0 * e / square * half


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
    error=error,
    flat=(-5.0, 5.0),
    instead="sigmoid+cross_entropy with the targets −1 and 1 written as 0 and 1",
    limits="v → −1 and v → 1 as z → ∓∞, where the gain falls as 4 e^−2|z|.",
    reference="LeCun, Bottou, Orr and Müller (1998), Efficient BackProp, section 4.4",
)
