"""softmax+focal: of a class label, by the margin d as in softmax+cross_entropy."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import focal
from costlayer.words import exp, product


def row_terms(p, q, log_p, log_q, y, gamma):
    scale = y * exp(product(gamma, log_q))  # y at gamma = 0, whatever q
    far = gamma * product(p, log_p)
    return (
        -product(scale, log_p),
        scale * (far - q),
        scale * (q * (far + 2.0 * gamma * p) - (gamma - 1.0) * far * p),
    )


SOFTMAX_FOCAL = ClosedForm(activation="softmax", cost="focal", row_terms=row_terms, margin=focal)
