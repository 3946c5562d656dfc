"""conditional+corn: sigmoid+cross_entropy at each threshold up to the true class."""

import numpy as np

from costlayer.pair import ClosedForm
from costlayer.pairs.sigmoid_cross_entropy import terms
from costlayer.words import double, where


def row(z, t, y, slopes, curves, work):
    value = double(0.0)
    for k in range(z.shape[0]):
        if k <= t:
            cost, slope, curve = terms(z[k], where(t > k, 1.0, 0.0))
            slopes[k], curves[k] = slope, curve
            value += cost
    return value


def least(shares, count):
    """The log-odds of the classes above against the next one; where there are none, half an example is taken to be."""
    above, here = shares[::-1].cumsum()[::-1][1:], shares[:-1]
    half = 0.5 / (count + 1.0)
    return np.log(np.where(above > 1e-12, above, half) / np.where(here > 1e-12, here, half))


CONDITIONAL_CORN = ClosedForm(
    activation="conditional",
    cost="corn",
    formula="sum(ln(1 + exp(z[j])) - where(t > j, z[j], 0), j <= t)",
    derivative="where(j <= t, 1/(1 + exp(-z[j])) - where(t > j, 1, 0), 0)",
    row=row,
    least=least,
    convex=True,
    steady=True,
)
