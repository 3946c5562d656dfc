"""ordinal: between classes that have an order, the probability of lying above."""

from costlayer.activations.sigmoid import terms
from costlayer.pair import Activation, Interval


def predict(z, v, gains, work):
    for k in range(z.shape[0]):
        v[k], gains[k], _ = terms(z[k])


ORDINAL = Activation(
    name="ordinal",
    summary="K − 1 scores lie between K classes in order: v_j is the probability of a class above j, P(y > j).",
    range=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="1/(1 + exp(-z[j]))",
    gain="v[j]*(1 - v[j])",
    row=True,
    predict=predict,
    thresholds=True,
    instead="ordinal+cumulative_logit or ordinal+coral",
    limits="Where the scores fall from class to class, P(y = j) is v_{j−1} − v_j. The median class is (v > 0.5).sum().",
    reference="McCullagh (1980), Regression models for ordinal data",
)
