"""conditional: between classes that have an order, the probability of going on, given that one has come so far."""

from costlayer.activations.sigmoid import terms
from costlayer.pair import Activation, Interval
from costlayer.words import double


def predict(z, v, gains, work):
    reached = double(1.0)
    for k in range(z.shape[0]):
        on, _, _ = terms(z[k])
        off, _, _ = terms(-z[k])
        reached = reached * on
        v[k], gains[k] = reached, reached * off


CONDITIONAL = Activation(
    name="conditional",
    summary="K − 1 scores lie between K classes in order: the sigmoid of each is the probability P(y > j | y ≥ j) of "
    "going on, and their product v_j is P(y > j), which never rises.",
    range=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="prod(1/(1 + exp(-z[k])), k <= j)",
    gain="v[j]/(1 + exp(z[j]))",
    row=True,
    predict=predict,
    thresholds=True,
    instead="conditional+corn",
    limits="P(y = j) is v_{j−1} − v_j, and never below 0 whatever the scores. The median class is (v > 0.5).sum().",
    reference="Shi, Cao and Raschka (2021), Deep neural networks for rank-consistent ordinal regression based on "
    "conditional probabilities",
)
