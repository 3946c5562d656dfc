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
    "sigmoid+focal": lambda z, y, v, log_v: yes_or_no(y / 4, 3 * (1 - y) / 4, focal(-z, 2), focal(z, 2)),
    "sigmoid+asymmetric": lambda z, y, v, log_v: yes_or_no(y, 1 - y, focal(-z, 1), asymmetric(v)),
    "probit+cross_entropy": lambda z, y, v, log_v: (
        None,
        yes_or_no(y, 1 - y, *(3 * (truth.formula("exp(-z**2/2)/(2*pi)**0.5/Phi(z)", z=s),) for s in (z, -z)))[1],
        None,
    ),
    "cloglog+cross_entropy": lambda z, y, v, log_v: yes_or_no(
        y * (1 + truth.exp(z) / 8), 1 - y, cloglog(z), 3 * (truth.exp(z),)
    ),
    "cauchit+cross_entropy": lambda z, y, v, log_v: yes_or_no(y, 1 - y, cauchit(z), cauchit(-z)),
    "exp+poisson": lambda z, y, v, log_v: (v + abs(y * z), v + y, None),
    "exp+msle": lambda z, y, v, log_v: msle(z, abs(truth.ln((1 + v) / (1 + y)))),
    "exp+negative_binomial": lambda z, y, v, log_v: (truth.ln(1 + v) + abs(y * z), (v + y) / (1 + v), None),
    "softplus+negative_binomial": lambda z, y, v, log_v: softplus(
        z, v, truth.ln(1 + v) + abs(y * log_v), (v + y) / (1 + v), (1 + y) * v / (1 + v) ** 2
    ),
    "exp+inverse_gaussian": lambda z, y, v, log_v: ((1 + y / v) / v,) * 3,
    "softplus+inverse_gaussian": lambda z, y, v, log_v: softplus(z, v, *((1 + y / v) / v,) * 3),
    "exp+tweedie": lambda z, y, v, log_v: (powers(z, y) * (1 + abs(z) / 8),) * 3,
    "softplus+tweedie": lambda z, y, v, log_v: softplus(z, v, *(powers(log_v, y) * (1 + max(-z, 0) / 8),) * 3),
    "exp+gamma": lambda z, y, v, log_v: (abs(z) + y / v, 1 + y / v, None),
    "softplus+poisson": lambda z, y, v, log_v: (v + abs(y * log_v), gain(z) * (1 + y / v), gain(z) * (1 + y / v)),
    "softplus+gamma": lambda z, y, v, log_v: (
        max(abs(log_v), 1) + y / v,
        gain(z) / v * (1 + y / v),
        (gain(z) / v) * (1 + y / v),
    ),
}


def yes_or_no(a, b, yes, no):
    """The sizes of a times one cost and b times another one."""
    return tuple(a * one + b * other for one, other in zip(yes, no, strict=True))


def focal(d, gamma):
    """The sizes of what one_class.focal adds up."""
    p, q = gain(-d), gain(d)
    far, scale = gamma * p * -truth.ln(p), q**gamma
    return -scale * truth.ln(p), scale * (far + q), scale * (far * (gamma * p + q) + p * q * (1 + 2 * gamma))


def asymmetric(v):
    """Of a no, by m = v − 0.05, which loses to v where it is small."""
    m, q = v - truth.formula("0.05"), 1 - v
    if m <= 0:
        return 0, 0, 0
    share, over, far = q / (1 - m), v / m, -truth.ln(1 - m)
    scale, pull = m**4 * (1 + over), 4 * over * q * far
    turn = v * share * (q + v * (1 - share) + 8 * over * q)
    return scale * far, scale * (v * share + pull), scale * (turn + pull * (3 * over * q + 1))


def cloglog(z):
    """Of a yes."""
    u = truth.exp(z)
    rest = truth.exp(-u)
    pull = u * rest / (1 - rest)
    return -truth.ln(1 - rest), pull, pull * (u - (1 - rest)) / (1 - rest)


def cauchit(z):
    """Of a yes."""
    v = truth.formula("1/2 + arctan(z)/pi", z=z)
    pull, curl = 1 / (mp.pi * (1 + z * z) * v), 2 * abs(z) / (1 + z * z)
    return -truth.ln(v), pull, pull * (pull + curl)


def gain(z):
    return 1 / (1 + truth.exp(-z))


