"""exp+poisson: δ = exp(z) − y."""

from costlayer.pair import ClosedForm
from costlayer.words import exp, where


def terms(z, y):
    v = exp(z)
    value = v - y * z
    return where(value == value, value, v), v - y, v  # ∞ - ∞, or 0 · ∞ for y = 0: y z does not matter


EXP_POISSON = ClosedForm(
    activation="exp",
    cost="poisson",
    summary="Poisson regression: the score is the logarithm of a rate, and the gradient is the error itself.",
    formula="exp(z) - y*z",
    derivative="v - y",
    terms=terms,
    canonical=1.0,
    convex=True,
    steady=True,
    limits="As z → −∞ the value grows as y |z| and δ → −y; as z → ∞ both grow as exp(z).",
    reference="McCullagh and Nelder (1989), Generalized linear models, chapter 6",
)
