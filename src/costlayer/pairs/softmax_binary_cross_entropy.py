"""softmax+binary_cross_entropy: every class probability as a yes-or-no question of its own."""

from costlayer.pair import ClosedForm
from costlayer.words import product


def row_terms(p, q, log_p, log_q, y):
    no = 1.0 - y
    return -(product(y, log_p) + product(no, log_q)), no * p - y * q, no * p


SOFTMAX_BINARY_CROSS_ENTROPY = ClosedForm(
    activation="softmax",
    cost="binary_cross_entropy",
    summary="Probabilities that add to 1, each judged as a yes-or-no question; the gradient is not v − y.",
    formula="-sum(y[j]*ln(v[j]) + (1 - y[j])*ln(1 - v[j]), j)",
    derivative="v[j]*((v[j] - y[j])/(v[j]*(1 - v[j])) - sum((v[k] - y[k])/(1 - v[k]), k))",
    row_terms=row_terms,
    limits="A wrong class that is nearly sure is charged twice: as the truth missed, and as a false yes.",
    reference="Nielsen (2015), Neural networks and deep learning, chapter 3: the cross entropy summed over outputs, "
    "there behind sigmoids",
)
