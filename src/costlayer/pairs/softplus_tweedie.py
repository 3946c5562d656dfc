"""softplus+tweedie: exp+tweedie at the logarithm of softplus(z)."""

from costlayer.pair import ClosedForm
from costlayer.pairs.exp_tweedie import terms as of_logarithm
from costlayer.pairs.softplus_log import chain
from costlayer.pairs.softplus_log import terms as logarithm


def terms(z, y, power):
    _, log_v, slope, bend, _, _, _ = logarithm(z)
    value, by_log, by_log_twice = of_logarithm(log_v, y, power)
    return chain(slope, bend, value, by_log, by_log_twice)


SOFTPLUS_TWEEDIE = ClosedForm(activation="softplus", cost="tweedie", terms=terms)
