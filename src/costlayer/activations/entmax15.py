"""entmax15: probabilities between those of softmax and of sparsemax, some of them exactly 0."""

from costlayer.pair import UNIT, Activation
from costlayer.pairs.entmax15_fenchel_young import gain, roots


def predict(z, v, gains, work):
    roots(z, v, work)
    gain(v, gains)
    for j in range(z.shape[0]):
        v[j] = v[j] * v[j]


ENTMAX15 = Activation(
    name="entmax15",
    summary="Probabilities that are sparse like sparsemax, and smooth: what lies far enough below the best has exactly "
    "none.",
    range=UNIT,
    formula="max(0, z[j]/2 - tau)**2",
    given="sum(max(0, z[k]/2 - tau)**2, k) == 1",
    gain="v[j]**0.5*(1 - v[j]**0.5/sum(v[k]**0.5, k))",
    row=True,
    predict=predict,
    instead="entmax15+fenchel_young",
    limits="Only differences of scores count. A score that is 2 ahead of all others has all the probability, and no "
    "gain is left.",
    reference="Peters, Niculae and Martins (2019), Sparse sequence-to-sequence models",
)
