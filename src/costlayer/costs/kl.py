"""kl: how far the predicted distribution is from the true one."""

from costlayer.pair import UNIT, Cost
from costlayer.words import log, product


def terms(v, y):
    return product(y, log(y)) - product(y, log(v)), -y / v, y / (v * v)


KL = Cost(
    name="kl",
    summary="The Kullback-Leibler divergence of the prediction from the target: cross entropy less what no model can "
    "save, so that a perfect prediction costs nothing.",
    domain=UNIT,
    target=UNIT,
    formula="where(y > 0, y*ln(y/v), 0)",
    derivative="-y/v",
    terms=terms,
    natural="softmax+kl",
    rows_only=True,
    limits="Of a class label it is cross_entropy. It grows without bound as the probability of a true class → 0.",
    reference="Kullback and Leibler (1951), On information and sufficiency",
    elicits_mean=True,
)
