"""sparsemax+fenchel_young: the sparsemax loss, as a sum of parts that are never negative.

With the scores z = p + τ − c, where c ≥ 0 is how far those without a share lie below τ, the loss is ½‖p − y‖² + y·c.
"""

from costlayer.pair import ClosedForm
from costlayer.words import absolute, difference, double, maximum, product, rounded_off, where


def shares(z, p, below):
    """p, and how far each score lies below the threshold τ; returns how many are above it.

    The scores above it are those that Michelot's (1986) iteration is left with: without sorting, in at most as many
    passes as there are scores, and most often in five. Then τ is mended by what the shares lack of 1, which is added up
    with what rounding took, so that a share keeps its digits however small it is.
    """
    size, top = z.shape[0], z[0]
    for j in range(size):
        top = where(z[j] > top, z[j], top)
    kept, before, threshold = 0, -1, double(-1.0)  # by the largest score: nothing 1 below that has a share
    while kept != before:
        before, kept, total = kept, 0, double(0.0)
        for j in range(size):
            gap = difference(z[j], top)
            kept += gap > threshold
            total += where(gap > threshold, gap, 0.0)
        threshold = maximum(threshold, (total - 1.0) / kept)  # it never falls but by rounding
    back = double(0.0)
    for _ in range(2):  # once more, in case that one has a share after all
        kept, whole, lost = 0, double(0.0), double(0.0)
        for j in range(size):
            gap = difference(z[j], top)
            above = gap - threshold
            beside = rounded_off(z[j], top, gap) + rounded_off(gap, threshold, above)
            beside = where(absolute(beside) < 1.0, beside, 0.0)  # of an infinite score it is no number
            p[j], below[j] = above, beside
            if above + (beside + back) > 0.0:
                total = whole + above
                lost += beside + rounded_off(whole, -above, total)
                whole = total
                kept += 1
        back = ((1.0 - whole) - lost) / kept
    for j in range(size):
        above = p[j] + (below[j] + back)
        p[j], below[j] = maximum(above, 0.0), maximum(-above, 0.0)
    return kept


def row(z, t, y, slopes, curves, work):
    kept = shares(z, slopes, work)
    value, whole, others = double(0.0), double(0.0), double(0.0)
    for j in range(z.shape[0]):
        whole += y[j]  # 1, but for rounding
        others += where(j == t, 0.0, slopes[j])
    for j in range(z.shape[0]):
        p = slopes[j]
        off = where(j == t, -others, p - y[j])
        value += 0.5 * (off * off + (whole - 1.0) * p * p) + product(y[j], work[j])
        slopes[j] = off + (whole - 1.0) * p
        curves[j] = where(p > 0.0, whole * (1.0 - double(1.0) / kept), 0.0)
    return value


def least(shares, count):
    """The shares themselves: they are their own projection."""
    return shares


SPARSEMAX_FENCHEL_YOUNG = ClosedForm(
    activation="sparsemax",
    cost="fenchel_young",
    summary="The sparsemax loss: probabilities of which many are exactly 0, and a gradient that is the error itself.",
    formula="sum((v[j] - y[j])*z[j] + (y[j]**2 - v[j]**2)/2, j)",
    derivative="v[j] - y[j]",
    row=row,
    least=least,
    canonical=1.0,
    convex=True,
    steady=True,
    limits="Exactly 0, and so is the gradient, once the true class is ahead of all others by 1. On the wrong side the "
    "value grows as the score falls, and |δ_t| is 1 where the true class has no share.",
    reference="Martins and Astudillo (2016), From softmax to sparsemax",
)
