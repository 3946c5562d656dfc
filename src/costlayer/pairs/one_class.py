"""Costs of the probability p of the true class, by the margin d of all others over it: p = σ(−d), q = 1 − p = σ(d)."""

from costlayer.words import exp, expm1, log, log1p, log1p_unit, maximum, product, where


def shares(d, e):
    """p, q, ln p and ln q, of d and e = exp(−|d|)."""
    s = 1.0 + e
    wrong = d > 0.0
    tail = log1p_unit(e)
    return (
        where(wrong, e, 1.0) / s,
        where(wrong, 1.0, e) / s,
        -(maximum(d, 0.0) + tail),
        -(maximum(-d, 0.0) + tail),
    )


def cross_entropy(d, e):
    s = 1.0 + e
    return maximum(d, 0.0) + log1p_unit(e), where(d > 0.0, 1.0, e) / s, e / (s * s)


def mae(d, e):
    s = 1.0 + e
    slope = 2.0 * e / (s * s)
    return 2.0 * where(d > 0.0, 1.0, e) / s, slope, slope * where(d > 0.0, e - 1.0, 1.0 - e) / s


def focal(d, e, gamma):
    p, q, log_p, _ = shares(d, e)
    # q^gamma in two parts, as rounding ln q would cost as many units as that is large; 1 at gamma = 0, whatever q
    scale = exp(-product(gamma, maximum(-d, 0.0))) * exp(-gamma * log1p_unit(e))
    far = gamma * product(p, -log_p)
    return -product(scale, log_p), scale * (far + q), scale * (far * (gamma * p - q) + p * q * (1.0 + 2.0 * gamma))


def poly1(d, e, epsilon):
    p, q, log_p, _ = shares(d, e)
    return epsilon * q - log_p, q * (1.0 + epsilon * p), p * q * (1.0 + epsilon * (p - q))


def gce(d, e, tempered):
    p, q, log_p, _ = shares(d, e)
    left = exp(tempered * log_p)
    return -expm1(tempered * log_p) / tempered, left * q, left * q * (p - tempered * q)


def js(d, e):
    p, q, log_p, _ = shares(d, e)
    beside = log1p(p) - log_p  # −ln of p/(1 + p)
    value = 0.5 * (q * log(2.0) - (1.0 + p) * log1p(-0.5 * q) + product(p, log_p))
    return value, 0.5 * product(p * q, beside), 0.5 * (product(p * q, beside) * (p - q) + p * q * q / (1.0 + p))
