"""From arrays as users have them to the loops of the engine and back: one place for all fronts.

Shapes, here and in `costlayer.torch`:
- pointwise pairs: `z` and `y` of one shape; every element is an example.
- row pairs (softmax): `z` of shape (K,), (N, K) or (N, K, d1, ...), the K classes along axis 1 (0 if it is the only
  one); `y` of integers holds class indices, in the shape of `z` without that axis; `y` of floats holds probabilities,
  in the shape of `z`. The value of an example is that of its whole row. K classes in order (ordinal, conditional) have
  K − 1 scores, and class indices from 0 to K − 1; these and the multiclass hinges take no probabilities.
- pairs of two scores per target (a location and its spread, or two shapes): `z` of shape (2,), (N, 2) or
  (N, 2, d1, ...), the two scores along axis 1 (0 if it is the only one); `y` in the shape of `z` without that axis. The
  value of an example is that of its two scores; δ and curvature, the diagonal, have the shape of `z`.

The scores of classes (softmax) may be altered before the cost sees them, in this order: `softcap` c gives c tanh(z/c),
`temperature` T divides by T, `logit_adjustment` adds one number per class, such as τ times its log prior, or −∞ for a
class that may not be predicted (a softcap makes −c of a score of −∞). `z_loss` λ adds λ (logsumexp)² of what the cost
then sees to each example's value, and is weighted as that is. δ and curvature are by z as it came. Predictions know
softcap and temperature only: the other two are for training. This is worked out beside the loop, in float64, some rows
at a time.

Weights, ignored targets, smoothing and reduction mean, in the order in which they apply:
1. `ignore_index`: examples whose target is this number are left out before any arithmetic.
2. `label_smoothing` ε: the target becomes (1 − ε) y + ε / K; with yes-or-no targets (1 − ε) y + ε / 2.
3. `pos_weight`: of a yes-or-no target y the part y counts so many times, in z's shape or one per score of an example
   (trailing axes, as in torch): under cross_entropy pos_weight · y ln v + (1 − y) ln (1 − v). No mean divides by it.
4. `class_weight`: an example counts as often as the weight of its class. With softmax+cross_entropy and smoothed or
   probability targets each class's term has its own weight, as in torch.
5. `weight`: per example, in the shape of the examples or of their leading axes. An example of weight 0 is left out
   before any arithmetic, so that NaN or infinity in it can do no harm; so a boolean mask is a weight.
6. `reduction`: "none" gives weighted values in the shape of the examples, "sum" adds them, "mean" divides the sum by
   what torch divides by (the number of examples not ignored; with class weights and class targets the sum of the class
   weights of those), "weighted_mean" divides it by the sum of all weights. δ is the gradient of what is returned, and
   for "none" of the sum.

Memory: beside what is returned, every call takes no more than a few MiB for each thread. Weights, ignored targets,
smoothing and the like are worked out for some examples at a time, where they are needed. What is not contiguous is
copied first, with the classes along the last axis; so are scores of float16 and integers, in the type that they are
computed in. Tensors of float16 and bfloat16 that are computed by way of float32 tensors take as much as those.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import numpy as np

from costlayer.engines import cpu, kernels
from costlayer.errors import CostLayerError, InvalidType, InvalidValue, nearest
from costlayer.pair import UNIT, Pair
from costlayer.scores import Alteration, Options, alteration, check_classes, z_loss_terms

if TYPE_CHECKING:  # a tenth of the time to import costlayer
    from numpy.typing import ArrayLike, NDArray

Reduction = Literal["mean", "sum", "none", "weighted_mean"]
REDUCTIONS = ("mean", "sum", "none", "weighted_mean")
EMPTY = ("error", "zero", "nan")
NARROW = 128  # classes up to which rows are worked on together


def check_options(reduction: str, empty: str, label_smoothing: float, ignore_index: int | None) -> None:
    """Refuse an option that is none, with what was expected."""
    if reduction not in REDUCTIONS:
        raise InvalidValue(
            "reduction", repr(reduction), "one of " + ", ".join(REDUCTIONS), nearest(reduction, REDUCTIONS)
        )
    if empty not in EMPTY:
        raise InvalidValue("empty", repr(empty), "one of " + ", ".join(EMPTY), nearest(empty, EMPTY))
    if isinstance(label_smoothing, bool) or not isinstance(label_smoothing, (int, float, np.number)):
        raise InvalidValue("label_smoothing", repr(label_smoothing), "a number in [0, 1)")
    if not 0.0 <= label_smoothing < 1.0:
        raise InvalidValue("label_smoothing", repr(label_smoothing), "a number in [0, 1)")
    if ignore_index is not None and (isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer))):
        raise InvalidType("ignore_index", repr(ignore_index), "a whole number")


@dataclass(frozen=True)
class Evaluation:
    """The reduced value, δ and curvature (None if not asked for), and what the sum was divided by."""

    value: Any
    delta: Any
    curvature: Any
    denominator: float


def evaluate(
    pair: Pair,
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    pos_weight: ArrayLike | None = None,
    empty: str = "error",
    delta: bool = True,
    curvature: bool = False,
    threads: int | None = None,
    half: str | None = None,
    apart: bool = False,
    into: NDArray | None = None,
    **options: Unpack[Options],
) -> Evaluation:
    """Everything that the fronts offer, in one place; the module's docstring says what each argument does.

    `empty` says what the mean of no examples is: an "error", "zero", or "nan". `half`: the scores are the bits of
    "bfloat16" or "float16", as uint16, and so is δ; for pairs with a margin and class indices alone, and without the
    options, which are those on the scores of classes: `temperature`, `softcap`, `logit_adjustment` and `z_loss`.

    For a part of a batch: `apart` leaves the division to whoever adds up the parts. Value and δ are then those of the
    sum, and the denominator is what `reduction` would divide it by. `into` is where δ is written: a C-ordered array
    like z or, where `in_place` says so, z itself.
    """
    check_options(reduction, empty, label_smoothing, ignore_index)
    altered = alteration(pair, **options)
    z = scores(z) if half is None else np.asarray(z)
    real = z.dtype if half is None else np.dtype(np.float32)
    given = pair, z, real, as_array("y", y), weight, class_weight, ignore_index, label_smoothing, pos_weight
    kinds = (pair.written, _WrittenProblem), (pair.row, _RowProblem), (pair.two, _TwoScoreProblem)
    kind = next((problem for holds, problem in kinds if holds), _PointwiseProblem)
    problem = kind(*given).if_few()
    divisor = 1.0
    if reduction == "mean":
        divisor = problem.count()
    elif reduction == "weighted_mean":
        divisor = problem.total_weight()
    if apart:
        divisor, denominator = 1.0, divisor
    else:
        denominator = divisor
    if divisor == 0.0 and empty == "error":
        raise InvalidValue(
            "y",
            f"no examples to average ({z.shape} scores, all of them ignored or of weight 0)"
            if z.size
            else "no examples",
            "at least one",
            "Use reduction='sum' where a batch may be empty.",
        )
    scale = real.type(1.0 / divisor if divisor else 0.0)
    outputs = {
        "value": np.empty(problem.examples, real) if reduction == "none" else None,
        "delta": (np.empty(problem.z.shape, z.dtype) if into is None else into.reshape(problem.z.shape))
        if delta
        else None,
        "curvature": np.empty(problem.z.shape, real) if curvature else None,
    }
    if altered is not None and isinstance(problem, _RowProblem):  # softmax pairs have rows
        total, bad = _run_altered(problem, altered, 1.0 / divisor if divisor else 0.0, outputs, threads)
    else:
        total, bad = problem.run(half or real.name, scale, outputs, threads)
    if bad >= 0:
        raise problem.refuse(bad)
    if reduction == "none":
        result = outputs["value"].reshape(problem.example_shape)
    elif divisor == 0.0:
        result = np.float64(np.nan if empty == "nan" else 0.0)
    else:
        result = np.float64(total) / divisor
    slope, curve = (
        None if (found := outputs[name]) is None else problem.restore(found) for name in ("delta", "curvature")
    )
    return Evaluation(result, slope, curve, denominator)


def in_place(pair: Pair, labelled: bool, label_smoothing: float, altered: bool) -> bool:
    """Whether the loop has read all of a row's scores before it writes the row's δ, so that one may replace the other:
    costs that go by the margin of a class."""
    return bool(pair.closed and pair.closed.margin) and labelled and not label_smoothing and not altered


class _Problem(ABC):
    """Scores, targets and weights made flat and checked.

    What the options make of targets and weights would take as much memory as these, or more. So it is worked out where
    it is needed, for a part of the examples at a time, unless these are few: a `part` is ready for the loop.
    """

    ready: bool = False

    pair: Pair
    z: NDArray
    real: np.dtype  # what is computed with: the type of z, unless that holds the bits of halves
    width: int  # scores of an example
    examples: int
    example_shape: tuple[int, ...]
    original: NDArray  # the targets as they came,
    label: Any = None  # and flat: classes,
    y: Any = None  # or numbers, or the probabilities of classes; the other is None
    own: NDArray | None  # the weights as they came, flat,
    inner: int  # each for so many examples in a row
    ignored: int | None  # the target of examples that are left out
    by_class: NDArray | None = None  # what an example counts by its class
    kept: NDArray | None = None  # which examples are not ignored; None: all
    weight: NDArray | None = None  # what the loop multiplies an example by, 0 if it is ignored
    total: NDArray | None = None  # all that an example is multiplied by
    counted: NDArray | None = None  # the class weights of the examples, by which a mean divides

    def __init__(
        self,
        pair: Pair,
        real: np.dtype,
        width: int,
        example_shape: tuple[int, ...],
        weight: ArrayLike | None,
        ignored: int | None,
    ) -> None:
        self.pair, self.real, self.width, self.ignored = pair, real, width, ignored
        self.example_shape, self.examples = example_shape, math.prod(example_shape)
        self.own, self.inner = None, 1
        if weight is not None:
            given = checked_weights(weight, example_shape, real)
            self.own, self.inner = given.reshape(-1), math.prod(example_shape[given.ndim :])

    @abstractmethod
    def prepared(self, rows: slice) -> Self:
        """Some of the examples, with their targets and weights as the loop takes them."""

    def copied(self) -> Self:
        """As `copy.copy` does it, which takes as long as a small batch."""
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    @property
    def as_it_is(self) -> bool:
        """Whether there is nothing to prepare."""
        return self.own is None and self.ignored is None and self.by_class is None

    def part(self, rows: slice) -> Self:
        """Some of the examples as `prepared` has them."""
        if not self.ready:
            return self.prepared(rows)
        if rows == slice(0, self.examples):
            return self
        part = self.copied()
        part.examples = rows.stop - rows.start
        for name in ("z", "label", "y", "kept", "weight", "total", "counted"):
            if (whole := getattr(self, name)) is not None:
                setattr(part, name, whole[rows])
        return part

    def if_few(self) -> Self:
        """Prepared at once where that takes little memory."""
        few = self.examples <= cpu.BLOCK or self.width > NARROW or self.as_it_is
        return self.prepared(slice(0, self.examples)) if few else self

    @abstractmethod
    def run(
        self, storage: str, scale: Any, outputs: dict[str, NDArray | None], threads: int | None
    ) -> tuple[float, int]:
        """The sum of the weighted values and the first example whose target is wrong, or −1."""

    @abstractmethod
    def refuse(self, bad: int) -> CostLayerError:
        """Why an example's target is refused."""

    @abstractmethod
    def restore(self, array: NDArray) -> NDArray:
        """An array of the flat scores in the shape of the scores as they came."""

    def index(self, example: int) -> tuple[int, ...]:
        """Where a flat example stands among those that came."""
        return tuple(map(int, np.unravel_index(example, self.example_shape)))

    def count(self) -> float:
        """What torch divides a mean by: the examples not ignored, or the class weights of those."""
        if self.ignored is None and self.by_class is None:
            return float(self.examples)
        if not self.ready:
            return math.fsum(part.count() for part in map(self.part, self.slices()))
        if self.counted is not None:
            return float(self.counted.sum(dtype=np.float64, where=True if self.kept is None else self.kept))
        return float(self.examples if self.kept is None else np.count_nonzero(self.kept))

    def total_weight(self) -> float:
        """The sum of all weights."""
        if not self.ready:
            return math.fsum(part.total_weight() for part in map(self.part, self.slices()))
        return float(self.examples if self.total is None else self.total.sum(dtype=np.float64))

    def slices(self) -> Iterator[slice]:
        """Of examples, parts as they stay in a cache."""
        step = max(1, cpu.BLOCK // self.width)
        return (slice(start, min(start + step, self.examples)) for start in range(0, self.examples, step))

    def beginning(self, rows: slice, y: NDArray) -> Self:
        """A part without its weights."""
        part = self.copied()
        part.z, part.examples, part.ready = self.z[rows], rows.stop - rows.start, True
        part.kept = None if self.ignored is None else y != self.ignored
        return part

    def gather(self, rows: slice, by_term: bool = False, uncounted: NDArray | None = None) -> None:
        """Combine in a part the weights of the examples, of their classes, and 0 for the ignored; and such as no mean
        divides by.

        With `by_term` each term of an example has the weight of its own class, and the loop multiplies by that.
        """
        own = self.given(rows)
        if self.kept is not None:
            own = self.kept.astype(self.real) if own is None else np.where(self.kept, own, self.real.type(0))
        both = own if self.counted is None else self.counted if own is None else own * self.counted
        self.total = both
        given = own if by_term else both
        if uncounted is not None:
            given = uncounted if given is None else np.where(given == 0, 0, given * uncounted)
        self.weight = None if given is None else np.ascontiguousarray(given, self.real)

    def given(self, rows: slice) -> NDArray | None:
        """The weights that some examples came with."""
        return None if self.own is None else np.asarray(_shared(self.own, self.inner, rows), self.real)


def _held(y: NDArray, real: np.dtype) -> NDArray:
    """Targets in the type of the scores; one too large for that becomes ∞, and is refused."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(y, real)


def _unless_wrong(counted: NDArray, right: NDArray) -> NDArray:
    """What examples count by their class, and 1 if they are of none: 0 would hide that from the loop."""
    return counted if right.all() else np.where(right, counted, counted.dtype.type(1))


def _shared(numbers: NDArray, inner: int, rows: slice) -> NDArray:
    """One number for each of some flat examples, of which `inner` in a row share one, and which begin again where there
    are no more."""
    if numbers.size == 1:
        return np.broadcast_to(numbers, rows.stop - rows.start)
    if inner == 1 and rows.stop <= numbers.size:
        return numbers[rows]
    return numbers[np.arange(rows.start, rows.stop) // inner % numbers.size]


class _PointwiseProblem(_Problem):
    def __init__(self, pair, z, real, y, weight, class_weight, ignore_index, label_smoothing, pos_weight):
        numbers(y, "y")
        if y.shape != z.shape:
            hint = "Reshape one of them: they are never broadcast." if y.size == z.size else ""
            raise InvalidValue("y", f"shape {y.shape} for scores of shape {z.shape}", "targets in the shape of z", hint)
        super().__init__(pair, real, 1, z.shape, weight, ignore_index)
        self.z, self.original, self.y = np.ascontiguousarray(z).reshape(-1), y, y.reshape(-1)
        self.smoothing, self.pos_weight = label_smoothing, None
        for name, given in (("class_weight", class_weight is not None), ("label_smoothing", label_smoothing)):
            if given and pair.target != UNIT:
                raise no_classes(pair, name)
        if class_weight is not None:
            self.by_class = class_weights(class_weight, 2, real)
        if pos_weight is not None:
            self.pos_weight = positive_weights(pair, pos_weight, z.shape, real).reshape(-1)

    @property
    def as_it_is(self):
        changed = self.pair.target.ends_only or self.smoothing or self.pos_weight is not None
        return super().as_it_is and self.y.dtype == self.real and not changed

    def prepared(self, rows):
        y, parts = self.y[rows], None
        part = self.beginning(rows, y)
        y = _held(y, self.real)
        if self.pair.target.ends_only:  # 0 and 1 for the two classes, as others write them
            y = np.where(y == 0, -1, y)
        if self.by_class is not None or self.smoothing or self.pos_weight is not None:
            right = (y >= 0) & (y <= 1)  # the loop refuses the others, as they came
            if self.by_class is not None:
                no, yes = self.by_class
                part.counted = _unless_wrong(no + (yes - no) * y, right)
            if self.smoothing:
                y = np.where(right, y * (1 - self.smoothing) + self.smoothing / 2, y).astype(self.real)
            if self.pos_weight is not None:
                yes = _shared(self.pos_weight, 1, rows)
                parts = np.where(right, yes * y + (1 - y), 1)  # w y a + (1 − y) b = parts (y' a + (1 − y') b)
                y = np.where((y > 0) & (y < 1) & (parts > 0), yes * y / np.where(parts > 0, parts, 1), y)
        part.y = y
        part.gather(rows, uncounted=parts)
        return part

    def run(self, storage, scale, outputs, threads):
        low, high = self.pair.target.bounds(self.real)
        single, ends_only = outputs["curvature"] is None, self.pair.target.ends_only
        weighted = any(given is not None for given in (self.own, self.ignored, self.by_class, self.pos_weight))
        plain = single and outputs["value"] is None and not weighted
        ones = np.ones(min(kernels.SPAN, self.examples), self.real)

        def arguments(start: int, stop: int) -> tuple:
            part = self.part(slice(start, stop))
            found = {name: None if given is None else given[start:stop] for name, given in outputs.items()}
            weight = part.weight
            if not plain:  # one way to compile all that is not training: nothing is missing, but for curvature
                weight = ones if weight is None else weight
                for name in ("value", "delta") if single else found:
                    found[name] = np.empty_like(part.z) if found[name] is None else found[name]
            return part.z, part.y, weight, scale, low, high, ends_only, *found.values()

        given = arguments(0, self.examples) if self.ready and plain else arguments
        return cpu.run(self.pair, "pointwise", storage, self.examples, 1, given, self.pair.values, threads, single)

    def refuse(self, bad):
        return _bad_target(self.pair, self.original, self.index(bad), self.real)

    def restore(self, array):
        return array.reshape(self.example_shape)


class _TwoScoreProblem(_Problem):
    def __init__(self, pair, z, real, y, weight, class_weight, ignore_index, label_smoothing, pos_weight):
        numbers(y, "y")
        if pos_weight is not None:
            raise _no_pos_weight(pair)
        for name, given in (("class_weight", class_weight is not None), ("label_smoothing", label_smoothing)):
            if given:
                raise no_classes(pair, name)
        self.axis = score_axis(pair, z)
        shape = z.shape[: self.axis] + z.shape[self.axis + 1 :]
        if y.shape != shape:
            raise InvalidValue(
                "y",
                f"shape {y.shape} for scores of shape {z.shape}",
                f"one target for every two scores: shape {shape}",
                "Reshape y: it is never broadcast." if 2 * y.size == z.size else "",
            )
        super().__init__(pair, real, 2, shape, weight, ignore_index)
        rows = np.moveaxis(z, self.axis, -1)
        self.row_shape, self.z = rows.shape, np.ascontiguousarray(rows).reshape(-1, 2)
        self.original, self.y = y, y.reshape(-1)

    @property
    def as_it_is(self):
        return super().as_it_is and self.y.dtype == self.real

    def prepared(self, rows):
        y = self.y[rows]
        part = self.beginning(rows, y)
        part.y = _held(y, self.real)
        part.gather(rows)
        return part

    def run(self, storage, scale, outputs, threads):
        low, high = self.pair.target.bounds(self.real)
        value, delta, curvature = outputs.values()
        ones = np.ones(min(kernels.SPAN, self.examples), self.real)

        def arguments(start: int, stop: int) -> tuple:
            rows = slice(start, stop)
            part = self.part(rows)
            # what has a number for each example is always there: few ways to compile
            return (
                part.z.reshape(-1),
                part.y,
                ones if part.weight is None else part.weight,
                scale,
                low,
                high,
                np.empty_like(part.y) if value is None else value[rows],
                (np.empty_like(part.z) if delta is None else delta[rows]).reshape(-1),
                None if curvature is None else curvature[rows].reshape(-1),
            )

        return cpu.run(self.pair, "two_scores", storage, self.examples, 2, arguments, self.pair.values, threads)

    def refuse(self, bad):
        return _bad_target(self.pair, self.original, self.index(bad), self.real)

    def restore(self, array):
        return np.moveaxis(array.reshape(self.row_shape), -1, self.axis)


class _RowProblem(_Problem):
    term_weights: NDArray | None = None

    def __init__(self, pair, z, real, y, weight, class_weight, ignore_index, label_smoothing, pos_weight):
        if pos_weight is not None:
            raise _no_pos_weight(pair)
        self.axis = class_axis(pair, z)
        rows = np.moveaxis(z, self.axis, -1)
        super().__init__(pair, real, rows.shape[-1], rows.shape[:-1], weight, ignore_index)
        self.row_shape, self.z = rows.shape, np.ascontiguousarray(rows).reshape(self.examples, self.width)
        self.original, self.classes = y, self.width + pair.activation.thresholds
        self.smoothing, self.off = label_smoothing, label_smoothing / self.classes
        self.on = 1.0 - label_smoothing + self.off
        by_class = None if class_weight is None else class_weights(class_weight, self.classes, real)
        by_term = pair.cost.name == "cross_entropy"
        if np.issubdtype(y.dtype, np.integer):
            if y.shape != self.example_shape:
                fix = "Integers are class indices; convert probabilities to floats." if y.shape == z.shape else ""
                raise InvalidValue(
                    "y",
                    f"class indices of shape {y.shape} for scores of shape {z.shape}",
                    f"shape {self.example_shape}",
                    fix,
                )
            self.label, self.by_class = y.reshape(-1), by_class
        elif np.issubdtype(y.dtype, np.floating):
            self._probabilities(z, y, by_class is not None and not by_term, ignore_index)
        else:
            raise InvalidType("y", f"{y.dtype}", "integers (class indices) or floats (probabilities)")
        if by_term and (self.y is not None or label_smoothing):
            self.term_weights = by_class  # each term has its own, so the row has none

    def _probabilities(self, z, y, weighted, ignore_index):
        if y.shape != z.shape:
            fix = "Class indices must be integers: y.astype(int)." if y.shape == self.example_shape else ""
            raise InvalidValue(
                "y", f"probabilities of shape {y.shape} for scores of shape {z.shape}", "the shape of z", fix
            )
        if ignore_index is not None:
            raise InvalidValue(
                "ignore_index",
                f"{ignore_index} with probability targets",
                "class indices",
                "Use weight=0 to leave rows out.",
            )
        if weighted:
            raise InvalidValue(
                "class_weight",
                f"one for {self.pair} with probability targets",
                "class indices",
                "Use weight=, one per example.",
            )
        self.y = np.moveaxis(y, self.axis, -1).reshape(self.z.shape)

    @property
    def as_it_is(self):
        return super().as_it_is and (self.label is None or self.label.dtype == np.int64)

    def prepared(self, rows):
        if self.label is None:
            part = self.beginning(rows, self.y)
            part.y = self.y[rows]  # made what the loop takes by `targets` alone
        else:
            label = self.label[rows]
            part = self.beginning(rows, label)
            if label.dtype == np.uint64:
                label = np.minimum(label, np.uint64(np.iinfo(np.int64).max))
            part.label = label = np.ascontiguousarray(label, np.int64)
            if self.by_class is not None:
                right = (label >= 0) & (label < self.classes)
                part.counted = _unless_wrong(self.by_class[np.where(right, label, 0)], right)
        part.gather(rows, by_term=self.term_weights is not None)
        return part

    def in_double(self) -> _RowProblem:
        """A part in float64."""
        part = self.copied()
        part.real = np.dtype(np.float64)
        for name in ("z", "weight", "total", "term_weights"):
            if (given := getattr(self, name)) is not None:
                setattr(part, name, given.astype(np.float64))
        return part

    def targets(self) -> NDArray | None:
        """The probabilities of a part, smoothed."""
        if self.y is None:
            return None
        y = np.ascontiguousarray(self.y, self.real)
        return y * self.real.type(1 - self.smoothing) + self.real.type(self.off) if self.smoothing else y

    def run(self, storage, scale, outputs, threads):
        pair, real, (low, high) = self.pair, self.real.type, self.pair.target.bounds(self.real)
        low, high = max(low, real(0)), min(high, real(1))
        margin = self.label is not None and self.off == 0.0 and pair.closed and pair.closed.margin
        straight = margin and outputs["curvature"] is None
        # float64 has no digits to spare for the difference of a share and a target
        soft = pair.cost.name == "cross_entropy" and real is np.float32 and outputs["curvature"] is None
        loop = "margin_rows" if margin else "soft_rows" if soft else "softmax_rows"
        loop = margin_loop(self.width) if straight else loop
        terms = np.ones(self.classes, real) if self.term_weights is None else self.term_weights

        def arguments(start: int, stop: int) -> tuple:
            rows = slice(start, stop)
            part = self.part(rows)
            value, delta, curvature = (None if given is None else given[rows] for given in outputs.values())
            if straight:
                flat = None if delta is None else delta.reshape(-1)
                return part.z.reshape(-1), part.label, part.weight, scale, self.width, value, flat
            # what has a number for each row or class is always there: few ways to compile, and little memory
            weight = np.ones(part.examples, real) if part.weight is None else part.weight
            value = np.empty(part.examples, real) if value is None else value
            if margin:
                return part.z, part.label, weight, scale, value, delta, curvature
            targets = part.label, part.targets(), real(self.on), real(self.off), terms
            given = (part.z, *targets, weight, scale, low, high, value, delta)
            return given if soft else (*given, curvature)

        whole = self.ready and (straight or (self.y is None and self.width > NARROW))
        given = arguments(0, self.examples) if whole else arguments
        total, bad = cpu.run(pair, loop, storage, self.examples, self.width, given, pair.values, threads)
        return total, self._no_distribution() if bad < 0 else bad

    def _no_distribution(self) -> int:
        """The first row of probabilities that does not add up to 1; −1 if there is none."""
        if self.y is None:
            return -1
        for rows in self.slices():
            part = self.part(rows)
            if (bad := not_distributions(part.y, None if part.weight is None else part.weight != 0)) >= 0:
                return rows.start + bad
        return -1

    def refuse(self, bad):
        index = self.index(bad)
        if self.label is not None:
            target = int(self.original[index])
            fix = f"To leave such examples out, pass ignore_index={target}." if target < 0 else ""
            return InvalidValue(
                _at("y", index),
                f"class {target}",
                f"a class from 0 to {self.classes - 1} for scores of {self.classes} classes",
                fix,
            )
        row = np.moveaxis(self.original, self.axis, -1)[index]
        outside = ~((row >= 0) & (row <= 1))
        if outside.any():
            j = int(np.argmax(outside))
            return InvalidValue(_at("y", (*index[:1], j, *index[1:])), f"{row[j]}", "a probability in [0, 1]")
        return _no_distribution(index, row)

    def restore(self, array):
        return np.moveaxis(array.reshape(self.row_shape), -1, self.axis)


class _WrittenProblem(_RowProblem):
    """Rows whose cost is written for all their scores at once."""

    def __init__(self, pair, z, real, y, weight, class_weight, ignore_index, label_smoothing, pos_weight):
        check_labels(pair, np.issubdtype(y.dtype, np.floating), label_smoothing)
        super().__init__(pair, z, real, y, weight, class_weight, ignore_index, label_smoothing, pos_weight)

    def run(self, storage, scale, outputs, threads):
        real, width = self.real.type, self.width

        def arguments(start: int, stop: int) -> tuple:
            rows = slice(start, stop)
            part = self.part(rows)
            found = {  # what nobody asked for as well: one way to compile
                "value": np.empty(part.examples, real),
                "delta": np.empty(part.z.shape, real),
                "curvature": np.empty((0, width), real),
            }
            found |= {name: given[rows] for name, given in outputs.items() if given is not None}
            return (
                part.z,
                np.zeros(0, np.int64) if part.label is None else part.label,
                np.empty((0, width), real) if part.y is None else part.targets(),
                real(self.on),
                real(self.off),
                np.ones(part.examples, real) if part.weight is None else part.weight,
                scale,
                self.classes,
                real(0),
                real(1),
                *found.values(),
            )

        given = self.pair, "written_rows", storage, self.examples, width, arguments, self.pair.values, threads
        total, bad = cpu.run(*given)
        if bad < 0:
            bad = self._no_distribution()
        if bad < 0 and self.label is not None and not np.isfinite(total):
            bad = self._rising()
        return total, bad

    def _rising(self) -> int:
        """The first example whose scores beside the true class do not fall, where they must; −1 if there is none."""
        for rows in self.slices() if self.pair.closed and self.pair.closed.falling else ():
            part = self.part(rows)
            inner = (part.label > 0) & (part.label < self.width)
            if part.weight is not None:
                inner &= part.weight != 0
            at = np.flatnonzero(inner)
            above, here = (part.z[at, part.label[at] - k] for k in (1, 0))
            wrong = (here >= above) & ~np.isnan(part.z[at]).any(axis=1)
            if wrong.any():
                return rows.start + int(at[np.argmax(wrong)])
        return -1

    def refuse(self, bad):
        if self.label is not None and 0 < (t := int(self.label[bad])) < self.classes:
            above, here = (self.z[bad, t - k] for k in (1, 0))
            return InvalidValue(
                _at("y", self.index(bad)),
                f"class {t}, beside which the scores are {above:g} and {here:g}",
                f"scores that fall along the classes, for {self.pair}",
                "costlayer.torch.OrdinalScores makes such scores; conditional+corn and ordinal+coral need none.",
            )
        return super().refuse(bad)


def check_labels(pair: Pair, soft: bool, label_smoothing: float) -> None:
    """Refuse targets that are shares of several classes where a cost knows only which is the true one."""
    if not pair.cost.labels_only:
        return
    if label_smoothing:
        fix = "Use softmax+cross_entropy for targets of that kind."
        raise InvalidValue("label_smoothing", f"{label_smoothing:g} for {pair}", "0, as its targets are classes", fix)
    if soft:
        raise InvalidValue("y", "floats", f"integers, the class indices, for {pair}", "Convert them: y.astype(int).")


def _run_altered(
    problem: _RowProblem, altered: Alteration, scale: float, outputs: dict[str, NDArray | None], threads: int | None
) -> tuple[float, int]:
    """`problem.run` of scores that are altered first, in float64 and some rows at a time."""
    check_classes(altered.adjustment, problem.width)
    total = 0.0
    value, delta, curvature = outputs.values()
    for rows in problem.slices():
        with np.errstate(all="ignore"):
            part = problem.part(rows).in_double()
            part.z, gain, bend = altered.scores(part.z)
            found = {
                "value": None if value is None else np.empty(part.examples),
                "delta": None if delta is curvature is None else np.empty_like(part.z),
                "curvature": None if curvature is None else np.empty_like(part.z),
            }
            partial, bad = part.run("float64", np.float64(scale), found, threads)
            if bad >= 0:
                return total, rows.start + bad
            if altered.z_loss:
                partial += _add_z_loss(part, altered.z_loss, scale, found)
            total += partial
            if value is not None:
                value[rows] = found["value"]
            if found["delta"] is not None:
                slope, curve = altered.by_scores(gain, bend, found["delta"], found["curvature"])
                if delta is not None:
                    delta[rows] = slope
                if curvature is not None:
                    curvature[rows] = curve
    return total, -1


def _add_z_loss(part: _RowProblem, z_loss: float, scale: float, outputs: dict[str, NDArray | None]) -> float:
    """Add to what a loop found of some rows, which are in float64; returns the sum of what is added to their values."""
    square, slope, curve = z_loss_terms(part.z, outputs["curvature"] is not None)
    weight = z_loss * (np.ones(part.examples) if part.total is None else part.total)
    kept = weight > 0.0
    own = np.where(kept, weight * square, 0.0)
    for found, term in ((outputs["delta"], slope), (outputs["curvature"], curve)):
        if found is not None and term is not None:
            term *= (weight * scale)[:, None]
            np.add(found, term, out=found, where=kept[:, None])
    if outputs["value"] is not None:
        outputs["value"] += own
    return float(own.sum())


def predict_and_gain(
    pair: Pair, z: NDArray, with_gain: bool = True, **options: Unpack[Options]
) -> tuple[NDArray, NDArray | None]:
    """φ(z) and, but for softmax, φ'(z); of rows how each prediction changes with its own score. Of the options
    predictions know `softcap` and `temperature`."""
    if (altered := alteration(pair, **options)) is not None:
        class_axis(pair, z)
        v, _ = predict_and_gain(pair, altered.scores(z.astype(np.float64))[0], with_gain=False)
        return v.astype(z.dtype), None
    if pair.two:
        rows = np.moveaxis(z, axis := score_axis(pair, z), -1)
        flat = np.ascontiguousarray(rows).reshape(-1)
        v, gain = np.empty_like(flat), np.empty_like(flat)
        cpu.run(pair, "activate_two", z.dtype.name, flat.size // 2, 2, (flat, v, gain), ())
        return np.moveaxis(v.reshape(rows.shape), -1, axis), np.moveaxis(gain.reshape(rows.shape), -1, axis)
    if pair.row:
        axis = class_axis(pair, z)
        rows = np.moveaxis(z, axis, -1)
        flat = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
        v, gain = np.empty_like(flat), np.empty_like(flat) if pair.written else None
        loop, outputs = ("softmax", (v,)) if gain is None else ("written_predictions", (v, gain))
        cpu.run(pair, loop, z.dtype.name, len(flat), flat.shape[1], (flat, *outputs), ())
        v, gain = (None if a is None else np.moveaxis(a.reshape(rows.shape), -1, axis) for a in (v, gain))
        return v, gain  # type: ignore
    flat = np.ascontiguousarray(z).reshape(-1)
    v, gain = np.empty_like(flat), np.empty_like(flat) if with_gain else None
    cpu.run(pair, "activate", z.dtype.name, flat.size, 1, (flat, v, gain), pair.activation_values)
    return v.reshape(z.shape), None if gain is None else gain.reshape(z.shape)


def margin_loop(classes: int) -> str:
    """Short rows are worked on together."""
    return "margin_narrow" if classes <= NARROW else "margin_wide"


def class_axis(pair: Pair, z: Any) -> int:
    """The axis of the classes: 1, or 0 if it is the only one."""
    axis = min(1, z.ndim - 1)
    if pair.activation.thresholds:
        if axis < 0 or z.shape[axis] < 1:
            raise InvalidValue("z", f"shape {z.shape}", f"(N, K − 1) scores of K ≥ 2 classes for {pair}")
    elif axis < 0 or z.shape[axis] < 2:
        raise InvalidValue(
            "z",
            f"shape {z.shape}",
            f"(N, K) scores of K ≥ 2 classes for {pair}",
            "One class alone is always the true one; for one yes-or-no score use sigmoid+cross_entropy.",
        )
    return axis


def score_axis(pair: Pair, z: Any) -> int:
    """The axis of the two scores of a target: 1, or 0 if it is the only one."""
    axis = min(1, z.ndim - 1)
    if axis < 0 or z.shape[axis] != 2:
        raise InvalidValue(
            "z",
            f"shape {tuple(z.shape)}",
            f"(N, 2) or (N, 2, ...), two scores per target for {pair}",
            "Several targets of one example lie along the axes behind: (N, 2, K).",
        )
    return axis


def as_array(name: str, given: ArrayLike) -> NDArray:
    """What was given as an array."""
    if np.ma.is_masked(given):
        raise InvalidType(name, "a masked array", "an array without a mask", "Use weight=, 0 where it is masked.")
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InvalidValue(name, "rows of different lengths", "an array, or a list of equal rows") from error


def scores(z: ArrayLike) -> NDArray:
    z = as_array("z", z)
    if not z.dtype.isnative:
        z = z.astype(z.dtype.newbyteorder("="))
    if z.dtype == np.float16 or z.dtype.kind in "iub":
        return z.astype(np.float32 if z.dtype == np.float16 else np.float64)
    if z.dtype not in (np.float32, np.float64):
        raise InvalidType(
            "z", f"an array of {z.dtype}", "float32 or float64 scores", "Convert it: z.astype(np.float64)."
        )
    return z


def numbers(y: NDArray, name: str) -> None:
    if y.dtype.kind not in "biuf":
        raise InvalidType(
            name, f"an array of {y.dtype}", "numbers", "Convert class names to 0 and 1, or to class indices."
        )


def weights(weight: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """Weights in the shape of the examples."""
    weight = checked_weights(weight, shape, dtype).astype(dtype, copy=False)
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)


def checked_weights(weight: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """Weights in the shape of the leading axes of the examples, as they came."""
    weight = as_array("weight", weight)
    numbers(weight, "weight")
    if weight.shape != shape[: weight.ndim]:
        raise InvalidValue(
            "weight", f"shape {weight.shape}", f"one weight per example: shape {shape} or its leading axes"
        )
    if not _can_weigh(weight, dtype):
        wrong = ~((weight >= 0) & (weight <= np.finfo(dtype).max))
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InvalidValue(_at("weight", index), f"{weight[index]}", "a finite number of at least 0")
    return weight


def _can_weigh(numbers: NDArray, dtype: np.dtype) -> bool:
    """Whether all are finite and at least 0, without an array to say so of each."""
    return bool(numbers.min(initial=0) >= 0 and numbers.max(initial=0) <= np.finfo(dtype).max)


def class_weights(class_weight: ArrayLike, classes: int, dtype: np.dtype) -> NDArray:
    weights = as_array("class_weight", class_weight)
    if weights.dtype.kind not in "biuf" or weights.shape != (classes,) or not _can_weigh(weights, dtype):
        got = f"{weights.tolist()}" if weights.size < 10 else f"shape {weights.shape}"
        raise InvalidValue("class_weight", got, f"{classes} finite numbers of at least 0, one per class")
    return weights.astype(dtype)


def positive_weights(pair: Pair, pos_weight: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """How much the part y of each target counts, in the shape of the trailing axes of the scores."""
    if pair.row or not pair.cost.yes_or_no:
        raise _no_pos_weight(pair)
    weights = as_array("pos_weight", pos_weight)
    numbers(weights, "pos_weight")
    if not _can_weigh(weights, dtype):
        got = f"{weights.tolist()}" if weights.size < 10 else f"shape {weights.shape}"
        raise InvalidValue("pos_weight", got, "finite numbers of at least 0")
    try:
        np.broadcast_to(weights, shape)
        return np.broadcast_to(weights.astype(dtype, copy=False), shape[len(shape) - weights.ndim :])
    except ValueError:
        expected = f"a number, or shape {shape} or its trailing axes"
        raise InvalidValue("pos_weight", f"shape {weights.shape}", expected) from None


def no_classes(pair: Pair, argument: str) -> InvalidValue:
    return InvalidValue(
        argument,
        f"one for {pair}, whose targets lie in {pair.target}",
        "a pair with yes-or-no targets or with classes",
        "Use weight=, one number per example." if argument == "class_weight" else "",
    )


def _no_pos_weight(pair: Pair) -> InvalidValue:
    fix = "Use class_weight=, one number per class." if pair.row else "Use weight=, one number per example."
    return InvalidValue(
        "pos_weight", f"one for {pair}", "a pair with yes-or-no targets, such as sigmoid+cross_entropy", fix
    )


def check_targets(pair: Pair, y: NDArray, kept: NDArray) -> None:
    """Refuse the first target outside the cost's interval among the examples (N, ...) that are kept (N,)."""
    low, high = pair.target.bounds(y.dtype)
    good = (y == low) | (y == high) if pair.target.ends_only else (y >= low) & (y <= high)
    wrong = ~good & kept.reshape(kept.shape + (1,) * (y.ndim - 1))
    if wrong.any():
        raise _bad_target(pair, y, tuple(int(i) for i in np.argwhere(wrong)[0]), y.dtype)


def check_distributions(y: NDArray, kept: NDArray) -> None:
    """Refuse the first row of probabilities (N, K) that does not add up to 1."""
    wrong = not_distributions(y, kept)
    if wrong >= 0:
        raise _no_distribution((wrong,), y[wrong])


def not_distributions(y: NDArray, kept: NDArray | None) -> int:
    """The first row of probabilities (N, K) that does not add up to 1, within 0.01; −1 if all do."""
    wrong = np.abs(y.sum(axis=1, dtype=np.float64) - 1.0) > 0.01
    if kept is not None:
        wrong &= kept
    return int(np.argmax(wrong)) if wrong.any() else -1


def _no_distribution(index: tuple[int, ...], row: NDArray) -> InvalidValue:
    return InvalidValue(
        _at("y", index),
        f"probabilities that add up to {row.sum(dtype=np.float64):.4g}",
        "a row that adds up to 1",
        "For several classes at once use sigmoid+cross_entropy.",
    )


def _bad_target(pair: Pair, y: NDArray, index: tuple[int, ...], real: np.dtype) -> InvalidValue:
    fix = "Write the two classes as −1 and 1." if pair.target.ends_only else ""
    if float(y[index]) in pair.target:
        fix = f"It is more than {real}, the type of z, can hold: convert z, or divide both."
    return InvalidValue(_at("y", index), f"{y[index]}", f"a target in {pair.target} for {pair}", fix)


def _at(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def room_of_shares(itemsize: int) -> float:
    """How far the sum of a row of probabilities, kept in so many bytes each, may be from 1."""
    return 1e-3 if itemsize > 2 else 0.02


def are_shares(z: Any, of: Any = np, room: float = 1e-3) -> Any:
    """Whether rows of scores (..., K), two or more of them, are probabilities already: within 0 and 1, not of these
    alone, and adding up to 1. `of` is the library whose arrays they are.

    >>> bool(are_shares(np.array([[0.5, 0.5], [0.25, 0.75]]))), bool(are_shares(np.array([[0.5, 0.6], [0.25, 0.75]])))
    (True, False)
    """
    if len(z.shape) < 2 or z.shape[-1] < 2 or (len(z.shape) == 2 and z.shape[0] < 2):
        return False
    within = of.all((z >= 0.0) & (z <= 1.0)) & of.any((z > 0.0) & (z < 1.0))
    return within & of.all(of.abs(of.sum(z, axis=-1) - 1.0) < room)
