"""Values and predictions of pairs: targets, weights and reductions as `costlayer.evaluate` describes them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from costlayer import evaluate as front
from costlayer.catalogue import pair as as_pair
from costlayer.errors import InvalidType, InvalidValue, UnsupportedDerivative
from costlayer.jax import operations, rows
from costlayer.pair import UNIT, Pair


def value(
    pair: str | Pair,
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: front.Reduction = "mean",
    *,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    pos_weight: ArrayLike | None = None,
    empty: str = "zero",
) -> Array:
    """How wrong the predictions are, `ℓ(φ(z), y)`, differentiable by the scores as often as one likes.

    Arguments:
        pair: a pair or its name.
        z: raw scores, of a floating type; float16 and bfloat16 are computed in float32.
        y: targets; shapes as `costlayer.evaluate` says. Integers are class indices, floats probabilities.
        weight: per example, 0 or more; one of weight 0 is left out before any arithmetic.
        reduction: "mean", "sum", "none" or "weighted_mean".
        class_weight: one weight per class (two for a pair with yes-or-no targets).
        ignore_index: examples with this target are left out.
        label_smoothing: ε in [0, 1).
        pos_weight: how much the yes of yes-or-no targets counts, a number or one per score of an example.
        empty: what the mean of no examples is: "zero" (adds nothing to training) or "nan".

    Returns a number or, with "none", an array in the shape of the examples: of the type of `z`, float32 for 16 bits.
    The gradient has the type of `z`.

    Errors: `InvalidValue` or `InvalidType`, with the first offending index and value as long as `y` holds numbers; in a
    function that is being traced it does not, and what a wrong target belongs to becomes NaN, gradient and all.
    `UnsupportedDerivative` for a derivative by anything but `z`.

    >>> import jax, jax.numpy as jnp
    >>> z, y = jnp.array([[30.0, 0.0], [0.0, 0.0]]), jnp.array([0, 1])
    >>> loss, delta = jax.value_and_grad(lambda z: value("softmax+cross_entropy", z, y, reduction="sum"))(z)
    >>> round(float(loss), 4), [float(f"{d:.4g}") for d in delta[0]]
    (0.6931, [-9.358e-14, 9.358e-14])
    """
    pair = as_pair(pair)
    front.check_options(reduction, empty, label_smoothing, ignore_index)
    if empty == "error":
        raise InvalidValue("empty", "'error'", "'zero' or 'nan'", "A compiled function cannot raise an error.")
    given = {"weight": weight, "class_weight": class_weight, "pos_weight": pos_weight}
    given = {name: each for name, each in given.items() if each is not None}
    seen = {name: _numbers(name, each) for name, each in {"y": y, **given}.items()}  # before JAX narrows them
    z, y = _scores(z), jnp.asarray(y)
    axis, labelled = _kind(pair, z, y, label_smoothing)
    shape = z.shape if axis is None else z.shape[:axis] + z.shape[axis + 1 :]
    for name in given:
        _check_finite(name, seen[name], _computed(z.dtype))
    weights = {
        name: jnp.asarray(given[name]) if name in given else None for name in ("weight", "class_weight", "pos_weight")
    }
    classes = 2 if axis is None else z.shape[axis] + pair.activation.thresholds
    _check_weights(pair, shape, classes, label_smoothing, **weights)
    if pair.row and not labelled:
        _check_probabilities(pair, ignore_index, class_weight)
    if seen["y"] is not None and (weight is None or seen["weight"] is not None):
        _check_targets(pair, seen["y"], seen.get("weight"), axis, labelled, classes, ignore_index, _computed(z.dtype))
    _check_scores(pair, z, axis)
    if jnp.issubdtype(y.dtype, jnp.integer):
        y = y if y.dtype.itemsize >= 4 else y.astype(jnp.int32)  # which holds every class, and their number
        limits = jnp.iinfo(y.dtype)
        if ignore_index is not None and not limits.min <= ignore_index <= limits.max:
            ignore_index = None  # no label is that
    options = _Options(reduction, ignore_index, float(label_smoothing), empty)
    return _value(pair, options, axis, labelled, z, y, *weights.values())


def predict(pair: str | Pair, z: ArrayLike) -> Array:
    """The predictions `φ(z)`, in the shape and type of `z`, differentiable as often as one likes.

    >>> import jax.numpy as jnp
    >>> predict("softmax+cross_entropy", jnp.zeros((1, 4)))
    Array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    pair, z = as_pair(pair), _scores(z)
    axis = front.score_axis(pair, z) if pair.two else front.class_axis(pair, z) if pair.row else None  # type: ignore
    return _predict(pair, axis, z)


