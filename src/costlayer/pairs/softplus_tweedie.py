"""softplus+tweedie: powers of softplus by its logarithm, which does not underflow."""

from costlayer.pair import ClosedForm
from costlayer.pairs.softplus_log import chain
from costlayer.pairs.softplus_log import error as error_of
from costlayer.pairs.softplus_log import terms as logarithm
from costlayer.words import exp, product, where


def terms(z, y, power):
    v, log_v, slope, bend, tail, _, _, _ = logarithm(z)
    a, b = 2.0 - power, power - 1.0
    half = exp(-0.5 * log_v)
    lost = where(z > 1.0, product(product(v, half), half) - 1.0, 0.0)  # in rounding log_v, of which powers are taken
    up, down = exp(a * log_v) * (1.0 + a * lost), exp(-b * log_v) * (1.0 - b * lost)
    by_log = where(z < -80.0, up - product(y, down), product(down, error_of(z, y, v, tail)))
    return chain(slope, bend, up / a + product(y, down) / b, by_log, a * up + b * product(y, down))


SOFTPLUS_TWEEDIE = ClosedForm(activation="softplus", cost="tweedie", terms=terms)
