"""The constant score with the least cost."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Unpack

import numpy as np

from costlayer.catalogue import pair as as_pair
from costlayer.engines import reference
from costlayer.errors import InvalidType, InvalidValue
from costlayer.evaluate import as_array, check_distributions, check_targets, numbers, weights
from costlayer.pair import Pair
from costlayer.scores import Options, alteration

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def constant(
    pair: str | Pair,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    classes: int | None = None,
    **options: Unpack[Options],
):
    """The constant score with the least cost: the right initial bias of the output.

    Arguments:
        pair: a pair or its name.
        y: targets: (N,) or, one column per output, (N, K); for row pairs class indices (N,) or probabilities (N, K).
        weight: (N,), 0 or more.
        classes: for class indices, how many classes there are; by default the largest index + 1, or one for each number
            of a logit adjustment.
        options: on the scores of classes, as `costlayer.evaluate` describes them.

    Returns a float, or an array (K,), for classes in order (K − 1,); for a pair of two scores per target both, (2,) or
    (2, K). Where the best score would be infinite (a class that never occurs, or a spread of targets that are all
    alike), the target is taken to occur half a time.
    Errors: `InvalidValue` if there is no target, or one outside the cost's interval, or if the best scores are
    beyond the softcap.

    >>> import numpy as np
    >>> round(float(constant("sigmoid+cross_entropy", np.array([1.0, 0.0, 0.0, 0.0]))), 6)  # ln(1/3)
    -1.098612
    """
    pair, y = as_pair(pair), as_array("y", y)
    altered = alteration(pair, **options)
    if y.ndim not in (1, 2) or not len(y):
        raise InvalidValue("y", f"shape {y.shape}", "targets of shape (N,) or (N, K), N at least 1")
    weight = np.ones(len(y)) if weight is None else weights(weight, y.shape[:1], np.dtype(np.float64))
    kept = weight > 0
    if not kept.any():
        raise InvalidValue("weight", "weights that add up to 0", "at least one positive weight")
    if altered is not None and altered.adjustment is not None and classes is None:
        classes = len(altered.adjustment)
    if pair.row:
        found = _constant_row(pair, y, weight, kept, classes)
        return found if altered is None else altered.raw(found)
    numbers(y, "y")
    y = y.astype(np.float64)
    check_targets(pair, y, kept)
    y, weight = y[kept], weight[kept]
    if pair.two:
        columns = [_constant_two(pair, column, weight) for column in (y.T if y.ndim == 2 else y[None])]
        return np.stack(columns, axis=1) if y.ndim == 2 else columns[0]
    if y.ndim == 2:
        return np.array([_constant_score(pair, column, weight) for column in y.T])
    return _constant_score(pair, y, weight)


@cache
def _vectorised(pair: Pair):
    """The formulas of a pair over whole arrays."""
    return reference.bind(pair, {**reference.WORDS, "where": np.where})


def _constant_score(pair: Pair, y: NDArray, weight: NDArray) -> float:
    low, high = max(pair.range.low, float(y.min())), min(pair.range.high, float(y.max()))
    if pair.cost.elicits_mean:
        v = float(np.average(y, weights=weight))
    else:
        cost = _vectorised(pair).cost

        def mean(v, term):
            return np.average(cost(v, y, *pair.cost_values)[term], weights=weight)

        with np.errstate(all="ignore"):
            if pair.target.ends_only:  # y only says on which side: where one is rare, v may go farther than that
                far = np.log(2.0 * weight.sum() / weight.min())
                low, high = low if mean(low, 1) <= 0.0 else -far, high if mean(high, 1) >= 0.0 else far
            if pair.cost.yes_or_no:  # which may count for more than a no, so that v lies beyond every y
                low = pair.range.low if mean(low, 1) > 0.0 else low
                high = pair.range.high if mean(high, 1) < 0.0 else high
            if not pair.cost.convex:  # it may have several valleys: the deepest of those between quantiles of y
                steps = np.clip(np.quantile(y, np.linspace(0.0, 1.0, 65)), low, max(low, high))
                best = int(np.argmin([mean(v, 0) for v in steps]))
                low, high = steps[max(best - 1, 0)], steps[min(best + 1, 64)]
            v = _root(lambda v: mean(v, 1), low, max(low, high))  # where the slope changes its sign
    return _score(pair, min(max(v, pair.range.low), pair.range.high), float(len(y)))


def _score(pair: Pair, v: float, count: float) -> float:
    """The score that predicts v, or v half a count inside where no finite score does."""
    given = pair.activation_values
    with np.errstate(all="ignore"):
        z = float(_vectorised(pair).inverse(np.float64(v), *given))
        if not np.isfinite(z):
            span = pair.range.high - pair.range.low
            step = 0.5 / (count + 1.0) * (span if np.isfinite(span) else 1.0)
            v = v + step if v <= pair.range.low else v - step
            z = float(_vectorised(pair).inverse(np.float64(v), *given))
    return z


def _constant_two(pair: Pair, y: NDArray, weight: NDArray) -> NDArray:
    """The two scores: those of the location and the scale, or of the two shapes, with the least mean cost."""
    program, share = _vectorised(pair), weight / weight.sum()
    middle, mean = _median(y, share), float(share @ y)
    apart = np.abs(y - middle)
    # half a time a target this far away: no spread is less, of targets that are all alike, or nearly all
    least = 0.5 / (len(y) + 1.0) * (float(np.median(apart[apart > 0])) if apart.any() else abs(middle) or 1.0)
    deviation = max(float(np.sqrt(share @ (y - mean) ** 2)), least)
    with np.errstate(all="ignore"):
        if not pair.cost.of_error:
            both = max(mean * (1.0 - mean) / deviation**2 - 1.0, 1e-3)  # a + b, by the moments
            shapes = np.log([mean * both, (1.0 - mean) * both])
            predictions = np.exp(_least_two(lambda p: _mean_two(pair, p, y, share), shapes) if apart.any() else shapes)
        elif pair.cost.name == "gaussian":
            predictions = np.array([mean, deviation])
        elif pair.cost.name == "laplace":
            predictions = np.array([middle, max(float(share @ apart), least)])
        else:
            scale = np.log(max(1.4826 * _median(apart, share), float(share @ apart) / 8.0, least))
            starts = [np.array([v, scale]) for v in (middle, mean, *np.quantile(y, np.linspace(0.0, 1.0, 33)))]
            start = min(starts, key=lambda p: _mean_two(pair, p, y, share)[0])
            found = _least_two(lambda p: _mean_two(pair, p, y, share), start, np.log(least))
            predictions = np.array([found[0], np.exp(found[1])])
        inverses = program.first_inverse, program.second_inverse
        return np.array([float(inverse(np.float64(v))) for inverse, v in zip(inverses, predictions, strict=True)])


def _median(y: NDArray, share: NDArray) -> float:
    """The middle of the numbers that as much of the weight lies below as above."""
    order = np.argsort(y)
    below = np.cumsum(share[order])
    first = int(np.searchsorted(below, 0.5 - 1e-12))
    last = int(np.searchsorted(below, 0.5 + 1e-12))
    return float((y[order[first]] + y[order[min(last, len(y) - 1)]]) / 2)


def _mean_two(pair: Pair, at: NDArray, y: NDArray, share: NDArray) -> tuple[float, NDArray, NDArray, float]:
    """The mean cost at the predictions (v, ln s) or (ln a, ln b), its gradient and Hessian, and the unit of the first.

    The gradient and the Hessian are in that unit.
    """
    cost = _vectorised(pair).cost
    s = np.exp(at[1])
    if pair.cost.of_error:
        unit, root = float(s), np.exp(at[1] / 2)
        terms = cost(at[0] - y, s, at[1], root, root, *pair.cost_values)
    else:
        unit = 1.0
        terms = cost(np.exp(at[0]), at[0], s, at[1], y, *pair.cost_values)
    value, first, second, twice, both, second_twice = (float(share @ (term + 0.0 * y)) for term in terms)
    slope = np.array([unit * first, second])
    return value, slope, np.array([[unit * unit * twice, unit * both], [unit * both, second_twice]]), unit


def _least_two(mean, at: NDArray, floor: float = -np.inf) -> NDArray:
    """Where a mean cost of two numbers is least: Newton's steps, by the absolute curvature, halved where they rise."""
    value, slope, bend, unit = mean(at)
    for _ in range(200):
        curves, axes = np.linalg.eigh(bend)
        curves = np.maximum(np.abs(curves), 1e-9 * max(float(np.abs(curves).max()), 1e-300))
        step = -axes @ ((axes.T @ slope) / curves)
        step *= min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-300))
        for _ in range(40):
            new = at + step * np.array([unit, 1.0])
            new[1] = max(new[1], floor)
            found = mean(new)
            if found[0] < value:
                break
            step = step / 2.0
        else:
            break
        at, (value, slope, bend, unit) = new, found
    return at


