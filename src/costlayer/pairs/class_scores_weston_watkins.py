"""class_scores+weston_watkins: the multiclass support vector machine of Weston and Watkins."""

import numpy as np

from costlayer.pair import ClosedForm
from costlayer.pairs.class_scores_crammer_singer import shortfall
from costlayer.words import double, where


def row(z, t, y, slopes, curves, work, margin):
    value, short = double(0.0), double(0.0)
    for j in range(z.shape[0]):
        if j != t:
            short = shortfall(z[j], z[t], margin)
            inside = where(short > 0.0, 1.0, 0.0)
            value += where(short > 0.0, short, 0.0)
            slopes[j] = inside
            slopes[t] -= inside
    return value


def least(shares, count, margin):
    """Whole margins apart, in the order of the shares, on levels without a gap.

    Two classes on one level cost the sum of their shares, and of two that are d levels apart the lower one costs its
    share 1 + d times. Added up level by level, those before rank h being above: the best way to the last rank.
    """
    order = np.argsort(-shares, kind="stable")
    total, ranks = np.concatenate([[0.0], shares[order].cumsum()]), np.arange(len(shares) + 1)
    cost, above = np.zeros(len(ranks)), np.zeros(len(ranks), int)
    for i in ranks[1:]:
        ways = cost[:i] + (i - 1) * (total[i] - total[:i]) + ranks[:i] * (total[-1] - total[:i])
        above[i] = np.argmin(ways)
        cost[i] = ways[above[i]]
    z, i, level = np.empty(len(shares)), ranks[-1], 0
    while i > 0:
        z[order[above[i] : i]] = margin * level
        i, level = above[i], level + 1
    return z


CLASS_SCORES_WESTON_WATKINS = ClosedForm(
    activation="class_scores",
    cost="weston_watkins",
    summary="The multiclass support vector machine that compares the true class with each of the others.",
    formula="sum(max(0, margin + z[j] - z[t]), j != t)",
    derivative="where(j == t, -sum(where(margin + z[k] > z[t], 1, 0), k != t), where(margin + z[j] > z[t], 1, 0))",
    row=row,
    least=least,
    convex=True,
    steady=True,
)
