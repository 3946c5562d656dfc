"""cauchy: the logarithm of the squared error, whose pull fades as the error grows."""

from costlayer.pair import POSITIVE, REALS, Cost, Parameter
from costlayer.words import absolute, log, log1p, maximum, sign, where


def terms(error, y, scale):
    size = absolute(error)
    u = size / scale
    far = u > 1.0
    over = maximum(u, 1.0)
    w = where(far, 1.0 / over, u)  # u² may be beyond the largest number
    square = w * w
    both = 1.0 + square
    apart = where(u > 2.0, w - 1.0, (scale - size) / maximum(size, scale))  # 1 - u, or (1 - u)/u
    value = 0.5 * (scale * scale) * (2.0 * log(over) + log1p(square))
    return (
        value,
        sign(error) * scale * w / both,
        where(far, square, 1.0) * (apart * (1.0 + w)) / (both * both),
    )


CAUCHY = Cost(
    name="cauchy",
    summary="The squared error for small errors and its logarithm for large ones: outliers hardly pull.",
    domain=REALS,
    target=REALS,
    formula="scale**2/2*ln(1 + ((v - y)/scale)**2)",
    derivative="(v - y)/(1 + ((v - y)/scale)**2)",
    terms=terms,
    of_error=True,
    natural="identity+cauchy",
    listed=("identity",),
    limits="The slope is largest, scale/2, at an error of scale, and falls as 1/error beyond it.",
    reference="Black and Anandan (1996), The robust estimation of multiple motions: the Lorentzian",
    convex=False,
    steady=False,
    parameters={
        "scale": Parameter(
            2.385, POSITIVE, "The error of the largest pull, 2.385 by default: 95 % efficient on normal errors."
        )
    },
)
