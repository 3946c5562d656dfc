"""gamma: the negative log-likelihood of positive amounts."""

from costlayer.pair import POSITIVE, Cost
from costlayer.words import log


def terms(v, y):
    r = 1.0 / v
    return log(v) + y * r, r * (1.0 - y * r), r * r * (2.0 * y * r - 1.0)


GAMMA = Cost(
    name="gamma",
    summary="The negative log-likelihood of positive amounts whose spread grows with their mean.",
    domain=POSITIVE,
    target=POSITIVE,
    formula="ln(v) + y/v",
    derivative="(v - y)/v**2",
    terms=terms,
    natural="exp+gamma",
    limits="Grows without bound as v → 0.",
    reference="McCullagh and Nelder (1989), Generalized linear models, chapter 8",
    elicits_mean=True,
    convex=False,
    steady=False,
)
