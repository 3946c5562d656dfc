"""modified_huber: a squared hinge that turns into a line on the wrong side."""

from costlayer.pair import REALS, SIGNS, Cost
from costlayer.words import fixed, maximum, minimum, where


def terms(error, y):
    margin = maximum(-y * error, 0.0)  # 1 - y v, as y is 1 or -1
    near = minimum(margin, 2.0)
    curve = where(margin > 0.0, where(margin < 2.0, 2.0, 0.0), fixed(0.0, margin))
    return near * (margin + (margin - near)), -2.0 * y * near, curve


MODIFIED_HUBER = Cost(
    name="modified_huber",
    summary="A squared hinge that grows as a line beyond the wrong margin: outliers pull with bounded force.",
    domain=REALS,
    target=SIGNS,
    formula="where(y*v < -1, -4*y*v, max(0, 1 - y*v)**2)",
    derivative="-2*y*min(2, max(0, 1 - y*v))",
    terms=terms,
    of_error=True,
    natural="identity+modified_huber",
    listed=("identity",),
    limits="The slope never exceeds 4 in size.",
    reference="Zhang (2004), Solving large scale linear prediction problems using stochastic gradient descent",
)
