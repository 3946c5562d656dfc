"""cumulative_logit: the log-likelihood of one of several classes in order, cut out of a logistic curve."""

from costlayer.pair import UNIT, Cost

CUMULATIVE_LOGIT = Cost(
    name="cumulative_logit",
    summary="The negative log-likelihood of classes in order, with proportional odds where the scores differ by "
    "thresholds alone.",
    domain=UNIT,
    target=UNIT,
    formula="-ln(v[t - 1] - v[t])",
    derivative="where(j == t, 1, where(j == t - 1, -1, 0))/(v[t - 1] - v[t])",
    terms=None,
    natural="ordinal+cumulative_logit",
    limits="There v_{−1} = 1 and v_{K−1} = 0. The scores must fall from class to class, as those of "
    "costlayer.torch.OrdinalScores do: where the two beside the true class do not, its probability is not above 0, and "
    "the target is refused. Grows without bound as they meet.",
    reference="McCullagh (1980), Regression models for ordinal data",
    rows_only=True,
    labels_only=True,
)
