"""softmax+gce: of a class label, by the margin d as in softmax+cross_entropy."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import gce
from costlayer.words import exp, expm1, product


def row_terms(p, q, log_p, log_q, y, tempered):
    slope = -y * exp(tempered * log_p) * q
    return -product(y, expm1(tempered * log_p)) / tempered, slope, tempered * slope * q


SOFTMAX_GCE = ClosedForm(
    activation="softmax",
    cost="gce",
    row_terms=row_terms,
    margin=gce,
    starves=True,
)