class _Options(NamedTuple):
    """What a compiled function is made for, beside the pair."""

    reduction: str
    ignore_index: int | None
    label_smoothing: float
    empty: str


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _value(
    pair: Pair,
    options: _Options,
    axis: int | None,
    labelled: bool,
    z: Array,
    y: Array,
    weight: Array | None,
    class_weight: Array | None,
    pos_weight: Array | None,
) -> Array:
    """`value` of what is checked, in the order of `costlayer.evaluate`."""
    smooth = options.label_smoothing
    z = z.astype(_computed(z.dtype))
    z = z if axis is None else jnp.moveaxis(z, axis, -1)
    shape = z.shape if axis is None else z.shape[:-1]
    y, weight, class_weight, pos_weight = (  # type: ignore
        None if each is None else _constant(name, each)
        for name, each in (("y", y), ("weight", weight), ("class_weight", class_weight), ("pos_weight", pos_weight))
    )
    present = None if options.ignore_index is None else y != options.ignore_index
    own = None
    if weight is not None:
        own = jnp.broadcast_to(weight.astype(z.dtype).reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)
    kept, came = _both(present, None if own is None else own != 0), y
    if pair.row and not labelled:
        y = jnp.moveaxis(y, axis, -1)  # type: ignore
    if kept is not None:
        allowed = 0 if labelled else next(each for each in (0, 1, 0.5) if each in pair.target)
        y = jnp.where(kept if y.shape == shape else kept[..., None], y, allowed)
    counted = None
    if not labelled:
        y = y.astype(z.dtype)
        if pair.target.ends_only:
            y = jnp.where(y == 0.0, -1.0, y)
        low, high = pair.target.bounds(z.dtype)
        good = (y == low) | (y == high) if pair.target.ends_only else (y >= low) & (y <= high)
        y = jnp.where(good, y, operations.nan(y))  # so that it shows in a compiled function too
    by_term = pair.row and class_weight is not None and pair.cost.name == "cross_entropy" and (smooth or not labelled)
    if class_weight is not None:
        by_class = class_weight.astype(z.dtype)  # of examples of weight 0 too, by which a mean divides
        if labelled:
            found, right = by_class[jnp.clip(came, 0, len(by_class) - 1)], (came >= 0) & (came < len(by_class))
            counted = jnp.where(right, found, 1.0)
        elif not pair.row:
            came = came.astype(z.dtype)
            found, right = by_class[0] + (by_class[1] - by_class[0]) * came, (came >= 0) & (came <= 1)
            counted = jnp.where(right, found, 1.0)
        if counted is not None and not by_term:
            kept = _both(kept, (counted != 0) | jnp.isnan(counted))
    if smooth:
        if labelled:
            right = (y >= 0) & (y < z.shape[-1])
            shares = operations.at(y, z.shape[-1]).astype(z.dtype)
            y, labelled = jnp.where(right[..., None], shares, operations.nan(shares)), False
        y = y * (1.0 - smooth) + smooth / (z.shape[-1] if pair.row else 2)
    parts = None
    if pos_weight is not None:  # as costlayer.evaluate does it
        yes = jnp.broadcast_to(pos_weight.astype(z.dtype), shape)
        parts = yes * y + (1.0 - y)
        y = jnp.where((y > 0.0) & (y < 1.0) & (parts > 0.0), yes * y / jnp.where(parts > 0.0, parts, 1.0), y)
        kept = _both(kept, parts != 0.0)
    if by_term:
        y = y * class_weight.astype(z.dtype)  # type: ignore
    if kept is not None:
        z = jnp.where(kept if axis is None else kept[..., None], z, 0.0)  # nothing of what is left out
    values = _costs(pair, z, y, labelled)
    for factor in (own, None if by_term else counted, parts):
        values = values if factor is None else values * factor
    values = values if kept is None else jnp.where(kept, values, 0.0)
    if options.reduction == "none":
        return values
    if options.reduction == "sum":
        return values.sum()
    share = counted
    if options.reduction == "weighted_mean" and own is not None:
        share = own if share is None else share * own
    if share is None and present is None:
        count = jnp.asarray(math.prod(shape), z.dtype)
    else:
        share = jnp.ones(shape, z.dtype) if share is None else share
        count = (share if present is None else jnp.where(present, share, 0.0)).sum()
    mean = values.sum() / jnp.where(count == 0.0, 1.0, count)
    return jnp.where(count == 0.0, jnp.nan, mean) if options.empty == "nan" else mean


