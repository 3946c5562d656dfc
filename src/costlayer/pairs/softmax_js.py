"""softmax+js: of a class label, by the margin d as in softmax+cross_entropy."""

from costlayer.pair import ClosedForm, error_row
from costlayer.pairs.one_class import js
from costlayer.words import log, log1p, product, where


def row_terms(p, q, log_p, log_q, y):
    both = p + y
    error = error_row(p, q, y)
    of_p = where(
        2.0 * error < -both, log_p - log(0.5 * both), log1p(error / both)
    )  # the logarithm of p over the middle
    value = product(y, log1p(-error / both)) + product(p, of_p)
    slope = product(p, of_p)
    return 0.5 * value, 0.5 * slope * q, 0.5 * (slope + product(y, p / both)) * q * q


SOFTMAX_JS = ClosedForm(activation="softmax", cost="js", row_terms=row_terms, margin=js, starves=True)
