"""softplus: positive, and as good as linear where it is large."""

from costlayer.pair import POSITIVE, Activation
from costlayer.pairs.softplus_log import terms as logarithm
from costlayer.words import absolute, exp, expm1, log, log1p_unit, maximum, product, where


def terms(z):
    e = exp(-absolute(z))
    v = maximum(z, 0.0) + log1p_unit(e)
    return v, where(z >= 0.0, 1.0, e) / (1.0 + e), e / (1.0 + e * (2.0 + e))


def error(z, y):
    """v − y, and half the second derivative of its square."""
    e = exp(-absolute(z))
    tail = log1p_unit(e)
    off = where(z < 0.0, tail - y, (z - y) + tail)  # v is not rounded first
    own, rest = where(z >= 0.0, 1.0, e), where(z >= 0.0, e, 1.0)  # gain and 1 - gain, times 1 + e
    return off, own * (own + product(rest, off)) / (1.0 + e * (2.0 + e))


def inverse(v):
    return v + log(-expm1(-v))


def scale(z):
    """v, its logarithm and the derivatives of that, and v as two factors."""
    v, log_v, slope, bend, _, shrink, f, g = logarithm(z)
    left = z < 0.0
    return v, log_v, slope, bend, where(left, f, v), where(left, g * (1.0 + shrink), 1.0)


SOFTPLUS = Activation(
    name="softplus",
    summary="The score is smoothly bent above zero.",
    range=POSITIVE,
    formula="ln(1 + exp(z))",
    gain="exp(z)/(1 + exp(z))",
    terms=terms,
    inverse=inverse,
    error=error,
    scale=scale,
    flat=(-5.0,),
    instead="softplus+poisson for counts, exp+gamma for positive amounts",
    limits="v → 0 as z → −∞, where v and the gain fall as e^z; v → z as z → ∞.",
    reference="Dugas, Bengio, Bélisle, Nadeau and Garcia (2001), Incorporating second-order functional knowledge "
    "for better option pricing",
)
