"""exp+inverse_gaussian: δ = (v − y)/v²."""

from costlayer.pair import ClosedForm
from costlayer.words import absolute, exp, where


def terms(z, y):
    half = exp(-0.5 * z)  # exp(-z) may overflow where y exp(-2 z) is what counts
    r = half * half
    ratio = half * y * half
    excess = 1.0 - ratio
    slope = r * where(absolute(excess) < 0.5, (exp(z) - y) * r, excess)  # no difference of what was rounded
    nothing = r == 0.0
    return (
        where(nothing, r, r * (0.5 * ratio - 1.0)),
        where(nothing, r, slope),
        where(nothing, r, r * (2.0 * ratio - 1.0)),
    )


EXP_INVERSE_GAUSSIAN = ClosedForm(
    activation="exp",
    cost="inverse_gaussian",
    formula="y*exp(-2*z)/2 - exp(-z)",
    derivative="(v - y)/v**2",
    terms=terms,
    limits="As z → −∞ value and |δ| grow as y exp(−2 z); as z → ∞ both die as exp(−z): start near the mean.",
)
