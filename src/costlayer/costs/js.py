"""js: a bounded, symmetric distance between the predicted and the true distribution."""

from costlayer.pair import UNIT, Cost
from costlayer.words import log, product


def terms(v, y):
    middle = 0.5 * (v + y)
    log_v = log(v / middle)
    value = 0.5 * (product(y, log(y / middle)) + product(v, log_v))
    return value, 0.5 * log_v, 0.5 * y / (v * (v + y))


JS = Cost(
    name="js",
    summary="The Jensen-Shannon divergence: how far prediction and target are from their middle; at most ln 2.",
    domain=UNIT,
    target=UNIT,
    formula="(v*ln(2*v/(v + y)) + where(y > 0, y*ln(2*y/(v + y)), 0))/2",
    derivative="ln(2*v/(v + y))/2",
    terms=terms,
    natural="softmax+cross_entropy",
    rows_only=True,
    limits="At most ln 2 for a class label, however wrong; the gradient dies where the truth is missed.",
    reference="Lin (1991), Divergence measures based on the Shannon entropy",
)
