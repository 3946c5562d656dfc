"""sparsemax: the nearest probabilities to the scores, many of them exactly 0."""

from costlayer.pair import UNIT, Activation
from costlayer.pairs.sparsemax_fenchel_young import shares
from costlayer.words import double, where


def predict(z, v, gains, work):
    kept = shares(z, v, work)
    for j in range(z.shape[0]):
        gains[j] = where(v[j] > 0.0, 1.0 - double(1.0) / kept, 0.0)


SPARSEMAX = Activation(
    name="sparsemax",
    summary="The probabilities nearest to the scores: what lies far enough below the best has exactly none.",
    range=UNIT,
    formula="max(0, z[j] - tau)",
    given="sum(max(0, z[k] - tau), k) == 1",
    gain="where(v[j] > 0, 1 - 1/sum(where(v[k] > 0, 1, 0), k), 0)",
    row=True,
    predict=predict,
    instead="sparsemax+fenchel_young",
    limits="Only differences of scores count. A score that is 1 ahead of all others has all the probability, and no "
    "gain is left.",
    reference="Martins and Astudillo (2016), From softmax to sparsemax",
)
