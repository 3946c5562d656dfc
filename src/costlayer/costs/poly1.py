"""poly1: cross entropy with its first term, in powers of 1 − p, made heavier."""

from costlayer.pair import NON_NEGATIVE, UNIT, Cost, Parameter
from costlayer.words import log, product


def terms(v, y, epsilon):
    value = y * epsilon * (1.0 - v) - product(y, log(v))
    return value, -y * (1.0 / v + epsilon), y / (v * v)


POLY1 = Cost(
    name="poly1",
    summary="Cross entropy plus `epsilon` times the probability that the truth lacks: it goes on pulling for longer.",
    domain=UNIT,
    target=UNIT,
    formula="y*(epsilon*(1 - v) - ln(v))",
    derivative="-y*(1/v + epsilon)",
    terms=terms,
    natural="softmax+poly1",
    convex=False,
    steady=False,
    rows_only=True,
    limits="With epsilon = 0 it is cross_entropy, whose behaviour it shares at the extremes.",
    reference="Leng et al. (2022), PolyLoss: a polynomial expansion perspective of classification loss functions",
    parameters={"epsilon": Parameter(2.0, NON_NEGATIVE, "The weight of the added term, 2 by default.")},
)
