"""cloglog+cross_entropy: by the rate u = e^z, in forms that hold where it underflows and where exp(−u) does."""

from costlayer.pair import ClosedForm
from costlayer.words import exp, expm1, log, log1p, minimum, product, where


def short(u):
    """(exp(−u) − 1 + u)/u² for u in [0, 1]."""
    p = 7.187659694901251e-12
    p = 2.0662351515531943e-09 + u * (-1.4827748098280572e-10 + u * p)
    p = 2.7555427629426475e-07 + u * (-2.5027670668477573e-08 + u * p)
    p = 2.4801583633369706e-05 + u * (-2.7557218510494594e-06 + u * p)
    p = 0.0013888888887503268 + u * (-0.0001984126975200064 + u * p)
    p = 0.04166666666666609 + u * (-0.008333333333320706 + u * p)
    return 0.5 + u * (-0.16666666666666666 + u * p)


def terms(z, y):
    u = exp(z)
    m = where(u == 0.0, 1e-30, minimum(u, 1e4))  # it underflows, or exp(−u) does
    half = exp(-0.5 * m)
    share = -expm1(-m)  # v
    miss = where(z > 0.0, -log1p(-half * half), -z - log(share / m))  # −ln v
    pull = m * half * half / share  # its slope, falling from 1
    low = minimum(m, 1.0)
    bend = where(m > 1.0, (m - share) / (m * m), short(low)) * m / share
    value = product(y, miss) + product(1.0 - y, u)
    slope = product(1.0 - y, u) - y * pull
    return value, slope, product(1.0 - y, u) + y * pull * bend * minimum(u, 1e4)


CLOGLOG_CROSS_ENTROPY = ClosedForm(
    activation="cloglog",
    cost="cross_entropy",
    summary="Complementary log-log regression: whether there was any event, where events come at the rate exp(z).",
    formula="(1 - y)*exp(z) - y*ln(1 - exp(-exp(z)))",
    derivative="exp(z)*(1 - y/v)",
    terms=terms,
    convex=True,
    steady=True,
    limits="For y = 1 the value grows as |z| and δ → −1 as z → −∞; for y = 0 both grow as e^z as z → ∞: a sure yes "
    "that is wrong pulls beyond bounds. On the right side they fall as e^z to the left and as exp(−e^z) to the right, "
    "where the last place of e^z is worth as many units of the result as e^z is large.",
    reference="McCullagh and Nelder (1989), Generalized linear models, section 4.3",
)
