"""A cost that is in no catalogue."""

from costlayer.pair import REALS, Cost


def terms(v, y):
    error = v - y
    square = error * error
    return square * square, 4.0 * square * error, 12.0 * square


QUARTIC = Cost(
    name="quartic",
    summary="The fourth power of the error.",
    domain=REALS,
    target=REALS,
    formula="(v - y)**4",
    derivative="4*(v - y)**3",
    terms=terms,
    natural="identity+mse",
    limits="Grows as the fourth power.",
    reference="None",
)
