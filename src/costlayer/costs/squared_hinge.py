"""squared_hinge: right by a margin, or pay the square of what is missing."""

from costlayer.pair import REALS, SIGNS, Cost
from costlayer.words import fixed, maximum, where


def terms(error, y):
    margin = maximum(-y * error, 0.0)  # 1 - y v, as y is 1 or -1
    return margin * margin, -2.0 * y * margin, where(margin > 0.0, 2.0, fixed(0.0, margin))


SQUARED_HINGE = Cost(
    name="squared_hinge",
    summary="The squared shortfall from a margin of 1 on the right side; examples beyond it cost nothing.",
    domain=REALS,
    target=SIGNS,
    formula="max(0, 1 - y*v)**2",
    derivative="-2*y*max(0, 1 - y*v)",
    terms=terms,
    of_error=True,
    natural="identity+squared_hinge",
    listed=("identity",),
    limits="Smooth at the margin; on the wrong side it grows as the square, so that outliers pull hard.",
    reference="Lee and Mangasarian (2001), SSVM: a smooth support vector machine",
)
