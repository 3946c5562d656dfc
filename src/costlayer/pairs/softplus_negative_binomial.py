"""softplus+negative_binomial: by v where it is large, and by its logarithm where it underflows."""

from costlayer.pair import ClosedForm
from costlayer.pairs.softplus_log import chain
from costlayer.pairs.softplus_log import error as error_of
from costlayer.pairs.softplus_log import terms as logarithm
from costlayer.words import log, log1p, maximum, product, where


def terms(z, y, dispersion):
    v, log_v, slope, bend, tail, shrink, f, g = logarithm(z)
    r = 1.0 / dispersion
    scaled, w = dispersion * v, 1.0 / (r + v)
    above = log1p(1.0 / maximum(scaled, 1.0))
    whole = where(log_v > 600.0, log_v + log(dispersion) + above, log1p(scaled))  # scaled may be beyond all numbers
    value = where(scaled > 1.0, y * (log(dispersion) + above) + r * whole, (y + r) * log1p(scaled) - product(y, log_v))
    share = where(z < 0.0, (y + r) * f * (1.0 + shrink) * g * w, (y + r) * product(v, w))  # v alone may be subnormal
    by_log = product(error_of(z, y, v, tail), w) * r
    return chain(slope, bend, value, by_log, share * (r * w))


SOFTPLUS_NEGATIVE_BINOMIAL = ClosedForm(activation="softplus", cost="negative_binomial", terms=terms)
