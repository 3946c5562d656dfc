"""The cost layer as a torch module."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from costlayer import evaluate as front
from costlayer.catalogue import pair as as_pair
from costlayer.constant import constant
from costlayer.engines import cpu
from costlayer.errors import InvalidType, UnsupportedDerivative
from costlayer.pair import Pair

_STORAGE = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


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
        empty: what the mean of no examples is: "zero" (adds nothing to training), "nan" as in torch, or an "error".
        parameters: of the activation and the cost, such as `delta` of huber.

    Shapes, and the order in which weights, smoothing and reduction apply: see `costlayer.evaluate`. Scores may have any
    strides, and are float32 or float64 on the CPU; float16 and bfloat16 are computed in float32, and so is their loss.
    Class indices are integers and probabilities floats; nothing is guessed from shapes. Inputs are never written to.

    Errors: `InvalidValue` or `InvalidType` with the first offending index and value; `UnsupportedDerivative` where a
    second derivative, forward mode, `torch.func.vmap` or a gradient by targets or weights is asked for.

    >>> layer = CostLayer("softmax+cross_entropy", label_smoothing=0.1)
    >>> scores = torch.zeros(2, 4, requires_grad=True)
    >>> loss = layer(scores, torch.tensor([0, 3]))
    >>> loss.backward()
    >>> round(loss.item(), 4), scores.grad[0]
    (1.3863, tensor([-0.3375,  0.1125,  0.1125,  0.1125]))
    """

    class_weight: Tensor | None

    def __init__(
        self,
        pair: str | Pair,
        *,
        reduction: front.Reduction = "mean",
        class_weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        empty: str = "zero",
        **parameters: float,
    ) -> None:
        super().__init__()
        self.pair = as_pair(pair, **parameters)
        front.check_options(reduction, empty, label_smoothing, ignore_index)
        self.reduction, self.ignore_index = reduction, ignore_index
        self.label_smoothing, self.empty = label_smoothing, empty
        _refuse_gradient(class_weight, "class_weight")
        try:
            weights = None if class_weight is None else torch.as_tensor(class_weight)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidType("class_weight", repr(class_weight), "one number per class") from error
        self.register_buffer("class_weight", weights, persistent=False)
        plain = class_weight is None and ignore_index is None and not label_smoothing and reduction in ("mean", "sum")
        self._plain = plain and not (self.pair.row and not (self.pair.closed and self.pair.closed.margin))
        self._plans: dict[tuple[str, str], tuple] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_plans": {}}  # compiled code stays where it is

    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """The reduced cost of scores `z` under targets `y`."""
        if torch.compiler.is_compiling():
            return self._outside_the_graph(z, y, weight)
        if weight is None and self._plain and (found := self._direct(z, y)) is not None:
            return found
        return self._general(z, y, weight)

    @_outside  # a compiled network runs up to here and goes on after it
    def _outside_the_graph(self, z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        return self.forward(z, y, weight)

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
            and z.is_contiguous()
            and y.is_contiguous()
            and not (y.requires_grad or z.is_neg() or y.is_neg())
            and not (torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0)
        ):
            return None
        if z.requires_grad and torch.is_grad_enabled():
            return _Direct.apply(z, y, self, storage)[0]  # type: ignore
        return self._compute(z, y, None, storage)

    def _compute(self, z: Tensor, y: Tensor, delta: Tensor | None, storage: str) -> Tensor | None:
        """The cost, and δ written into a tensor; None if a target is wrong."""
        pair = self.pair
        loop = front.margin_loop(z.shape[1]) if pair.row else "pointwise"
        plan = self._plans.get((storage, loop))
        if plan is None:
            real = np.float64 if storage == "float64" else np.float32
            bounds = () if pair.row else (*pair.target.bounds(real), pair.target.ends_only)
            end = () if pair.row else (None,)  # no curvature
            plan = (
                cpu.kernel(pair, loop, storage, single=True),
                cpu.typed(pair, storage, pair.values),
                real,
                bounds,
                end,
            )
            self._plans[storage, loop] = plan
        kernel, parameters, real, bounds, end = plan
        size, width = z.shape if pair.row else (z.numel(), 1)
        divisor = size if self.reduction == "mean" else 1
        bounds = (width,) if pair.row else bounds
        out = None if delta is None else _flat(delta)
        arguments = _flat(z), _flat(y), None, real(1.0 / divisor), *bounds, None, out, *end
        total, bad = cpu.share(kernel, size, width, arguments, parameters, torch.get_num_threads())
        if bad >= 0:
            return None
        value = total / divisor
        try:
            return torch.scalar_tensor(value, dtype=torch.float64 if real is np.float64 else torch.float32)
        except RuntimeError:  # beyond the largest float32
            return torch.scalar_tensor(value, dtype=torch.float64).float()

    def _general(self, z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        _supported(z)
        if torch.is_grad_enabled():
            _refuse_gradient(y, "y")
            _refuse_gradient(weight, "weight")
        if z.dtype in _HALVES:
            z = z.float()
        return _Cost.apply(z, self.pair, y, weight, self, z.requires_grad and torch.is_grad_enabled())[0]  # type: ignore

    def predict(self, z: Tensor) -> Tensor:
        """The predictions `φ(z)`, in the shape of `z`; their gradient is known to autograd."""
        return self._predict_outside(z) if torch.compiler.is_compiling() else self._predict(z)

    @_outside
    def _predict_outside(self, z: Tensor) -> Tensor:
        return self._predict(z)

    def _predict(self, z: Tensor) -> Tensor:
        _supported(z)
        if z.dtype in _HALVES:
            return self._predict(z.float()).to(z.dtype)
        return _Predict.apply(z, self.pair, z.requires_grad and torch.is_grad_enabled())[0]  # type: ignore

    def constant(self, y: Tensor, weight: Tensor | None = None, classes: int | None = None) -> Tensor:
        """The constant score with the least cost, as `costlayer.constant` finds it: the right initial bias.

        Ignored targets, class weights and label smoothing count as they do in training.

        >>> layer = CostLayer("softmax+cross_entropy", class_weight=torch.tensor([1.0, 3.0]))
        >>> torch.softmax(layer.constant(torch.tensor([0, 1])), 0)
        tensor([0.2500, 0.7500])
        """
        targets, given = _array(y, "y"), None if weight is None else _array(weight, "weight")
        if self.ignore_index is not None or self.class_weight is not None or self.label_smoothing:
            if targets.ndim == 2 and not self.pair.row:
                return torch.stack([self.constant(column, weight) for column in torch.as_tensor(targets).T])
            targets, given, classes = self._as_trained_on(targets, given, classes)
        return torch.as_tensor(constant(self.pair, targets, given, classes), dtype=torch.get_default_dtype())

    def _as_trained_on(self, y: np.ndarray, weight: np.ndarray | None, classes: int | None):
        """Targets and weights that have the layer's own options in them, in the order of `costlayer.evaluate`."""
        weight = np.broadcast_to(1.0 if weight is None else weight, y.shape[:1])
        if self.ignore_index is not None and y.ndim == 1:
            kept = y != self.ignore_index
            y, weight = y[kept], weight[kept]
        by_class = None if self.class_weight is None else _array(self.class_weight, "class_weight").astype(np.float64)
        if not self.pair.row:
            self.evaluate(torch.zeros(y.shape), torch.as_tensor(y), None, delta=False)  # refuses what training would
            if by_class is not None:
                weight = weight * (by_class[0] + (by_class[1] - by_class[0]) * y)
            if self.label_smoothing:
                y = y * (1.0 - self.label_smoothing) + self.label_smoothing / 2
            return y, weight, None
        by_term = self.pair.cost.name == "cross_entropy"
        if y.ndim == 1:
            classes = classes or (len(by_class) if by_class is not None else None)
            classes = np.size(constant(self.pair, y, weight, classes))  # refuses labels that are no class
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
        shown += [f"ignore_index={self.ignore_index}"] if self.ignore_index is not None else []
        shown += [f"label_smoothing={self.label_smoothing:g}"] if self.label_smoothing else []
        shown += [f"empty={self.empty!r}"] if self.empty != "zero" else []
        return ", ".join(shown)

    def evaluate(self, z: Tensor, y: Tensor, weight: Tensor | None, delta: bool) -> front.Evaluation:
        """The value and, if asked for, δ, as NumPy arrays."""
        return front.evaluate(
            self.pair,
            _array(z, "z"),
            _array(y, "y"),
            None if weight is None else _array(weight, "weight"),
            reduction=self.reduction,
            class_weight=None if self.class_weight is None else _array(self.class_weight, "class_weight"),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            empty=self.empty,
            delta=delta,
            threads=torch.get_num_threads(),
        )


class _FirstDerivative(torch.autograd.Function):
    """A function whose gradient comes with its value, and whose further derivatives are refused, not taken for zero.

    The second output is what the gradient is made of. It counts as differentiable: a second derivative comes back to
    `backward` by way of it. The scores themselves are not kept.
    """

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        z, pair = inputs[0], inputs[1]
        ctx.axis = min(1, z.ndim - 1) if pair.row else None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1])

    @staticmethod
    def jvp(ctx, *tangents):
        raise UnsupportedDerivative(
            "z",
            "a forward-mode derivative through the cost layer",
            "backward mode, for now",
            "Use loss.backward(), torch.autograd.grad or torch.func.grad.",
        )

    @staticmethod
    def vmap(info, in_dims, *inputs):
        raise UnsupportedDerivative(
            "z",
            "torch.func.vmap over the cost layer",
            "whole batches, for now",
            "Pass the batch as it is; reduction='none' gives the cost of each example.",
        )


