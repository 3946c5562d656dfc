"""softplus+negative_binomial: exp+negative_binomial at the logarithm of softplus(z)."""

from costlayer.pair import ClosedForm
from costlayer.pairs.exp_negative_binomial import terms as of_logarithm
from costlayer.pairs.softplus_log import chain
from costlayer.pairs.softplus_log import terms as logarithm


def terms(z, y, dispersion):
    _, log_v, slope, bend, _, _, _ = logarithm(z)
    value, by_log, by_log_twice = of_logarithm(log_v, y, dispersion)
    return chain(slope, bend, value, by_log, by_log_twice)


SOFTPLUS_NEGATIVE_BINOMIAL = ClosedForm(activation="softplus", cost="negative_binomial", terms=terms)
