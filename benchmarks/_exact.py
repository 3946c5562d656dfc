"""Values, δ and curvatures to 128 bits, written without regard to costlayer's own formulas.

A prediction is given as a sum `base + rest` in several ways, such as 1 + (−1/(1 + exp(z))) for a sigmoid: v − y is
taken from the way whose base is nearest to y, so that nothing cancels, however near v is to the end of its range.
Pairs that are not here (`knows`) are measured against the printed formulas in mpmath.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _extended import Extended, exp, expm1, extended, log, log1p, sign, where

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


def _hinge(p, z, y):
    short = -y * p.error(y)  # 1 − y v, as y² = 1
    paid = short.high > 0
    return _chain(p, where(paid, short, 0.0), where(paid, -y, 0.0), 0.0)


def _poisson(p, z, y):
    log_v, slope, curve = p.log
    value = p.v - y * log_v
    return value, slope * p.error(y), p.bend - y * curve


def _gamma(p, z, y):
    log_v, slope, curve = p.log
    ratio = y / p.v
    over = p.error(y) / p.v
    return log_v + ratio, slope * over, curve * over + slope * slope * ratio


def _cross_entropy(p, z, y):
    e = exp(-abs(z))
    wrong = where(z.high >= 0, (1.0 - y) * z, -y * z)
    return wrong + log1p(e), p.error(y), p.gain


COSTS: dict[str, Callable] = {
    "mse": _mse,
    "mae": _mae,
    "huber": _huber,
    "hinge": _hinge,
    "poisson": _poisson,
    "gamma": _gamma,
    "cross_entropy": _cross_entropy,
}


def knows(pair) -> bool:
    return pair.activation.name in ACTIVATIONS and pair.cost.name in COSTS


def terms(pair, z, y) -> tuple[Extended, Extended, Extended]:
    """Value, δ and curvature at scores and targets, which need not be numbers of any type: arrays of one shape, or a
    column of scores and a row of targets, which are combined."""
    z, y = extended(z), extended(y)
    parts = []
    for start in range(0, len(z.high), CHUNK):
        part = slice(start, start + CHUNK)
        zs, ys = z[part], y if len(y.high) == 1 else y[part]
        prediction = ACTIVATIONS[pair.activation.name](zs, *pair.activation_values)
        found = COSTS[pair.cost.name](prediction, zs, ys, *pair.cost_values)
        shape = np.broadcast_shapes(zs.shape, ys.shape)
        parts.append([extended(term).broadcast(shape) for term in found])
    return tuple(
        Extended(np.concatenate([term.high for term in terms]), np.concatenate([term.low for term in terms]))
        for terms in zip(*parts, strict=True)
    )
