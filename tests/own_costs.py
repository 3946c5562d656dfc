"""Functions that a cost may be made of, and such as it may not: each fails in one place, marked by `here`."""

import math

import numpy as np

from costlayer.pair import POSITIVE, REALS, UNIT, Cost, Parameter
from costlayer.words import absolute, exp, log, product, where

LIMIT = 2.0


def quartic(v, y, scale):
    """A helper keeps its own lines."""
    error, square = scaled(v - y, scale)
    return square * square, 4.0 * square * error / scale, 12.0 * square / (scale * scale)


def scaled(error, scale):
    error = error / scale
    return error, error * error


QUARTIC = Cost(
    name="quartic",
    summary="The fourth power of the error.",
    domain=REALS,
    target=REALS,
    formula="((v - y)/scale)**4",
    derivative="4*((v - y)/scale)**3/scale",
    terms=quartic,
    natural="identity+quartic",
    limits="Grows as the fourth power.",
    reference="None.",
    parameters={"scale": Parameter(1.0, POSITIVE, "What counts as an error of 1.")},
)


def builtin(v, y, scale):
    size = abs(v - y)  # here
    return size, size, size


def module(v, y, scale):
    size = math.exp(v)  # here
    return size, size, size


def of_numpy(v, y, scale):
    size = exp(v)
    return size, np.tanh(size), size  # here


def branch(v, y, scale):
    if v > y:  # here
        v = y
    return v, v, v


def ternary(v, y, scale):
    size = v - y if v > y else y - v  # here
    return size, size, size


def chained(v, y, scale):
    size = where(0.0 < v < y, v, y)  # here
    return size, size, size


def power(v, y, scale):
    error = v - y
    return error**4, error, error  # here


def whole(v, y, scale):
    error = 2 * (v - y)  # here
    return error, error, error


def far_away(v, y, scale):
    error = v - LIMIT  # here
    return error, error, error


def loop(v, y, scale):
    for _ in (1.0, 2.0):  # here
        v = v * v
    return v, v, v


def added(v, y, scale):
    v += y  # here
    return v, v, v


def negated(v, y, scale):
    size = where(not v, v, y)  # here
    return size, size, size


def unknown(v, y, scale):
    size = sinh(v)  # here # noqa: F821
    return size, size, size


def by_helper(v, y, scale):
    return quartic(v, y, helper(scale))


def helper(scale):
    return max(scale, 1.0)  # here


def defaults(v, y, scale=1.0):  # here
    return v, v, v


def outer():
    inner = 2.0

    def closed(v, y, scale):  # here
        return v * inner, v, v

    return closed


def few(v, y):  # here
    return v, v, v


def renamed(v, y, width):  # here
    return v, v, v


def two(v, y, scale):
    square = (v - y) * (v - y)
    return square * square, square  # here


def slope_flipped(v, y, scale):
    error, square = scaled(v - y, scale)
    return (
        square * square,
        -4.0 * square * error / scale,  # here
        12.0 * square / (scale * scale),
    )


def curve_halved(v, y, scale):
    error, square = scaled(v - y, scale)
    curve = 6.0 * square / (scale * scale)
    return square * square, 4.0 * square * error / scale, curve  # here


def scale_forgotten(v, y, scale):
    """Right at the default, where nobody sees it."""
    error, square = scaled(v - y, scale)
    return square * square, 4.0 * square * error, 12.0 * square / (scale * scale)  # here


def no_number(v, y, scale):
    error, square = scaled(v - y, scale)
    lost = square + log(v - y) * 0.0
    return lost, 4.0 * square * error / scale, 12.0 * square / (scale * scale)  # here


def corner(v, y):
    """Kinks at the target and beside it are no errors."""
    size = absolute(v - y)
    flat = size > 0.5717
    slope = where(v > y, 1.0, where(v < y, -1.0, 0.0))
    return where(flat, 0.5717 + 2.0 * (size - 0.5717), size), where(flat, 2.0, 1.0) * slope, 0.0 * size


CORNER = Cost(
    name="corner",
    summary="The absolute error, counted twice far off.",
    domain=REALS,
    target=REALS,
    formula="where(abs(v - y) > 0.5717, 2*abs(v - y) - 0.5717, abs(v - y))",
    derivative="where(abs(v - y) > 0.5717, 2, 1)*sign(v - y)",
    terms=corner,
    natural="identity+corner",
    limits="None.",
    reference="None.",
)


def end(v, y):
    """Not a number where v is 0, which belongs to the domain."""
    return v * log(v) - v, log(v), 1.0 / v  # here


END = Cost(
    name="end",
    summary="An entropy that forgets its end.",
    domain=UNIT,
    target=UNIT,
    formula="v*ln(v) - v",
    derivative="ln(v)",
    terms=end,
    natural="sigmoid+end",
    limits="None.",
    reference="None.",
    steady=False,
)


def mended(v, y):
    return product(v, log(v)) - v, log(v), 1.0 / v


def spread(error, s, log_s, f, g):
    """laplace, smooth: √(1 + w²) of w = (v − y)/s, plus ln s; right but for how its second derivatives are mixed."""
    w = error / s
    square = 1.0 + w * w
    root = exp(0.5 * log(square))
    pull = w / root
    bend = 1.0 / (root * square)
    return (
        root + log_s,
        pull / s,
        1.0 - w * pull,
        bend / (s * s),
        (w * bend - pull) / s,  # here
        w * pull + w * w * bend,
    )


def of_five(error, s, log_s, f, g):
    return error, error, error, error, error