class _Cost(_FirstDerivative):
    """The value, and δ from the same pass."""

    @staticmethod
    def forward(z: Tensor, pair: Pair, y: Any, weight: Any, layer: CostLayer, delta: bool) -> tuple[Tensor, Tensor]:
        found = layer.evaluate(z, y, weight, delta)
        value = torch.as_tensor(found.value, dtype=z.dtype)
        return value, torch.from_numpy(found.delta) if delta else z.new_empty(0)

    @staticmethod
    def backward(ctx, upstream, upstream_of_delta):
        _refuse_second_derivative(upstream_of_delta)
        if upstream is None:
            return (None,) * 6
        (delta,) = ctx.saved_tensors
        if upstream.ndim and ctx.axis is not None:
            upstream = upstream.unsqueeze(ctx.axis)
        return _product(delta, upstream), None, None, None, None, None


class _Direct(torch.autograd.Function):
    """`_Cost` where nothing needs preparing, without what torch.func asks for: that costs more than a small batch."""

    @staticmethod
    def forward(ctx, z: Tensor, y: Tensor, layer: CostLayer, storage: str) -> tuple[Tensor, Tensor]:
        delta = _empty_like(z)
        value = layer._compute(z, y, delta, storage)
        if value is None:  # a wrong target: the general way says which
            layer.evaluate(z, y, None, delta=False)
        ctx.set_materialize_grads(False)
        ctx.axis = None
        ctx.save_for_backward(delta)
        return value, delta  # type: ignore

    @staticmethod
    def backward(ctx, upstream, upstream_of_delta):
        return _Cost.backward(ctx, upstream, upstream_of_delta)[:4]


