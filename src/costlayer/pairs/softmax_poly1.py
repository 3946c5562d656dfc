"""softmax+poly1: of a class label, by the margin d as in softmax+cross_entropy."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import poly1
from costlayer.words import product


def row_terms(p, q, log_p, log_q, y, epsilon):
    return epsilon * y * q - product(y, log_p), -y * q * (1.0 + epsilon * p), -epsilon * y * p * q * q


SOFTMAX_POLY1 = ClosedForm(activation="softmax", cost="poly1", row_terms=row_terms, margin=poly1)
