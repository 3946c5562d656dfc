"""The cost layer as a torch module."""

from __future__ import annotations

import copy
import ctypes
import math
import sys
import warnings
import weakref
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from costlayer import evaluate as front
from costlayer.catalogue import pair as as_pair
from costlayer.constant import constant
from costlayer.engines import cpu
from costlayer.errors import InvalidType, InvalidValue, UnfusedWarning, UnsupportedDerivative
from costlayer.pair import UNIT, Pair
from costlayer.scores import Options, alteration, check_classes
from costlayer.torch import export, graph, operations

_STORAGE = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


_TYPES = tuple(_STORAGE)
_HALVES = (torch.bfloat16, torch.float16)
# `torch.compiler.disable`, but that imports the compiler at once, for seconds; this one only where it is called
_outside: Any = getattr(torch, "_disable_dynamo", None) or torch.compiler.disable


class CostLayer(nn.Module):
    """The last layer of a network: raw scores and truth in; loss out, and its exact gradient in the same pass.

    Arguments:
        pair: a pair or its name, such as `"softmax+cross_entropy"`.
        reduction: "mean", "sum", "none" or "weighted_mean".
        class_weight: one weight per class (two for a pair with yes-or-no targets).
        ignore_index: examples with this target are left out.
        label_smoothing: ε in [0, 1).
        pos_weight: how much the yes of yes-or-no targets counts, a number or one per score of an example.
        temperature, softcap, logit_adjustment, z_loss: how the scores of classes are altered before the cost.
        empty: what the mean of no examples is: "zero" (adds nothing to training), "nan" as in torch, or an "error".
        parameters: of the activation and the cost, such as `delta` of huber.

    Shapes, and the order in which weights, smoothing and reduction apply: see `costlayer.evaluate`. Scores may have any
    strides, and are float32 or float64 on the CPU; float16 and bfloat16 are computed in float32, and so is their loss.
    Class indices are integers and probabilities floats; nothing is guessed from shapes. Inputs are never written to.

    Second derivatives, forward mode, `torch.func`, `torch.compile`, other devices and types than those of the engine
    work too, by the same formulas in torch's operations; targets are not looked at one by one then. The scores are
    held until the graph is freed.

    Errors: `InvalidValue` or `InvalidType` with the first offending index and value; `UnsupportedDerivative` where a
    third derivative or a gradient by targets or weights is asked for.

    >>> layer = CostLayer("softmax+cross_entropy", label_smoothing=0.1)
    >>> scores = torch.zeros(2, 4, requires_grad=True)
    >>> loss = layer(scores, torch.tensor([0, 3]))
    >>> loss.backward()
    >>> round(loss.item(), 4), scores.grad[0]
    (1.3863, tensor([-0.3375,  0.1125,  0.1125,  0.1125]))
    """

    class_weight: Tensor | None
    pos_weight: Tensor | None
    logit_adjustment: Tensor | None

    def __init__(
        self,
        pair: str | Pair,
        *,
        reduction: front.Reduction = "mean",
        class_weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        pos_weight: Tensor | float | None = None,
        temperature: float = 1.0,
        softcap: float | None = None,
        logit_adjustment: Tensor | None = None,
        z_loss: float = 0.0,
        empty: str = "zero",
        **parameters: float,
    ) -> None:
        super().__init__()
        self.pair = as_pair(pair, **parameters)
        front.check_options(reduction, empty, label_smoothing, ignore_index)
        self.reduction, self.ignore_index = reduction, ignore_index
        self.label_smoothing, self.empty = label_smoothing, empty
        self.temperature, self.softcap, self.z_loss = temperature, softcap, z_loss
        for name, given in (
            ("class_weight", class_weight),
            ("pos_weight", pos_weight),
            ("logit_adjustment", logit_adjustment),
        ):
            _refuse_gradient(given, name)
            try:
                weights = None if given is None else torch.as_tensor(given)
            except (TypeError, ValueError, RuntimeError) as error:
                raise InvalidType(name, repr(given), "one number per class") from error
            self.register_buffer(name, weights, persistent=False)
        if self.pos_weight is not None:
            front.positive_weights(
                self.pair, _array(self.pos_weight, "pos_weight"), self.pos_weight.shape, np.dtype(float)
            )
        alteration(self.pair, **self._options())  # refuses what is none
        self._formulas = self._program()
        self._tanh = None if softcap is None else operations.tanh()  # now, as a graph that is compiled cannot make it
        self._plans: dict[tuple[str, str], tuple] = {}
        self._number = graph.number(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            **super().__getstate__(),
            "_plans": {},
            "_formulas": None,
            "_tanh": None,
        }  # compiled code stays where it is

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._formulas = self._program()
        self._tanh = None if self.softcap is None else operations.tanh()
        self._number = graph.number(self)

    def _program(self) -> SimpleNamespace:
        """The formulas, over tensors."""
        return operations.program(self.pair)

    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """The reduced cost of scores `z` under targets `y`."""
        if torch.compiler.is_compiling() or _transformed() or not _by_engine(z):
            return self._by_operations(z, y, weight)
        if weight is None and self._plain() and (found := self._direct(z, y)) is not None:
            return found
        return self._general(z, y, weight)

    def _plain(self) -> bool:
        """Whether nothing is asked for but the sum or the mean, of a kind that the engine has a way of its own for."""
        reduction, pair = self.reduction, self.pair
        return (
            (reduction == "mean" or reduction == "sum")
            and self._buffers["class_weight"] is None
            and self._buffers["pos_weight"] is None
            and (pair.row or self.ignore_index is None)
            and not self.label_smoothing
            and self.temperature == 1.0
            and self.softcap is None
            and self._buffers["logit_adjustment"] is None
            and not self.z_loss
            and not pair.two
            and not (pair.row and not (pair.closed and pair.closed.margin))
        )

    def _by_operations(
        self,
        z: Tensor,
        y: Tensor,
        weight: Tensor | None,
        *,
        class_weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
        reduction: str | None = None,
        ignore_index: int | None = None,
        label_smoothing: float | None = None,
        **parameters: float,
    ) -> Tensor:
        """The same by torch's operations, where the engine does not reach: on other devices, in compiled graphs, and
        under the transforms of torch.func.

        In the order of `costlayer.evaluate`. Targets are not looked at one by one: that would stop a graph or a device.
        The options given are taken in place of the layer's own.
        """
        z, y, pair = _dense(z), torch.as_tensor(y, device=z.device), self.pair
        class_weight = self.class_weight if class_weight is None else class_weight
        pos_weight = self.pos_weight if pos_weight is None else pos_weight
        reduction = self.reduction if reduction is None else reduction
        ignore_index = self.ignore_index if ignore_index is None else ignore_index
        smooth = self.label_smoothing if label_smoothing is None else label_smoothing
        values = tuple({**pair.parameters, **parameters}.values())
        _refuse_gradient(y, "y")
        _refuse_gradient(weight, "weight")
        for name, given in (("class_weight", class_weight is not None), ("label_smoothing", smooth)):
            if given and not pair.row and pair.target != UNIT:
                raise front.no_classes(pair, name)
        z = z.float() if z.dtype in _HALVES else z
        axis, labelled, shape = self._kind(z, y, smooth)
        self._check_options(z, axis, labelled, shape, weight, class_weight, ignore_index)
        present, counted = self._counted(z, y, labelled, class_weight, ignore_index)
        own = None
        if weight is not None:
            own = weight.to(z).reshape(weight.shape + (1,) * (len(shape) - weight.ndim)).expand(shape)
        kept = present if own is None else present & (own != 0)
        labels_alone = smooth == 0.0 or pair.cost.name != "cross_entropy"
        kept = kept & (counted != 0) if counted is not None and labels_alone else kept
        if ignore_index is not None or own is not None:
            of_targets = kept if y.shape == shape else kept.unsqueeze(axis)  # type: ignore
            allowed = 0 if pair.row else next(each for each in (0, 1, 0.5) if each in pair.target)
            y = torch.where(of_targets, y, allowed)
        if pair.target.ends_only:
            y = torch.where(y == 0, -1, y)
        y = y if labelled else y.to(z.dtype)
        by_term = pair.row and counted is not None and pair.cost.name == "cross_entropy" and (smooth or not labelled)
        if smooth:
            if labelled:
                y = torch.zeros_like(z).scatter(axis, y.unsqueeze(axis), 1.0)  # type: ignore
            y = y * (1.0 - smooth) + smooth / (2 if axis is None else z.shape[axis])
        parts = None
        if pos_weight is not None:  # as costlayer.evaluate does it
            yes = pos_weight.to(z).expand(shape)
            parts = yes * y + (1.0 - y)
            y = torch.where((y > 0.0) & (y < 1.0) & (parts > 0.0), yes * y / torch.where(parts > 0.0, parts, 1.0), y)
        if by_term and class_weight is not None and axis is not None:
            y = y * class_weight.to(z).reshape(-1, *(1,) * (z.ndim - axis - 1))
        factor = own if counted is None or by_term else counted if own is None else own * counted
        if parts is not None:
            kept, factor = kept & (parts != 0), parts if factor is None else factor * parts
        scores = torch.where(kept if axis is None else kept.unsqueeze(axis), z, 0.0)  # nothing of what is left out
        scores = self._altered(scores, axis)
        values = operations.cost(self._formulas, pair, scores, y, axis, values)
        values = values if factor is None else values * factor
        if self.z_loss and axis is not None:
            beside = self.z_loss * torch.logsumexp(scores, axis).square()
            for share in (own, counted):
                beside = beside if share is None else beside * share
            values = values + beside
        values = torch.where(kept, values, 0.0)
        if reduction == "none":
            return values
        if reduction == "sum":
            return values.sum()
        count = self._denominator(present, counted, own, values)
        mean = values.sum() / count
        return mean if self.empty == "nan" else torch.where(count == 0, 0.0, mean)

    def _options(self) -> Options:
        """Those on the scores of classes, as `costlayer.scores` takes them."""
        given = None if self.logit_adjustment is None else _array(self.logit_adjustment, "logit_adjustment")
        return {
            "temperature": self.temperature,
            "softcap": self.softcap,
            "logit_adjustment": given,
            "z_loss": self.z_loss,
        }

    def _altered(self, z: Tensor, axis: int | None, predicting: bool = False) -> Tensor:
        """The scores of classes as the cost sees them, or the prediction."""
        if self.softcap is not None:
            z = operations.capped(self._tanh or operations.tanh(), z, self.softcap)
        if self.temperature != 1.0:
            z = z / self.temperature
        if self.logit_adjustment is not None and axis is not None and not predicting:
            check_classes(self.logit_adjustment, z.shape[axis])
            z = z + self.logit_adjustment.to(z).reshape(-1, *(1,) * (z.ndim - axis - 1))
        return z

    def _kind(self, z: Tensor, y: Tensor, smooth: float) -> tuple[int | None, bool, torch.Size]:
        """The axis of the classes or of two scores, whether targets are class indices, and the examples' shape."""
        axis = front.score_axis(self.pair, z) if self.pair.two else min(1, z.ndim - 1) if self.pair.row else None
        labelled = self.pair.row and not y.is_floating_point()
        front.check_labels(self.pair, not labelled, smooth)
        shape = z.shape if axis is None else z.shape[:axis] + z.shape[axis + 1 :]
        expected = shape if labelled or self.pair.two else z.shape
        if y.shape != expected:
            given = f"shape {tuple(y.shape)} for scores of shape {tuple(z.shape)}"
            raise InvalidValue("y", given, f"shape {tuple(expected)}")
        return axis, labelled, shape

    def _check_options(
        self,
        z: Tensor,
        axis: int | None,
        labelled: bool,
        shape: torch.Size,
        weight: Tensor | None,
        class_weight: Tensor | None,
        ignore_index: int | None,
    ) -> None:
        """Refuse what the engine refuses, as far as shapes tell."""
        if weight is not None and weight.shape != shape[: weight.ndim]:
            raise InvalidValue("weight", f"shape {tuple(weight.shape)}", f"{tuple(shape)}, or its leading axes")
        if class_weight is not None:
            classes = 2 if axis is None else z.shape[axis] + self.pair.activation.thresholds
            if class_weight.shape != (classes,):
                raise InvalidValue(
                    "class_weight", f"shape {tuple(class_weight.shape)}", f"{classes} numbers, one per class"
                )
        if self.pair.row and not labelled:
            by_term = self.pair.cost.name == "cross_entropy"
            for name, given in (
                ("ignore_index", ignore_index is not None),
                ("class_weight", class_weight is not None and not by_term),
            ):
                if given:
                    raise InvalidValue(name, f"one for {self.pair} with probability targets", "class indices")

    def _counted(
        self, z: Tensor, y: Tensor, labelled: bool, class_weight: Tensor | None, ignore_index: int | None
    ) -> tuple[Tensor, Tensor | None]:
        """Which examples are not ignored, and how often each counts by its class; None if once."""
        shape = y.shape if labelled or not self.pair.row else z[:, 0].shape if z.ndim > 1 else z.shape[:0]
        whole = torch.ones(shape, dtype=torch.bool, device=z.device)
        present = whole if ignore_index is None else y != ignore_index
        if class_weight is None:
            return present, None
        by_class = class_weight.to(z)
        if labelled:
            return present, by_class[torch.where(present, y, 0)]
        if self.pair.row:
            return present, torch.ones(shape, dtype=z.dtype, device=z.device)
        return present, by_class[0] + (by_class[1] - by_class[0]) * torch.where(present, y, 0).to(z.dtype)

    def _denominator(self, present: Tensor, counted: Tensor | None, own: Tensor | None, like: Tensor) -> Tensor:
        """What a mean divides by."""
        share = torch.ones_like(like) if counted is None else counted
        if self.reduction == "weighted_mean" and own is not None:
            share = share * own
        return torch.where(present, share, 0.0).sum()

    def sum_and_count(self, z: Tensor, y: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The sum of the costs, and what a mean would divide it by: to be added up over parts of a batch.

        Micro-batches and workers rarely hold equally many examples, so that a mean of their means is not the mean of
        all. Their sums and counts are: `(Σ sums)/(Σ counts)` is the loss of the whole batch, and the gradients of the
        sums, added up and divided by `Σ counts`, are its gradient. See "Large batches in parts" in docs/torch.md.

        The count is that of `reduction`: with "mean" of the examples not ignored or of their class weights, with
        "weighted_mean" of all their weights.

        >>> layer = CostLayer("softmax+cross_entropy", ignore_index=-100)
        >>> total, count = layer.sum_and_count(torch.zeros(3, 4), torch.tensor([0, -100, 3]))
        >>> round(total.item(), 4), count.item()
        (2.7726, 2.0)
        """
        if self.reduction not in ("mean", "weighted_mean"):
            fix = "Make the layer with one of these."
            raise InvalidValue("reduction", repr(self.reduction), "'mean' or 'weighted_mean'", fix)
        if torch.compiler.is_compiling():  # which cannot make modules
            total = self._by_operations(z, y, weight, reduction="sum")
        else:
            total = self._with(reduction="sum")(z, y, weight)
        z, y = _dense(z).detach(), torch.as_tensor(y, device=z.device)
        kind = torch.float32 if z.dtype in _HALVES else z.dtype
        _, labelled, shape = self._kind(z, y, self.label_smoothing)
        present, counted = self._counted(z.to(kind), y, labelled, self.class_weight, self.ignore_index)
        own = None if weight is None else weight.to(kind).reshape(weight.shape + (1,) * (len(shape) - weight.ndim))
        own = None if own is None else own.expand(shape)
        return total, self._denominator(present, counted, own, torch.empty(shape, dtype=kind, device=z.device))

    def _with(
        self,
        *,
        class_weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
        logit_adjustment: Tensor | None = None,
        reduction: str | None = None,
    ) -> CostLayer:
        """A layer like this one, but for the options given."""
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        other._plans = self._plans
        given = {"class_weight": class_weight, "pos_weight": pos_weight, "logit_adjustment": logit_adjustment}
        other._buffers |= {name: each for name, each in given.items() if each is not None}
        other.reduction = self.reduction if reduction is None else reduction
        return other

    def _direct(self, z: Tensor, y: Tensor) -> Tensor | None:
        """The cost of what needs no preparation: training on small batches would wait for that, not for arithmetic.

        None for all else, wrong targets too.
        """
        row = self.pair.row
        storage = _STORAGE.get(z.dtype) if type(z) is type(y) is Tensor and z.is_cpu and y.is_cpu else None
        if storage is None or y.dtype is not (torch.int64 if row else z.dtype):
            return None
        fits = z.ndim == 2 and z.shape[1] > 1 and y.shape == z.shape[:1] if row else y.shape == z.shape
        if not (
            fits
            and z.numel()
            and z.layout is y.layout is torch.strided
            and not (y.requires_grad or z.is_neg() or y.is_neg())
        ):
            return None
        if self.ignore_index is not None and (y == self.ignore_index).any():  # of most batches none is
            return None
        if z.requires_grad and torch.is_grad_enabled():
            if storage == "float16" and self.reduction == "mean":
                return _Late.apply(z, y, self)  # type: ignore
            return _Direct.apply(z, y, self, storage)[0]  # type: ignore
        return self._compute(z, y, None, storage)

    def _compute(
        self, z: Tensor, y: Tensor, delta: Tensor | None, storage: str, upstream: float = 1.0
    ) -> Tensor | None:
        """The cost, and δ times what comes from above written into a tensor; None if a target is wrong."""
        pair = self.pair
        loop = front.margin_loop(z.shape[1]) if pair.row else "pointwise"
        plan = self._plans.get((storage, loop))
        if plan is None or plan[0] is not pair:
            real = np.float64 if storage == "float64" else np.float32
            bounds = () if pair.row else (*pair.target.bounds(real), pair.target.ends_only)
            end = () if pair.row else (None,)  # no curvature
            plan = (
                pair,
                cpu.kernel(pair, loop, storage, single=True),
                cpu.typed(pair, storage, pair.values),
                real,
                bounds,
                end,
            )
            self._plans[storage, loop] = plan
        _, kernel, parameters, real, bounds, end = plan
        size, width = z.shape if pair.row else (z.numel(), 1)
        divisor = size if self.reduction == "mean" else 1
        bounds = (width,) if pair.row else bounds
        out = None if delta is None else _flat(delta)
        arguments = _flat(z), _flat(y), None, real(upstream / divisor), *bounds, None, out, *end
        total, bad = cpu.share(kernel, size, width, arguments, parameters, torch.get_num_threads())
        if bad >= 0:
            return None
        value = total / divisor
        try:
            return torch.scalar_tensor(value, dtype=torch.float64 if real is np.float64 else torch.float32)
        except RuntimeError:  # beyond the largest float32
            return torch.scalar_tensor(value, dtype=torch.float64).float()

    def _general(self, z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        if torch.is_grad_enabled():
            _refuse_gradient(y, "y")
            _refuse_gradient(weight, "weight")
        if z.dtype in _HALVES and not self._takes_halves(z, y):
            z = z.float()
        return _Cost.apply(z, y, weight, self, z.requires_grad and torch.is_grad_enabled())[0]  # type: ignore

    def _takes_halves(self, z: Tensor, y: Any) -> bool:
        """Whether the engine reads such scores as they are, whatever the options.

        Not where a mean of float16 is asked for: divided by the examples, much of its gradient would be too small for
        the type, and the scale that mixed precision brings from above would come too late.
        """
        return (z.dtype is torch.bfloat16 or self.reduction in ("none", "sum")) and self._in_place(y)

    def _in_place(self, y: Any) -> bool:
        """Whether the engine's loop takes scores of any type, and may write δ over them."""
        labelled = isinstance(y, Tensor) and not y.is_floating_point()
        altered = alteration(self.pair, **self._options()) is not None
        return front.in_place(self.pair, labelled, self.label_smoothing, altered)

    def predict(self, z: Tensor) -> Tensor:
        """The predictions `φ(z)`, in the shape of `z`; their gradient is known to autograd.

        Softcap and temperature count; the logit adjustment is for training alone.
        """
        if operations.exporting():
            return export.predict(self.pair, _dense(z), self.softcap, self.temperature)
        if self.softcap is not None or self.temperature != 1.0:
            wide = z.double() if _dense(z).is_cpu else z  # as costlayer.predict: exp(s) has the digits that s has
            return self._predict(self._altered(wide, None, predicting=True)).to(z.dtype)
        return self._predict(z)

    def _predict(self, z: Tensor) -> Tensor:
        """φ of scores as they are."""
        if torch.compiler.is_compiling() or _transformed() or not _by_engine(z):
            z = _dense(z)
            if z.dtype in _HALVES:
                return self._predict(z.float()).to(z.dtype)
            return operations.predict(self._formulas, self.pair, z)
        if z.dtype in _HALVES:
            return self._predict(z.float()).to(z.dtype)
        return _Predict.apply(z, self, z.requires_grad and torch.is_grad_enabled())[0]  # type: ignore

    def constant(self, y: Tensor, weight: Tensor | None = None, classes: int | None = None) -> Tensor:
        """The constant score, or both of two, with the least cost, as `costlayer.constant` finds it: the right
        initial bias.

        Ignored targets, class weights, label smoothing and the options on scores count as they do in training.

        >>> layer = CostLayer("softmax+cross_entropy", class_weight=torch.tensor([1.0, 3.0]))
        >>> torch.softmax(layer.constant(torch.tensor([0, 1])), 0)
        tensor([0.2500, 0.7500])
        """
        targets, given = _array(y, "y"), None if weight is None else _array(weight, "weight")
        if classes is None and self.logit_adjustment is not None:
            classes = len(self.logit_adjustment)
        weighted = self.class_weight is not None or self.pos_weight is not None
        if self.ignore_index is not None or weighted or self.label_smoothing:
            if targets.ndim == 2 and not self.pair.row:
                columns, each = torch.as_tensor(targets).T, self.pos_weight
                each = [None] * len(columns) if each is None else each.expand(len(columns))
                parts = zip(columns, each, strict=True)
                return torch.stack(
                    [self._with(pos_weight=yes).constant(column, weight) for column, yes in parts], dim=-1
                )
            targets, given, classes = self._as_trained_on(targets, given, classes)
        found = constant(self.pair, targets, given, classes, **self._options())
        return torch.as_tensor(found, dtype=torch.get_default_dtype())

    def _as_trained_on(self, y: np.ndarray, weight: np.ndarray | None, classes: int | None):
        """Targets and weights that have the layer's own options in them, in the order of `costlayer.evaluate`."""
        weight = np.broadcast_to(1.0 if weight is None else weight, y.shape[:1])
        if self.ignore_index is not None and y.ndim == 1:
            kept = y != self.ignore_index
            y, weight = y[kept], weight[kept]
        by_class = None if self.class_weight is None else _array(self.class_weight, "class_weight").astype(np.float64)
        if not self.pair.row:
            scores = torch.zeros((*y.shape, 2) if self.pair.two else y.shape)
            self.evaluate(scores, torch.as_tensor(y), None, delta=False)  # refuses what training would
            if by_class is not None:
                weight = weight * (by_class[0] + (by_class[1] - by_class[0]) * y)
            if self.label_smoothing:
                y = y * (1.0 - self.label_smoothing) + self.label_smoothing / 2
            if self.pos_weight is not None:
                parts = self.pos_weight.item() * y + (1.0 - y)
                weight = parts * np.asarray(weight)
                y = np.divide(self.pos_weight.item() * y, parts, out=y + 0.0, where=parts > 0)
            return y, weight, None
        by_term = self.pair.cost.name == "cross_entropy"
        if y.ndim == 1:
            classes = classes or (len(by_class) if by_class is not None else None)
            # refuses labels that are no class
            classes = np.size(constant(self.pair, y, weight, classes)) + self.pair.activation.thresholds
            if by_class is not None and not (by_term and self.label_smoothing):
                weight = weight * by_class[y]
            if not self.label_smoothing:
                return y, weight, classes
            y, weight = np.bincount(y, weight, classes)[None] / weight.sum(), np.ones(1)
        if self.label_smoothing:
            y = y * (1.0 - self.label_smoothing) + self.label_smoothing / y.shape[1]
        if by_class is not None and by_term:
            y = y * by_class
            weight, y = weight * y.sum(axis=1), y / y.sum(axis=1, keepdims=True)
        return y, weight, classes

    def extra_repr(self) -> str:
        shown = [repr(self.pair.name)] + [f"{name}={value:g}" for name, value in self.pair.parameters.items()]
        shown += [f"reduction={self.reduction!r}"] if self.reduction != "mean" else []
        if self.class_weight is not None:
            few = self.class_weight.numel() <= 8
            shown += [f"class_weight={self.class_weight.tolist() if few else f'<{self.class_weight.numel()} classes>'}"]
        if self.pos_weight is not None:
            few = self.pos_weight.numel() <= 8
            shown += [f"pos_weight={self.pos_weight.tolist() if few else f'<{self.pos_weight.numel()} scores>'}"]
        shown += [f"ignore_index={self.ignore_index}"] if self.ignore_index is not None else []
        shown += [f"label_smoothing={self.label_smoothing:g}"] if self.label_smoothing else []
        shown += [f"temperature={self.temperature:g}"] if self.temperature != 1.0 else []
        shown += [f"softcap={self.softcap:g}"] if self.softcap is not None else []
        if self.logit_adjustment is not None:
            few = self.logit_adjustment.numel() <= 8
            given = self.logit_adjustment
            shown += [f"logit_adjustment={given.tolist() if few else f'<{given.numel()} classes>'}"]
        shown += [f"z_loss={self.z_loss:g}"] if self.z_loss else []
        shown += [f"empty={self.empty!r}"] if self.empty != "zero" else []
        return ", ".join(shown)

    def evaluate(
        self, z: Tensor, y: Tensor, weight: Tensor | None, delta: bool, *, apart: bool = False, in_place: bool = False
    ) -> front.Evaluation:
        """The value and, if asked for, δ, as NumPy arrays; δ of halves as their bits. `apart` as in
        `costlayer.evaluate`; `in_place`: δ replaces the scores."""
        half = _STORAGE[z.dtype] if z.dtype in _HALVES and self._takes_halves(z, y) else None
        scores = _array(z, "z") if half is None else z.detach().resolve_neg().view(torch.uint16).numpy()
        return front.evaluate(
            self.pair,
            scores,
            _array(y, "y"),
            None if weight is None else _array(weight, "weight"),
            reduction=self.reduction,
            class_weight=None if self.class_weight is None else _array(self.class_weight, "class_weight"),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            pos_weight=None if self.pos_weight is None else _array(self.pos_weight, "pos_weight"),
            empty=self.empty,
            delta=delta,
            threads=torch.get_num_threads(),
            half=half,
            apart=apart,
            into=scores if in_place else None,
            **self._options(),
        )


class _Second:
    """The way to a second derivative: the scores of a call, which are held for it until the graph is freed."""

    def __init__(self, layer: CostLayer, z: Tensor, y: Tensor, weight: Tensor | None) -> None:
        self.given, self.version = (layer, z, y, weight), z._version

    def along(self, u: Tensor) -> Tensor:
        """How δ changes along u, by torch's operations."""
        layer, z, y, weight = self.given
        if z._version != self.version:
            raise UnsupportedDerivative(
                "z",
                "a second derivative by scores that have been written over since",
                "the scores as they were",
                "Write to a copy of them: z.clone().",
            )
        further = torch.is_grad_enabled()  # then the result must know that it depends on z
        with torch.enable_grad():
            scores = z if further else z.detach().requires_grad_()
            (slope,) = torch.autograd.grad(layer._by_operations(scores, y, weight).sum(), scores, create_graph=True)
            return torch.autograd.grad(slope, scores, u, create_graph=further)[0]


class _Cost(torch.autograd.Function):
    """The value, and δ from the same pass.

    δ is the second output and counts as differentiable: a second derivative comes back to `backward` by way of it.
    """

    @staticmethod
    def forward(ctx, z: Tensor, y: Any, weight: Any, layer: CostLayer, delta: bool) -> tuple[Tensor, Tensor]:
        found = layer.evaluate(z, y, weight, delta)
        value = torch.as_tensor(found.value, dtype=torch.float32 if z.dtype in _HALVES else z.dtype)
        slope = torch.from_numpy(found.delta).view(z.dtype) if delta else z.new_empty(0)
        ctx.axis = min(1, z.ndim - 1) if layer.pair.row or layer.pair.two else None
        ctx.second = _Second(layer, z, y, weight) if delta else None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(slope)
        return value, slope

    @staticmethod
    def backward(ctx, upstream, upstream_of_delta):  # type: ignore
        found = None
        if upstream is not None:
            (delta,) = ctx.saved_tensors
            if upstream.ndim and ctx.axis is not None:
                upstream = upstream.unsqueeze(ctx.axis)
            found = _product(delta, upstream)
        if upstream_of_delta is not None:
            second = ctx.second.along(upstream_of_delta)
            found = second if found is None else found + second
        if not (_graph_is_kept() or torch.is_grad_enabled()):
            ctx.second = None
        return found, None, None, None, None


class _Direct(torch.autograd.Function):
    """`_Cost` where nothing needs preparing: that would cost more than a small batch."""

    @staticmethod
    def forward(ctx, z: Tensor, y: Tensor, layer: CostLayer, storage: str) -> tuple[Tensor, Tensor]:
        delta = _empty_like(z)
        value = layer._compute(z, y, delta, storage)
        if value is None:  # a wrong target: the general way says which
            layer.evaluate(z, y, None, delta=False)
        ctx.set_materialize_grads(False)
        ctx.axis, ctx.second = None, _Second(layer, z, y, None)
        ctx.save_for_backward(delta)
        return value, delta  # type: ignore

    @staticmethod
    def backward(ctx, upstream, upstream_of_delta):  # type: ignore
        return _Cost.backward(ctx, upstream, upstream_of_delta)[:4]


class _Late(torch.autograd.Function):
    """The mean of float16 scores. δ is made when it is known what it is multiplied by: by the number of examples alone
    it would be too small for the type, in which mixed precision then makes it larger again."""

    @staticmethod
    def forward(ctx, z: Tensor, y: Tensor, layer: CostLayer) -> Tensor:
        value = layer._compute(z, y, None, "float16")
        if value is None:  # a wrong target: the general way says which
            layer.evaluate(z, y, None, delta=False)
        ctx.layer = layer
        ctx.save_for_backward(z, y)
        return value  # type: ignore

    @staticmethod
    def backward(ctx, upstream):  # type: ignore
        z, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # further derivatives are asked for
            loss = ctx.layer._by_operations(z, y, None)
            return torch.autograd.grad(loss, z, upstream, create_graph=True)[0], None, None
        delta = _empty_like(z)
        ctx.layer._compute(z, y, delta, "float16", upstream.item())
        return delta, None, None


class _Predict(torch.autograd.Function):
    """The prediction, and what its gradient is made of: the gain, or for softmax the prediction itself."""

    @staticmethod
    def forward(ctx, z: Tensor, layer: CostLayer, with_gain: bool) -> tuple[Tensor, Tensor]:
        v, gain = front.predict_and_gain(layer.pair, _array(z, "z"), with_gain)
        v = torch.from_numpy(v)
        slope = z.new_empty(0) if not with_gain else v.clone() if gain is None else torch.from_numpy(gain)
        ctx.axis = min(1, z.ndim - 1) if layer.pair.row else None
        ctx.layer, ctx.scores = layer, z
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(slope)
        return v, slope

    @staticmethod
    def backward(ctx, upstream, upstream_of_gain):  # type: ignore
        found = None
        further = torch.is_grad_enabled()  # whether further derivatives are asked for
        if upstream is not None and (further or ctx.layer.pair.written):
            with torch.enable_grad():
                scores = ctx.scores if further else ctx.scores.detach().requires_grad_()
                v = operations.predict(ctx.layer._formulas, ctx.layer.pair, scores)
                return torch.autograd.grad(v, scores, upstream, create_graph=further)[0], None, None
        if upstream is not None:
            (gain,) = ctx.saved_tensors
            if ctx.axis is not None:  # the full Jacobian: p_j (g_j - sum_k p_k g_k)
                upstream = upstream - (gain * upstream).sum(ctx.axis, keepdim=True)
            found = _product(gain, upstream)
        return found, None, None


def _flat(tensor: Tensor) -> np.ndarray:
    """A tensor as the loops take it: contiguous, bfloat16 and float16 as their bits."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype in _HALVES:
        tensor = tensor.view(torch.uint16)
    return tensor.numpy() if tensor.ndim == 1 else tensor.numpy().reshape(-1)


def _empty_like(z: Tensor) -> Tensor:
    """A new tensor for a gradient."""
    return _empty(z.shape, z.dtype)


def _empty(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """A new tensor: a large one in the memory of one that nobody holds any more, as filling new pages takes as long as
    the arithmetic, or else in huge pages where the system has them."""
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < _HUGE:
        return torch.empty(shape, dtype=dtype)
    memory = _taken(size)
    if memory is None:
        memory = np.empty(size + _PAGE, np.uint8)
        memory = memory[-memory.ctypes.data % _PAGE :][:size]
        if _advise is not None:
            _advise(memory.ctypes.data, size // _PAGE * _PAGE, 14)  # MADV_HUGEPAGE
    loan = memoryview(memory)  # type: ignore — which the tensor's storage holds as long as anyone holds that
    weakref.finalize(loan, _return, memory).atexit = False
    return torch.frombuffer(loan, dtype=dtype, count=count).view(shape)


def _taken(size: int) -> np.ndarray | None:
    """Free memory of about this size, the last that was returned; out of the list, so that two threads cannot both have
    it."""
    for _ in range(len(_free)):
        try:
            memory = _free.pop()
        except IndexError:
            return None
        if size <= memory.nbytes <= 2 * size:
            return memory
        _free.insert(0, memory)
    return None


def _return(memory: np.ndarray) -> None:
    """Keep the memory of a gradient for the next one; of several the last, up to twice the largest."""
    _free.append(memory)
    with suppress(IndexError, ValueError):  # another thread may have taken one meanwhile
        while sum(sizes := [each.nbytes for each in _free]) > 2 * max(sizes):
            del _free[0]


_free: list[np.ndarray] = []
_HUGE, _PAGE = 1 << 18, 1 << 12  # bytes: what the system would give and take back at every step


def _madvise():
    """The system's call of that name, on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        call = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return call


_advise = _madvise()


def _product(delta: Tensor, upstream: Tensor) -> Tensor:
    """δ times what comes from above: δ itself where that is 1 and nobody can ask for δ again, else a new tensor."""
    if not (_graph_is_kept() or torch.is_grad_enabled()) and _is_one(upstream):
        return delta.detach()
    return delta * upstream


# Whoever gets a gradient may write into it, as optimisers and a second backward do; δ may be given away only if the
# graph is freed. Older versions of torch do not tell.
_graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)  # type: ignore