def _costs(pair: Pair, z: Array, y: Array, labelled: bool) -> Array:
    """The cost of each example, where the classes or the two scores of one lie along the last axis."""
    if pair.two:
        return operations.two_scores(pair)(z[..., 0], z[..., 1], y)
    if not pair.row:
        return operations.pointwise(pair)(z, y)
    kind = rows if pair.written else operations
    return kind.of_label(pair, z, y) if labelled else kind.of_shares(pair, z, y)


@partial(jax.jit, static_argnums=(0, 1))
def _predict(pair: Pair, axis: int | None, z: Array) -> Array:
    wide = z.astype(_computed(z.dtype))
    if axis is None:
        return operations.activated(operations.program(pair).activation, pair.activation_values)(wide).astype(z.dtype)
    wide = jnp.moveaxis(wide, axis, -1)
    if pair.two:
        formulas = operations.program(pair)
        both = [operations.activated(of)(wide[..., k]) for k, of in enumerate((formulas.first, formulas.second))]
        v = jnp.stack(both, -1)
    else:
        v = rows.predict(pair, wide) if pair.written else operations.softmax(wide)
    return jnp.moveaxis(v, -1, axis).astype(z.dtype)


def _both(a: Array | None, b: Array | None) -> Array | None:
    return b if a is None else a if b is None else a & b


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _constant(name: str, given: Array) -> Array:
    """What has no derivative here: one that is asked for is refused, not answered with 0."""
    return given


@partial(_constant.defjvp, symbolic_zeros=True)
def _(name, given, moved):
    if not isinstance(moved[0], jax.custom_derivatives.SymbolicZero):
        raise UnsupportedDerivative(
            name,
            f"a derivative by {name}",
            "one by z alone",
            f"Take {name} as a constant: jax.lax.stop_gradient({name}).",
        )
    return given[0], moved[0]


# --------------------------------------------------------------------------------------------- what is looked at


def _scores(z: ArrayLike) -> Array:
    z = jnp.asarray(z)
    if not jnp.issubdtype(z.dtype, jnp.floating):
        raise InvalidType("z", f"an array of {z.dtype}", "floating-point scores", "Convert it: z.astype(jnp.float32).")
    return z


def _computed(dtype: np.dtype) -> np.dtype:
    """The type that scores are computed in, whatever rules of promotion are set."""
    return dtype if dtype.itemsize >= 4 else np.dtype(np.float32)


def _check_finite(name: str, seen: np.ndarray | None, computed: np.dtype) -> None:
    """Refuse the first weight that is none."""
    if seen is None:
        return
    with np.errstate(over="ignore"):  # what is beyond the type is infinite in it
        good = (seen >= 0) & (seen.astype(computed) < np.inf)
    if not good.all():
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InvalidValue(_at(name, index), f"{seen[index]}", f"a finite {computed} of at least 0")


def _numbers(name: str, given: ArrayLike) -> np.ndarray | None:
    """What an argument holds; None while it is being traced, and of an array that is spread over several hosts."""
    if isinstance(given, Tracer) or (isinstance(given, Array) and not given.is_fully_addressable):
        return None
    try:
        found = np.asarray(given)
    except jax.errors.TracerArrayConversionError:  # a list with one in it
        return None
    if found.dtype.kind in "biuf":
        return found
    for kind, plain in ((jnp.floating, np.float32), (jnp.integer, np.int32)):  # bfloat16 and int4 are none of NumPy's
        if jnp.issubdtype(found.dtype, kind):
            return found.astype(plain)
    raise InvalidType(name, f"an array of {found.dtype}", "an array of real numbers")