def _constant_row(pair: Pair, y: NDArray, weight: NDArray, kept: NDArray, classes: int | None) -> NDArray:
    if classes is not None and (isinstance(classes, bool) or not isinstance(classes, (int, np.integer))):
        raise InvalidType("classes", repr(classes), "a whole number")
    if np.issubdtype(y.dtype, np.integer) and y.ndim == 1:
        classes = classes or max(2, int(y[kept].max()) + 1)
        bad = kept & ((y < 0) | (y >= classes))
        if bad.any():
            index = int(np.argmax(bad))
            raise InvalidValue(f"y[{index}]", f"class {y[index]}", f"a class from 0 to {classes - 1}")
        share = np.bincount(y[kept], weights=weight[kept], minlength=classes) / weight.sum()
    elif np.issubdtype(y.dtype, np.floating) and y.ndim == 2 and pair.cost.elicits_mean:
        check_targets(pair, y, kept)
        check_distributions(y, kept)
        share = np.average(y[kept], axis=0, weights=weight[kept])
    else:
        raise InvalidValue("y", f"{y.dtype} of shape {y.shape}", f"class indices of shape (N,) for {pair}")
    if pair.closed and pair.closed.least:
        with np.errstate(all="ignore"):
            return np.asarray(pair.closed.least(share, np.count_nonzero(kept), *pair.values), np.float64)
    with np.errstate(all="ignore"):
        v = share if pair.cost.elicits_mean else _least_row(pair, share)
    v = np.where(v > 1e-12, v, 0.5 / (np.count_nonzero(kept) + 1.0))
    return np.log(v / v.sum())


