"""softplus+gamma: positive amounts, with a mean that is as good as the score itself where it is large."""

from costlayer.pair import ClosedForm
from costlayer.pairs.softplus_log import error as error_of
from costlayer.pairs.softplus_log import terms as log_softplus
from costlayer.words import product, where


def terms(z, y):
    v, log_v, slope, bend, tail, shrink, f, g = log_softplus(z)
    ratio = where(z < 0.0, y / f / ((1.0 + shrink) * g), y / v)  # v itself underflows where y/v need not
    value, error = log_v + ratio, error_of(z, y, v, tail)
    # (v − y)/v, by the difference wherever v has all its digits
    excess = where(z < -80.0, 1.0 - ratio, where(error == v, 1.0, error / v))
    curvature = product(slope * slope, bend + ratio * (1.0 - bend))
    return where(value == value, value, ratio), product(slope, excess), curvature


SOFTPLUS_GAMMA = ClosedForm(
    activation="softplus",
    cost="gamma",
    summary="Gamma regression whose mean grows with the score; the pull on far too large predictions weakens as 1/z.",
    formula="ln(ln(1 + exp(z))) + y/ln(1 + exp(z))",
    derivative="(v - y)/(v**2*(1 + exp(-z)))",
    terms=terms,
    limits="As z → −∞ value and |δ| grow as y exp(−z); as z → ∞ the value grows as ln z and δ falls as 1/z.",
    reference="McCullagh and Nelder (1989), Generalized linear models, chapter 8; Dugas et al. (2001) for softplus",
)
