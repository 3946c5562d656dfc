"""softmax: probabilities of classes that exclude one another."""

from costlayer.pair import Activation, Interval

SOFTMAX = Activation(
    name="softmax",
    summary="The scores of one example become probabilities that add to 1.",
    range=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="exp(z[j])/sum(exp(z[k]), k)",
    gain="v[j]*(1 - v[j])",
    flat=(-5.0, 5.0),
    instead="softmax+cross_entropy, whose gradient is the error itself",
    limits="Only differences of scores count. As one score outgrows the rest its probability → 1 and all gains → 0.",
    reference="Bridle (1990), Probabilistic interpretation of feedforward classification network outputs",
    row=True,
)
