"""How near the truth an engine must be, pair by pair: within some units in the last place of what it adds up."""

import numpy as np
from mpmath import mp

import truth
from costlayer.pair import Pair

# The sizes of the terms that a closed form adds, for value, δ and curvature: nothing else may be lost. A function of
# z, y, v, and L = ln v; None where nothing cancels and every digit is kept.
CLOSED = {
    "identity+mse": lambda z, y, v, log_v: (None, None, None),
    "sigmoid+cross_entropy": lambda z, y, v, log_v: (
        None,
        None if y in (0, 1) else (1 - y) * v + y * (1 - v),
        None,
    ),
    "exp+poisson": lambda z, y, v, log_v: (v + abs(y * z), v + y, None),
    "exp+gamma": lambda z, y, v, log_v: (abs(z) + y / v, 1 + y / v, None),
    "softplus+poisson": lambda z, y, v, log_v: (v + abs(y * log_v), gain(z) * (1 + y / v), gain(z) * (1 + y / v)),
    "softplus+gamma": lambda z, y, v, log_v: (
        max(abs(log_v), 1) + y / v,
        gain(z) / v * (1 + y / v),
        (gain(z) / v) * (1 + y / v),
    ),
}


def gain(z):
    return 1 / (1 + truth.exp(-z))


def points(pair: Pair):
    for y in truth.targets(pair):
        for z in truth.SCORES:
            if truth.smooth(pair, z, y):
                yield z, y


def check_pointwise(pair: Pair, z: float, y: float, found, dtype, ulps=8) -> None:
    with mp.workdps(truth.DIGITS):
        expected = truth.pointwise(pair, z, y)
        scales = CLOSED[pair.name] if pair.closed else None
        score, goal = mp.mpf(z), mp.mpf(y)
        v = truth.predict(pair, score)
        scales = (
            scales(score, goal, v, truth.ln(abs(v)) if v else mp.mpf(0))
            if scales
            else composed(pair, score, goal, v, dtype)
        )
        for got, right, scale, what in zip(found, expected, scales, ("value", "δ", "curvature"), strict=True):
            where = f"{what} at z = {z}, y = {y}"
            truth.close(got, right, right if scale is None else scale, dtype, ulps, where, steps=8 * (1 + abs(goal)))


def composed(pair: Pair, z, y, v, dtype):
    """A composition loses what rounding its prediction v loses: its slopes times the size of v and y."""
    names = {"v": v, "y": y, **truth.given(pair)}
    value, slope = abs(truth.formula(pair.cost.formula, **names)), abs(truth.formula(pair.cost.derivative, **names))
    _, gain, bend = truth.differences(lambda x: truth.predict(pair, x), z)
    curve, size = {"mse": 2, "huber": 1}.get(pair.cost.name, 0), abs(v) + abs(y)
    slopes = slope + curve * size
    error = abs(v - y)
    kink = {"mae": error, "huber": abs(error - pair.parameters.get("delta", 0)), "hinge": abs(1 - y * v)}
    if kink.get(pair.cost.name, mp.inf) <= 2 * mp.mpf(float(np.finfo(dtype).eps)) * size:
        return value + slope * size, mp.inf, mp.inf  # rounded, v is on the kink or beyond it
    return value + slope * size, gain * slopes, gain * gain * curve + (abs(bend) + gain) * slopes


def check_row(pair: Pair, z, y, value, delta, curvature, dtype, ulps=8) -> None:
    with mp.workdps(truth.DIGITS):
        right, slopes, curves = truth.row(pair, z, y)
        p = truth.predict(pair, [mp.mpf(score) for score in z])
        y = [mp.mpf(goal) for goal in y]
        # exp(z_j − z_k) of a difference that was rounded: as many units as the difference is large
        spread = 1 + mp.mpf(max(z) - min(z)) / 4
        log_p = [truth.ln(share) for share in p]
        rest = [1 - share for share in p]
        if pair.cost.name == "cross_entropy":
            sure = max(y) == 1
            sizes = mp.fsum(goal * abs(log) for goal, log in zip(y, log_p, strict=True))
            slope_sizes = [abs(s) if sure else share + goal for s, share, goal in zip(slopes, p, y, strict=True)]
            curve_sizes = [share * q for share, q in zip(p, rest, strict=True)]
        elif pair.cost.name == "binary_cross_entropy":
            yes_no = list(zip(p, rest, y, strict=True))
            sizes = mp.fsum(goal * abs(truth.ln(a)) + (1 - goal) * abs(truth.ln(b)) for a, b, goal in yes_no)
            s = [(1 - goal) * a / b + goal for a, b, goal in yes_no]
            slope_sizes = [
                b * own + a * mp.fsum(other for k, other in enumerate(s) if k != j)
                for j, ((a, b, _), own) in enumerate(zip(yes_no, s, strict=True))
            ]
            curve_sizes = [
                2 * size + a * mp.fsum((1 - g) * c / d**2 for c, d, g in yes_no) * a * b + a * b
                for size, (a, b, _) in zip(slope_sizes, yes_no, strict=True)
            ]
        else:
            sizes = mp.fsum(4 * (share + goal) for share, goal in zip(p, y, strict=True))
            slope_sizes = [8 * share for share in p]
            if pair.cost.name == "mae":
                eps = mp.mpf(float(np.finfo(dtype).eps))
                if any(abs(share - goal) <= 2 * eps * goal for share, goal in zip(p, y, strict=True)):
                    slope_sizes = [mp.inf] * len(p)  # rounded, p is on the kink
            curve_sizes = [2 * size for size in slope_sizes]
        truth.close(value, right, sizes * spread, dtype, ulps, f"value at z = {z}, y = {y}")
        for j in range(len(z)):
            where = f"{j} at z = {z}, y = {[float(goal) for goal in y]}"
            truth.close(delta[j], slopes[j], slope_sizes[j] * spread, dtype, ulps, f"δ_{where}")
            truth.close(curvature[j], curves[j], curve_sizes[j] * spread, dtype, ulps, f"curvature_{where}")


def same(a, b) -> bool:
    """Equal to the last bit, NaN and the sign of zero too."""
    return np.asarray(a).tobytes() == np.asarray(b).tobytes() and np.shape(a) == np.shape(b)
