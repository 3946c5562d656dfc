"""perceptron: on the wrong side, pay by the distance."""

from costlayer.pair import REALS, SIGNS, Cost
from costlayer.words import fixed, maximum, where


def terms(v, y):
    wrong = -y * v
    return maximum(wrong, 0.0), where(wrong > 0.0, -y, fixed(0.0, wrong)), fixed(0.0, wrong)


PERCEPTRON = Cost(
    name="perceptron",
    summary="The distance from the right side; every example on it costs nothing, however near the border.",
    domain=REALS,
    target=SIGNS,
    formula="max(0, -y*v)",
    derivative="where(y*v < 0, -y, 0)",
    terms=terms,
    natural="identity+perceptron",
    listed=("identity",),
    limits="The slope is −y on the wrong side and 0 on the right one and on the border: a score of 0 is left as it is.",
    reference="Rosenblatt (1958), The perceptron: a probabilistic model for information storage",
)
