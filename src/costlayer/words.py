"""The vocabulary that every formula is written in.

A formula is a plain scalar function over these words and `+ - * / < <= == >= >`. Here the words have their IEEE
meaning on NumPy's float64, a Python float that overflows to infinity where those of `math` would raise. `log1p_unit` is
`log1p` of a number in [0, 1], for which an engine may have a shorter way. An engine is a table from the same names to
functions of its own (`costlayer.engines`).
"""

import math

from numpy import absolute, array, exp, expm1, log, log1p, maximum, minimum, ndim, sign, sqrt, tanh
from numpy import float64 as double  # the type that sums are kept in
from numpy import log1p as log1p_unit

__all__ = [
    "absolute",
    "difference",
    "double",
    "erf",
    "exp",
    "expm1",
    "fixed",
    "log",
    "log1p",
    "log1p_unit",
    "maximum",
    "minimum",
    "product",
    "rounded_off",
    "sign",
    "sqrt",
    "tanh",
    "where",
]
MADE = ("difference", "fixed", "product", "rounded_off")  # of the others
VOCABULARY = tuple(word for word in __all__ if word not in MADE)  # what an engine must bring


def erf(x):
    """The error function, of a number or, element by element, of an array."""
    return double(math.erf(x)) if ndim(x) == 0 else array([math.erf(each) for each in x.flat]).reshape(x.shape)


def where(condition, a, b):
    """`a` if the condition holds, else `b`. Engines evaluate both, so neither may depend on the other being skipped."""
    return a if condition else b


def product(a, b):
    """`a * b`, with nothing times infinity being nothing: a gain that has vanished lets no error through."""
    return where(a == 0.0, a, where(b == 0.0, b, a * b))


def fixed(c, z):
    """The constant `c`, or NaN where z is NaN."""
    return where(z == z, c, z)


def difference(a, b):
    """a − b, with equals apart by nothing, infinities too."""
    return where(a == b, 0.0, a - b)


def rounded_off(a, b, c):
    """What rounding took from c = a − b."""
    back = c - a
    return (a - (c - back)) - (b + back)
