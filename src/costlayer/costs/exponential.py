"""exponential: the cost that AdaBoost descends."""

from costlayer.pair import REALS, SIGNS, Cost
from costlayer.words import exp


def terms(v, y):
    value = exp(-y * v)
    return value, -y * value, value


EXPONENTIAL = Cost(
    name="exponential",
    summary="The exponential of the margin: the cost that AdaBoost descends. Wrong labels pull without bound.",
    domain=REALS,
    target=SIGNS,
    formula="exp(-y*v)",
    derivative="-y*exp(-y*v)",
    terms=terms,
    natural="identity+exponential",
    listed=("identity",),
    limits="Never 0: the right side goes on pulling ever more weakly; the wrong side grows exponentially.",
    reference="Friedman, Hastie and Tibshirani (2000), Additive logistic regression: a statistical view of boosting",
)
