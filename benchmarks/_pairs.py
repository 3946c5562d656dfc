"""Every pair against the exact results: the worst of value, δ and curvature, in units in the last place."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import _exact
import numpy as np
from _extended import LONG, Extended
from _implementations import HALVES, ours, predict
from _points import all_points, numbers
from _ulp import FORMATS, off, worst
from mpmath import mp

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import truth

QUANTITIES = ("value", "delta", "curvature")


def several(pair) -> bool:
    """Whether an example has several scores, and `_rows` measures the pair."""
    return pair.row or pair.two


def exact_terms(pair) -> Callable:
    """Scores and targets to value, δ and curvature: to 128 bits, or for a pair that is new by its printed formula."""
    if _exact.knows(pair):
        return lambda z, y: _exact.terms(pair, z, y)
    return lambda z, y: _printed(pair, z, y)


def _printed(pair, z: Extended, y: Extended):
    shape = np.broadcast_shapes(z.shape, y.shape)
    z, y = z.broadcast(shape), y.broadcast(shape)
    rows = []
    with mp.workdps(truth.DIGITS):
        for k in np.ndindex(shape):
            goal = to_mpmath(y[k])
            rows.append(truth.differences(lambda x, goal=goal: truth.composed(pair, x, goal), to_mpmath(z[k])))
        return tuple(from_mpmath([row[k] for row in rows], shape) for k in range(3))


def to_mpmath(x: Extended):
    total = mp.mpf(0)
    for part in (x.high, x.low):
        fraction, exponent = np.frexp(part)
        head = float(fraction)
        total += mp.ldexp(mp.mpf(head) + mp.mpf(float(fraction - LONG(head))), int(exponent))
    return total


def from_mpmath(numbers, shape) -> Extended:
    """The nearest sums of two long doubles, within the range of those."""
    parts = np.zeros((2, len(numbers)), LONG)
    for k, number in enumerate(numbers):
        for row in range(2):
            fraction, exponent = mp.frexp(number)
            if not fraction or exponent < -16000:
                break
            exponent = min(exponent, 16000)
            head = float(fraction)
            tail = float(fraction - mp.mpf(head))
            kept = LONG(head) + LONG(tail)
            parts[row, k] = np.ldexp(kept, exponent)
            number = number - mp.ldexp(mp.mpf(head) + mp.mpf(float(kept - LONG(head))), exponent)
    return Extended(parts[0].reshape(shape), parts[1].reshape(shape))


class Sample:
    """The points at which a pair is measured in a type, or the scores and targets given, and what is exact there."""

    def __init__(self, pair, kind: str, thin: int = 1, points: list | None = None):
        self.pair, self.kind, self.exactly = pair, kind, exact_terms(pair)
        if points is not None:
            self.z, self.y = np.array(points, numbers(kind)).T.copy()
            self.exact = list(self.exactly(Extended(self.z), Extended(self.y)))
        elif _exact.knows(pair):
            z, y, own_z, own_y = all_points(pair, kind, predict(pair, kind), thin)
            grid = self.exactly(Extended(z[:, None]), Extended(y[None, :]))
            own = self.exactly(Extended(own_z), Extended(own_y))
            self.z = np.concatenate([np.repeat(z, len(y)), own_z])
            self.y = np.concatenate([np.tile(y, len(z)), own_y])
            self.exact = [
                Extended(np.concatenate([a.high.ravel(), b.high]), np.concatenate([a.low.ravel(), b.low]))
                for a, b in zip(grid, own, strict=True)
            ]
        else:
            self.z, self.y = _fewer(pair, *all_points(pair, kind, predict(pair, kind), thin))
            self.exact = list(self.exactly(Extended(self.z), Extended(self.y)))
        ends = {e for i in (pair.target, pair.range) for e in (i.low, i.high) if np.isfinite(e)}
        self.fixed = np.isin(self.y, list(ends))
        # whether the cost of a right prediction is nothing: within an ulp of it, so may be any result
        right = truth.formula(pair.cost.formula, v=mp.mpf(1), y=mp.mpf(1), **truth.given(pair))
        self.vanishes = right == 0 and not pair.cost.yes_or_no  # of a target in between something is left

    def _slack(self, k: int, kept: np.ndarray) -> np.ndarray:
        """By how many units of itself a quantity changes in one unit of the score: the next one is its derivative."""
        kind = FORMATS[self.kind]
        change = abs(self.exact[k + 1].high[kept]) * kind.spacing(self.z[kept])
        return (change / kind.spacing(self.exact[k].high[kept])).astype(np.float64)

    def measure(self, implementation: Callable = ours, within: float = np.inf) -> dict[str, dict] | None:
        """The worst of each quantity among the scores of at most that size; None if there is no such pair."""
        result = self._measure(implementation, within)
        if result is None:
            return None
        entries = [result[name] for name in QUANTITIES if name in result]
        at = [entry[place] for entry in entries for place in ("at", "mixed_at") if entry[place]]
        # what one quantity is worst at may be worse for another than all that was looked at for that
        again = Sample(self.pair, self.kind, points=at)._measure(implementation, within)
        for name, entry in (again or {}).items():
            if name in QUANTITIES and entry["mixed"] > result[name]["mixed"]:
                result[name] |= {place: entry[place] for place in ("mixed", "mixed_at")}
        return result

    def _measure(self, implementation: Callable, within: float) -> dict[str, dict] | None:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = implementation(self.pair, self.kind, self.z, self.y)
            if found is None:
                return None
            kept = abs(self.z) <= within
            result = {}
            for k, (name, got) in enumerate(zip(QUANTITIES, found, strict=False)):
                exact = self.exact[k][kept]
                raw = off(got[kept], exact, FORMATS[self.kind])
                result[name] = asdict(
                    worst(
                        got[kept],
                        self.z[kept],
                        self.y[kept],
                        raw,
                        self._slack(k, kept) if k < 2 else np.zeros_like(raw),
                        self.fixed[kept],
                        FORMATS[self.kind],
                        lambda z, y, k=k: self.exactly(z, y)[k],
                        (lambda z, y: self.exactly(z, y)[1]) if name == "value" and self.vanishes else None,
                    )
                )
                if (ends := raw[self.fixed[kept]]).size:
                    result[name]["ends"] = float(ends.max())
            result["points"] = int(kept.sum())
            return result


MANY = 2000


def _fewer(pair, z, y, own_z, own_y) -> tuple[np.ndarray, np.ndarray]:
    """Of all points those that 1000 digits and differences of 1e-60 are enough for, and no more of them than mpmath
    does in a minute."""
    z = z[:: max(1, len(z) * len(y) // MANY)]
    points = [*zip(np.repeat(z, len(y)), np.tile(y, len(z)), strict=True), *zip(own_z, own_y, strict=True)]
    near = [(z, y) for z, y in points if z == 0 or 1e-30 < abs(z) < 700]
    smooth = [point for point in near if truth.smooth(pair, *map(float, point))]
    return tuple(np.array(smooth, y.dtype).T)


def disagreement(pair, thin: int = 3) -> float | None:
    """How far the 128 bits are from the printed formulas in 1000 digits, in float64 units: at scores to ±800. None
    where the reference is the printed formula itself."""
    if several(pair):
        import _rows

        return _rows.disagreement(pair, 2 * thin)
    if not _exact.knows(pair):
        return None
    points = [(z, y) for y in truth.targets(pair) for z in truth.SCORES[::thin] if truth.smooth(pair, z, y)]
    found = _exact.terms(pair, *map(Extended, np.array(points).T))
    worst = 0.0
    with mp.workdps(truth.DIGITS):
        for k, (z, y) in enumerate(points):
            for got, right in zip(found, truth.pointwise(pair, z, y), strict=True):
                number = to_mpmath(got[k])
                unit = FORMATS["float64"].spacing(got.high[k])
                if abs(number) < mp.mpf(2) ** 1024:
                    worst = max(worst, float(abs(number - right) / to_mpmath(Extended(unit))))
    return worst


__all__ = ["HALVES", "QUANTITIES", "Sample", "exact_terms", "numbers", "several"]
