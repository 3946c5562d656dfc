"""mape: the absolute error as a share of the target."""

from costlayer.pair import POSITIVE, REALS, Cost
from costlayer.words import absolute, fixed, sign


def terms(error, y):
    return absolute(error) / y, sign(error) / y, fixed(0.0, error)


MAPE = Cost(
    name="mape",
    summary="The absolute error as a share of the target: 0.1 is ten percent off.",
    domain=REALS,
    target=POSITIVE,
    formula="abs(v - y)/y",
    derivative="sign(v - y)/y",
    terms=terms,
    of_error=True,
    natural="identity+mape",
    listed=("identity", "softplus", "exp"),
    limits="Defined for targets above 0 only. It is drawn below the median, as an error upwards may cost more than 1.",
    reference="Gneiting (2011), Making and evaluating point forecasts",
)
