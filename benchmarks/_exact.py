"""Values, δ and curvatures to 128 bits, written without regard to costlayer's own formulas.

A prediction is given as a sum `base + rest` in several ways, such as 1 + (−1/(1 + exp(z))) for a sigmoid: v − y is
taken from the way whose base is nearest to y, so that nothing cancels, however near v is to the end of its range.
Pairs that are not here (`knows`) are measured against the printed formulas in mpmath.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _extended import LOG_2, PI, Extended, atan, exp, expm1, extended, log, log1p, sign, sqrt, where

CHUNK = 4096  # small enough for the cache


@dataclass
class Prediction:
    """φ(z): v in all ways of writing it, φ', φ''; where v > 0 also ln v and its first and second derivative."""

    ways: list[tuple[Extended, Extended]]
    gain: Extended
    bend: Extended
    log: tuple[Extended, Extended, Extended] | None = None

    @property
    def v(self) -> Extended:
        base, rest = self.ways[0]
        return base + rest

    def error(self, y: Extended) -> Extended:
        """v − y."""
        (base, rest), *others = self.ways
        apart = base - y
        found, nearest = apart + rest, abs(apart)
        for base, rest in others:
            apart = base - y
            better = abs(apart) < nearest
            found, nearest = where(better, apart + rest, found), where(better, abs(apart), nearest)
        return found


def _nothing(z: Extended) -> Extended:
    return Extended(np.zeros_like(z.high))


def _constant(z: Extended, c: float) -> Extended:
    return Extended(np.full_like(z.high, c))


def _identity(z):
    return Prediction([(z, _nothing(z))], _constant(z, 1), _nothing(z))


def _sigmoid(z):
    e = exp(-abs(z))
    large, small = 1.0 / (1.0 + e), e / (1.0 + e)
    up = z.high >= 0
    v, rest = where(up, large, small), where(up, small, large)
    gain = large * small
    return Prediction([(_nothing(z), v), (_constant(z, 1), -rest)], gain, gain * (rest - v))


def _tanh(z):
    e = exp(-2.0 * abs(z))
    size, short = -expm1(-2.0 * abs(z)) / (1.0 + e), 2.0 * e / (1.0 + e)
    up = np.where(z.high < 0, -1.0, 1.0)
    v, gain = size * up, short * (1.0 + size)
    ways = [(_nothing(z), v), (Extended(up), -short * up)]
    return Prediction(ways, gain, -2.0 * v * gain)


def _relu(z):
    return _leaky_relu(z, 0.0)


def _leaky_relu(z, slope):
    gain = where(z.high > 0, 1.0, slope)
    return Prediction([(_nothing(z), gain * z)], gain, _nothing(z))


def _elu(z, alpha):
    up = z.high > 0
    below = where(up, 0.0, z)
    e = alpha * exp(below)
    ways = [(_nothing(z), where(up, z, alpha * expm1(below))), (where(up, z, -alpha), where(up, 0.0, e))]
    return Prediction(ways, where(up, 1.0, e), where(up, 0.0, e))


def _softplus(z):
    e = exp(-abs(z))
    tail = log1p(e)
    up = z.high >= 0
    v = where(up, z + tail, tail)
    large, small = 1.0 / (1.0 + e), e / (1.0 + e)
    # ln(1 + e)/e − 1, by its series where it cancels
    small_e = where(e.high < 2.0**-20, e, 0.0)
    series = _nothing(z)
    for k in range(9, 1, -1):
        series = (series + (1.0 / Extended(float(k))) * (-1.0) ** (k - 1)) * small_e
    lag = where(e.high < 2.0**-20, series, (tail - e) / e)
    log_v = where(up, log(where(up, v, 1.0)), z + log1p(where(up, 0.0, lag)))
    slope = where(up, large / v, large / (1.0 + lag))
    # ln v'' = ln v' (σ(−z) − ln v')
    curve = where(up, slope * (small - slope), slope * lag * large / (1.0 + lag))
    ways = [(_nothing(z), v), (where(up, z, 0.0), where(up, tail, v))]
    return Prediction(ways, where(up, large, small), large * small, (log_v, slope, curve))


def _exp(z):
    v = exp(z)
    return Prediction([(_nothing(z), v)], v, v, (z, _constant(z, 1), _nothing(z)))


ACTIVATIONS: dict[str, Callable[..., Prediction]] = {
    "identity": _identity,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
    "exp": _exp,
}


def _chain(p: Prediction, value, slope, curve):
    return value, p.gain * slope, p.gain * p.gain * curve + p.bend * slope


def _mse(p, z, y):
    error = p.error(y)
    return _chain(p, error * error, 2.0 * error, 2.0)


