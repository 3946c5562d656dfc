"""exp+gamma: δ = 1 − y exp(−z)."""

from costlayer.pair import ClosedForm
from costlayer.words import absolute, exp, where


def terms(z, y):
    far = absolute(z) > 80.0  # there in two steps: exp(-z) may overflow where y exp(-z) does not
    f = exp(where(far, -0.5, -1.0) * z)
    ratio = f * y * where(far, f, 1.0)
    value = z + ratio
    return where(value == value, value, ratio), 1.0 - ratio, ratio  # at z = -∞ the ratio outgrows z


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
