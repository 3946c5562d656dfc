"""cross_entropy: the negative logarithm of the probability given to the truth."""

from costlayer.pair import UNIT, Cost
from costlayer.words import log, log1p, product


def terms(v, y):
    """The cost of one probability against a target in [0, 1]: the binary cross entropy."""
    rest = 1.0 - v
    value = -(product(y, log(v)) + product(1.0 - y, log1p(-v)))
    return value, (v - y) / (v * rest), y / (v * v) + (1.0 - y) / (rest * rest)


CROSS_ENTROPY = Cost(
    name="cross_entropy",
    summary="The negative log-likelihood of the truth.",
    domain=UNIT,
    target=UNIT,
    formula="-(y*ln(v) + (1 - y)*ln(1 - v))",
    derivative="(v - y)/(v*(1 - v))",
    terms=terms,
    natural="sigmoid+cross_entropy for yes or no, softmax+cross_entropy for one class of several",
    limits="Grows without bound as the probability of the truth → 0.",
    reference="Good (1952), Rational decisions: the logarithmic score",
    elicits_mean=True,
    yes_or_no=True,
)