def msle(z, error):
    """Of the difference of two logarithms no more is lost than what rounding v is to it."""
    return error * (error + gain(z)), gain(z) * (error + gain(z)), gain(z) * (gain(z) + gain(-z) * error)


def powers(log_v, y):
    """v^½ and y v^−½, of tweedie with a power of 1.5."""
    return 2 * (truth.exp(log_v / 2) + y * truth.exp(-log_v / 2))


def softplus(z, v, value, by_log, by_log_twice):
    """The sizes of a cost of ln v behind softplus."""
    slope = gain(z) / v
    return value, slope * by_log, slope * slope * (by_log_twice + by_log)


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
            truth.close(got, right, right if scale is None else scale, dtype, ulps, where, steps=16 * (1 + abs(goal)))


def sizes(pair: Pair, v, y, dtype):
    """Of the cost, its slope and its curvature at v: what is added up, and what they change by when v is rounded,
    which across a kink is the whole jump."""
    low, high, size = pair.cost.domain.low, pair.cost.domain.high, abs(v) + abs(y)
    step = 2 * mp.mpf(float(np.finfo(dtype).eps)) * size
    if low < v < high:
        step = min(step, (v - low) / 2, (high - v) / 2)
    given = {"y": y, **truth.given(pair)}

    def terms(v):
        slope, curve, _ = truth.differences(lambda v: truth.formula(pair.cost.derivative, v=v, **given), v)
        return truth.formula(pair.cost.formula, v=v, **given), slope, curve

    here = terms(v)
    around = [terms(near) for near in (v - step, v + step) if low < near < high] if step else []
    return [
        abs(term) + max((abs(other - term) * size / step for other in others), default=0)
        for term, *others in zip(here, *around, strict=True)
    ]


def composed(pair: Pair, z, y, v, dtype):
    """A composition loses what rounding its prediction v loses: everything, where v is beyond the largest number."""
    if abs(v) > mp.mpf(float(np.finfo(dtype).max)):
        return mp.inf, mp.inf, mp.inf
    value, slope, curve = sizes(pair, v, y, dtype)
    _, gain, bend = truth.differences(lambda x: truth.predict(pair, x), z)
    turn = abs(bend) + gain if bend else 0  # piecewise linear activations bend by exactly nothing
    return value, gain * slope, gain * gain * curve + turn * slope


def two_points(pair: Pair):
    """Both scores, and a target: a location and a scale, or two shapes."""
    if not pair.cost.of_error:
        return truth.SHAPES
    return [(z, y) for z, y in truth.TWO_SCORES if pair.cost.name != "laplace" or z[0] != y]  # but for the kink


def check_two(pair: Pair, z, y: float, found, dtype, ulps=8) -> None:
    """Value, δ of both scores, and the second derivatives: all three, or the two by one score alone."""
    with mp.workdps(truth.two_digits(pair, z)):
        right = truth.two_scores(pair, z, y)
        scales = (spread_sizes if pair.cost.of_error else shape_sizes)(pair, z, mp.mpf(y), right)
        names = ("value", "δ_0", "δ_1", "curvature_00", "curvature_01", "curvature_11")
        wanted = [i for i in range(6) if len(found) == 6 or i != 4]
        for got, i in zip(found, wanted, strict=True):
            truth.close(got, right[i], scales[i], dtype, ulps, f"{names[i]} at z = {z}, y = {y}")


def gains(pair: Pair, z):
    """How fast the logarithms of both predictions grow with their scores, and the predictions."""
    predictions = list(truth.predict_two(pair, [mp.mpf(score) for score in z]).values())
    each = zip(pair.activation.parts, z, predictions, strict=True)
    return [truth.formula(part.gain, z=mp.mpf(score)) / v for part, score, v in each], predictions


def spread_sizes(pair: Pair, z, y, right):
    """What a cost of a location and a scale adds up: its slope by ln s is a difference of terms as large as 1, or for
    crps, which is in units of y, as s; and its tails are an exponential of w²."""
    (_, slope), (_, s) = gains(pair, z)
    _, by_v, _, by_v_v, _, _ = map(abs, right)
    error = abs(mp.mpf(z[0]) - y)
    in_units = pair.cost.name == "crps"
    whole, tail = (s, 1 + (error / s) ** 2) if in_units else (1, 1)
    bend = by_v_v * tail + (0 if in_units else by_v / max(error, s))
    return (
        error + s if in_units else abs(truth.ln(s)) + abs(right[0]) + 1,
        by_v + error * by_v_v,
        slope * (whole + error * by_v),
        bend,
        slope * (by_v + error * bend),
        slope**2 * (whole + error * by_v + error**2 * bend),
    )