def _mae(p, z, y):
    error = p.error(y)
    return _chain(p, abs(error), extended(sign(error)), 0.0)


def _huber(p, z, y, delta):
    error = p.error(y)
    near = abs(error) <= delta
    return _chain(
        p,
        where(near, error * error * 0.5, delta * (abs(error) - 0.5 * delta)),
        where(near, error, delta * sign(error)),
        where(near, 1.0, 0.0),
    )


def _smooth_l1(p, z, y, beta):
    error = p.error(y)
    near = abs(error) < beta
    return _chain(
        p,
        where(near, error * error / (2.0 * beta), abs(error) - 0.5 * beta),
        where(near, error / beta, sign(error)),
        where(near, Extended(1.0) / beta, 0.0),
    )


def _log_cosh(p, z, y):
    error = p.error(y)
    size = abs(error)
    near = size < 1.0
    sine = expm1(where(near, size, 0.0)) / (2.0 * exp(where(near, size * 0.5, 0.0)))  # sinh(size/2)
    e = exp(-2.0 * size)
    value = where(near, log1p(2.0 * sine * sine), size + log1p(e) - LOG_2)
    return _chain(p, value, -expm1(-2.0 * size) / (1.0 + e) * sign(error), 4.0 * e / ((1.0 + e) * (1.0 + e)))


def _quantile(p, z, y, quantile):
    error = p.error(y)
    over, under = 1.0 - Extended(quantile), -Extended(quantile)
    slope = where(error.high > 0, over, under)
    return _chain(p, slope * error, where(error.high == 0, 0.0, slope), 0.0)


def _expectile(p, z, y, expectile):
    error = p.error(y)
    weight = where(error.high > 0, 1.0 - Extended(expectile), expectile)
    return _chain(p, weight * error * error, 2.0 * weight * error, 2.0 * weight)


def _epsilon_insensitive(p, z, y, epsilon):
    error = p.error(y)
    beyond = abs(error) - epsilon
    paid = beyond.high > 0
    return _chain(p, where(paid, beyond, 0.0), where(paid, sign(error), 0.0), 0.0)


def _cauchy(p, z, y, scale):
    error = p.error(y)
    square = error * error / (Extended(scale) * scale)
    value = log1p(square) * (Extended(scale) * scale) * 0.5
    apart = (1.0 - abs(error) / scale) * (1.0 + abs(error) / scale)
    return _chain(p, value, error / (1.0 + square), apart / ((1.0 + square) * (1.0 + square)))


def _tukey(p, z, y, limit):
    error = p.error(y)
    size = abs(error) / limit
    inside = size.high < 1
    size = where(inside, size, 1.0)
    square = size * size
    rest = (1.0 - size) * (1.0 + size)
    value = square * (3.0 - square * (3.0 - square)) * (Extended(limit) * limit) / 6.0
    slope = where(inside, error * rest * rest, 0.0)
    return _chain(p, value, slope, where(inside, rest * (1.0 - 5.0 * square), 0.0))


def _mape(p, z, y):
    error = p.error(y)
    return _chain(p, abs(error) / y, sign(error) / y, 0.0)


def _hinge(p, z, y):
    short = -y * p.error(y)  # 1 − y v, as y² = 1
    paid = short.high > 0
    return _chain(p, where(paid, short, 0.0), where(paid, -y, 0.0), 0.0)


def _squared_hinge(p, z, y):
    short = -y * p.error(y)
    paid = short.high > 0
    short = where(paid, short, 0.0)
    return _chain(p, short * short, -2.0 * y * short, where(paid, 2.0, 0.0))


def _modified_huber(p, z, y):
    short = -y * p.error(y)
    short = where(short.high > 0, short, 0.0)
    far = short >= 2.0
    value = where(far, 4.0 * short - 4.0, short * short)
    return _chain(p, value, where(far, -4.0 * y, -2.0 * y * short), where(far | (short.high == 0), 0.0, 2.0))


def _perceptron(p, z, y):
    short = -y * p.v
    paid = short.high > 0
    return _chain(p, where(paid, short, 0.0), where(paid, -y, 0.0), 0.0)


def _logistic(p, z, y):
    wrong = -y * p.v
    share, rest = _shares(wrong)
    return _chain(p, _softplus_of(wrong), -y * share, share * rest)


def _exponential(p, z, y):
    value = exp(-y * p.v)
    return _chain(p, value, -y * value, value)


# Of costs that go by ln v: value, slope and curve by that.
def _chain_log(p: Prediction, value, slope, curve):
    _, first, second = p.log
    return value, first * slope, first * first * curve + second * slope


