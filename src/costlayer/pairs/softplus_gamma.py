"""softplus+gamma: positive amounts, with a mean that is as good as the score itself where it is large."""

from costlayer.pair import ClosedForm
from costlayer.pairs.softplus_log import terms as log_softplus
from costlayer.words import maximum, product


def terms(z, y):
    v, log_v, slope, bend = log_softplus(z)
    ratio = y / v
    value = maximum(log_v, -1e30) + ratio
    return value, product(slope, 1.0 - ratio), product(bend, 1.0 - ratio) + product(ratio, slope * slope)


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
