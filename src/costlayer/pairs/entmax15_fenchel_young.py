"""entmax15+fenchel_young: the entmax loss with α = 1.5, as a sum of parts that are never negative.

With p = w², y = r² and the scores z = 2 (w + τ − c), where c ≥ 0 is how far those without a share lie below τ, the loss
is ⅔ Σ (w − r)² (w + 2 r) + 2 y·c.
"""

import numpy as np

from costlayer.pair import ClosedForm
from costlayer.words import absolute, difference, double, maximum, product, rounded_off, sqrt, where


def roots(z, w, below):
    """The square roots w of the probabilities, and how far half of each score lies below the threshold τ.

    τ is where the norm of all (z/2 − τ)₊ is 1. Newton's iteration on the norm, which is convex in τ, comes from below
    and doubles its digits: most often some five passes, without sorting. A last step takes what rounding took along.
    """
    size, top = z.shape[0], z[0]
    for j in range(size):
        top = where(z[j] > top, z[j], top)
    threshold = double(-1.0)  # by half of the largest score
    for _ in range(64):
        total, square = double(0.0), double(0.0)
        for j in range(size):
            above = maximum(0.5 * difference(z[j], top) - threshold, 0.0)
            total += above
            square += above * above
        norm = sqrt(square)
        higher = threshold + (norm - 1.0) * norm / total
        if not higher > threshold:
            break
        threshold = higher
    total, whole, lost = double(0.0), double(0.0), double(0.0)
    for j in range(size):
        gap = difference(z[j], top)
        above = 0.5 * gap - threshold
        beside = 0.5 * rounded_off(z[j], top, gap) + rounded_off(0.5 * gap, threshold, above)
        beside = where(absolute(beside) < 1.0, beside, 0.0)  # of an infinite score it is no number
        w[j], below[j] = above, beside
        if above > 0.0:
            square, rounded = squared(above)
            both = whole + square
            lost += rounded + 2.0 * above * beside + rounded_off(whole, -square, both)
            whole = both
            total += above
    back = ((1.0 - whole) - lost) / (2.0 * total)
    for j in range(size):
        above = w[j] + (below[j] + back)
        w[j], below[j] = maximum(above, 0.0), maximum(-above, 0.0)


def squared(a):
    """a², and what rounding took from it: by the halves of a's digits (Dekker, 1971)."""
    square, turned = a * a, 134217729.0 * a
    high = turned - (turned - a)
    low = a - high
    return square, ((high * high - square) + 2.0 * high * low) + low * low


def gain(w, gains):
    """∂p_j/∂z_j = w_j (1 − w_j/Σ w); of the largest, 1 − w_j/Σ w is said by the others."""
    best, total, rest = 0, double(0.0), double(0.0)
    for j in range(w.shape[0]):
        total += w[j]
        if w[j] > w[best]:
            best = j
    for j in range(w.shape[0]):
        rest += where(j == best, 0.0, w[j])
    for j in range(w.shape[0]):
        gains[j] = w[j] * where(j == best, rest, total - w[j]) / total


def row(z, t, y, slopes, curves, work):
    roots(z, slopes, work)
    gain(slopes, curves)
    value, whole, others = double(0.0), double(0.0), double(0.0)
    for j in range(z.shape[0]):
        whole += y[j]  # 1, but for rounding
        others += where(j == t, 0.0, slopes[j] * slopes[j])
    for j in range(z.shape[0]):
        w, r = slopes[j], sqrt(y[j])
        apart = where(j == t, -others / (1.0 + w), w - r)
        off = where(j == t, -others, (w - r) * (w + r))
        value += 2.0 / 3.0 * (apart * apart * (w + 2.0 * r) + (whole - 1.0) * w * w * w) + product(y[j], 2.0 * work[j])
        slopes[j] = off + (whole - 1.0) * w * w
        curves[j] = whole * curves[j]
    return value


def least(shares, count):
    """Scores with a threshold of 0."""
    return 2.0 * np.sqrt(shares)


ENTMAX15_FENCHEL_YOUNG = ClosedForm(
    activation="entmax15",
    cost="fenchel_young",
    summary="The entmax loss, between cross entropy and the sparsemax loss: probabilities of which some are exactly 0, "
    "a gradient that is the error itself, and no kink in it.",
    formula="sum((v[j] - y[j])*z[j] + 4*(y[j]**1.5 - v[j]**1.5)/3, j)",
    derivative="v[j] - y[j]",
    row=row,
    least=least,
    canonical=1.0,
    convex=True,
    steady=True,
    limits="Exactly 0, and so is the gradient, once the true class is ahead of all others by 2. On the wrong side the "
    "value grows as the score falls, and |δ_t| is 1 where the true class has no share.",
    reference="Peters, Niculae and Martins (2019), Sparse sequence-to-sequence models",
)
