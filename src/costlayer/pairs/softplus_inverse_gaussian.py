"""softplus+inverse_gaussian: by 1/v, which is as good as exp(−z) where softplus underflows."""

from costlayer.pair import ClosedForm
from costlayer.pairs.softplus_log import chain
from costlayer.pairs.softplus_log import error as error_of
from costlayer.pairs.softplus_log import terms as logarithm
from costlayer.words import where


def terms(z, y):
    v, _, slope, bend, tail, shrink, f, g = logarithm(z)
    left = z < 0.0
    lead = 1.0 / (f * (1.0 + shrink))  # 1/v is lead/g, which may overflow where y/v does not
    r, ratio = where(left, lead / g, 1.0 / v), where(left, y * lead / g, y / v)
    error = error_of(z, y, v, tail)
    excess = where(z < -80.0, 1.0 - ratio, where(error == v, 1.0, error / v))
    return chain(slope, bend, r * (0.5 * ratio - 1.0), r * excess, r * (2.0 * ratio - 1.0))


SOFTPLUS_INVERSE_GAUSSIAN = ClosedForm(activation="softplus", cost="inverse_gaussian", terms=terms)
