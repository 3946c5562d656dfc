"""smooth_l1: huber divided by its threshold, so that the slope is 1 for large errors."""

from costlayer.pair import NON_NEGATIVE, REALS, Cost, Parameter
from costlayer.words import absolute, fixed, sign, where


def terms(error, y, beta):
    size = absolute(error)
    near = size < beta
    share = error / beta
    value = where(near, 0.5 * error * share, size - 0.5 * beta)
    return value, where(near, share, sign(error)), where(near, 1.0 / beta, fixed(0.0, error))


SMOOTH_L1 = Cost(
    name="smooth_l1",
    summary="The absolute error with its corner rounded off below `beta`.",
    domain=REALS,
    target=REALS,
    formula="where(abs(v - y) < beta, (v - y)**2/(2*beta), abs(v - y) - beta/2)",
    derivative="where(abs(v - y) < beta, (v - y)/beta, sign(v - y))",
    terms=terms,
    of_error=True,
    natural="identity+smooth_l1",
    listed=("identity",),
    limits="The slope never exceeds 1. With beta = 0 it is the absolute error.",
    reference="Girshick (2015), Fast R-CNN",
    parameters={"beta": Parameter(1.0, NON_NEGATIVE, "The error below which the cost is squared, 1 by default.")},
)
