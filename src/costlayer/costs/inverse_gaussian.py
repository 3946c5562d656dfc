"""inverse_gaussian: positive amounts whose variance grows as the cube of their mean."""

from costlayer.pair import POSITIVE, Cost


def terms(v, y):
    ratio = y / v
    return (0.5 * ratio - 1.0) / v, (1.0 - ratio) / v / v, (3.0 * ratio - 2.0) / v / v / v


INVERSE_GAUSSIAN = Cost(
    name="inverse_gaussian",
    summary="Positive amounts with a heavy upper tail, of variance in proportion to v³.",
    domain=POSITIVE,
    target=POSITIVE,
    formula="y/(2*v**2) - 1/v",
    derivative="(v - y)/v**3",
    terms=terms,
    natural="exp+inverse_gaussian",
    listed=("softplus", "exp"),
    limits="A constant of y short of the negative log-likelihood at dispersion 1. Least, −1/(2y), at v = y; as v → 0 "
    "it grows as y/(2v²), and as v → ∞ it levels off at 0.",
    reference="McCullagh and Nelder (1989), Generalized linear models, chapter 2",
    elicits_mean=True,
    convex=False,
    steady=False,
    steep=True,
)
