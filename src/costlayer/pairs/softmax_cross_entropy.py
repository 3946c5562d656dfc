"""softmax+cross_entropy: the log-likelihood cost, by the margin d between the other scores and the true one."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import cross_entropy
from costlayer.words import fixed, product


def row_terms(p, q, log_p, log_q, y):
    return -product(y, log_p), -y * q, fixed(0.0, q)


SOFTMAX_CROSS_ENTROPY = ClosedForm(
    activation="softmax",
    cost="cross_entropy",
    summary="Multinomial regression: one class of several, and a gradient that is the error itself.",
    formula="-sum(y[j]*ln(v[j]), j)",
    derivative="v[j] - y[j]",
    row_terms=row_terms,
    margin=cross_entropy,
    canonical=1.0,
    convex=True,
    steady=True,
    limits="With d = ln Σ_{j≠t} exp(z_j) − z_t the value is ln(1 + exp(d)): exact however sure the right class, and "
    "growing as d on the wrong side, where |δ_t| → 1.",
    reference="Bridle (1990), Probabilistic interpretation of feedforward classification network outputs",
)
