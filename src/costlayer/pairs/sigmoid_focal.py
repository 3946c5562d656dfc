"""sigmoid+focal: as softmax+focal of two classes, of which the other one's score is 0."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import focal
from costlayer.words import absolute, exp, product, where


def terms(z, y, gamma, alpha):
    e = exp(-absolute(z))
    a, b = where(alpha < 0.0, 1.0, alpha) * y, where(alpha < 0.0, 1.0, 1.0 - alpha) * (1.0 - y)
    yes, rise, curve = focal(-z, e, gamma)
    no, fall, bend = focal(z, e, gamma)
    return product(a, yes) + product(b, no), b * fall - a * rise, a * curve + b * bend


SIGMOID_FOCAL = ClosedForm(activation="sigmoid", cost="focal", terms=terms)
