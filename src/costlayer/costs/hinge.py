"""hinge: right by a margin, or pay."""

from costlayer.pair import REALS, SIGNS, Cost
from costlayer.words import fixed, maximum, where


def terms(error, y):
    margin = -y * error  # 1 - y v, as y is 1 or -1
    return maximum(margin, 0.0), where(margin > 0.0, -y, fixed(0.0, margin)), fixed(0.0, margin)


HINGE = Cost(
    name="hinge",
    summary="The shortfall from a margin of 1 on the right side; examples beyond it cost nothing.",
    domain=REALS,
    target=SIGNS,
    formula="max(0, 1 - y*v)",
    derivative="where(y*v < 1, -y, 0)",
    terms=terms,
    of_error=True,
    natural="identity+hinge",
    limits="The slope is −y inside the margin and 0 at and beyond it.",
    reference="Cortes and Vapnik (1995), Support-vector networks",
)
