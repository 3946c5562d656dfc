"""Units in the last place: what one is in each element type, and how many of them a result is off.

One unit is the distance between neighbours of the type in the binade of the exact result; below the smallest normal
number it is the smallest subnormal. Infinity counts as the power of two beyond the largest number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _extended import LONG, Extended, extended


@dataclass(frozen=True)
class Format:
    """An element type: bits stored of the significand, exponents of the smallest normal number and of infinity."""

    name: str
    bits: int
    low: int
    high: int

    def spacing(self, x: np.ndarray) -> np.ndarray:
        """One unit in the last place at x, with the largest binade going on for ever."""
        exponent = np.frexp(x)[1] - 1
        return np.ldexp(LONG(1), np.where(x == 0, self.low, np.maximum(exponent, self.low)) - self.bits)

    def counted(self, x: np.ndarray) -> np.ndarray:
        """Results as numbers: whatever is infinite in this type as 2^high."""
        x, edge = np.asarray(x).astype(LONG), np.ldexp(LONG(1), self.high)
        return np.where(abs(x) > edge, np.copysign(edge, x), x)


FORMATS = {
    "float64": Format("float64", 52, -1022, 1024),
    "float32": Format("float32", 23, -126, 128),
    "float16": Format("float16", 10, -14, 16),
    "bfloat16": Format("bfloat16", 7, -126, 128),
}


def off(found: np.ndarray, exact: Extended, kind: Format) -> np.ndarray:
    """How many units each result is off; infinitely many if it is no number."""
    edge = np.ldexp(LONG(1), kind.high)
    number = kind.counted(found)
    beyond = abs(exact.high) >= edge
    aim, rest = np.where(beyond, np.copysign(edge, exact.high), exact.high), np.where(beyond, LONG(0), exact.low)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = abs((number - aim) - rest) / kind.spacing(aim)
        return np.where(np.isnan(number), np.inf, apart).astype(np.float64)


def off_interval(found: np.ndarray, low: Extended, high: Extended, kind: Format) -> np.ndarray:
    """The same to the nearest number from `low` to `high`, nothing if the result lies between."""
    number = extended(kind.counted(found))
    inside = (number.high == number.high) & (low <= number) & (number <= high)
    return np.where(inside, 0.0, np.minimum(off(found, low, kind), off(found, high, kind)))


def around(z: np.ndarray, y: np.ndarray, fixed: np.ndarray, kind: Format) -> list[tuple[Extended, Extended]]:
    """The score and target, and the four corners one unit away from both; targets that are `fixed` stay."""
    step_z, step_y = kind.spacing(z), np.where(fixed, LONG(0), kind.spacing(y))
    corners = [(Extended(z), Extended(y))]
    return corners + [(Extended(z) + a * step_z, Extended(y) + b * step_y) for a in (-1, 1) for b in (-1, 1)]


@dataclass
class Worst:
    """The most units that a quantity is off, and where: raw, and against the best exact result nearby."""

    raw: float = 0.0
    at: tuple = ()
    mixed: float = 0.0
    mixed_at: tuple = ()


FAR = 1024.0  # units in the last place


def worst(
    found: np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    raw: np.ndarray,
    slack: np.ndarray,
    fixed: np.ndarray,
    kind: Format,
    exactly: Callable[[Extended, Extended], Extended],
    slope: Callable[[Extended, Extended], Extended] | None = None,
    most: int = 512,
    batch: int = 128,
) -> Worst:
    """The worst of `raw`, and of the distance to the nearest exact result for scores and targets one unit away.

    The second is never larger than the first, so it is looked for where that is largest; where it is largest less the
    `slack` that one unit of the score makes; and where it is largest below `FAR`, as beside v = y more than `most`
    points may be far off in the first sense alone: at `most` points each. A cost of v − y comes with its `slope`: where
    that changes its sign nearby, so does v − y, and the cost is 0 in between.
    """
    order = np.argsort(-raw, kind="stable")
    best = Worst(float(raw[order[0]]), (float(z[order[0]]), float(y[order[0]])))
    left = np.argsort(np.where(np.isnan(raw - slack), 0.0, slack - raw), kind="stable")
    near = order[~(raw[order] >= FAR)]
    for parts in (order[:most], left[:most], near[:most]):
        for start in range(0, len(parts), batch):
            part = parts[start : start + batch]
            part = part[raw[part] > best.mixed]
            if not len(part):
                break
            corners = around(z[part], y[part], fixed[part], kind)
            results = [exactly(a, b) for a, b in corners]
            if slope:
                signs = np.sign([slope(a, b).high for a, b in corners])
                turns = (signs.min(axis=0) <= 0) & (signs.max(axis=0) >= 0)
                results.append(Extended(np.where(turns, 0, results[0].high), np.where(turns, 0, results[0].low)))
            low = high = results[0]
            for other in results[1:]:
                low, high = _least(low, other), _least(high, other, -1)
            mixed = np.minimum(raw[part], off_interval(found[part], low, high, kind))
            k = int(np.argmax(mixed))
            if mixed[k] > best.mixed:
                best.mixed, best.mixed_at = float(mixed[k]), (float(z[part[k]]), float(y[part[k]]))
    return best


def _least(a: Extended, b: Extended, sign: int = 1) -> Extended:
    from _extended import where

    return where((a - b).high * sign <= 0, a, b)
