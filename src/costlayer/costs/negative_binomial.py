"""negative_binomial: counts that spread more than those of poisson."""

from costlayer.pair import NON_NEGATIVE, POSITIVE, Cost, Parameter
from costlayer.words import log, log1p, product


def terms(v, y, dispersion):
    spread = 1.0 + dispersion * v
    value = (y + 1.0 / dispersion) * log1p(dispersion * v) - product(y, log(v))
    slope = (v - y) / (v * spread)
    return value, slope, (y / v) / v - dispersion * (1.0 + dispersion * y) / (spread * spread)


NEGATIVE_BINOMIAL = Cost(
    name="negative_binomial",
    summary="Counts around a rate v, of variance v + dispersion v²: those that spread more than poisson lets them.",
    domain=POSITIVE,
    target=NON_NEGATIVE,
    formula="(y + 1/dispersion)*ln(1 + dispersion*v) - y*ln(v)",
    derivative="(v - y)/(v*(1 + dispersion*v))",
    terms=terms,
    natural="exp+negative_binomial",
    listed=("softplus", "exp"),
    limits="A constant of y and dispersion short of the negative log-likelihood. As v grows, the value grows as ln v.",
    reference="Hilbe (2011), Negative binomial regression, chapter 8 (NB2)",
    elicits_mean=True,
    convex=False,
    steady=False,
    steep=True,
    parameters={
        "dispersion": Parameter(1.0, POSITIVE, "How much the variance v + dispersion v² exceeds v, 1 by default.")
    },
)
