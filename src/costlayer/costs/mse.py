"""mse: the squared error."""

from costlayer.pair import REALS, Cost
from costlayer.words import fixed


def terms(error, y):
    return error * error, 2.0 * error, fixed(2.0, error)


MSE = Cost(
    name="mse",
    summary="The squared error, drawn towards the mean of the targets.",
    domain=REALS,
    target=REALS,
    formula="(v - y)**2",
    derivative="2*(v - y)",
    terms=terms,
    of_error=True,
    natural="identity+mse",
    limits="Grows as the square of the error, so one outlier can outweigh the rest.",
    reference="Gauss (1809), Theoria motus corporum coelestium",
    elicits_mean=True,
)