class _Predict(_FirstDerivative):
    """The prediction, and what its gradient is made of: the gain, or for softmax the prediction itself."""

    @staticmethod
    def forward(z: Tensor, pair: Pair, with_gain: bool) -> tuple[Tensor, Tensor]:
        v, gain = front.predict_and_gain(pair, _array(z, "z"), with_gain)
        v = torch.from_numpy(v)
        if gain is None:
            return v, v.clone() if with_gain else z.new_empty(0)
        return v, torch.from_numpy(gain)

    @staticmethod
    def backward(ctx, upstream, upstream_of_gain):
        _refuse_second_derivative(upstream_of_gain)
        if upstream is None:
            return (None,) * 3
        (gain,) = ctx.saved_tensors
        if ctx.axis is not None:  # the full Jacobian: p_j (g_j - sum_k p_k g_k)
            upstream = upstream - (gain * upstream).sum(ctx.axis, keepdim=True)
        return _product(gain, upstream), None, None


def _flat(tensor: Tensor) -> np.ndarray:
    """A contiguous tensor as the loops take it: bfloat16 and float16 as their bits."""
    tensor = tensor.detach()
    if tensor.dtype in _HALVES:
        tensor = tensor.view(torch.uint16)
    return tensor.numpy() if tensor.ndim == 1 else tensor.numpy().reshape(-1)


