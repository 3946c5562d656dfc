"""quantile: the pinball loss, whose least cost is at a quantile of the targets."""

from costlayer.pair import REALS, Cost, Interval, Parameter
from costlayer.words import fixed, where


def terms(error, y, quantile):
    over = error > 0.0
    slope = where(over, 1.0 - quantile, where(error < 0.0, -quantile, fixed(0.0, error)))
    return where(over, 1.0 - quantile, -quantile) * error, slope, fixed(0.0, error)


QUANTILE = Cost(
    name="quantile",
    summary="The absolute error, with too low and too high weighed as `quantile` to 1 − `quantile`.",
    domain=REALS,
    target=REALS,
    formula="where(v > y, (1 - quantile)*(v - y), quantile*(y - v))",
    derivative="where(v > y, 1 - quantile, where(v < y, -quantile, 0))",
    terms=terms,
    of_error=True,
    natural="identity+quantile",
    listed=("identity",),
    limits="The slope is −quantile below the target and 1 − quantile above it, and taken as 0 where the error is 0.",
    reference="Koenker and Bassett (1978), Regression quantiles",
    parameters={
        "quantile": Parameter(
            0.5,
            Interval(0.0, 1.0, low_closed=False, high_closed=False),
            "The share of the targets that lie below the prediction, 0.5 by default: the median.",
        )
    },
)
