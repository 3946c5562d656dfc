"""Where accuracy is measured: scores of every binade and around every switch point, targets at the ends and inside."""

from __future__ import annotations

import numpy as np
from _ulp import FORMATS

SEED = 20
# Scores at which some way of computing an activation or a cost changes its branch, saturates, overflows or underflows.
SWITCHES = (
    *(2.0**k for k in range(-30, 11)),
    *(
        0.3,
        0.3466,
        0.6931,
        1.0986,
        2.9957,
        9.01,
        9.7,
        12.0,
        16.64,
        17.33,
        18.02,
        19.06,
        20.0,
        22.18,
        30.0,
        36.04,
        36.74,
    ),
    *(37.43, 40.0, 44.36, 50.0, 87.34, 88.03, 88.72, 89.42, 92.2, 103.28, 103.97, 104.7, 177.4, 354.2, 354.89, 372.6),
    *(708.4, 709.09, 709.78, 710.48, 744.44, 745.13, 745.9, 1490.0),
)


def numbers(kind: str) -> np.dtype:
    """The NumPy type that holds the numbers of a type: bfloat16 is held in float32."""
    return np.dtype("float32" if kind == "bfloat16" else kind)


def rounded(x, kind: str) -> np.ndarray:
    """To the nearest number of the type; ties are of no matter here."""
    with np.errstate(over="ignore", under="ignore"):
        x = np.asarray(x, np.float64).astype(numbers(kind))
    return (
        ((x.view(np.uint32) + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32) if kind == "bfloat16" else x
    )


def neighbours(x, steps: int, kind: str) -> np.ndarray:
    """The numbers of the type up to so many steps from each x."""
    x = rounded(np.atleast_1d(x), kind)
    one = 1 << 16 if kind == "bfloat16" else 1
    pattern = x.view(f"i{x.itemsize}")[:, None] + np.arange(-steps, steps + 1, dtype=f"i{x.itemsize}") * one
    near = pattern.view(x.dtype).ravel()
    return near[np.isfinite(near) & (np.sign(near) == np.repeat(np.sign(x), 2 * steps + 1))]


def scores(kind: str, thin: int = 1) -> np.ndarray:
    """Finite scores: of each binade of either sign its first, last and random numbers, more of them where most scores
    are, and the neighbours of every switch point. With `thin` only every so many of them."""
    format_, random = FORMATS[kind], np.random.default_rng(SEED)
    exponents = np.arange(format_.low - 1, format_.high)  # the lowest stands for the subnormals
    each = max(0, 1500 // len(exponents))
    last = (1 << format_.bits) - 1
    fraction = np.concatenate(
        [np.zeros((len(exponents), 1), np.int64), np.full((len(exponents), 1), last),
         random.integers(0, last, (len(exponents), each), endpoint=True)], axis=1
    )  # fmt: skip
    biased = np.arange(len(exponents))[:, None]
    integer = np.int64 if kind == "float64" else np.int32 if kind == "float32" else np.int16
    pattern = ((biased << format_.bits) | fraction).astype(integer)
    if kind == "bfloat16":
        pattern = pattern.astype(np.int32) << 16
    binades = pattern.view(numbers(kind)).ravel()
    reach = {"float64": 760.0, "bfloat16": 110.0, "float32": 110.0, "float16": 20.0}[kind]
    usual = np.concatenate(
        [random.normal(size=300) * 3, random.uniform(-50, 50, 500), random.uniform(-reach, reach, 300)]
    )
    signed = np.concatenate([binades, neighbours(SWITCHES, 2, kind)])
    found = np.unique(np.concatenate([signed, -signed, rounded(usual, kind), np.zeros(1, numbers(kind))]))
    return found[np.isfinite(found)][::thin]


def targets(pair, kind: str) -> np.ndarray:
    """At the ends of where targets and predictions lie, and inside, small and large."""
    largest = 1e4 if kind == "float16" else 1e6
    epsilon = 2.0 ** -(FORMATS[kind].bits + 1)
    inside = {
        "{−1, 1}": (-1.0, 1.0),
        "[0, 1]": (0.0, 1.0, 0.25, 1e-3, 1 - epsilon),
        "[0, ∞)": (0.0, 1.0, 7.0, 1e-3, largest),
        "(0, ∞)": (2.0**-10, 0.75, 4.0, 1.0, largest),
    }.get(str(pair.target), (0.0, 1.0, -0.7, 12.5, -largest))
    return np.unique(rounded(inside, kind))


def crossings(pair, kind: str, predict) -> tuple[np.ndarray, np.ndarray]:
    """Scores and targets where the error v − y, or a cost's change of branch, is as near to nothing as it can be."""
    steps = [c * s for c in (0.0, *pair.parameters.values()) for s in (-1, 1)]
    goals = [
        (y, level) for y in targets(pair, kind) for level in sorted({float(y) + step for step in steps} | {-1.0, 1.0})
    ]
    zs, ys = [], []
    for (y, _), z in zip(goals, _solve(predict, np.array([level for _, level in goals]), kind), strict=True):
        near = neighbours(z, 6, kind) if z else np.zeros(1, numbers(kind))
        zs.append(near)
        ys.append(np.full(len(near), y))
    if not pair.target.ends_only:  # the target next to the prediction itself
        z = rounded(np.random.default_rng(SEED).normal(size=200) * 3, kind)
        y = rounded(predict(z), kind)
        inside = np.array([float(goal) in pair.target for goal in y])
        zs.append(z[inside])
        ys.append(y[inside])
    return np.concatenate(zs), np.concatenate(ys)


def _solve(predict, levels: np.ndarray, kind: str) -> np.ndarray:
    """The scores of predictions, as near as the type has them, by halving."""
    low, high = np.full(len(levels), -1e4), np.full(len(levels), 1e4)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = predict(rounded(middle, kind)) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def all_points(pair, kind: str, predict, thin: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores and targets to be combined, and those that go together as they are."""
    return scores(kind, thin), targets(pair, kind), *crossings(pair, kind, predict)
