"""softplus+inverse_gaussian: exp+inverse_gaussian at the logarithm of softplus(z)."""

from costlayer.pair import ClosedForm
from costlayer.pairs.exp_inverse_gaussian import terms as of_logarithm
from costlayer.pairs.softplus_log import chain
from costlayer.pairs.softplus_log import terms as logarithm


def terms(z, y):
    _, log_v, slope, bend, _, _, _ = logarithm(z)
    value, by_log, by_log_twice = of_logarithm(log_v, y)
    return chain(slope, bend, value, by_log, by_log_twice)


SOFTPLUS_INVERSE_GAUSSIAN = ClosedForm(activation="softplus", cost="inverse_gaussian", terms=terms)
