"""The logarithm of softplus and its derivatives, which keep their digits where softplus itself underflows."""

from costlayer.words import absolute, exp, log1p, log1p_unit, minimum, product, where


def rest(e):
    """ln(1 + e)/e − 1 for e in [0, 1], by ln(1 + e) = 2 (w + w³/3 + w⁵/5 + …) at w = e/(2 + e)."""
    w = e / (2.0 + e)
    t = w * w
    series = 1.0 / 21.0 + t * (
        1.0 / 23.0 + t * (1.0 / 25.0 + t * (1.0 / 27.0 + t * (1.0 / 29.0 + t * (1.0 / 31.0 + t / 33.0))))
    )
    series = 1.0 / 11.0 + t * (1.0 / 13.0 + t * (1.0 / 15.0 + t * (1.0 / 17.0 + t * (1.0 / 19.0 + t * series))))
    series = t * (1.0 / 3.0 + t * (1.0 / 5.0 + t * (1.0 / 7.0 + t * (1.0 / 9.0 + t * series))))
    return (2.0 * series - e) / (2.0 + e)


def error(z, y, v, tail):
    """v − y; where v is nearly z, of z − y, so that v is not rounded first."""
    return where(z < 0.0, v - y, (z - y) + tail)


def chain(slope, bend, value, by_log, by_log_twice):
    """Value, δ and curvature of a cost whose derivatives by l are known, with l' and l''/l'² of `terms`."""
    return value, product(slope, by_log), product(slope, product(slope, by_log_twice + product(by_log, bend)))


def terms(z):
    """v = softplus(z) and l = ln v; l', l''/l'²; for e = exp(−|z|): ln(1 + e), rest(e), and f, g: e = f g, none of them
    subnormal."""
    m = absolute(z)
    far = m > 80.0
    f = exp(where(far, -0.5, -1.0) * m)
    g = where(far, f, 1.0)
    e = f * g
    tail, shrink = log1p_unit(e), rest(e)
    left = z < 0.0
    v = where(left, tail, z + tail)
    log_v = where(left, z, 0.0) + log1p(where(left, shrink, (z - 1.0) + tail))
    slope = 1.0 / ((1.0 + e) * where(left, 1.0 + shrink, v))
    bend = where(left, shrink, e * minimum(v, 1e30) - 1.0)
    return v, log_v, slope, bend, tail, shrink, f, g
