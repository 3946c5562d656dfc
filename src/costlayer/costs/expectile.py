"""expectile: the squared error, with too low and too high weighed apart."""

from costlayer.pair import REALS, Cost, Interval, Parameter
from costlayer.words import fixed, where


def terms(error, y, expectile):
    weight = where(error > 0.0, 1.0 - expectile, expectile)
    return weight * error * error, 2.0 * weight * error, fixed(2.0, error) * weight


EXPECTILE = Cost(
    name="expectile",
    summary="The squared error, with too low and too high weighed as `expectile` to 1 − `expectile`.",
    domain=REALS,
    target=REALS,
    formula="where(v > y, 1 - expectile, expectile)*(v - y)**2",
    derivative="2*where(v > y, 1 - expectile, expectile)*(v - y)",
    terms=terms,
    of_error=True,
    natural="identity+expectile",
    listed=("identity",),
    limits="The slope grows with the error without bound. With expectile = 0.5 it is half the squared error.",
    reference="Newey and Powell (1987), Asymmetric least squares estimation and testing",
    parameters={
        "expectile": Parameter(
            0.75,
            Interval(0.0, 1.0, low_closed=False, high_closed=False),
            "The weight of a prediction that is too low, 0.75 by default; 0.5 would be the mean.",
        )
    },
)
