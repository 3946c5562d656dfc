"""Pairs of several scores: rows of few, and two per target, against mpmath; and softmax+cross_entropy over up to
200,000 classes against long doubles."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import numpy as np
from _extended import LONG, Extended
from _implementations import ours
from _pairs import QUANTITIES, from_mpmath, to_mpmath, truth
from _points import SEED, rounded
from _ulp import FORMATS, Worst, off, off_interval
from mpmath import mp

DIGITS = 250  # shares down to e^−150, and their squares


def sample(pair, kind: str, thin: int = 1) -> list[tuple[np.ndarray, list[tuple]]]:
    """Rows of 2 to 5 scores: random ones, sure and wrong ones, and equals where these are no kink; each with classes
    and, where the pair takes them, with probabilities. Between classes in order the scores fall. Or two scores for each
    target: a location and a scale, with errors small and large beside it, or two shapes."""
    if pair.two:
        return _drawn_two(pair, kind)[::thin]
    return [*_drawn(pair, kind, 4), *_drawn(pair, kind, 24 if pair.written else 16)][::thin]


def _drawn_two(pair, kind: str) -> list[tuple[np.ndarray, list[tuple]]]:
    random, found = np.random.default_rng(SEED), []
    for spread in [(a, b) for a in (0.1, 3.0, 20.0) for b in (0.1, 1.0, 5.0, 20.0, 60.0)] * 32:
        z = rounded(random.normal(size=2) * spread, kind)
        if pair.cost.of_error:
            goals = z[0] + np.array([1e-3, 1.0, 30.0]) * random.normal(size=3)
        else:  # anywhere, about the mean, and at the ends
            mean = 1 / (1 + np.exp(float(z[1]) - float(z[0])))
            goals = np.array([random.uniform(), mean * random.uniform(0.9, 1.1), 2.0 ** -random.uniform(0, 20)])
        goals = [float(y) for y in rounded(goals, kind) if float(y) in pair.target]
        found.append((z, [(y,) for y in goals if not pair.cost.of_error or y != z[0]]))  # the kink of laplace
    return found


def _drawn(pair, kind: str, count: int) -> list[tuple[np.ndarray, list[tuple]]]:
    random = np.random.default_rng(SEED)
    fixed = truth.WHOLE_ROWS if pair.written else truth.ROWS
    rows = [np.array(row) for row in fixed if pair.written or max(row) - min(row) <= 150]
    for classes in (2, 3, 4, 5):
        for spread in (1e-3, 1.0, 5.0, 20.0):
            rows += [random.normal(size=classes) * spread for _ in range(count)]
    if pair.written:
        rows += [np.full(classes, score) for classes in (2, 3, 4, 5) for score in (-2.5, 0.0, 100.0)]
        rows += [random.normal(size=classes) * 200.0 for classes in (2, 3, 4, 5)]
    meet = pair.activation.name == "class_scores" or bool(pair.closed and pair.closed.falling)
    kinks = (-1, 0, 1) if meet else (-1, 1)
    found = []
    for row in rows:
        between = pair.activation.thresholds
        z = rounded(-np.sort(-row) if between else row, kind)
        if pair.written and np.isin(np.subtract.outer(z, z)[~np.eye(len(z), dtype=bool)], kinks).any():
            continue  # rounded to where such costs have a kink, or thresholds meet
        classes = len(z) + between
        y = [tuple(float(j == t) for j in range(classes)) for t in range(min(classes, 3))]
        share = random.multinomial(64, np.ones(classes) / classes) / 64  # adds to 1 in every type
        found.append((z, y if pair.cost.labels_only else [*y, tuple(map(float, share))]))
    return found


def _elements(pair, p, q, y):
    """Of one class with probability p = 1 − q: its cost, and p ℓ' and p ℓ' + p² ℓ''."""
    error = -q + (1 - y)
    match pair.cost.name:
        case "mse":
            return error * error, 2 * p * error, 2 * p * error + 2 * p * p
        case "mae":
            return abs(error), p * mp.sign(error), p * mp.sign(error)
        case "huber":
            delta = truth.given(pair)["delta"]
            if abs(error) <= delta:
                return error * error / 2, p * error, p * error + p * p
            slope = p * delta * mp.sign(error)
            return delta * (abs(error) - delta / 2), slope, slope
        case "cross_entropy":
            return (-y * mp.log(p) if y else mp.zero), -y, mp.zero
        case "binary_cross_entropy":
            cost = (-y * mp.log(p) if y else 0) - ((1 - y) * mp.log(q) if y < 1 else 0)
            odds = p / q
            return cost, (1 - y) * odds - y, (1 - y) * (odds + odds * odds)
        case "focal":
            gamma, log_p = truth.given(pair)["gamma"], mp.log(p)
            first, second = gamma * p * q ** (gamma - 1), gamma * (gamma - 1) * p * p * q ** (gamma - 2)
            return -y * q**gamma * log_p, y * (first * log_p - q**gamma), y * (first * (log_p + 2) - second * log_p)
        case "poly1":
            epsilon = truth.given(pair)["epsilon"]
            return y * (epsilon * q - mp.log(p)), -y * (1 + epsilon * p), -y * epsilon * p
        case "gce":
            tempered = truth.given(pair)["tempered"]
            power = p**tempered
            return y * (1 - power) / tempered, -y * power, -y * tempered * power
        case "kl":
            return (y * mp.log(y / p) if y else mp.zero), -y, mp.zero
        case "js":
            slope = p * mp.log(2 * p / (p + y)) / 2
            return slope + (y * mp.log(2 * y / (p + y)) / 2 if y else 0), slope, slope + p * y / (p + y) / 2
    return None


def knows(pair) -> bool:
    """Whether the exact rows of a pair are written out here, not taken from its printed formula."""
    half = mp.mpf(0.5)
    return _elements(pair, half, half, half) is not None


def exact_row(pair, z, y):
    """Value, every δ and curvature of one row, by the derivatives of a softmax, written out; else by differences."""
    if pair.two:
        return _exact_two(pair, z, y[0])
    if pair.written:
        return truth.row(pair, tuple(map(float, z)), tuple(map(float, y)))
    top = max(z)
    raw = [truth.exp(score - top) for score in z]
    total = mp.fsum(raw)
    p = [e / total for e in raw]
    q = [mp.fsum(e for k, e in enumerate(raw) if k != j) / total for j in range(len(raw))]
    elements = [_elements(pair, *each) for each in zip(p, q, y, strict=True)]
    if elements[0] is None:
        value, slopes, curves = truth.row(pair, tuple(map(float, z)), tuple(map(float, y)))
        return value, slopes, curves
    value = mp.fsum(cost for cost, _, _ in elements)
    u, t = [u for _, u, _ in elements], [t for _, _, t in elements]
    all_u, all_t = mp.fsum(u), mp.fsum(t)
    slopes = [u_j - p_j * all_u for u_j, p_j in zip(u, p, strict=True)]
    curves = [
        t_j * (1 - 2 * p_j) - p_j * q_j * all_u + p_j * p_j * all_t for t_j, p_j, q_j in zip(t, p, q, strict=True)
    ]
    return value, slopes, curves


def _exact_two(pair, z, y):
    """Of two scores, by the printed formulas of the value and of both δ, of which curvatures are differences: to as
    many digits as sizes of e^z lose, and what is left of crps where e^−w²/2 is the smallest number."""
    with mp.workdps(150 + int(sum(map(abs, z))) + (300 if pair.cost.name == "crps" else 0)):
        value, *of_slopes = _printed(pair)

        def at(source, z):
            return truth.formula(source, z=z, y=y, **truth.predict_two(pair, z), **truth.given(pair))

        slopes, curves = [], []
        for j, source in enumerate(of_slopes):
            within = truth.predict_two(pair, z)["s"] if pair.cost.of_error and j == 0 else 1
            step = mp.mpf(truth.STEP) * min(within, 1)
            low, high = ([*z[:j], z[j] + h, *z[j + 1 :]] for h in (-step, step))
            slopes.append(at(source, z))
            curves.append((at(source, high) - at(source, low)) / (2 * step))
        return at(value, z), slopes, curves


@cache
def _printed(pair) -> tuple[str, str, str]:
    return pair._formula(), pair._derivative(), pair._derivative(1)


def measure(
    pair, kind: str, implementation: Callable = ours, thin: int = 1, points: list | None = None
) -> dict[str, dict] | None:
    """The worst of each quantity over the sample, or over `points`, pairs of scores and targets, as
    `_pairs.Sample.measure` gives it."""
    format_, best, tried = FORMATS[kind], {}, 0
    with mp.workdps(DIGITS), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        given_points = None if points is None else [(rounded(z, kind), [tuple(y)]) for z, y in points]
        for z, goals in given_points or sample(pair, kind, thin):
            for y in goals:
                if pair.two:
                    given = rounded(y, kind)
                else:
                    given = np.array([y.index(1.0)]) if max(y) == 1.0 else rounded([y], kind)
                found = implementation(pair, kind, z[None], given)
                if found is None:  # for such targets
                    continue
                tried += 1
                score, goal = [mp.mpf(float(x)) for x in z], [mp.mpf(float(x)) for x in y]
                exact = exact_row(pair, score, goal)
                shifted = None
                for k, (name, got) in enumerate(zip(QUANTITIES, found, strict=False)):
                    got = np.ravel(got)
                    expected = [exact[0]] if k == 0 else exact[k]
                    number = from_mpmath(expected, (len(expected),))
                    raw = off(got, number, format_)
                    entry, at = best.setdefault(name, Worst()), (list(map(float, z)), list(y))
                    if raw.max() > entry.raw:
                        entry.raw, entry.at = float(raw.max()), at
                    if raw.max() > entry.mixed:
                        shifted = shifted or _around(pair, score, goal, format_)
                        room = [
                            mp.fsum(abs(part[k][j] if k else part[0]) for part in _less(shifted, exact))
                            for j in range(len(expected))
                        ]
                        low = from_mpmath([e - r for e, r in zip(expected, room, strict=True)], number.shape)
                        high = from_mpmath([e + r for e, r in zip(expected, room, strict=True)], number.shape)
                        mixed = np.minimum(raw, off_interval(got, low, high, format_))
                        if mixed.max() > entry.mixed:
                            entry.mixed, entry.mixed_at = float(mixed.max()), at
    return {**{name: asdict(entry) for name, entry in best.items()}, "points": tried} if tried else None


def _around(pair, z, y, kind):
    """The exact results with one score, or one target inside (0, 1), a unit higher."""
    units = [mp.mpf(float(kind.spacing(np.array([LONG(float(x))]))[0])) for x in (*z, *y)]
    by_score = [exact_row(pair, [*z[:j], z[j] + units[j], *z[j + 1 :]], y) for j in range(len(z))]
    by_target = [
        exact_row(pair, z, [*y[:j], y[j] + units[len(z) + j], *y[j + 1 :]])
        for j in range(len(y))
        if pair.two or 0 < y[j] < 1
    ]
    # one unit on, two thresholds may have met, or a fraction be 1: there the cost is no number
    return [found for found in by_score + by_target if isinstance(found[0], mp.mpf) and mp.isfinite(found[0])]


def _less(shifted, exact):
    for value, slopes, curves in shifted:
        yield (
            value - exact[0],
            [a - b for a, b in zip(slopes, exact[1], strict=True)],
            [a - b for a, b in zip(curves, exact[2], strict=True)],
        )


def disagreement(pair, thin: int) -> float | None:
    """How far the exact rows are from differences of the printed formulas, and for softmax+cross_entropy the long
    doubles from the exact rows, in float64 units; None where they are the same."""
    if not knows(pair):
        return None
    worst, float64 = 0.0, FORMATS["float64"]
    for z, goals in sample(pair, "float64", thin):
        for y in goals:
            scores = tuple(map(float, z))
            with mp.workdps(truth.DIGITS):
                value, slopes, curves = truth.row(pair, scores, y)
            with mp.workdps(DIGITS):
                found = exact_row(pair, [mp.mpf(x) for x in scores], [mp.mpf(x) for x in y])
                got, right = [found[0], *found[1], *found[2]], [value, *slopes, *curves]
                if pair.name == "softmax+cross_entropy" and max(y) == 1.0:
                    by_long, delta = exact_classes(z[None], np.array([y.index(1.0)]))
                    got += [to_mpmath(by_long[0]), *(to_mpmath(delta[0, j]) for j in range(len(z)))]
                    right += [value, *slopes]
                for a, b in zip(got, right, strict=True):
                    # a difference quotient of a derivative that is 0 by symmetry leaves about 1e-110
                    unit = float64.spacing(from_mpmath([max(abs(b), mp.mpf("1e-80"))], (1,)).high)
                    worst = max(worst, float(abs(a - b) / to_mpmath(Extended(unit)[0])))
    return worst


# ------------------------------------------------------------------------------- softmax+cross_entropy by classes
CLASSES = (2, 3, 10, 100, 1000, 32_000, 200_000)
KINDS = ("random", "sure", "wrong", "tied", "tied but one", "few values", "one huge score", "many −∞")


def rows_of(kind: str, classes: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a kind, and their classes: 32, or 4 if they are long."""
    random, count = np.random.default_rng(SEED + classes), 32 if classes <= 1000 else 4
    z, y = random.normal(size=(count, classes)) * 3, random.integers(0, classes, count)
    each = np.arange(count)
    if kind in ("sure", "wrong"):
        z = random.normal(size=(count, classes))
        favourite = y if kind == "sure" else (y + 1) % classes
        z[each, favourite] = z.max(axis=1) + np.array([5.0, 17.0, 40.0, 80.0])[each % 4] + np.log(classes)
    elif kind == "tied":
        z = np.repeat(random.normal(size=(count, 1)), classes, axis=1)
    elif kind == "tied but one":
        z = np.repeat(random.normal(size=(count, 1)), classes, axis=1)
        z[each, (y + each) % classes] += random.normal(size=count) * 10
    elif kind == "few values":
        z = np.round(z * 4) / 4
    elif kind == "one huge score":
        z[each, (y + each) % classes] = np.array([1e3, 1e4, 3e4, 1e30 if dtype != "float16" else 6e4])[each % 4]
    elif kind == "many −∞":
        z[random.random(size=z.shape) < 0.9] = -np.inf
        z[each, y] = random.normal(size=count)
    return rounded(z, dtype), y