def _least_row(pair: Pair, share: NDArray) -> NDArray:
    """The probabilities with the least expected cost, when class j is true a `share[j]` of the time.

    Σ_j h_j(v_j) with convex h_j is least under Σ v_j = 1 where all slopes are one number: it is found by bisection, and
    so is each v_j for a given slope.
    """
    cost, given = _vectorised(pair).cost, pair.cost_values

    def slope(v):
        return share * cost(v, np.ones_like(v), *given)[1] + (1.0 - share) * cost(v, np.zeros_like(v), *given)[1]

    def at(level):
        low, high = np.zeros_like(share), np.ones_like(share)
        for _ in range(60):
            middle = (low + high) / 2
            below = slope(middle) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return high

    ends = np.concatenate([slope(np.full_like(share, 1e-9)), slope(np.full_like(share, 1.0 - 1e-16))])
    bottom, top = float(ends.min()) - 1.0, float(ends.max()) + 1.0
    for _ in range(100):
        middle = (bottom + top) / 2
        bottom, top = (middle, top) if at(middle).sum() < 1.0 else (bottom, middle)
    below, above = at(bottom), at(top)  # apart where the slopes are flat, and there any mixture costs the same
    return below + (above - below) * (1.0 - below.sum()) / (above.sum() - below.sum())


def _root(slope, low: float, high: float) -> float:
    """Where an increasing function changes sign between low and high: the middle of the zeros, where there are many."""

    def edge(test) -> float:
        a, b = low, high
        for _ in range(100):
            middle = a + (b - a) / 2
            a, b = (middle, b) if test(slope(middle)) else (a, middle)
        return a + (b - a) / 2

    return (edge(lambda s: s < 0) + edge(lambda s: s <= 0)) / 2
