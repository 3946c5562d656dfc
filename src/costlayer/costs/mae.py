"""mae: the absolute error."""

from costlayer.pair import REALS, Cost
from costlayer.words import absolute, fixed, sign


def terms(error, y):
    return absolute(error), sign(error), fixed(0.0, error)


MAE = Cost(
    name="mae",
    summary="The absolute error, drawn towards the median of the targets.",
    domain=REALS,
    target=REALS,
    formula="abs(v - y)",
    derivative="sign(v - y)",
    terms=terms,
    of_error=True,
    natural="identity+mae",
    limits="The slope is ±1 however large the error, and taken as 0 where it is 0.",
    reference="Koenker and Bassett (1978), Regression quantiles",
)