def exact_classes(z: np.ndarray, y: np.ndarray) -> tuple[Extended, Extended]:
    """Value and δ in long doubles, by the margin d = ln Σ exp(z_j − z_t) over the others: only differences of scores
    are rounded, and NumPy adds in pairs."""
    z = z.astype(LONG)
    each = np.arange(len(z))
    others = z.copy()
    others[each, y] = -np.inf
    top = others.max(axis=1)
    shift = np.where(np.isinf(top), LONG(0), top)
    raw = np.exp(others - shift[:, None])
    total = raw.sum(axis=1)
    ahead = shift - z[each, y]  # d = ahead + ln total
    with np.errstate(divide="ignore", over="ignore"):
        d = ahead + np.log(total)
        e = np.exp(-abs(d))
        value = np.maximum(d, 0) + np.log1p(e)
        wrong = np.where(d >= 0, 1 / (1 + e), e / (1 + e))  # 1 − p of the true class
    delta = raw / np.where(total == 0, LONG(1), total)[:, None] * wrong[:, None]
    delta[each, y] = -wrong
    return Extended(value), Extended(delta)


def by_classes(pair, kind: str, implementation: Callable, classes=CLASSES, kinds=KINDS) -> dict[str, dict] | None:
    """Worst ulp of value, of δ of the true class and of any δ, by number of classes and kind of row."""
    found = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for number in classes:
            for which in kinds:
                z, y = rows_of(which, number, kind)
                got = implementation(pair, kind, z, y)
                if got is None:
                    return None
                value, delta = exact_classes(z, y)
                slope = off(got[1], delta, FORMATS[kind])
                found[f"{number}|{which}"] = {
                    "value": float(off(got[0], value, FORMATS[kind]).max()),
                    "true": float(slope[np.arange(len(z)), y].max()),
                    "delta": float(slope.max()),
                }
    return found
