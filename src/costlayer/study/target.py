"""How a target meets a pair: what the network is asked to put out, and what its outputs mean.

| target | pair | asked of the network |
|---|---|---|
| classes | softmax + any cost, sparsemax, entmax15 | one output a class, the truth as a class index |
| classes | sigmoid, identity, relu … + any cost but hinge | 0 or 1: one output for two classes, else one a class |
| classes | tanh + any cost, any activation + hinge | −1 or 1, likewise |
| numbers | activations over the whole line, or half of it with negative targets | (y − mean) / std |
| numbers | relu, elu, softplus, exp | y / mean |
| numbers | sigmoid, tanh | y as it is: it must lie in the range |

Mean and standard deviation are those of the training rows; predictions are turned back into the target's own units.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import costlayer as cl
from costlayer.catalogue import read_pair
from costlayer.errors import CostLayerError, InvalidValue
from costlayer.study.table import Table

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
        shift, scale: what is asked of the network is (y − shift) / scale.
        span: the distance from one end of the encoded target to the other.
        cap: outputs beyond the target, on its own side, are not wrong (hinge).
        likely: the outputs can be read as probabilities.
    """

    pair: str
    classes: int
    outputs: int
    index: bool = False
    low: float = 0.0
    high: float = 1.0
    shift: float = 0.0
    scale: float = 1.0
    span: float = 1.0
    cap: bool = False
    likely: bool = False

    @classmethod
    def fit(cls, name: str, kind: str, train: np.ndarray, every: np.ndarray, classes: int = 0) -> Encoding:
        """The encoding of a target for the pair of that name, measured on the `train` rows and checked on `every` row.

        Raises InvalidValue, naming a pair to use, where pair and target do not fit.
        """
        if read_pair(name).two:
            raise InvalidValue(
                "pairs",
                f"{name}, of two scores per target",
                "a pair of one score per output, whose predictions a study can compare with others",
                f"Train it with costlayer.torch.CostLayer({name!r}), behind two outputs.",
            )
        if kind in CLASS_KINDS:
            return cls._of_classes(name, read_pair(name), classes)
        return cls._of_numbers(name, read_pair(name), kind, train, every)

    @classmethod
    def _of_classes(cls, name: str, pair: cl.Pair, classes: int) -> Encoding:
        activation, cost = pair.activation, pair.cost.name
        if pair.cost.labels_only:  # the outputs are no shares of a class, which the study compares with 0 and 1
            what = "the order of classes" if activation.thresholds else "scores that are no outputs"
            fix = f"Use {' or '.join(CONTRAST['classes'][:2])}; costlayer.torch.CostLayer({pair.name!r}) trains it."
            raise InvalidValue("pairs", f"{pair.name}, a cost of {what}", "a pair with an output for each class", fix)
        if cost in ("poisson", "gamma"):
            raise _unfit(pair, f"a target of {classes} classes", "binary" if classes == 2 else "classes")
        outputs = classes if activation.row or classes > 2 else 1
        signed = activation.name == "tanh" or cost == "hinge"
        return cls(
            pair=name,
            classes=classes,
            outputs=outputs,
            index=activation.row,
            low=-1.0 if signed else 0.0,
            span=2.0 if signed else 1.0,
            cap=cost == "hinge",
            likely=cost != "hinge" and bool(np.isfinite(pair.range.high)),
        )

    @classmethod
    def _of_numbers(cls, name: str, pair: cl.Pair, kind: str, train: np.ndarray, every: np.ndarray) -> Encoding:
        activation, cost = pair.activation, pair.cost.name
        least, most = float(every.min()), float(every.max())
        seen = f"a {kind} target from {least:.6g} to {most:.6g}"
        low, high = pair.range.low, pair.range.high
        shift, scale = 0.0, 1.0
        if activation.row or cost == "hinge":
            raise _unfit(pair, seen, kind)
        if np.isfinite(low) and np.isfinite(high):
            if least < low or most > high:
                raise _unfit(pair, seen, kind)
        elif np.isfinite(low):
            if least < 0 or (cost == "gamma" and least <= 0) or train.mean() <= 0:
                raise _unfit(pair, seen, kind)
            scale = float(train.mean())
        else:
            shift, scale = float(train.mean()), float(train.std()) or 1.0
        return cls(pair=name, classes=0, outputs=1, shift=shift, scale=scale, span=((most - least) / scale) or 1.0)

    def record(self) -> dict[str, Any]:
        """The encoding as plain values: `Encoding(**encoding.record())` is the same one."""
        return asdict(self)

    def encode(self, y: np.ndarray) -> np.ndarray:
        """What the cost layer takes: class indices (N,), else float32 (N, outputs)."""
        return y.astype(np.int64) if self.index else self.wanted(y)

    def wanted(self, y: np.ndarray) -> np.ndarray:
        """What each output ought to be, float32 (N, outputs)."""
        if not self.classes:
            return ((y - self.shift) / self.scale).astype(np.float32)[:, None]
        right = (y == 1)[:, None] if self.outputs == 1 else y[:, None] == np.arange(self.classes)
        return np.where(right, self.high, self.low).astype(np.float32)

    def error(self, v: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How wrong each output is: |v − y| in the encoding's units, float64 (N, outputs)."""
        v = v.astype(np.float64)
        return np.abs((np.clip(v, self.low, self.high) if self.cap else v) - self.wanted(y))

    def values(self, v: np.ndarray) -> np.ndarray:
        """Predicted numbers in the target's own units, float64 (N,)."""
        return v[:, 0].astype(np.float64) * self.scale + self.shift

    def decide(self, v: np.ndarray) -> np.ndarray:
        """The predicted class of each row, int64 (N,)."""
        if self.outputs > 1:
            return v.argmax(axis=1)
        return (v[:, 0] > (self.low + self.high) / 2).astype(np.int64)

    def probabilities(self, v: np.ndarray) -> np.ndarray | None:
        """Class probabilities, float64 (N, classes): the outputs, normalised over the classes; None for a pair whose
        outputs are no probabilities (hinge, and activations that leave 0 to 1)."""
        if not self.likely:
            return None
        p = (v.astype(np.float64) - self.low) / (self.high - self.low)
        if self.outputs == 1:
            return np.concatenate([1 - p, p], axis=1)
        total = p.sum(axis=1, keepdims=True)
        return np.divide(p, total, out=np.full_like(p, 1 / self.classes), where=total > 0)


def advise(table: Table, kind: str | None = None) -> cl.Advice:
    """What `costlayer.choose` says of a table's target; its errors name the column."""
    try:
        return cl.choose(table.frame[table.target].to_numpy(), kind=kind)
    except CostLayerError as error:
        if error.argument != "y":
            raise
        raise type(error)(f"column {table.target!r}", error.got, error.expected, error.fix) from error


def _unfit(pair: cl.Pair, seen: str, kind: str) -> InvalidValue:
    fitting = " or ".join(CONTRAST[kind][:2])
    return InvalidValue("pairs", f"{pair.name} for {seen}", f"a pair that fits a {kind} target", f"Use {fitting}.")
