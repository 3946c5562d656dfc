"""exp: positive, by a factor for every step of the score."""

from costlayer.pair import POSITIVE, Activation
from costlayer.words import exp, fixed, log


def terms(z):
    v = exp(z)
    return v, v, v


def error(z, y):
    """v − y, and half the second derivative of its square."""
    v = exp(z)
    return v - y, v * (2.0 * v - y)


def inverse(v):
    return log(v)


def scale(z):
    """v, its logarithm and the derivatives of that, and v as two factors."""
    f = exp(0.5 * z)
    return exp(z), z, fixed(1.0, z), fixed(0.0, z), f, f


EXP = Activation(
    name="exp",
    summary="The score is the logarithm of the prediction.",
    range=POSITIVE,
    formula="exp(z)",
    gain="exp(z)",
    terms=terms,
    inverse=inverse,
    error=error,
    scale=scale,
    flat=(-5.0,),
    instead="exp+poisson for counts, exp+gamma for positive amounts",
    limits="v → 0 as z → −∞, where the gain falls with v; both grow without bound as z → ∞.",
    reference="Nelder and Wedderburn (1972), Generalized linear models: the log link",
)