def _is_one(upstream: Tensor) -> bool:
    try:
        return upstream.numel() == 1 and upstream.item() == 1.0
    except RuntimeError:  # under torch.func.vmap a number cannot be looked at
        return False


def _transformed() -> bool:
    """Whether a transform of torch.func or forward mode is at work."""
    if torch._C._are_functorch_transforms_active():
        operations.refuse_nested_forward_mode()
        return True
    return forward_ad._current_level >= 0


def _by_engine(z: Any) -> bool:
    """Whether the engine takes such scores; it is said once where it does not."""
    if type(z) in (Tensor, nn.Parameter) and z.is_cpu and z.dtype in _STORAGE and z.layout is torch.strided:
        return True
    global _said
    if not _said and isinstance(z, Tensor) and z.dtype in _TYPES and z.device.type != "meta" and _is_dense(z):
        _said = True
        warnings.warn(
            f"costlayer has no engine for {z.dtype} on {z.device}: torch's operations do the same, in several passes.",
            UnfusedWarning,
            stacklevel=4,
        )
    return False


_said = False


def _is_dense(z: Tensor) -> bool:
    return z.layout is torch.strided


def _dense(z: Any) -> Tensor:
    if not isinstance(z, Tensor):
        raise InvalidType("z", f"{type(z).__name__}", "a torch tensor of scores", "For NumPy arrays: costlayer.value.")
    if not _is_dense(z):
        raise InvalidType("z", f"a tensor of layout {z.layout}", "a dense one", "Convert it: z.to_dense().")
    if z.dtype not in _TYPES:
        raise InvalidType(
            "z", f"a tensor of {z.dtype}", "floating-point scores of 16 bits or more", "Convert it: z.float()."
        )
    return z


def _refuse_gradient(given: Any, name: str) -> None:
    if isinstance(given, Tensor) and (given.requires_grad or _has_tangent(given)):
        raise UnsupportedDerivative(
            name, "a tensor that requires a gradient", "a constant", f"Only z has one: pass {name}.detach()."
        )


def _has_tangent(given: Tensor) -> bool:
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(given).tangent is not None


def _array(tensor: Any, name: str) -> np.ndarray:
    """A view as a NumPy array; bfloat16, which NumPy has not, as float32."""
    if not isinstance(tensor, Tensor):
        return np.asarray(tensor)
    if tensor.device.type != "cpu":
        raise InvalidType(name, f"a tensor on {tensor.device}", "one on the CPU, where z is", "Move it: .cpu().")
    tensor = tensor.detach().resolve_neg()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()
