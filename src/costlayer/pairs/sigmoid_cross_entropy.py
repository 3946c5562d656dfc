"""sigmoid+cross_entropy: δ = σ(z) − y, with no subtraction of nearly equal numbers for y of 0 or 1."""

from costlayer.pair import ClosedForm
from costlayer.words import absolute, exp, log1p, product, where


def terms(z, y):
    e = exp(-absolute(z))
    r = 1.0 / (1.0 + e)
    p = where(z >= 0.0, r, e * r)
    q = where(z >= 0.0, e * r, r)
    value = where(z >= 0.0, product(1.0 - y, z), -product(y, z)) + log1p(e)
    return value, (1.0 - y) * p - y * q, e * r * r


SIGMOID_CROSS_ENTROPY = ClosedForm(
    activation="sigmoid",
    cost="cross_entropy",
    summary="Logistic regression: a probability from one score, and a gradient that is the error itself.",
    formula="ln(1 + exp(z)) - y*z",
    derivative="v - y",
    terms=terms,
    canonical=1.0,
    convex=True,
    steady=True,
    limits="On the right side the value falls as e^−|z|; on the wrong side it grows as |z| and |δ| → 1.",
    reference="Cox (1958), The regression analysis of binary sequences",
)
