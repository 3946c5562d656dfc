"""softplus+poisson: counts, with a rate that is as good as the score itself where it is large."""

from costlayer.pair import ClosedForm
from costlayer.pairs.softplus_log import error as error_of
from costlayer.pairs.softplus_log import terms as log_softplus
from costlayer.words import where


def terms(z, y):
    v, log_v, slope, bend, tail, _, f, g = log_softplus(z)
    value, error, e = v - y * log_v, error_of(z, y, v, tail), f * g
    gain = where(z >= 0.0, 1.0, e) / (1.0 + e)
    delta = where(error == v, gain, slope * error)  # without 0 · ∞ at z = ∞
    # at z = ±∞ y ln v does not matter
    return where(value == value, value, v), delta, e / (1.0 + e * (2.0 + e)) - y * bend * slope * slope


SOFTPLUS_POISSON = ClosedForm(
    activation="softplus",
    cost="poisson",
    summary="Poisson regression whose rate grows with the score, not by a factor for every step of it.",
    formula="ln(1 + exp(z)) - y*ln(ln(1 + exp(z)))",
    derivative="(1 - y/v)/(1 + exp(-z))",
    terms=terms,
    convex=True,
    steady=True,
    limits="As z → −∞ the value grows as y |z| and δ → −y; as z → ∞ the value grows as z and δ → 1.",
    reference="McCullagh and Nelder (1989), Generalized linear models, chapter 6; Dugas et al. (2001) for softplus",
)
