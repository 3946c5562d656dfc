"""logistic: cross entropy for classes written as −1 and 1."""

from costlayer.pair import REALS, SIGNS, Cost
from costlayer.words import absolute, exp, log1p_unit, maximum, where


def terms(v, y):
    wrong = -y * v
    e = exp(-absolute(v))
    s = 1.0 + e
    return maximum(wrong, 0.0) + log1p_unit(e), where(wrong > 0.0, -y, -y * e) / s, e / (s * s)


LOGISTIC = Cost(
    name="logistic",
    summary="The cross entropy of a sigmoid, for classes written as −1 and 1.",
    domain=REALS,
    target=SIGNS,
    formula="ln(1 + exp(-y*v))",
    derivative="-y/(1 + exp(y*v))",
    terms=terms,
    natural="identity+logistic",
    listed=("identity",),
    limits="The same as sigmoid+cross_entropy with 0 and 1: on the right side it falls as e^−|z|, on the wrong side it "
    "grows as |z| and |δ| → 1.",
    reference="Cox (1958), The regression analysis of binary sequences",
)
