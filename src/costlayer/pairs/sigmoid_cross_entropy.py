"""sigmoid+cross_entropy: δ = σ(z) − y, with no subtraction of nearly equal numbers that were rounded."""

from costlayer.pair import ClosedForm
from costlayer.words import absolute, exp, log1p_unit, where


def terms(z, y):
    m = absolute(z)
    e = exp(-m)
    s = 1.0 + e
    lost = e - (s - 1.0)  # in rounding s
    right, middle = z >= 0.0, m < 1.0
    a = where(right, 1.0 - y, y)  # how far y is from the end where v goes
    # v − y from that end, or from ½ in the middle: y less that is exact where v and y are close
    move = where(middle, 0.5 - 0.5 * e, -e) / s
    off = where(middle, where(right, 0.5 - y, y - 0.5), a) + (move - move * (lost * (1.0 - 0.5 * e)))  # 1/s, nearly
    value = where(a == 0.0, 0.0, a * m) + log1p_unit(e)  # nothing times infinity is nothing
    return value, where(right, off, -off), e / (1.0 + e * (2.0 + e))


SIGMOID_CROSS_ENTROPY = ClosedForm(
    activation="sigmoid",
    cost="cross_entropy",
    summary="Logistic regression: a probability from one score, and a gradient that is the error itself.",
    formula="ln(1 + exp(z)) - y*z",
    derivative="v - y",
    terms=terms,
    single=True,
    canonical=1.0,
    convex=True,
    steady=True,
    limits="On the right side the value falls as e^−|z|; on the wrong side it grows as |z| and |δ| → 1.",
    reference="Cox (1958), The regression analysis of binary sequences",
)
