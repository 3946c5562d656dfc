"""weston_watkins: the true class ahead of each of the others by a margin, or pay for each."""

from costlayer.costs.crammer_singer import MARGIN
from costlayer.pair import REALS, UNIT, Cost

WESTON_WATKINS = Cost(
    name="weston_watkins",
    summary="The multiclass hinge that adds up how much the true class is short of a margin over each of the others.",
    domain=REALS,
    target=UNIT,
    formula="sum(max(0, margin + v[j] - v[t]), j != t)",
    derivative="where(j == t, -sum(where(margin + v[k] > v[t], 1, 0), k != t), where(margin + v[j] > v[t], 1, 0))",
    terms=None,
    natural="class_scores+weston_watkins",
    limits="The slope is 1 of each class inside the margin, and of the true one as often −1; at and beyond the margin "
    "0. torch's MultiMarginLoss is this divided by K, the number of classes.",
    reference="Weston and Watkins (1999), Support vector machines for multi-class pattern recognition",
    parameters={"margin": MARGIN},
    rows_only=True,
    labels_only=True,
)