def _at(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _kind(pair: Pair, z: Array, y: Array, smooth: float) -> tuple[int | None, bool]:
    """The axis of the classes or of two scores, and whether targets are class indices."""
    axis = front.score_axis(pair, z) if pair.two else front.class_axis(pair, z) if pair.row else None  # type: ignore
    labelled = pair.row and jnp.issubdtype(y.dtype, jnp.integer)
    if pair.row and not labelled and not jnp.issubdtype(y.dtype, jnp.floating):
        raise InvalidType("y", f"an array of {y.dtype}", "integers (class indices) or floats (probabilities)")
    if pair.row:
        front.check_labels(pair, not labelled, smooth)
    shape = z.shape if axis is None else z.shape[:axis] + z.shape[axis + 1 :]
    expected = shape if labelled or pair.two else z.shape
    if y.shape != expected:
        fix = "Reshape one of them: they are never broadcast." if y.size == math.prod(expected) else ""
        if pair.row and not labelled and y.shape == shape:
            fix = "Class indices must be integers: y.astype(int)."
        elif labelled and y.shape == z.shape:
            fix = "Integers are class indices; convert probabilities to floats."
        raise InvalidValue("y", f"shape {y.shape} for scores of shape {z.shape}", f"shape {expected}", fix)
    return axis, bool(labelled)


def _check_weights(
    pair: Pair,
    shape: tuple[int, ...],
    classes: int,
    smooth: float,
    weight: Array | None,
    class_weight: Array | None,
    pos_weight: Array | None,
) -> None:
    for name, given in (("class_weight", class_weight is not None), ("label_smoothing", smooth)):
        if given and not pair.row and pair.target != UNIT:
            raise front.no_classes(pair, name)
    if weight is not None and weight.shape != shape[: weight.ndim]:
        raise InvalidValue("weight", f"shape {weight.shape}", f"one weight per example: {shape} or its leading axes")
    if class_weight is not None and class_weight.shape != (classes,):
        raise InvalidValue("class_weight", f"shape {class_weight.shape}", f"{classes} numbers, one per class")
    if pos_weight is not None:
        front.positive_weights(pair, np.ones(pos_weight.shape), shape, np.dtype(float))


def _check_probabilities(pair: Pair, ignore_index: int | None, class_weight: Any) -> None:
    by_term = pair.cost.name == "cross_entropy"
    for name, given in (
        ("ignore_index", ignore_index is not None),
        ("class_weight", class_weight is not None and not by_term),
    ):
        if given:
            raise InvalidValue(name, f"one for {pair} with probability targets", "class indices", "Use weight=.")


def _check_targets(
    pair: Pair,
    seen: np.ndarray,
    weight: np.ndarray | None,
    axis: int | None,
    labelled: bool,
    classes: int,
    ignore_index: int | None,
    computed: np.dtype,
) -> None:
    """Refuse the first target that is none."""
    kept = np.ones(seen.shape, bool) if ignore_index is None else seen != ignore_index
    if weight is not None:
        rows_of = np.moveaxis(kept, axis, -1) if pair.row and not labelled else kept  # type: ignore
        rows_of &= weight.reshape(weight.shape + (1,) * (rows_of.ndim - weight.ndim)) != 0
    if labelled:
        bad = kept & ((seen < 0) | (seen >= classes))
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            fix = f"To leave such examples out, pass ignore_index={seen[index]}." if seen[index] < 0 else ""
            raise InvalidValue(_at("y", index), f"class {seen[index]}", f"a class from 0 to {classes - 1}", fix)
        return
    with np.errstate(over="ignore"):  # what is beyond the type is infinite in it, and no target
        seen = seen.astype(computed)
    allowed = next(each for each in (0, 1, 0.5) if each in pair.target)
    right = np.where(kept, np.where(seen == 0, -1, seen) if pair.target.ends_only else seen, allowed)
    front.check_targets(pair, right, np.ones(right.shape[:1], bool))
    if pair.row:
        together = np.moveaxis(seen, axis, -1).reshape(-1, classes)  # type: ignore
        front.check_distributions(together, np.moveaxis(kept, axis, -1).reshape(-1, classes)[:, 0])  # type: ignore


def _check_scores(pair: Pair, z: Array, axis: int | None) -> None:
    """Refuse what a softmax has already made shares of: the cost would take them for scores, and hardly learn."""
    if pair.activation.name != "softmax" or axis is None or (seen := _numbers("z", z)) is None:
        return
    if front.are_shares(np.moveaxis(seen, axis, -1), room=front.room_of_shares(z.dtype.itemsize)):
        raise InvalidValue(
            "z",
            "rows that add up to 1, as probabilities do",
            f"scores: {pair} applies its own softmax",
            "Pass what goes into the softmax, or jnp.log(probabilities).",
        )
