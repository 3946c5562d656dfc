"""log_cosh: squared for small errors, absolute for large ones, without a corner."""

from costlayer.pair import REALS, Cost
from costlayer.words import absolute, exp, expm1, log, log1p, minimum, tanh, where


def terms(error, y):
    size = absolute(error)
    e = exp(-2.0 * size)
    near = expm1(-minimum(size, 1.0))  # cosh(error) - 1 = near²/(2 (1 + near)), without a subtraction
    value = where(size < 1.0, log1p(0.5 * near * near / (1.0 + near)), size + log1p(e) - log(2.0))
    return value, tanh(error), 4.0 * e / ((1.0 + e) * (1.0 + e))  # 1 - tanh² is 0 once tanh rounds to 1


LOG_COSH = Cost(
    name="log_cosh",
    summary="The logarithm of the hyperbolic cosine of the error: smooth, and bounded in its pull.",
    domain=REALS,
    target=REALS,
    formula="ln((exp(v - y) + exp(y - v))/2)",
    derivative="tanh(v - y)",
    terms=terms,
    of_error=True,
    natural="identity+log_cosh",
    listed=("identity",),
    limits="The slope never exceeds 1.",
    reference="Green (1990), Bayesian reconstructions from emission tomography data using a modified EM algorithm",
)
