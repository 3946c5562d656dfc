"""corn: for each threshold between classes in order that the truth has reached, whether it goes on."""

from costlayer.pair import UNIT, Cost

CORN = Cost(
    name="corn",
    summary="A yes-or-no cross entropy for each threshold that the truth has reached: does it go on?",
    domain=UNIT,
    target=UNIT,
    formula="-ln(v[t - 1] - v[t])",
    derivative="where(j == t, 1, where(j == t - 1, -1, 0))/(v[t - 1] - v[t])",
    terms=None,
    natural="conditional+corn",
    limits="There v_{−1} = 1 and v_{K−1} = 0. Scores above the true class have no gradient. coral_pytorch divides the "
    "sum by the number of thresholds that were reached, a mean here by the number of examples.",
    reference="Shi, Cao and Raschka (2021), Deep neural networks for rank-consistent ordinal regression based on "
    "conditional probabilities",
    rows_only=True,
    labels_only=True,
)