def _empty_like(z: Tensor) -> Tensor:
    """A new tensor for a gradient: a large one in the memory of the last one that nobody holds any more, as filling new
    pages takes as long as the arithmetic, or else in huge pages where the system has them."""
    size = z.nbytes
    if size < _HUGE:
        return torch.empty_like(z)
    kept = _kept.pop() if _kept else None  # taken out, so that two threads cannot both have it
    if kept is None or kept.nbytes != size or _holders(kept) > 1:
        kept = torch.empty(size, dtype=torch.uint8)
        if _advise is not None:
            start = -(-kept.data_ptr() // _PAGE) * _PAGE
            _advise(start, (kept.data_ptr() + size - start) // _PAGE * _PAGE, 14)  # MADV_HUGEPAGE
    fresh = torch.empty(0, dtype=z.dtype).set_(kept.untyped_storage(), 0, z.shape)  # type: ignore
    if _holders is not _unknown:
        _kept[:] = [kept]  # now that it has a holder: another thread may look at once
    return fresh


def _storage_holders(tensor: Tensor) -> int:
    """How many tensors have the memory of this one."""
    storage = tensor.untyped_storage()
    return torch._C._storage_Use_Count(storage._cdata) - 1  # less the one that asks


def _unknown(tensor: Tensor) -> int:
    """Too many, where torch does not tell."""
    return 2


_holders = _storage_holders if hasattr(torch._C, "_storage_Use_Count") else _unknown
_kept: list[Tensor] = []  # one at most
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


def _refuse_second_derivative(upstream: Tensor | None) -> None:
    if upstream is not None:
        raise UnsupportedDerivative(
            "z",
            "a request for a second derivative through the cost layer",
            "first derivatives only, for now",
            "costlayer.curvature(pair, z, y) gives the second derivative by each score.",
        )


def _supported(z: Tensor) -> None:
    if not isinstance(z, Tensor):
        raise InvalidType("z", f"{type(z).__name__}", "a torch tensor of scores", "For NumPy arrays: costlayer.value.")
    if z.device.type != "cpu" or z.dtype not in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        raise InvalidType(
            "z",
            f"{z.dtype} on {z.device}",
            "float32, float64, float16 or bfloat16 on the CPU",
            "Move or convert the scores, z.cpu().float(); the gradient finds its way back by itself.",
        )
    if z.layout != torch.strided:
        raise InvalidType("z", f"a tensor of layout {z.layout}", "a dense one", "Convert it: z.to_dense().")


def _refuse_gradient(given: Any, name: str) -> None:
    if isinstance(given, Tensor) and given.requires_grad:
        raise UnsupportedDerivative(
            name, "a tensor that requires a gradient", "a constant", f"Only z has one: pass {name}.detach()."
        )


def _array(tensor: Any, name: str) -> np.ndarray:
    """A view as a NumPy array; bfloat16, which NumPy has not, as float32."""
    if not isinstance(tensor, Tensor):
        return np.asarray(tensor)
    if tensor.device.type != "cpu":
        raise InvalidType(name, f"a tensor on {tensor.device}", "one on the CPU, where z is", "Move it: .cpu().")
    tensor = tensor.detach().resolve_neg()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()
