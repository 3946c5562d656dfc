"""ordinal+cumulative_logit: the two thresholds beside the true class as in ordinal+coral, and a wall between them.

σ(a) − σ(b) = σ(a) σ(−b) (1 − e^−(a − b)): its logarithm is a sum of three that are never positive.
"""

import numpy as np

from costlayer.pair import ClosedForm
from costlayer.pairs.ordinal_coral import least as log_odds
from costlayer.pairs.sigmoid_cross_entropy import terms
from costlayer.words import double, exp, expm1, log, log1p, where


def row(z, t, y, slopes, curves, work):
    value = double(0.0)
    for k in range(z.shape[0]):
        if t - 1 <= k <= t:
            cost, slope, curve = terms(z[k], where(t > k, 1.0, 0.0))
            slopes[k], curves[k] = slope, curve
            value += cost
    if 0 < t < z.shape[0]:
        cost, slope, curve = wall(z[t - 1] - z[t])
        value += cost
        slopes[t - 1] -= slope
        slopes[t] += slope
        curves[t - 1] += curve
        curves[t] += curve
    return value


def wall(gap):
    """−ln(1 − e^−gap), by how fast it falls, and how that does: infinite where the gap is 0, and NaN below."""
    push = 1.0 / expm1(gap)
    value = -where(gap < 0.7, log(-expm1(-gap)), log1p(-exp(-gap)))
    return value, push, push * (1.0 + push)


def least(shares, count):
    """The log-odds of the classes above, where each has at least half an example: no two thresholds meet."""
    shares = np.where(shares > 1e-12, shares, 0.5 / (count + 1.0))
    return log_odds(shares / shares.sum(), count)


ORDINAL_CUMULATIVE_LOGIT = ClosedForm(
    activation="ordinal",
    cost="cumulative_logit",
    derivative="v[j]*(1 - v[j])*where(j == t, 1, where(j == t - 1, -1, 0))/(v[t - 1] - v[t])",
    row=row,
    least=least,
    falling=True,
    convex=True,
    steady=True,
)