def shape_sizes(pair: Pair, z, y, right):
    """What the cost of two shapes adds up: how far their mean is from y, as often as they are large, and what is left
    of ln Γ; where that mean is rounded, its logarithm is."""
    (slope_a, slope_b), (a, b) = gains(pair, z)
    m, k = a / (a + b), b / (a + b)
    by_a, by_b = a * (abs(truth.ln(m / y)) + k) + 1, b * (abs(truth.ln(k / (1 - y))) + m) + 1
    return (
        by_a + by_b + abs(truth.ln(y)) + abs(truth.ln(1 - y)) + abs(truth.ln(min(a, b))),
        slope_a * by_a,
        slope_b * by_b,
        slope_a**2 * by_a,
        slope_a * slope_b * (min(a, b) + min(m, k)),
        slope_b**2 * by_b,
    )


def check_row(pair: Pair, z, y, value, delta, curvature, dtype, ulps=8) -> None:
    with mp.workdps(truth.DIGITS):
        right, slopes, curves = truth.row(pair, z, y)
        p = truth.predict(pair, [mp.mpf(score) for score in z])
        y = [mp.mpf(goal) for goal in truth.wanted(pair, y)]
        # exp(z_j − z_k) of a difference that was rounded: as many units as the difference is large
        spread = 1 + mp.mpf(max(z) - min(z)) / 4
        if pair.written:  # sums of what is never negative, but for the difference of two shares
            sure = max(y) == 1 or pair.cost.labels_only
            total = right if sure else right + mp.fsum((share + goal) ** 2 for share, goal in zip(p, y, strict=True))
            slope_sizes = slopes if sure else [share + goal for share, goal in zip(p, y, strict=True)]
            curve_sizes = curves
        else:
            total, slope_sizes, curve_sizes = _of_shares(pair, y, p, slopes, dtype)
        truth.close(value, right, total * spread, dtype, ulps, f"value at z = {z}, y = {y}")
        for j in range(len(z)):
            where = f"{j} at z = {z}, y = {[float(goal) for goal in y]}"
            truth.close(delta[j], slopes[j], slope_sizes[j] * spread, dtype, ulps, f"δ_{where}")
            truth.close(curvature[j], curves[j], curve_sizes[j] * spread, dtype, ulps, f"curvature_{where}")


def _of_shares(pair: Pair, y, p, slopes, dtype):
    """The sizes of what is added up in value, δ and curvature of a sum over the classes."""
    log_p = [truth.ln(share) for share in p]
    rest = [1 - share for share in p]
    if pair.cost.name == "cross_entropy":
        sure = max(y) == 1
        total = mp.fsum(goal * abs(log) for goal, log in zip(y, log_p, strict=True))
        slope_sizes = [abs(s) if sure else share + goal for s, share, goal in zip(slopes, p, y, strict=True)]
        curve_sizes = [share * q for share, q in zip(p, rest, strict=True)]
    elif pair.cost.name == "binary_cross_entropy":
        yes_no = list(zip(p, rest, y, strict=True))
        total = mp.fsum(goal * abs(truth.ln(a)) + (1 - goal) * abs(truth.ln(b)) for a, b, goal in yes_no)
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
        each = [sizes(pair, share, goal, dtype) for share, goal in zip(p, y, strict=True)]
        total = mp.fsum(value for value, _, _ in each)
        slope = mp.fsum(share * s for share, (_, s, _) in zip(p, each, strict=True))
        curve = mp.fsum(share * c for share, (_, _, c) in zip(p, each, strict=True))
        slope_sizes = [share * (s + slope) for share, (_, s, _) in zip(p, each, strict=True)]
        curve_sizes = [2 * s + share * (c + curve) for s, share, (_, _, c) in zip(slope_sizes, p, each, strict=True)]
    return total, slope_sizes, curve_sizes


def same(a, b) -> bool:
    """Equal to the last bit, NaN and the sign of zero too."""
    return np.asarray(a).tobytes() == np.asarray(b).tobytes() and np.shape(a) == np.shape(b)
