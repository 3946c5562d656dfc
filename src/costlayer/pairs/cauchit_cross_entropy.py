"""cauchit+cross_entropy: by the lesser probability, which is an arctangent of 1/z where z is large."""

from costlayer.distributions import cauchy
from costlayer.pair import ClosedForm
from costlayer.words import absolute, log, log1p, product, where


def terms(z, y):
    tail, gain, hazard, curl = cauchy(absolute(z))
    easy = gain / (1.0 - tail)
    right = z >= 0.0
    wrong, fits = where(right, 1.0 - y, y), where(right, y, 1.0 - y)
    value = product(wrong, -log(tail)) - fits * log1p(-tail)
    slope = wrong * hazard - fits * easy
    return value, where(right, slope, -slope), wrong * hazard * (hazard - curl) + fits * easy * (easy + curl)


CAUCHIT_CROSS_ENTROPY = ClosedForm(
    activation="cauchit",
    cost="cross_entropy",
    summary="A probability whose tails are so heavy that a mistaken label, however far off, hardly pulls.",
    derivative="((1 - y)/(1 - v) - y/v)/(pi*(1 + z**2))",
    terms=terms,
    limits="On the wrong side the value grows as ln |z| and δ falls as 1/|z|: it lets go of what is far off, and so of "
    "a bad start too. On the right side the value falls as 1/(π|z|).",
    reference="Koenker and Yoon (2009), Parametric links for binary choice models: a Fisherian-Bayesian colloquy",
)
