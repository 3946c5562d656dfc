"""The Keras front: a pair as the loss of a model that gives scores, over the back ends torch and JAX.

>>> import os
>>> _ = os.environ.setdefault("KERAS_BACKEND", "torch")
>>> from costlayer.keras import CostLayerLoss
>>> loss = CostLayerLoss("softmax+cross_entropy")
>>> round(float(loss([1, 0], [[0.0, 0.0], [0.0, 0.0]])), 4)  # ln 2
0.6931
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from costlayer.catalogue import pair as as_pair
from costlayer.catalogue import read_pair, write_pair
from costlayer.errors import CostLayerError, InvalidType, InvalidValue, MissingExtra
from costlayer.evaluate import check_options
from costlayer.pair import Pair

BACK_ENDS = ("torch", "jax")


def _other_back_end(name: str) -> InvalidValue:
    return InvalidValue(
        "KERAS_BACKEND",
        repr(name),
        "a back end that costlayer has a front for: " + " or ".join(BACK_ENDS),
        "Set it before keras is imported: os.environ['KERAS_BACKEND'] = 'torch'.",
    )


try:
    import keras
    from keras.src.backend import set_keras_mask
except ModuleNotFoundError as error:
    if error.name in ("keras", "torch", "jax"):
        raise MissingExtra(error.name, "keras" if error.name == "keras" else error.name) from error
    raise _other_back_end(error.name or "unknown") from error  # that of tensorflow is Keras's default

ops: Any = keras.ops  # of any back end's tensors


def _back_end() -> str:
    found = keras.config.backend()
    if found not in BACK_ENDS:
        raise _other_back_end(found)
    return found


def _read(pair: str | Pair, parameters: dict[str, float]) -> Pair:
    """A pair, its name, or its name with its parameters, as saved models have it."""
    if isinstance(pair, str) and ":" in pair:
        pair = read_pair(pair)
    return as_pair(pair, **parameters)


@keras.saving.register_keras_serializable(package="costlayer")
class CostLayerLoss(keras.losses.Loss):
    """The cost of a model's raw scores, with its exact gradient: what `model.compile(loss=...)` takes.

    Arguments:
        pair: a pair or its name, such as "softmax+cross_entropy".
        ignore_class: samples of this class are left out before any arithmetic, and out of the mean.
        label_smoothing: ε in [0, 1).
        reduction, name, dtype: as every loss of Keras has them.
        parameters: of the activation and the cost, such as `delta` of huber.

    Shapes; classes and the two scores of pairs that have two lie along the last axis, as Keras has them:

    - pairs of classes (softmax): scores (..., K); classes (...) or (..., 1), or probabilities (..., K). The value of a
      sample is that of its row. Keras makes floats of all targets, so that their kind is told by their shape alone.
    - pairs of two scores: scores (..., 2), targets (...) or (..., 1).
    - pairs of single scores: scores and targets of one shape, or (N,) beside (N, 1). The value of a sample is the mean
      over the last axis, as with the losses of Keras; of scores (N,) each is a sample.

    Keras then weighs and averages: "sum_over_batch_size" divides by the number of values, whatever their weights,
    "mean_with_sample_weight" by the sum of the weights; masked and ignored ones count in neither.

    Errors: `InvalidValue` or `InvalidType` for shapes that do not fit, for labels out of range and for probabilities in
    place of scores, as long as these hold numbers: in a function that JAX compiles they do not, and what a wrong label
    belongs to becomes NaN.
    """

    def __init__(
        self,
        pair: str | Pair,
        *,
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **parameters: float,
    ) -> None:
        _back_end()
        self.pair = _read(pair, parameters)
        check_options("none", "zero", label_smoothing, ignore_class)
        if ignore_class is not None and not self.pair.row:
            raise InvalidValue(
                "ignore_class",
                f"{ignore_class} for {self.pair}",
                "None for a pair without classes",
                "Use sample_weight.",
            )
        self.ignore_class, self.label_smoothing = ignore_class, label_smoothing
        super().__init__(name=name or self.pair.name.replace("+", "_"), reduction=reduction, dtype=dtype)  # type: ignore

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced value."""
        if (
            hasattr(y_pred, "_keras_logits") and self.pair.activation.formula != "z"
        ):  # which Keras's own softmax and sigmoid leave, for its losses to find
            raise _probabilities("y_pred", "what a softmax or a sigmoid of Keras gives", self.pair)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The value of each sample."""
        z, y, pair = ops.convert_to_tensor(y_pred), ops.convert_to_tensor(y_true), self.pair
        if not (pair.row or pair.two):
            y = _alike(y, z)
            values = self._costs(z, y, tuple(z.shape))
            return values if len(z.shape) < 2 else ops.mean(values, axis=-1)
        lead, width = tuple(z.shape[:-1]), z.shape[-1] if len(z.shape) else 0
        if len(z.shape) < 2 or (pair.two and width != 2):
            expected = (
                "scores (..., 2), both of each target" if pair.two else "scores (..., K), one row for each sample"
            )
            raise InvalidValue("y_pred", f"shape {tuple(z.shape)}", expected)
        by_number = tuple(y.shape) in (lead, (*lead, 1)) and not (width == 1 and not pair.activation.thresholds)
        if not by_number and (pair.two or tuple(y.shape) != tuple(z.shape)):
            kinds = f"{lead} or {(*lead, 1)}" + (
                "" if pair.two else f" of classes, or {tuple(z.shape)} of probabilities"
            )
            raise InvalidValue("y_true", f"shape {tuple(y.shape)} for scores of shape {tuple(z.shape)}", kinds)
        rows = ops.reshape(z, (-1, width))
        if pair.row:
            _check_scores(pair, rows)
        if by_number:
            y = ops.reshape(y, (-1,))
            kept = None
            if pair.row:
                y, kept = self._classes(y)
            values = ops.reshape(self._costs(rows, y, lead), lead)
            if kept is not None:
                set_keras_mask(values, ops.reshape(kept, lead))
            return values
        return ops.reshape(self._costs(rows, ops.reshape(y, (-1, width)), lead), lead)

    def _costs(self, z: Any, y: Any, shape: tuple[int, ...]) -> Any:
        """The costs of rows, which errors name as Keras does and by their place in samples of that shape."""
        try:
            return self._values(z, y)
        except CostLayerError as error:
            name, bracket, place = error.argument.rstrip("]").partition("[")
            at = [int(each) for each in place.split(", ") if each]
            if len(at) == 1 and len(shape) > 1:
                at = list(map(int, np.unravel_index(at[0], shape)))
            named = {"y": "y_true", "z": "y_pred"}.get(name, name) + (
                f"{bracket}{', '.join(map(str, at))}]" if at else ""
            )
            raise type(error)(named, error.got, error.expected, error.fix) from None

    def _classes(self, y: Any) -> tuple[Any, Any]:
        """Class indices as integers, and which are not to be ignored; what is no whole number is no class."""
        label = ops.cast(y, "int32")
        whole = ops.equal(ops.cast(label, y.dtype), y)
        if (seen := _numbers(whole)) is not None and not seen.all():
            place = int(seen.argmin())  # of the samples one after the other
            raise InvalidValue(f"y_true[{place}]", f"{float(y[place])}", "a class, which is a whole number")
        outside = -1 if self.ignore_class != -1 else -2
        label = ops.where(whole, label, outside)
        return label, None if self.ignore_class is None else ops.not_equal(label, self.ignore_class)

    @cached_property
    def _values(self) -> Callable[[Any, Any], Any]:
        """The costs of each sample, as the back end has them."""
        given: dict[str, Any] = {"ignore_index": self.ignore_class, "label_smoothing": self.label_smoothing}
        if _back_end() == "torch":
            from costlayer.torch import CostLayer

            return CostLayer(self.pair, reduction="none", **given)
        from costlayer.jax import value

        return lambda z, y: value(self.pair, z, y, reduction="none", **given)

    def get_config(self) -> dict[str, Any]:
        """What it takes to make the same one again."""
        return {
            **super().get_config(),
            "pair": write_pair(self.pair),
            "ignore_class": self.ignore_class,
            "label_smoothing": self.label_smoothing,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_values"}


@keras.saving.register_keras_serializable(package="costlayer")
class Prediction(keras.layers.Layer):
    """The predictions φ(z) of scores, in their shape: a layer to put behind a trained model that gives scores.

    Arguments:
        pair: the pair that the model was trained with, or its name.
        parameters: of the activation and the cost.

    Classes, and the two scores of pairs that have two, lie along the last axis.

    >>> import os
    >>> _ = os.environ.setdefault("KERAS_BACKEND", "torch")
    >>> import numpy as np
    >>> np.asarray(Prediction("softmax+cross_entropy")(np.zeros((1, 4), "float32")).tolist())
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(self, pair: str | Pair, *, name: str | None = None, dtype: Any = None, **parameters: Any) -> None:
        given = {key: parameters.pop(key) for key in ("trainable", "activity_regularizer") if key in parameters}
        self.pair = _read(pair, parameters)
        super().__init__(name=name, dtype=dtype, **given)
        self._predict = _predictor(self.pair)

    def call(self, scores: Any) -> Any:
        """The predictions."""
        z = ops.convert_to_tensor(scores)
        if not (self.pair.row or self.pair.two):
            return self._predict(z)
        if len(z.shape) < 2:
            raise InvalidValue("scores", f"shape {tuple(z.shape)}", "(..., K), one row for each sample")
        return ops.reshape(self._predict(ops.reshape(z, (-1, z.shape[-1]))), z.shape)

    def compute_output_spec(self, scores: Any) -> Any:
        """Predictions have the shape of scores."""
        return keras.KerasTensor(scores.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """What it takes to make the same one again."""
        return {**super().get_config(), "pair": write_pair(self.pair)}


def _predictor(pair: Pair) -> Callable[[Any], Any]:
    """φ, as the back end has it."""
    if _back_end() == "torch":
        from costlayer.torch import CostLayer

        return CostLayer(pair).predict
    from costlayer.jax import predict

    return lambda z: predict(pair, z)


def _alike(y: Any, z: Any) -> Any:
    """Targets in the shape of the scores, where that is a matter of a last axis of 1."""
    there, here = tuple(z.shape), tuple(y.shape)
    if here == there:
        return y
    if there == (*here, 1) or here == (*there, 1):
        return ops.reshape(y, there)
    raise InvalidValue(
        "y_true",
        f"shape {here} for scores of shape {there}",
        f"shape {there}, as each score has its own target",
        "They are not broadcast: that would compare each with every other.",
    )


def _numbers(x: Any) -> Any:
    """What a tensor holds, or None in a function that is being compiled."""
    if keras.config.backend() == "torch":
        import torch

        return None if torch.compiler.is_compiling() else x.detach().cpu().float().numpy()
    import jax.core

    return None if isinstance(x, jax.core.Tracer) else np.asarray(x)


def _check_scores(pair: Pair, rows: Any) -> None:
    """Refuse what a softmax has already made shares of: the cost would take them for scores, and hardly learn."""
    if pair.activation.name != "softmax" or rows.shape[0] < 2 or (z := _numbers(rows)) is None:
        return
    shares = (z >= 0).all() and (z <= 1).all() and not ((z == 0) | (z == 1)).all()
    if shares and (abs(z.sum(axis=1) - 1.0) < 1e-3).all():
        raise _probabilities("y_pred", "rows that add up to 1, as probabilities do", pair)


def _probabilities(argument: str, got: str, pair: Pair) -> InvalidType:
    return InvalidType(
        argument,
        got,
        f"scores: {pair} applies its own activation",
        "Let the model end in Dense(K) without an activation; Prediction(pair) behind it gives probabilities.",
    )
