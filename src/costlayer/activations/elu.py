"""elu: below zero, an exponential that levels off."""

import math

from costlayer.pair import POSITIVE, Activation, Interval, Parameter
from costlayer.words import exp, expm1, log1p, minimum, where


def terms(z, alpha):
    below = minimum(z, 0.0)
    gain = where(z > 0.0, 1.0, alpha * exp(below))
    return where(z > 0.0, z, alpha * expm1(below)), gain, where(z > 0.0, 0.0, gain)


def error(z, y, alpha):
    """v − y, measured from −alpha where v is below −alpha/2, and half the second derivative of its square."""
    below = minimum(z, 0.0)
    gain, v = alpha * exp(below), alpha * expm1(below)
    deep = z < -0.7
    off = where(deep, gain - (y + alpha), where(z > 0.0, z, v) - y)
    turn = where(deep, 2.0 * gain - (y + alpha), (2.0 * v + alpha) - y)  # φ' + v − y
    return off, where(z > 0.0, 1.0, gain * turn)


def inverse(v, alpha):
    return where(v > 0.0, v, log1p(v / alpha))


def values(alpha):
    return Interval(-alpha, math.inf, low_closed=False)


ELU = Activation(
    name="elu",
    summary="Scores below zero level off at −alpha.",
    range=values,
    formula="where(z > 0, z, alpha*(exp(z) - 1))",
    gain="where(z > 0, 1, alpha*exp(z))",
    terms=terms,
    inverse=inverse,
    error=error,
    flat=(-5.0,),
    instead="leaky_relu, which does not level off",
    limits="v → −α as z → −∞, where the gain falls as α e^z.",
    reference="Clevert, Unterthiner and Hochreiter (2016), arXiv 1511.07289",
    parameters={"alpha": Parameter(1.0, POSITIVE, "Where the left tail levels off, 1 by default.")},
)
