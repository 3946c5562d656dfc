"""beta: the negative log-likelihood of the beta distribution, for fractions strictly between 0 and 1."""

from costlayer.costs.stirling import remainder
from costlayer.pair import POSITIVE, Cost, Interval
from costlayer.words import absolute, exp, log, log1p, log1p_unit, maximum, minimum, product, where


def terms(a, log_a, b, log_b, y):
    """With n = a + b and m = a/n the value is n KL(m, y), which no large terms cancel in, and what is left of the three
    logarithms of Γ once that is taken out."""
    n, d = a + b, absolute(log_a - log_b)
    less, more = minimum(a, b), maximum(a, b)
    beyond = exp(-d)
    e = where(less > 1e-300, where(more < 1e300, less / more, beyond), beyond)
    rest = log1p_unit(e)
    first, large, small = log_a >= log_b, 1.0 / (1.0 + e), e / (1.0 + e)
    m, k = where(first, large, small), where(first, small, large)  # a/n and b/n
    log_m, log_k = where(first, 0.0, -d) - rest, where(first, -d, 0.0) - rest
    log_y, log_rest = log(y), log1p(-y)
    off = where(m > 0.5, (1.0 - y) - k, m - y)
    over_y = where(absolute(off) < 0.5 * y, log1p(off / y), log_m - log_y)  # ln(m/y)
    over_rest = where(absolute(off) < 0.5 * (1.0 - y), log1p(off / (y - 1.0)), log_k - log_rest)
    apart = maximum(product(m, over_y) + product(k, over_rest), 0.0)
    left_a, slope_a, curve_a = remainder(a, log_a)
    left_b, slope_b, curve_b = remainder(b, log_b)
    left, slope, curve = remainder(n, maximum(log_a, log_b) + rest)
    beside = 0.9189385332046728 - 0.5 * minimum(log_a, log_b) + 0.5 * rest + (left_a + left_b - left)  # ln(2π)/2
    return (
        product(n, apart) + log_y + log_rest + beside,
        product(a, over_y) - 0.5 * k + slope_a - m * slope,
        product(b, over_rest) - 0.5 * m + slope_b - k * slope,
        product(a, over_y + k) + 0.5 * m * k + curve_a - m * k * slope - m * m * curve,
        m * k * (slope - curve - 0.5) - less * large,
        product(b, over_rest + m) + 0.5 * m * k + curve_b - m * k * slope - k * k * curve,
    )


BETA = Cost(
    name="beta",
    summary="Fractions strictly between 0 and 1, by the two shapes of a beta distribution, whose mean is a/(a + b).",
    domain=POSITIVE,
    second_domain=POSITIVE,
    target=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="lngamma(a) + lngamma(b) - lngamma(a + b) - (a - 1)*ln(y) - (b - 1)*ln(1 - y)",
    derivative="psi(a) - psi(a + b) - ln(y)",
    second_derivative="psi(b) - psi(a + b) - ln(1 - y)",
    symbols=("a", "b"),
    terms=terms,
    natural="exp_exp+beta",
    listed=("exp_exp", "softplus_softplus"),
    limits="Where a shape → 0 the value grows as its logarithm; where large shapes are sure of another mean than y, "
    "as they do.",
    reference="Ferrari and Cribari-Neto (2004), Beta regression for modelling rates and proportions",
    convex=False,
    steady=False,
)
