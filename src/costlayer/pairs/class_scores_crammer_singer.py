"""class_scores+crammer_singer: the multiclass support vector machine of Crammer and Singer."""

import numpy as np

from costlayer.pair import ClosedForm
from costlayer.words import absolute, difference, maximum, rounded_off, where


def shortfall(rival, truth, margin):
    """margin + rival − truth, with what rounding took from it."""
    gap = difference(rival, truth)
    short = margin + gap
    lost = rounded_off(rival, truth, gap) + rounded_off(margin, -gap, short)
    return short + where(absolute(lost) <= absolute(gap), lost, 0.0)  # not of infinite scores


def row(z, t, y, slopes, curves, work, margin):
    best = where(t == 0, 1, 0)
    for j in range(z.shape[0]):
        if j != t and z[j] > z[best]:
            best = j
    short = shortfall(z[best], z[t], margin)
    if short > 0.0:
        slopes[best], slopes[t] = 1.0, -1.0
    return maximum(short, 0.0)


def least(shares, count, margin):
    """A class that is true more than half of the time is ahead by the margin; else nothing costs less than equal
    scores."""
    return np.where(shares > 0.5, margin, 0.0)


CLASS_SCORES_CRAMMER_SINGER = ClosedForm(
    activation="class_scores",
    cost="crammer_singer",
    summary="The multiclass support vector machine: the true class ahead of the best of the others by a margin.",
    formula="max(0, margin + most(z[j], j != t) - z[t])",
    derivative="where(margin + most(z[k], k != t) > z[t], "
    "where(j == t, -1, where(z[j] == most(z[k], k != t), 1, 0)), 0)",
    row=row,
    least=least,
    convex=True,
    steady=True,
)
