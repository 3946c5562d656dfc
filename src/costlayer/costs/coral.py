"""coral: for each threshold between classes in order, whether the truth lies above."""

from costlayer.pair import UNIT, Cost

CORAL = Cost(
    name="coral",
    summary="A yes-or-no cross entropy for each threshold between classes in order: does the truth lie above it?",
    domain=UNIT,
    target=UNIT,
    formula="-sum(where(t > j, ln(v[j]), ln(1 - v[j])), j)",
    derivative="(v[j] - where(t > j, 1, 0))/(v[j]*(1 - v[j]))",
    terms=None,
    natural="ordinal+coral",
    limits="A class that is missed by more thresholds costs more. The scores of costlayer.torch.OrdinalScores share "
    "their weights, so that the probabilities fall from class to class.",
    reference="Cao, Mirjalili and Raschka (2020), Rank consistent ordinal regression for neural networks with "
    "application to age estimation",
    rows_only=True,
    labels_only=True,
)
