"""exp+gamma: δ = 1 − y exp(−z)."""

from costlayer.pair import ClosedForm
from costlayer.words import exp, maximum


def terms(z, y):
    half = exp(-0.5 * z)
    ratio = half * y * half  # in two steps: exp(-z) may overflow where y exp(-z) does not
    return maximum(z, -1e30) + ratio, 1.0 - ratio, ratio  # the maximum: the ratio outgrows z, also at z = −∞


EXP_GAMMA = ClosedForm(
    activation="exp",
    cost="gamma",
    summary="Gamma regression: the score is the logarithm of an amount, the gradient the error relative to it.",
    formula="z + y*exp(-z)",
    derivative="(v - y)/v",
    terms=terms,
    convex=True,
    steady=True,
    limits="As z → −∞ value and |δ| grow as y exp(−z); as z → ∞ the value grows as z and δ → 1.",
    reference="McCullagh and Nelder (1989), Generalized linear models, chapter 8",
)
