"""poisson: the negative log-likelihood of counts."""

from costlayer.pair import NON_NEGATIVE, POSITIVE, Cost
from costlayer.words import log, product


def terms(v, y):
    return v - product(y, log(v)), 1.0 - y / v, y / (v * v)


POISSON = Cost(
    name="poisson",
    summary="The negative log-likelihood of counts whose variance grows with their mean, less its constant ln y!.",
    domain=POSITIVE,
    target=NON_NEGATIVE,
    formula="v - y*ln(v)",
    derivative="1 - y/v",
    terms=terms,
    natural="exp+poisson",
    limits="Grows without bound as v → 0 under a positive target.",
    reference="McCullagh and Nelder (1989), Generalized linear models, chapter 6",
    elicits_mean=True,
)
