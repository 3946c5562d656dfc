"""ordinal+coral: sigmoid+cross_entropy at each threshold."""

import numpy as np

from costlayer.pair import ClosedForm
from costlayer.pairs.sigmoid_cross_entropy import terms
from costlayer.words import double, where


def row(z, t, y, slopes, curves, work):
    value = double(0.0)
    for k in range(z.shape[0]):
        cost, slope, curve = terms(z[k], where(t > k, 1.0, 0.0))
        slopes[k], curves[k] = slope, curve
        value += cost
    return value


def least(shares, count):
    """The log-odds of the classes above; with none there or none below, half an example is taken to be."""
    above = shares[::-1].cumsum()[::-1][1:]
    below = shares.cumsum()[:-1]
    half = 0.5 / (count + 1.0)
    above, below = np.where(above > 1e-12, above, half), np.where(below > 1e-12, below, half)
    return np.log(above / below)


ORDINAL_CORAL = ClosedForm(
    activation="ordinal",
    cost="coral",
    formula="sum(ln(1 + exp(z[j])) - where(t > j, z[j], 0), j)",
    derivative="v[j] - where(t > j, 1, 0)",
    row=row,
    least=least,
    canonical=1.0,
    convex=True,
    steady=True,
)
