"""The Keras front: a pair as a loss of a model of scores, and its prediction as a layer.

Keras runs on PyTorch or JAX here, whichever `KERAS_BACKEND` names before keras is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from costlayer import evaluate as front
from costlayer.catalogue import pair as as_pair
from costlayer.catalogue import read_pair, write_pair
from costlayer.errors import CostLayerError, InvalidValue, MissingExtra
from costlayer.pair import UNIT, Pair

BACKENDS = ("torch", "jax")


def _no_back_end(got: str) -> InvalidValue:
    fix = 'Set it before keras is imported: os.environ["KERAS_BACKEND"] = "torch".'
    return InvalidValue("KERAS_BACKEND", got, "'torch' or 'jax'", fix)


try:
    import keras
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing in ("keras", *BACKENDS):
        raise MissingExtra(missing, missing) from error
    raise _no_back_end(f"a back end that needs {error.name}, which is not installed") from error

from keras import ops  # noqa: E402
from keras.src.backend.common.masking import set_keras_mask  # noqa: E402 — as Keras's own ignore_class
from keras.src.backend.common.tensor_attributes import get_tensor_attr, set_tensor_attr  # noqa: E402

__all__ = ["CostLayerLoss", "Prediction"]

PREDICTION = "_costlayer_prediction"  # what tensors have that are predictions already


@keras.saving.register_keras_serializable(package="costlayer")
class CostLayerLoss(keras.losses.Loss):
    """The cost of a pair as a Keras loss: raw scores in, one value per sample out.

    Arguments:
        pair: a pair or its name, such as `"softmax+cross_entropy"`.
        label_smoothing: ε in [0, 1).
        ignore_class: class indices of this number are left out before any arithmetic, and out of Keras's means.
        reduction: as in every Keras loss. "sum_over_batch_size" and "mean" divide the weighted sum by the number of
            samples, those of weight 0 too, but not those that a mask or `ignore_class` leaves out;
            "mean_with_sample_weight" divides it by the sum of the weights; "sum" and None do not divide.
        name: as in every Keras loss.
        dtype: "float32" or "float64"; by default Keras's `floatx`, but at least float32. Scores of 16 bits are computed
            in it.
        parameters: of the activation and the cost, such as `delta` of huber.

    Shapes, y_pred first. The classes, or the two scores of a target, lie along the last axis:
    - pairs of classes: (N, ..., K) with class indices (N, ...) or (N, ..., 1), or with probabilities (N, ..., K). Keras
      hands labels over as floats, so that shapes alone tell which. One value per row: (N, ...).
    - pairs of two scores: (N, ..., 2) with targets (N, ...) or (N, ..., 1). One value per target: (N, ...).
    - pointwise pairs: both (N, ..., K); a last axis of 1 may be missing in one of them. The value is the mean over the
      last axis, as in Keras's own losses: (N, ...).

    There is no `from_logits`: the model ends in scores, and `Prediction` makes predictions of them.

    Errors: `InvalidValue` for shapes that would have to be broadcast, for probabilities in place of scores, and for
    targets that are none, with the first one's place. In a compiled function, which on JAX is every one that is not
    `run_eagerly`, numbers cannot be looked at: the cost of a wrong target becomes NaN, and so does that of a whole
    batch of rows that are probabilities already; neither moves a weight.

    >>> loss = CostLayerLoss("softmax+cross_entropy", reduction=None)
    >>> values = loss(np.array([0, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 30.0, 0.0]]))
    >>> [f"{float(value):.3e}" for value in values]
    ['1.099e+00', '1.872e-13']
    """

    def __init__(
        self,
        pair: str | Pair,
        *,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        reduction: Any = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **parameters: float,
    ) -> None:
        if dtype is None and keras.config.floatx() in ("float16", "bfloat16"):
            dtype = "float32"
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if self.dtype not in ("float32", "float64"):
            fix = "Leave it out: models under mixed_bfloat16 or mixed_float16 need nothing else."
            why = "'float32' or 'float64', as Keras casts labels too, and 16 bits do not hold every class"
            raise InvalidValue("dtype", repr(self.dtype), why, fix)
        self.pair = as_pair(pair, **parameters)
        self.label_smoothing, self.ignore_class = label_smoothing, ignore_class
        self._check()
        self._values = _on_back_end(self.pair, label_smoothing, ignore_class)
        self._half = False

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if get_tensor_attr(y_pred, PREDICTION) and self.pair.activation.name != "identity":
            raise self._no_scores("what Prediction has already made predictions of")
        if self._likely and _squashed(y_pred):
            raise self._no_scores("what a softmax or sigmoid has already made probabilities of")
        if sample_weight is not None:
            self._check_weight(tuple(np.shape(y_pred)), tuple(np.shape(sample_weight)))
        given = getattr(y_pred, "dtype", None)  # before Keras casts it
        self._half = given is not None and keras.backend.standardize_dtype(given) in ("float16", "bfloat16")
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The cost of each sample."""
        pair = self.pair
        pointwise = not (pair.row or pair.two)
        y_true, soft = self._targets(y_true, y_pred)
        if pair.activation.name == "softmax":
            y_pred = self._scores(y_pred)
        if pair.row and not soft:
            y_true, y_pred = self._labels(y_true, y_pred)
        z, y = (y_pred, y_true) if pointwise else (_second(y_pred), _second(y_true) if soft else y_true)
        try:
            values = self._values(z, y)
        except CostLayerError as error:
            raise _in_terms_of_keras(error, y_true.shape if soft else ()) from None
        if self.ignore_class is not None and not soft:
            set_keras_mask(values, ops.not_equal(y_true, self.ignore_class))
        return ops.mean(values, axis=-1) if pointwise and len(values.shape) > 1 else values

    def get_config(self) -> dict[str, Any]:
        own = {"pair": write_pair(self.pair), "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own, "ignore_class": self.ignore_class, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CostLayerLoss:
        return cls(**{**config, "pair": read_pair(config["pair"])})

    def _check(self) -> None:
        """Refuse what would be refused with every batch."""
        pair = self.pair
        front.check_options("none", "zero", self.label_smoothing, None)
        front.check_labels(pair, False, self.label_smoothing)
        if self.label_smoothing and not pair.row and pair.target != UNIT:
            raise front.no_classes(pair, "label_smoothing")
        if pair.closed and pair.closed.falling:
            why = f"'{pair}', whose scores must fall along the classes, as those of no Keras layer do"
            raise InvalidValue("pair", why, "a pair that Keras can express", "Use ordinal+coral or conditional+corn.")
        if self.ignore_class is None:
            return
        try:
            front.check_options("none", "zero", 0.0, self.ignore_class)
        except CostLayerError as error:
            raise _in_terms_of_keras(error) from None
        if not pair.row:
            fix = "Give what is left out a sample_weight of 0."
            raise InvalidValue("ignore_class", f"{self.ignore_class} for {pair}", "a pair of class indices", fix)

    def _check_weight(self, scores: tuple[int, ...], weights: tuple[int, ...]) -> None:
        """Refuse weights that Keras would broadcast against samples of other places."""
        pointwise = not (self.pair.row or self.pair.two)
        samples = scores if pointwise and len(scores) == 1 else scores[:-1]
        shaped = weights[:-1] if len(weights) == len(samples) + 1 and weights[-1] == 1 else weights
        if samples[-1:] == (1,) and len(shaped) == len(samples) - 1:
            shaped = (*shaped, 1)
        if shaped and (
            len(shaped) != len(samples) or any(w not in (1, n) for w, n in zip(shaped, samples, strict=True))
        ):
            fix = f"Give one for each: sample_weight[:, None] goes with {samples}." if len(weights) == 1 else ""
            got = f"shape {weights} for samples of shape {samples}"
            raise InvalidValue("sample_weight", got, f"shape {samples}, or 1 in place of a length", fix)

    def _targets(self, y_true: Any, y_pred: Any) -> tuple[Any, bool]:
        """Targets in the shape that goes with the scores, and whether they are probabilities of classes."""
        pair, given, scores = self.pair, tuple(y_true.shape), tuple(y_pred.shape)
        if not (pair.row or pair.two):
            if given in (scores, scores[:-1] if scores[-1:] == (1,) else scores) or given == (*scores, 1):
                return ops.reshape(y_true, scores), False
            fix = "They are never broadcast."
            if given in (scores[:-1], (*scores[:-1], 1)):
                fix += " For class indices use a pair of classes, such as softmax+cross_entropy."
            raise InvalidValue("y_true", f"shape {given} for y_pred of shape {scores}", f"shape {scores}", fix)
        lead, width = scores[:-1], scores[-1] if scores else 0
        if not lead or (width != 2 if pair.two else width < 2 - bool(pair.activation.thresholds)):
            expected = "(N, ..., 2), two scores for each target" if pair.two else "(N, ..., K), a score for each class"
            fix = "For yes or no by one score use sigmoid+cross_entropy." if scores[-1:] == (1,) and pair.row else ""
            raise InvalidValue("y_pred", f"shape {scores} for {pair}", expected, fix)
        if given in (lead, (*lead, 1)):
            return ops.reshape(y_true, lead), False
        if pair.row and given == scores:
            return y_true, True
        soft = "" if pair.two or pair.cost.labels_only else f", or probabilities of shape {scores}"
        expected = f"{'targets' if pair.two else 'class indices'} of shape {lead} or {(*lead, 1)}{soft}"
        raise InvalidValue("y_true", f"shape {given} for y_pred of shape {scores}", expected)

    def _labels(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Class indices, which Keras has made floats of, as integers, and the scores: where numbers cannot be looked
        at, NaN in place of those whose label is no class."""
        if (seen := _numbers(y_true)) is not None:
            whole = (np.abs(seen) < 2.0**31) & (seen == np.floor(seen))
            if not whole.all():
                index = tuple(map(int, np.argwhere(~whole)[0]))
                fix = "Probabilities have the shape of y_pred."
                raise InvalidValue(f"y_true[{', '.join(map(str, index))}]", f"{seen[index]:g}", "a class index", fix)
            return ops.cast(y_true, "int32"), y_pred
        classes = y_pred.shape[-1] + self.pair.activation.thresholds
        good = (y_true == ops.floor(y_true)) & (y_true >= 0) & (y_true < classes)
        if self.ignore_class is not None:
            good = good | (y_true == self.ignore_class)
        return ops.cast(ops.where(good, y_true, 0), "int32"), ops.where(good[..., None], y_pred, float("nan"))

    def _scores(self, y_pred: Any) -> Any:
        """Refuse rows that a softmax has been over; in a compiled function they become NaN."""
        still, room = ops.stop_gradient(y_pred), front.room_of_shares(2 if self._half else 4)
        if (seen := _numbers(still)) is None:
            return ops.where(front.are_shares(still, ops, room), float("nan"), y_pred)
        if front.are_shares(seen[:2], room=room) and front.are_shares(seen, room=room):  # two rows tell most
            raise self._no_scores("rows that add up to 1: probabilities")
        return y_pred

    @property
    def _likely(self) -> bool:
        """Whether predictions are probabilities, so that what are some already are no scores."""
        pair = self.pair
        return not pair.two and pair.range.low >= 0.0 and pair.range.high <= 1.0

    def _no_scores(self, what: str) -> InvalidValue:
        fix = "Leave the activation out of the last layer, and append costlayer.keras.Prediction to serve the model."
        return InvalidValue("y_pred", what, f"scores, as {self.pair} has its own activation", fix)


@keras.saving.register_keras_serializable(package="costlayer")
class Prediction(keras.layers.Layer):
    """The predictions φ(z) of a model's scores, as a layer to append once it is trained.

    Arguments:
        pair: a pair or its name: the one of the loss.
        name, trainable, dtype: as in every Keras layer; there is nothing to train.
        parameters: of the activation and the cost.

    Shapes: as scores come, with classes or two scores along the last axis, so do predictions go.

    >>> found = Prediction("softmax+cross_entropy")(np.zeros((1, 4), np.float32))
    >>> found[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(
        self,
        pair: str | Pair,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        **parameters: float,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.pair = as_pair(pair, **parameters)
        self.supports_masking = True
        self._predict = _prediction_on_back_end(self.pair)

    def call(self, z: Any) -> Any:
        if not (self.pair.row or self.pair.two) or len(z.shape) < 3:
            v = self._predict(z)
        else:
            v = ops.moveaxis(self._predict(_second(z)), 1, -1)
        set_tensor_attr(v, PREDICTION, True)
        return v

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.pair.two and input_shape[-1] not in (2, None):
            raise InvalidValue("z", f"shape {tuple(input_shape)}", "(N, ..., 2), two scores for each target")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pair": write_pair(self.pair)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Prediction:
        return cls(**{**config, "pair": read_pair(config["pair"])})


def _on_back_end(pair: Pair, label_smoothing: float, ignore_class: int | None) -> Callable[[Any, Any], Any]:
    """The cost of each example, by the front of the library that Keras runs on."""
    if _back_end() == "torch":
        from costlayer.torch import CostLayer

        return CostLayer(pair, reduction="none", label_smoothing=label_smoothing, ignore_index=ignore_class)
    from costlayer.jax import value

    return partial(value, pair, reduction="none", label_smoothing=label_smoothing, ignore_index=ignore_class)


def _prediction_on_back_end(pair: Pair) -> Callable[[Any], Any]:
    if _back_end() == "torch":
        from costlayer.torch import CostLayer

        return CostLayer(pair).predict
    from costlayer.jax import predict

    return partial(predict, pair)


def _back_end() -> str:
    found = keras.backend.backend()
    if found not in BACKENDS:
        raise _no_back_end(repr(found))
    return found


def _second(array: Any) -> Any:
    """An array with its last axis as the second, where costlayer has the classes."""
    return ops.moveaxis(array, -1, 1)


def _numbers(array: Any) -> np.ndarray | None:
    """What an array holds; None in a function that is being traced or compiled, and on devices that would wait."""
    if keras.backend.backend() == "torch":
        import torch

        if torch.compiler.is_compiling() or array.device.type != "cpu":
            return None
        return array.detach().numpy()
    from jax.core import Tracer

    return None if isinstance(array, Tracer) else np.asarray(array)


def _squashed(y_pred: Any) -> bool:
    """Whether a sigmoid or softmax gave these numbers, as far as it can be seen. Keras notes it where its arrays have
    room for notes; a tracer of JAX knows its last operation, which tells a sigmoid."""
    if get_tensor_attr(y_pred, "_keras_logits") is not None:
        return True
    while hasattr(y_pred, "primal"):  # while it is being differentiated
        y_pred = y_pred.primal
    operation = getattr(getattr(y_pred, "parent", None), "primitive", None)
    return getattr(operation, "name", None) == "logistic"


def _in_terms_of_keras(error: CostLayerError, soft: tuple[int, ...] = ()) -> CostLayerError:
    """The error with Keras's names and, of probabilities of that shape, with the class last in a place."""
    terms = {"y": "y_true", "z": "y_pred", "ignore_index": "ignore_class"}
    name, bracket, rest = error.argument.partition("[")
    place = re.findall(r"\d+", rest)
    if soft and len(place) == len(soft):
        place.append(place.pop(1))
    argument = terms.get(name, name) + (f"[{', '.join(place)}]" if bracket else "")
    fix = error.fix.replace("ignore_index", "ignore_class").replace("weight=", "sample_weight=")
    return type(error)(argument, error.got, error.expected, fix)
