"""Costs written for a whole row, in `jax.numpy`: what `costlayer.pairs` says of them with loops, without.

The scores of a row lie along the last axis. Each cost is a function with a derivative of its own, which again is such a
function or made of them, so that all orders have their digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from costlayer.catalogue import build
from costlayer.jax import operations
from costlayer.jax.operations import total
from costlayer.pair import Pair


class Goal(NamedTuple):
    """Targets: which class is the true one, and how much of each.

    Arguments:
        label: (..., 1), −1 where there are but shares.
        own: (..., scores), whether a score is the true class's.
        share: (..., scores), the probability of each class.
    """

    label: Array
    own: Array
    share: Array


def of_label(pair: Pair, z: Array, label: Array) -> Array:
    """The cost of each row, where one class is the true one; NaN where the label is no class."""
    own = operations.at(label, z.shape[-1])
    right = (label >= 0) & (label < z.shape[-1] + pair.activation.thresholds)
    return _evaluate(pair, z, Goal(label[..., None], own, own.astype(z.dtype)), right)


def of_shares(pair: Pair, z: Array, y: Array) -> Array:
    """The cost of each row under probabilities."""
    label = jnp.full((*z.shape[:-1], 1), -1)
    return _evaluate(pair, z, Goal(label, jnp.zeros(z.shape, bool), y), jnp.asarray(True))


def _evaluate(pair: Pair, z: Array, goal: Goal, right: Array) -> Array:
    # a NaN, in a score or made of a label that is no class, belongs to all scores of its row
    z = jnp.where(right[..., None], _spread_nan(z), z + operations.nan(z))
    return _COSTS[pair.name](z, goal, *pair.values)


def predict(pair: Pair, z: Array) -> Array:
    return _PREDICTIONS[pair.activation.name](_spread_nan(z))


def _spread_nan(z: Array) -> Array:
    """Scores, of which one that is NaN makes NaN of its row."""
    return jnp.where(jnp.isnan(z).any(-1, keepdims=True), z + operations.nan(z), z)


def _with_slope(value: Callable[..., Array], slope: Callable[..., Array]) -> Callable[..., Array]:
    """A cost of rows `(z, goal, *parameters)` with its derivative by each score."""
    function = jax.custom_jvp(value)

    def slopes(z: Array, *given: Any) -> Array:
        return slope(z, *given) + jnp.square(jnp.where(jnp.isnan(z), z, 0.0))  # NaN, as its derivative is

    function.defjvp(lambda given, moved: (function(*given), (slopes(*given) * moved[0]).sum(-1)))
    return function


def _others(own: Array, of: Array) -> Array:
    return total(jnp.where(own, 0.0, of))


# ---------------------------------------------------------------------------------------------- multiclass hinges


def _shortfall(z: Array, goal: Goal, margin: float) -> Array:
    """By how much the true class is short of a margin over each of the others; −∞ for itself."""
    truth = total(jnp.where(goal.own, z, 0.0))
    short = margin + jnp.where(z == truth, 0.0, z - truth)
    return jnp.where(goal.own, -jnp.inf, short)


def _crammer_singer(z: Array, goal: Goal, margin: float) -> Array:
    return jnp.maximum(_shortfall(z, goal, margin).max(-1), 0.0)


def _crammer_singer_slope(z: Array, goal: Goal, margin: float) -> Array:
    short = _shortfall(z, goal, margin)
    worst = short.max(-1, keepdims=True)
    most = jnp.finfo(z.dtype).max  # of several that are short infinitely, the largest score
    first = operations.best(jnp.where(short == worst, jnp.clip(z, -most, most), -jnp.inf))
    return lax.stop_gradient(jnp.where(worst > 0.0, first.astype(z.dtype) - goal.share, 0.0))


def _weston_watkins(z: Array, goal: Goal, margin: float) -> Array:
    return jnp.maximum(_shortfall(z, goal, margin), 0.0).sum(-1)


def _weston_watkins_slope(z: Array, goal: Goal, margin: float) -> Array:
    short = _shortfall(z, goal, margin)
    inside = (short > 0.0).astype(z.dtype)
    return lax.stop_gradient(jnp.where(goal.own, -total(inside), inside))


# ------------------------------------------------------------------------------------------ sparse probabilities


def _below_top(z: Array) -> Array:
    """Scores less the largest, which may be infinite."""
    top = z.max(-1, keepdims=True)
    return jnp.where((z == top) & jnp.isinf(z), 0.0, z - top)


def _threshold(u: Array) -> tuple[Array, Array]:
    """The threshold of sparsemax, and which scores lie above it."""
    u = jnp.maximum(u, -2.0)  # which is as far outside as −∞
    scores = -jnp.sort(-u, -1)
    sums, ranks = scores.cumsum(-1), jnp.arange(1, u.shape[-1] + 1, dtype=u.dtype)
    count = jnp.maximum(total(1.0 + ranks * scores > sums), 1)  # none among NaN
    first = (jnp.take_along_axis(sums, count - 1, -1) - 1.0) / count.astype(u.dtype)
    inside = u > first
    return (total(jnp.where(inside, u, 0.0)) - 1.0) / total(inside).astype(u.dtype), inside


@jax.custom_jvp
def _sparsemax(z: Array) -> Array:
    u = _below_top(z)
    threshold, inside = _threshold(u)
    return jnp.where(inside | jnp.isnan(u), jnp.maximum(u - threshold, 0.0), 0.0)


@_sparsemax.defjvp
def _(given, moved):
    inside = lax.stop_gradient(_threshold(_below_top(*given))[1])
    mean = total(jnp.where(inside, moved[0], 0.0)) / total(inside).astype(moved[0].dtype)
    return _sparsemax(*given), jnp.where(inside, moved[0] - mean, 0.0)


def _apart_from(p: Array, goal: Goal) -> Array:
    """p less the targets, where the true class has 1 − p as a sum over the others; and what targets beyond 1 add."""
    return jnp.where(goal.own, -_others(goal.own, p), p - goal.share) + (total(goal.share) - 1.0) * p


def _sparsemax_loss(z: Array, goal: Goal) -> Array:
    u = _below_top(z)
    threshold, _ = _threshold(u)
    p = _sparsemax(z)
    more = total(goal.share) - 1.0
    off = jnp.where(goal.own, -_others(goal.own, p), p - goal.share)
    missed = jnp.where(goal.share == 0.0, 0.0, goal.share * jnp.maximum(threshold - u, 0.0))
    return (0.5 * (off * off + more * p * p) + missed).sum(-1)


def _sparsemax_slope(z: Array, goal: Goal) -> Array:
    return _apart_from(_sparsemax(z), goal)


def _half_threshold(u: Array) -> tuple[Array, Array]:
    """The threshold of entmax15 for halves of scores, and which lie above it."""
    u = jnp.maximum(u, -2.0)
    scores, ranks = -jnp.sort(-u, -1), jnp.arange(1, u.shape[-1] + 1, dtype=u.dtype)
    mean = scores.cumsum(-1) / ranks
    spread = jnp.square(scores).cumsum(-1) - ranks * jnp.square(mean)
    each = mean - jnp.sqrt(jnp.maximum((1.0 - spread) / ranks, 0.0))
    count = jnp.maximum(total(each < scores), 1)  # none among NaN
    inside = u > jnp.take_along_axis(each, count - 1, -1)
    count = total(inside).astype(u.dtype)
    mean = total(jnp.where(inside, u, 0.0)) / count
    spread = total(jnp.square(jnp.where(inside, u - mean, 0.0)))
    return mean - jnp.sqrt((1.0 - spread) / count), inside


@jax.custom_jvp
def _roots(z: Array) -> Array:
    """The square roots of the probabilities of entmax15."""
    u = 0.5 * _below_top(z)
    threshold, inside = _half_threshold(u)
    return jnp.where(inside | jnp.isnan(u), jnp.maximum(u - threshold, 0.0), 0.0)


@_roots.defjvp
def _(given, moved):
    w = _roots(*given)
    half = 0.5 * (moved[0] - total(w * moved[0]) / total(w))
    return w, jnp.where(lax.stop_gradient(w) > 0.0, half, 0.0)


def _entmax15_loss(z: Array, goal: Goal) -> Array:
    u = 0.5 * _below_top(z)
    threshold, _ = _half_threshold(u)
    w, r = _roots(z), jnp.sqrt(goal.share)
    more = total(goal.share) - 1.0
    apart = jnp.where(goal.own, -_others(goal.own, w * w) / (1.0 + w), w - r)
    missed = jnp.where(goal.share == 0.0, 0.0, goal.share * 2.0 * jnp.maximum(threshold - u, 0.0))
    return (2.0 / 3.0 * (apart * apart * (w + 2.0 * r) + more * w * w * w) + missed).sum(-1)


def _entmax15_slope(z: Array, goal: Goal) -> Array:
    w, r = _roots(z), jnp.sqrt(goal.share)
    more = total(goal.share) - 1.0
    return jnp.where(goal.own, -_others(goal.own, w * w), (w - r) * (w + r)) + more * w * w


# ----------------------------------------------------------------------------------------------- classes in order


def _steps(z: Array, goal: Goal, lowest: int | None = None, highest: int | None = None) -> Array:
    """The yes or no at each threshold, whether the truth lies above; of those alone that lie from `lowest` to
    `highest`, counted from the true class."""
    place = jnp.arange(z.shape[-1]) - goal.label
    kept = jnp.ones(z.shape, bool)
    if lowest is not None:
        kept &= place >= lowest
    if highest is not None:
        kept &= place <= highest
    cost = operations.pointwise(build("sigmoid+cross_entropy", {}))
    return jnp.where(kept | jnp.isnan(z), cost(z, (place < 0).astype(z.dtype)), 0.0).sum(-1)


def _coral(z: Array, goal: Goal) -> Array:
    return _steps(z, goal)


def _corn(z: Array, goal: Goal) -> Array:
    return _steps(z, goal, highest=0)


def _apart(gap):
    """−ln(1 − e^−gap): what keeps the scores on both sides of the true class apart."""
    push = 1.0 / jnp.expm1(gap)
    value = -jnp.where(gap < 0.7, jnp.log(-jnp.expm1(-gap)), jnp.log1p(-jnp.exp(-gap)))
    return {(0,): value, (1,): -push, (2,): push * (1.0 + push)}


def _cumulative_logit(z: Array, goal: Goal) -> Array:
    here = jnp.arange(1, z.shape[-1]) == goal.label
    gap = jnp.where(here, z[..., :-1] - z[..., 1:], 1.0)
    wall = jnp.where(here, operations.smooth(_apart)(gap), 0.0)
    return _steps(z, goal, -1, 0) + wall.sum(-1)


_COSTS: dict[str, Callable[..., Array]] = {
    "class_scores+crammer_singer": _with_slope(_crammer_singer, _crammer_singer_slope),
    "class_scores+weston_watkins": _with_slope(_weston_watkins, _weston_watkins_slope),
    "sparsemax+fenchel_young": _with_slope(_sparsemax_loss, _sparsemax_slope),
    "entmax15+fenchel_young": _with_slope(_entmax15_loss, _entmax15_slope),
    "ordinal+cumulative_logit": _cumulative_logit,
    "ordinal+coral": _coral,
    "conditional+corn": _corn,
}


def _sigmoid(z: Array) -> Array:
    return operations.activated(operations.program(build("sigmoid+cross_entropy", {})).activation)(z)


def _log_sigmoid(z: Array) -> Array:
    return -operations.pointwise(build("sigmoid+cross_entropy", {}))(z, jnp.ones_like(z))


_PREDICTIONS: dict[str, Callable[[Array], Array]] = {
    "class_scores": lambda z: z,
    "sparsemax": _sparsemax,
    "entmax15": lambda z: jnp.square(_roots(z)),
    "ordinal": _sigmoid,
    "conditional": lambda z: jnp.exp(_log_sigmoid(z).cumsum(-1)),
}
