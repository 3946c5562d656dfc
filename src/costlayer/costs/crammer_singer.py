"""crammer_singer: the true class ahead of the best of the others by a margin, or pay."""

from costlayer.pair import POSITIVE, REALS, UNIT, Cost, Parameter

MARGIN = Parameter(1.0, POSITIVE, "by how much the score of the true class must be ahead")

CRAMMER_SINGER = Cost(
    name="crammer_singer",
    summary="The multiclass hinge: how much the true class is short of a margin over the best of the others.",
    domain=REALS,
    target=UNIT,
    formula="max(0, margin + most(v[j], j != t) - v[t])",
    derivative="where(margin + most(v[k], k != t) > v[t], "
    "where(j == t, -1, where(v[j] == most(v[k], k != t), 1, 0)), 0)",
    terms=None,
    natural="class_scores+crammer_singer",
    limits="At most two slopes are not 0, −1 of the true class and 1 of the best of the others (the first, where "
    "several are equal); at and beyond the margin all are 0.",
    reference="Crammer and Singer (2001), On the algorithmic implementation of multiclass kernel-based vector machines",
    parameters={"margin": MARGIN},
    rows_only=True,
    labels_only=True,
)
