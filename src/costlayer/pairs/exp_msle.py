"""exp+msle: the squared error of softplus(z) from ln(1 + y)."""

from costlayer.pair import ClosedForm
from costlayer.words import absolute, exp, log, log1p, product, where


def terms(z, y):
    e = exp(-absolute(z))
    s = 1.0 + e
    v = exp(z)
    apart = (v - y) / (1.0 + y)
    near = where(apart > -0.5, log1p(apart), log((1.0 + v) / (1.0 + y)))
    error = where(z > 700.0, z - log1p(y), near)  # v may be beyond the largest number
    gain, rest = where(z >= 0.0, 1.0, e) / s, where(z >= 0.0, e, 1.0) / s
    return error * error, 2.0 * product(gain, error), 2.0 * gain * (gain + product(rest, error))


EXP_MSLE = ClosedForm(
    activation="exp",
    cost="msle",
    formula="(ln(1 + exp(z)) - ln(1 + y))**2",
    derivative="2*(ln(1 + exp(z)) - ln(1 + y))/(1 + exp(-z))",
    terms=terms,
    starves=True,
    limits="As z → ∞ it is the squared error of z; as z → −∞ the value tends to ln(1 + y)² and δ dies as e^z.",
)
