"""msle: the squared error of the logarithms of 1 + v and 1 + y."""

from costlayer.pair import NON_NEGATIVE, Cost, Interval
from costlayer.words import log, log1p, product, where


def terms(v, y):
    apart = (v - y) / (1.0 + y)  # of two logarithms that are nearly equal nothing would be left
    error = where(apart > -0.5, log1p(apart), log((1.0 + v) / (1.0 + y)))
    rate = 1.0 / (1.0 + v)
    return error * error, 2.0 * product(rate, error), 2.0 * product(rate * rate, 1.0 - error)


MSLE = Cost(
    name="msle",
    summary="The squared error on a logarithmic scale: what counts is how many times too much, with 0 allowed.",
    domain=Interval(-1.0, float("inf"), low_closed=False),
    target=NON_NEGATIVE,
    formula="(ln(1 + v) - ln(1 + y))**2",
    derivative="2*(ln(1 + v) - ln(1 + y))/(1 + v)",
    terms=terms,
    natural="identity+mse on the logarithm of 1 + y, or exp+gamma for positive amounts",
    listed=("softplus", "exp"),
    limits="The slope by v falls as ln(v)/v where v is far too large; behind exp that is made up for.",
    reference="scikit-learn, mean_squared_log_error",
    convex=False,
    steady=False,
)