def _shares(x: Extended) -> tuple[Extended, Extended]:
    """σ(x) and σ(−x)."""
    e = exp(-abs(x))
    large, small = 1.0 / (1.0 + e), e / (1.0 + e)
    up = x.high >= 0
    return where(up, large, small), where(up, small, large)


def _softplus_of(x: Extended) -> Extended:
    return where(x.high > 0, x, 0.0) + log1p(exp(-abs(x)))


def _msle(p, z, y):
    log_v = p.log[0]
    share, rest = _shares(log_v)  # of v in 1 + v
    apart = p.error(y) / (1.0 + y)
    near = abs(apart) < 0.25
    error = where(near, log1p(where(near, apart, 0.0)), _softplus_of(log_v) - log1p(y))
    return _chain_log(p, error * error, 2.0 * error * share, 2.0 * share * share + 2.0 * error * share * rest)


def _poisson(p, z, y):
    log_v, slope, curve = p.log
    value = p.v - y * log_v
    return value, slope * p.error(y), p.bend - y * curve


def _negative_binomial(p, z, y, dispersion):
    by = Extended(dispersion)
    x = p.log[0] + log(by)
    share, rest = _shares(x)  # of dispersion v in 1 + dispersion v
    weight, tail = y + 1.0 / by, log1p(exp(-abs(x)))
    value = where(x.high > 0, y * tail + (x + tail) / by, weight * tail - y * x) + y * log(by)
    return _chain_log(p, value, p.error(y) / (1.0 + by * p.v), weight * share * rest)


def _gamma(p, z, y):
    log_v, slope, curve = p.log
    ratio = y / p.v
    over = p.error(y) / p.v
    return log_v + ratio, slope * over, curve * over + slope * slope * ratio


def _inverse_gaussian(p, z, y):
    square = p.v * p.v
    # each is 0 where v is beyond every type
    return _chain_log(p, (y - 2.0 * p.v) / (2.0 * square), p.error(y) / square, (2.0 * y - p.v) / square)


def _tweedie(p, z, y, power):
    a, b = 2.0 - Extended(power), Extended(power) - 1.0
    log_v = p.log[0]
    up, down = exp(a * log_v), exp(-b * log_v)
    slope = where(abs(log_v) < 1000.0, down * p.error(y), up - y * down)
    return _chain_log(p, up / a + y * down / b, slope, a * up + b * y * down)


def _cross_entropy(p, z, y):
    e = exp(-abs(z))
    wrong = where(z.high >= 0, (1.0 - y) * z, -y * z)
    return wrong + log1p(e), p.error(y), p.gain


COSTS: dict[str, Callable] = {
    "mse": _mse,
    "mae": _mae,
    "huber": _huber,
    "smooth_l1": _smooth_l1,
    "log_cosh": _log_cosh,
    "quantile": _quantile,
    "expectile": _expectile,
    "epsilon_insensitive": _epsilon_insensitive,
    "cauchy": _cauchy,
    "tukey": _tukey,
    "mape": _mape,
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
    "modified_huber": _modified_huber,
    "perceptron": _perceptron,
    "logistic": _logistic,
    "exponential": _exponential,
    "msle": _msle,
    "poisson": _poisson,
    "negative_binomial": _negative_binomial,
    "gamma": _gamma,
    "inverse_gaussian": _inverse_gaussian,
    "tweedie": _tweedie,
    "cross_entropy": _cross_entropy,
}


# Costs of y yeses and 1 − y noes: the value, slope and curvature of each.
def _yes_and_no(pair, z, y):
    yes, no = YES_AND_NO[pair.name](z, *pair.values)
    return tuple(y * a + (1.0 - y) * b for a, b in zip(yes, no, strict=True))


def _mirrored(of_yes, z, *parameters):
    """Of a no, where its probability at z is that of a yes at −z."""
    value, slope, curve = of_yes(-z, *parameters)
    return value, -slope, curve


def _focal_yes(z, gamma):
    p, q = _shares(z)
    lost, scale = _softplus_of(-z), exp(-_softplus_of(z) * gamma)  # −ln p and q^γ
    near = gamma * p * lost
    return scale * lost, -scale * (near + q), scale * (near * (gamma * p - q) + p * q * (1.0 + 2.0 * gamma))


def _focal(z, gamma, alpha):
    yes, no = _focal_yes(z, gamma), _mirrored(_focal_yes, z, gamma)
    return tuple(alpha * a for a in yes), tuple((1.0 - alpha) * b for b in no)


