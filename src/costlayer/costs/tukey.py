"""tukey: the biweight, for which an error beyond a limit is an error and no more."""

from costlayer.pair import POSITIVE, REALS, Cost, Parameter
from costlayer.words import absolute, minimum, product, where


def terms(error, y, limit):
    near = minimum(absolute(error), limit)
    u = near / limit
    square = u * u
    rest = (1.0 - u) * (1.0 + u)
    value = near * near * (0.5 - square * (0.5 - square / 6.0))  # limit²/6 (1 − (1 − u²)³), without a subtraction
    return value, product(rest * rest, where(u < 1.0, error, 0.0 * u)), rest * (1.0 - 5.0 * square)


TUKEY = Cost(
    name="tukey",
    summary="The squared error that levels off at `limit`: outliers do not pull at all.",
    domain=REALS,
    target=REALS,
    formula="limit**2/6*(1 - (1 - min(abs((v - y)/limit), 1)**2)**3)",
    derivative="(v - y)*(1 - min(abs((v - y)/limit), 1)**2)**2",
    terms=terms,
    of_error=True,
    natural="identity+tukey",
    listed=("identity",),
    limits="Value limit²/6 and slope 0 from an error of limit on.",
    reference="Beaton and Tukey (1974), The fitting of power series, meaning polynomials, illustrated on "
    "band-spectroscopic data",
    convex=False,
    steady=False,
    parameters={
        "limit": Parameter(
            4.685, POSITIVE, "The error from which on nothing pulls, 4.685 by default: 95 % efficient on normal errors."
        )
    },
)
