"""huber: squared for small errors, absolute for large ones."""

from costlayer.pair import POSITIVE, REALS, Cost, Parameter
from costlayer.words import absolute, fixed, maximum, minimum, where


def terms(error, y, delta):
    size = absolute(error)
    near = size <= delta
    value = where(near, 0.5 * error * error, delta * (size - 0.5 * delta))
    return value, maximum(-delta, minimum(error, delta)), where(near, 1.0, fixed(0.0, error))


HUBER = Cost(
    name="huber",
    summary="The squared error up to `delta` and the absolute error beyond: outliers pull with bounded force.",
    domain=REALS,
    target=REALS,
    formula="where(abs(v - y) <= delta, (v - y)**2/2, delta*(abs(v - y) - delta/2))",
    derivative="max(-delta, min(v - y, delta))",
    terms=terms,
    of_error=True,
    natural="identity+huber",
    limits="The slope never exceeds delta.",
    reference="Huber (1964), Robust estimation of a location parameter",
    parameters={"delta": Parameter(1.0, POSITIVE, "The error from which on the cost grows linearly, 1 by default.")},
)
