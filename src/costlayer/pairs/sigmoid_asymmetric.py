"""sigmoid+asymmetric: with m = v − clip, and 1 − m from 1 − v itself, of which nothing is rounded away."""

from costlayer.pair import ClosedForm
from costlayer.pairs.one_class import focal, shares
from costlayer.words import absolute, exp, log, log1p, product, where


def terms(z, y, gamma_pos, gamma_neg, clip):
    e = exp(-absolute(z))
    yes, rise, curve = focal(-z, e, gamma_pos)
    q, p, log_q, log_p = shares(z, e)
    still, whole = p <= clip, clip == 0.0
    m, rest = where(still, 0.5, p - clip), q + clip  # m and 1 − m
    # not of m itself, of whose error a power of m makes a multiple
    log_m = where(p > 2.0 * clip, log_p + log1p(-clip / p), log(m))
    far = where(whole, -log_q, -where(p > 0.5, log(rest), log1p(-m)))  # −ln (1 − m)
    share, over = where(whole, 1.0, q / where(whole, 1.0, rest)), where(whole, 1.0, p / m)
    scale = exp(product(gamma_neg, log_m))
    pull = gamma_neg * over * product(q, far)
    fall = scale * (p * share + pull)
    lost = where(whole, 0.0, clip / where(whole, 1.0, rest))  # 1 − share
    turn = p * share * (q - p * lost + 2.0 * gamma_neg * over * q)
    bend = scale * (turn + pull * (over * (gamma_neg - 1.0) * q + (q - p)))
    no, fall, bend = where(still, 0.0, product(scale, far)), where(still, 0.0, fall), where(still, 0.0, bend)
    return product(y, yes) + product(1.0 - y, no), (1.0 - y) * fall - y * rise, y * curve + (1.0 - y) * bend


SIGMOID_ASYMMETRIC = ClosedForm(activation="sigmoid", cost="asymmetric", terms=terms)