def _asymmetric(z, gamma_pos, gamma_neg, clip):
    p, q = _shares(z)
    m = p - clip
    paid = m.high > 0
    m = where(paid, m, 0.5)
    rest, lost = q + clip, -log1p(-m)
    power = exp(log(m) * gamma_neg)
    slope = power * (gamma_neg * lost / m + 1.0 / rest)
    inner = gamma_neg * (gamma_neg - 1.0) * lost / (m * m) + 2.0 * gamma_neg / (m * rest) + 1.0 / (rest * rest)
    gain = p * q
    no = power * lost, gain * slope, gain * gain * power * inner + gain * (q - p) * slope
    return _focal_yes(z, gamma_pos), tuple(where(paid, term, 0.0) for term in no)


def _excess(t):
    """φ(t)/Φ(−t) − t for t ≥ 0: by the series of Φ, and far out by Laplace's continued fraction."""
    near = t.high < 6.0
    x = where(near, t, 0.0)
    square, term, total = x * x, x, x
    for k in range(3, 241, 2):
        term = term * square * (Extended(1.0) / k)
        total = total + term
    density = exp(square * -0.5) / sqrt(2.0 * PI)
    far = where(near, 6.0, t)
    fraction = far
    for k in range(80, 1, -1):
        fraction = far + k / fraction
    return where(near, density / (0.5 - density * total) - x, 1.0 / fraction)


def _probit_yes(z):
    t = abs(z)
    over = _excess(t)
    hazard = t + over  # φ/Φ(−t)
    density = exp(t * t * -0.5) / sqrt(2.0 * PI)
    tail = density / hazard
    easy = density / (1.0 - tail)
    up = z.high >= 0
    value = where(up, -log1p(-tail), t * t * 0.5 + log(sqrt(2.0 * PI) * hazard))
    return value, -where(up, easy, hazard), where(up, easy * (t + easy), hazard * over)


def _cauchit_yes(z):
    size = abs(z)
    far = size.high > 1
    angle = atan(where(far, 1.0 / where(far, size, 1.0), size)) / PI
    tail = where(far, angle, 0.5 - angle)
    up = z.high >= 0
    square = 1.0 + z * z
    pull = 1.0 / (PI * square * where(up, 1.0 - tail, tail))
    return where(up, -log1p(-tail), -log(tail)), -pull, pull * (pull + 2.0 * z / square)


def _cloglog(z):
    u = exp(z)
    m = where(u.high < 4500, u, 4500.0)  # from where on nothing is left of e^−u
    rest, v = exp(-m), -expm1(-m)
    value = where(z.high > 0, -log1p(-rest), -z - log(v / m))
    small = m.high < 0.125
    x = where(small, m, 0.0)
    series = _nothing(z)
    for k in range(30, 1, -1):
        series = (1.0 - series) * x / k
    lag = where(small, series * x, m - v)  # e^−u − 1 + u
    pull = m * rest / v
    return (value, -pull, pull * lag / v), (u, u, u)


YES_AND_NO: dict[str, Callable] = {
    "sigmoid+focal": _focal,
    "sigmoid+asymmetric": _asymmetric,
    "probit+cross_entropy": lambda z: (_probit_yes(z), _mirrored(_probit_yes, z)),
    "cauchit+cross_entropy": lambda z: (_cauchit_yes(z), _mirrored(_cauchit_yes, z)),
    "cloglog+cross_entropy": _cloglog,
}


BY_LOGARITHM = {"msle", "poisson", "negative_binomial", "gamma", "inverse_gaussian", "tweedie"}


def knows(pair) -> bool:
    activation, cost = pair.activation.name, pair.cost.name
    if pair.name in YES_AND_NO:
        return True
    if cost in BY_LOGARITHM:
        return activation in ("softplus", "exp")
    if cost == "cross_entropy":
        return activation == "sigmoid"
    return activation in ACTIVATIONS and cost in COSTS


def terms(pair, z, y) -> tuple[Extended, Extended, Extended]:
    """Value, δ and curvature at scores and targets, which need not be numbers of any type: arrays of one shape, or a
    column of scores and a row of targets, which are combined."""
    z, y = extended(z), extended(y)
    parts = []
    for start in range(0, len(z.high), CHUNK):
        part = slice(start, start + CHUNK)
        zs, ys = z[part], y if len(y.high) == 1 else y[part]
        if pair.name in YES_AND_NO:
            found = _yes_and_no(pair, zs, ys)
        else:
            prediction = ACTIVATIONS[pair.activation.name](zs, *pair.activation_values)
            found = COSTS[pair.cost.name](prediction, zs, ys, *pair.cost_values)
        shape = np.broadcast_shapes(zs.shape, ys.shape)
        parts.append([extended(term).broadcast(shape) for term in found])
    return tuple(
        Extended(np.concatenate([term.high for term in terms]), np.concatenate([term.low for term in terms]))
        for terms in zip(*parts, strict=True)
    )
