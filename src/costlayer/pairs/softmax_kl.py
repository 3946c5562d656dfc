"""softmax+kl: softmax+cross_entropy, less the entropy of the target."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import cross_entropy
from costlayer.words import fixed, log, product


def row_terms(p, q, log_p, log_q, y):
    return product(y, log(y)) - product(y, log_p), -y * q, fixed(0.0, q)


SOFTMAX_KL = ClosedForm(
    activation="softmax",
    cost="kl",
    derivative="v[j] - y[j]",
    row_terms=row_terms,
    margin=cross_entropy,
    canonical=1.0,
    convex=True,
    steady=True,
)
