"""What a pair does along its scores, computed once for the text, the page and the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costlayer.activations import ACTIVATIONS
from costlayer.catalogue import build, pairs
from costlayer.errors import InvalidValue
from costlayer.evaluate import evaluate, predict_and_gain
from costlayer.pair import REALS, Cost, Pair

TABLE = (-10.0, -5.0, 0.0, 5.0, 10.0)
AXIS = np.linspace(-10.0, 10.0, 401)


@dataclass(frozen=True)
class Curve:
    """A pair along scores z for one truth: arrays in the shape of z.

    For a row pair there are two classes with the scores (z, 0), and everything but the value is that of the first:
    a `truth` of 1 says that it is the true class, 0 that it is not. If the classes are in order, z is the score between
    them, v the probability of the upper one, and a truth of 1 says that this is the true class. A pair of two scores
    has the scores (z, 0) too: v is the location, or the mean of what the two shapes say, and `second_delta` is δ of the
    second score.
    """

    pair: Pair
    truth: float
    z: NDArray
    v: NDArray
    gain: NDArray
    value: NDArray
    delta: NDArray
    curvature: NDArray
    second_delta: NDArray | None = None

    @property
    def deltas(self) -> dict[str, NDArray]:
        """Each δ by its name."""
        if self.second_delta is None:
            return {"δ": self.delta}
        return {"δ_0": self.delta, "δ_1": self.second_delta}

    @property
    def error(self) -> NDArray:
        """v − y."""
        return self.v - self.truth

    @property
    def truth_in_words(self) -> str:
        """The truth as a reader may have it."""
        if self.pair.activation.thresholds:
            return f"the {'upper' if self.truth else 'lower'} class is the true one"
        if self.pair.row:
            return "the first class is the true one" if self.truth else "the second class is the true one"
        return f"target y = {number(self.truth)}"

    @property
    def truth_in_short(self) -> str:
        """The same, in a few letters."""
        if self.pair.activation.thresholds:
            return "upper true" if self.truth else "lower true"
        if self.pair.row:
            return "first true" if self.truth else "second true"
        return f"y = {number(self.truth)}"


def curve(pair: Pair, truth: float, z: ArrayLike = AXIS) -> Curve:
    """Everything about a pair at the scores z, from the engine that trains with it."""
    z = np.asarray(z, np.float64)
    if pair.row:
        first, second = z[:, None], np.full(z.shape, 0 if truth else 1)
        if pair.activation.thresholds:
            scores, y = first, 1 - second
        else:
            scores, y = np.concatenate([first, np.zeros_like(first)], axis=1), second
        both, gains = predict_and_gain(pair, scores)
        v, gain = both[:, 0], both.prod(axis=1) if gains is None else gains[:, 0]  # v₁(1 − v₁), and 1 − v₁ is v₂
    elif pair.two:
        scores, y = np.stack([z, np.zeros_like(z)], axis=1), np.full(z.shape, truth)
        (v, other), (gain, _) = (found.T for found in predict_and_gain(pair, scores))  # type: ignore
        if not pair.cost.of_error:
            v, gain = v / (v + other), gain * other / (v + other) ** 2
    else:
        scores, y = z, np.full_like(z, truth)
        v, gain = predict_and_gain(pair, scores)
        assert gain is not None
    result = evaluate(pair, scores, y, reduction="none", curvature=True)
    if z.shape == scores.shape:
        return Curve(pair, truth, z, v, gain, result.value, result.delta, result.curvature)
    second = result.delta[:, 1] if pair.two else None
    return Curve(pair, truth, z, v, gain, result.value, result.delta[:, 0], result.curvature[:, 0], second)


def setting(pair: Pair) -> str:
    """What the scores of a row pair are, in a sentence; empty for a pointwise pair."""
    if pair.activation.thresholds:
        return "Two classes in order with the score z between them; v is the probability of the upper one."
    return "Two classes with the scores (z, 0); all but the value is the first's." if pair.row else ""


def targets(pair: Pair) -> tuple[float, ...]:
    """Typical targets of a pair, the lowest first."""
    where = pair.range if pair.target == REALS else pair.target
    if np.isfinite(where.high):
        return (where.low, where.high) if where.low_closed or where is pair.range else (0.1, 0.9)
    if where.low < 0.0:
        return -1.0, 0.0, 1.0
    return (0.0 if where.low_closed else 0.5), 1.0, 5.0


def wrong(pair: Pair, z: float) -> float:
    """The typical target for which the score z is far to the wrong side."""
    if z < 0.0:
        return 1.0 if 1.0 in pair.target else targets(pair)[-1]
    return 0.0 if len(targets(pair)) == 3 and targets(pair)[0] < 0.0 else targets(pair)[0]


@dataclass(frozen=True)
class Contrast:
    """A pair beside another one: of the two, one starves where the other does not.

    Arguments:
        pair, other: along all scores, each with the truth for which `score` is wrong.
        score: a typical wrong score.
        here, there: `pair` and `other` at that score alone.
    """

    pair: Curve
    other: Curve
    score: float
    here: Curve
    there: Curve

    @property
    def starving(self) -> Curve:
        return self.pair if self.pair.pair.starves else self.other

    @property
    def sound(self) -> Curve:
        return self.other if self.pair.pair.starves else self.pair

    @property
    def same_prediction(self) -> bool:
        """Whether both predict the same, so that only what they send back differs."""
        return self.pair.pair.activation is self.other.pair.activation


def contrast(pair: Pair) -> Contrast:
    """The pair with the one that makes it plain: for a pair that starves the one to use instead, else one that starves
    with the same activation or, where none does, with the same cost, or the same range; for a pair of two scores the
    best known one, and for the costs of whole rows softmax+mse."""
    catalogue = pairs()
    if pair.starves:
        words = pair.instead.replace(",", " ").split()
        other = next(p for word in words for p in catalogue if p.name == word)
    else:
        starving = [p for p in catalogue if p.starves]
        kin = (
            [p for p in starving if p.activation is pair.activation]
            or [p for p in starving if p.cost is pair.cost]
            or [p for p in starving if not (pair.two or pair.row or p.row) and p.range == pair.range]
        )
        known = "sigmoid+mse" if pair.two else "softmax+mse" if pair.row else ""
        other = kin[0] if kin else build(known, {}) if known else _flattened(pair.cost)
    score = (pair if pair.starves else other).activation.flat[-1]
    both = [(p, wrong(p, score)) for p in (pair, other)]
    along, at = [curve(*p) for p in both], [curve(*p, [score]) for p in both]
    return Contrast(along[0], along[1], score, at[0], at[1])


def _flattened(cost: Cost) -> Pair:
    """A cost behind an activation that starves it, where the catalogue shows none."""
    for name, activation in ACTIVATIONS.items():
        if activation.flat and not activation.row:
            try:
                return build(f"{name}+{cost.name}", {})
            except InvalidValue:
                continue
    raise LookupError(f"{cost} fits no activation that starves")


def limits(curves: list[NDArray], at: list[float]) -> tuple[float, float]:
    """The ends of an axis that shows the curves whole, or, where one soars, the part that matters at a wrong score."""

    scale = max(1.0, *map(abs, at))
    ends = max(float(c.max()) for c in curves), max(float(-c.min()) for c in curves)
    high, low = (size if size <= 2.5 * scale else 1.6 * scale for size in ends)
    return min(-low, 0.0), max(high, 0.0)


def number(x: float, digits: int = 4) -> str:
    """A figure to read: so many significant digits, a real minus sign."""
    text = f"{x:.0f}" if 10**digits <= abs(x) < 1e7 else f"{x:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")
