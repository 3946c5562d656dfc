"""How a target meets a pair: what the network is asked to put out, and what its outputs mean.

| target | pair | asked of the network |
|---|---|---|
| classes | softmax + any cost, sparsemax, entmax15 | one output a class, the truth as a class index |
| classes | sigmoid, identity, relu … + any other cost | 0 or 1: one output for two classes, else one a class |
| classes | tanh + any cost, any activation + a cost of a margin, such as hinge | −1 or 1, likewise |
| labels, several a row | as for classes, but no softmax | one output a label |
| numbers | activations over the whole line | (y − mean) / std |
| numbers | relu, elu, softplus, exp; any activation + a cost of positive numbers | y / mean |
| numbers | sigmoid, tanh | y as it is: it must lie in the range |

Mean and standard deviation are those of the training rows; predictions are turned back into the target's own units.
Numbers may stand in several columns, (N, M): each has an output, a mean and a standard deviation of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import costlayer as cl
from costlayer.catalogue import read_pair
from costlayer.errors import InvalidValue
from costlayer.pair import REALS, SIGNS, UNIT

CLASS_KINDS = ("binary", "classes")

CONTRAST = {
    "binary": ("sigmoid+cross_entropy", "sigmoid+mse", "tanh+mse", "identity+hinge"),
    "classes": ("softmax+cross_entropy", "sigmoid+cross_entropy", "softmax+mse", "sigmoid+mse"),
    "count": ("exp+poisson", "softplus+poisson", "identity+mse"),
    "positive": ("exp+gamma", "exp+mse", "identity+mse"),
    "fraction": ("sigmoid+cross_entropy", "sigmoid+mse", "identity+mse"),
    "real": ("identity+mse", "identity+huber", "identity+mae"),
}
"""The pairs worth contrasting for each kind of target."""


@dataclass(frozen=True)
class Encoding:
    """The target as one pair sees it.

    Arguments:
        pair: the pair's name, as `read_pair` takes it.
        classes: how many classes there are; 0 for numbers.
        outputs: how many scores the network gives.
        index: the truth is handed over as a class index (row pairs).
        low, high: what stands for a wrong and for the right class.
        shift, scale: what is asked of the network is (y − shift) / scale; one number each, or one per output.
        span: the distance from one end of the encoded target to the other.
        cap: outputs beyond the target, on its own side, are not wrong (hinge and its kin).
        likely: the outputs can be read as probabilities.
        several: each output is a label of its own, of which a row may have several.
    """

    pair: str
    classes: int
    outputs: int
    index: bool = False
    low: float = 0.0
    high: float = 1.0
    shift: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    span: float = 1.0
    cap: bool = False
    likely: bool = False
    several: bool = False

    def __post_init__(self) -> None:
        for name in ("shift", "scale"):  # lists, where they were read from a file
            given = getattr(self, name)
            object.__setattr__(self, name, tuple(given) if isinstance(given, list) else given)

    @classmethod
    def fit(
        cls,
        name: str,
        kind: str,
        train: np.ndarray,
        every: np.ndarray,
        classes: int = 0,
        weight: np.ndarray | None = None,
    ) -> Encoding:
        """The encoding of a target for the pair of that name, measured on the `train` rows, of which each counts by its
        `weight`, and checked on `every` row.

        The target: class indices (N,) of so many `classes`; 0 or 1 for each of several labels (N, L), of kind
        "binary"; numbers (N,) or (N, M).

        Raises InvalidValue, naming a pair to use, where pair and target do not fit.
        """
        if read_pair(name).two:
            raise InvalidValue(
                "pair",
                f"{name}, of two scores per target",
                "a pair of one score per output, whose predictions can be compared with others",
                f"Train it with costlayer.torch.CostLayer({name!r}), behind two outputs.",
            )
        if kind in CLASS_KINDS:
            several = train.shape[1] if train.ndim == 2 else 0
            return cls._of_classes(name, read_pair(name), classes, several)
        return cls._of_numbers(name, read_pair(name), kind, train, every, weight)

    @classmethod
    def _of_classes(cls, name: str, pair: cl.Pair, classes: int, several: int) -> Encoding:
        activation, margin = pair.activation, pair.target == SIGNS
        if pair.cost.labels_only:  # the outputs are no shares of a class, which the study compares with 0 and 1
            what = "the order of classes" if activation.thresholds else "scores that are no outputs"
            fix = f"Use {' or '.join(CONTRAST['classes'][:2])}; costlayer.torch.CostLayer({pair.name!r}) trains it."
            raise InvalidValue("pair", f"{pair.name}, a cost of {what}", "a pair with an output for each class", fix)
        if not activation.row and pair.target not in (UNIT, SIGNS, REALS):
            raise _unfit(pair, f"a target of {classes} classes", "binary" if classes == 2 else "classes")
        if several and activation.row:
            raise _unfit(pair, f"a target of {several} labels, of which a row may have several", "binary")
        outputs = several or (classes if activation.row or classes > 2 else 1)
        signed = activation.name == "tanh" or margin
        return cls(
            pair=name,
            classes=classes,
            outputs=outputs,
            index=activation.row,
            low=-1.0 if signed else 0.0,
            span=2.0 if signed else 1.0,
            cap=margin,
            likely=not margin and bool(np.isfinite(pair.range.high)),
            several=bool(several),
        )

    @classmethod
    def _of_numbers(
        cls, name: str, pair: cl.Pair, kind: str, train: np.ndarray, every: np.ndarray, weight: np.ndarray | None
    ) -> Encoding:
        least, most = float(every.min()), float(every.max())
        seen = f"a {kind} target from {least:.6g} to {most:.6g}"
        low, high = pair.range.low, pair.range.high
        mean = np.average(train, axis=0, weights=weight)
        shift, scale = np.zeros_like(mean), np.ones_like(mean)
        if pair.row or pair.target == SIGNS:
            raise _unfit(pair, seen, kind)
        if np.isfinite(low) and np.isfinite(high):
            if least < low or most > high:
                raise _unfit(pair, seen, kind)
        elif np.isfinite(low) or np.isfinite(pair.target.low):
            scale = mean
            if least < 0 or np.any(scale <= 0):
                raise _unfit(pair, seen, kind)
        else:
            shift, scale = mean, np.sqrt(np.average((train - mean) ** 2, axis=0, weights=weight))
        scale = np.where(scale, scale, 1.0)  # a column that never changes
        if any(end not in pair.target for end in ((np.array([least, most]) - np.max(shift)) / np.max(scale))):
            raise _unfit(pair, seen, kind)
        span = float(np.max((every.max(axis=0) - every.min(axis=0)) / scale)) or 1.0
        outputs = train.shape[1] if train.ndim == 2 else 1
        return cls(name, 0, outputs, shift=_plain(shift), scale=_plain(scale), span=span)

    def record(self) -> dict[str, Any]:
        """The encoding as plain values: `Encoding.read(encoding.record())` is the same one."""
        return asdict(self)

    @classmethod
    def read(cls, record: dict[str, Any]) -> Encoding:
        """The encoding with that record. Raises ValueError, or another error, where there can be none."""
        found = cls(**record)
        pair, outputs = read_pair(found.pair), found.outputs
        if found.classes:
            fitted = cls._of_classes(found.pair, pair, found.classes, outputs if found.several else 0)
        else:
            shift, scale = np.array(found.shift, np.float64), np.array(found.scale, np.float64)
            if not (
                shift.size == scale.size == outputs
                and np.isfinite(shift).all()
                and np.all((scale > 0) & (scale < np.inf))
            ):
                raise ValueError("its target has no scale")
            fitted = cls(found.pair, 0, outputs, shift=_plain(shift), scale=_plain(scale), span=float(found.span))
        if found != fitted:
            raise ValueError(f"its target is none of {pair}")
        return fitted

    def encode(self, y: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
        """What the cost layer takes: class indices (N,), else floats (N, outputs)."""
        return y.astype(np.int64) if self.index else self.wanted(y, dtype)

    def wanted(self, y: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
        """What each output ought to be, floats (N, outputs)."""
        if not self.classes:
            return ((y - self.shift) / self.scale).astype(dtype).reshape(len(y), self.outputs)
        if self.several:
            right = y == 1
        else:
            right = (y == 1)[:, None] if self.outputs == 1 else y[:, None] == np.arange(self.classes)
        return np.where(right, self.high, self.low).astype(dtype)

    def error(self, v: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How wrong each output is: |v − y| in the encoding's units, float64 (N, outputs)."""
        v = v.astype(np.float64)
        return np.abs((np.clip(v, self.low, self.high) if self.cap else v) - self.wanted(y))

    def values(self, v: np.ndarray) -> np.ndarray:
        """Predicted numbers in the target's own units, float64: (N,), or (N, M) of several columns."""
        v = v[:, 0] if isinstance(self.scale, float) else v
        return v.astype(np.float64) * self.scale + self.shift

    @property
    def middle(self) -> float:
        """The output between no and yes."""
        return (self.low + self.high) / 2

    def decide(self, v: np.ndarray) -> np.ndarray:
        """The predicted class of each row, int64 (N,); of several labels 0 or 1 for each, (N, L)."""
        if self.several:
            return (v > self.middle).astype(np.int64)
        if self.outputs > 1:
            return v.argmax(axis=1)
        return (v[:, 0] > self.middle).astype(np.int64)

    def probabilities(self, v: np.ndarray) -> np.ndarray | None:
        """Class probabilities, float64 (N, classes): the outputs, normalised over the classes; of several labels that
        of each, (N, L). None for a pair whose outputs are no probabilities (those of a margin, and activations that
        leave 0 to 1)."""
        if not self.likely:
            return None
        p = (v.astype(np.float64) - self.low) / (self.high - self.low)
        if self.several:
            return p
        if self.outputs == 1:
            return np.concatenate([1 - p, p], axis=1)
        total = p.sum(axis=1, keepdims=True)
        return np.divide(p, total, out=np.full_like(p, 1 / self.classes), where=total != 0)


def _unfit(pair: cl.Pair, seen: str, kind: str) -> InvalidValue:
    fitting = " or ".join(CONTRAST[kind][:2])
    return InvalidValue("pair", f"{pair.name} for {seen}", f"a pair that fits a {kind} target", f"Use {fitting}.")


def _plain(numbers: np.ndarray) -> float | tuple[float, ...]:
    """A number, or one per column, as records take them."""
    found = np.asarray(numbers).tolist()
    return tuple(found) if isinstance(found, list) else found
