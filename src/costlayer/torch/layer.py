"""The cost layer as a torch module."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from costlayer import evaluate as front
from costlayer.catalogue import pair as as_pair
from costlayer.constant import constant
from costlayer.errors import InvalidType, InvalidValue, UnsupportedDerivative, nearest
from costlayer.pair import Pair


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
    second derivative or a gradient by the targets is asked for.

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
        if reduction not in front.REDUCTIONS:
            known = ", ".join(front.REDUCTIONS)
            raise InvalidValue(
                "reduction", repr(reduction), f"one of {known}", nearest(str(reduction), front.REDUCTIONS)
            )
        if not 0.0 <= label_smoothing < 1.0:
            raise InvalidValue("label_smoothing", repr(label_smoothing), "a number in [0, 1)")
        if empty not in front.EMPTY:
            raise InvalidValue("empty", repr(empty), "one of " + ", ".join(front.EMPTY))
        self.reduction, self.ignore_index = reduction, ignore_index
        self.label_smoothing, self.empty = label_smoothing, empty
        weights = None if class_weight is None else torch.as_tensor(class_weight)
        self.register_buffer("class_weight", weights, persistent=False)

    @torch.compiler.disable()  # a compiled network runs up to here and goes on after it
    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """The reduced cost of scores `z` under targets `y`."""
        _supported(z)
        for name, given in (("y", y), ("weight", weight)):
            if isinstance(given, Tensor) and given.requires_grad:
                raise UnsupportedDerivative(
                    name, "a tensor that requires a gradient", "a constant", f"Only z has one: pass {name}.detach()."
                )
        if z.dtype in (torch.float16, torch.bfloat16):
            z = z.float()
        return _Cost.apply(z, y, weight, self, z.requires_grad and torch.is_grad_enabled())[0]  # type: ignore

    @torch.compiler.disable()
    def predict(self, z: Tensor) -> Tensor:
        """The predictions `φ(z)`, in the shape of `z`; their gradient is known to autograd."""
        _supported(z)
        if z.dtype in (torch.float16, torch.bfloat16):
            return self.predict(z.float()).to(z.dtype)
        return _Predict.apply(z, self.pair)[0]  # type: ignore

    def constant(self, y: Tensor, weight: Tensor | None = None, classes: int | None = None) -> Tensor:
        """The constant score with the least cost, as `costlayer.constant` finds it: the right initial bias."""
        given = None if weight is None else _array(weight)
        return torch.as_tensor(constant(self.pair, _array(y), given, classes), dtype=torch.get_default_dtype())

    def extra_repr(self) -> str:
        shown = [repr(self.pair.name)] + [f"{name}={value:g}" for name, value in self.pair.parameters.items()]
        shown += [f"reduction={self.reduction!r}"] if self.reduction != "mean" else []
        shown += [f"class_weight={self.class_weight.tolist()}"] if self.class_weight is not None else []
        shown += [f"ignore_index={self.ignore_index}"] if self.ignore_index is not None else []
        shown += [f"label_smoothing={self.label_smoothing:g}"] if self.label_smoothing else []
        return ", ".join(shown)

    def evaluate(self, z: Tensor, y: Tensor, weight: Tensor | None, delta: bool) -> front.Evaluation:
        """The value and, if asked for, δ, as NumPy arrays."""
        return front.evaluate(
            self.pair,
            _array(z),
            _array(y),
            None if weight is None else _array(weight),
            reduction=self.reduction,
            class_weight=None if self.class_weight is None else _array(self.class_weight),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            empty=self.empty,
            delta=delta,
            threads=torch.get_num_threads(),
        )


class _Cost(torch.autograd.Function):
    """The value, with δ computed in the same pass and kept for the backward one."""

    @staticmethod
    def forward(z: Tensor, y: Tensor, weight: Tensor | None, layer: CostLayer, delta: bool) -> tuple[Tensor, Tensor]:
        found = layer.evaluate(z, y, weight, delta)
        value = torch.as_tensor(found.value, dtype=z.dtype)
        return value, torch.from_numpy(found.delta) if delta else z.new_empty(0)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        z, _, _, layer, _ = inputs
        ctx.axis = min(1, z.ndim - 1) if layer.pair.row else None
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(z, output[1])

    @staticmethod
    def backward(ctx, upstream, _):
        z, delta = ctx.saved_tensors
        if upstream.ndim and ctx.axis is not None:
            upstream = upstream.unsqueeze(ctx.axis)
        return _Product.apply(z, delta, upstream), None, None, None, None

    @staticmethod
    def jvp(ctx, *tangents):
        raise _no_forward_mode()


class _Predict(torch.autograd.Function):
    """The prediction, with what its gradient needs: the gain, or for softmax the prediction itself."""

    @staticmethod
    def forward(z: Tensor, pair: Pair) -> tuple[Tensor, Tensor]:
        v, gain = front.predict_and_gain(pair, _array(z))
        v = torch.from_numpy(v)
        return v, v.clone() if gain is None else torch.from_numpy(gain)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        z, pair = inputs
        ctx.axis = min(1, z.ndim - 1) if pair.row else None
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(z, output[1])

    @staticmethod
    def backward(ctx, upstream, _):
        z, gain = ctx.saved_tensors
        if ctx.axis is not None:  # the full Jacobian: p_j (g_j - sum_k p_k g_k)
            upstream = upstream - (gain * upstream).sum(ctx.axis, keepdim=True)
        return _Product.apply(z, gain, upstream), None

    @staticmethod
    def jvp(ctx, *tangents):
        raise _no_forward_mode()


class _Product(torch.autograd.Function):
    """δ times what comes from above; it knows of z only so that a second derivative is refused, not taken for zero."""

    @staticmethod
    def forward(z: Tensor, delta: Tensor, upstream: Tensor) -> Tensor:
        if upstream.numel() == 1 and upstream.item() == 1.0:
            return delta.view_as(delta)
        return delta * upstream

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def backward(ctx, *_):
        raise UnsupportedDerivative(
            "z",
            "a request for a second derivative through the cost layer",
            "first derivatives only, for now",
            "costlayer.curvature(pair, z, y) gives the second derivative by each score.",
        )

    @staticmethod
    def jvp(ctx, *tangents):
        raise _no_forward_mode()


def _no_forward_mode() -> UnsupportedDerivative:
    return UnsupportedDerivative(
        "z",
        "a forward-mode derivative through the cost layer",
        "backward mode, for now",
        "Use loss.backward(), torch.autograd.grad or torch.func.grad.",
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


def _array(tensor: Any) -> np.ndarray:
    """A view as a NumPy array; bfloat16, which NumPy has not, as float32."""
    if not isinstance(tensor, Tensor):
        return np.asarray(tensor)
    if tensor.device.type != "cpu":
        raise InvalidType(
            "y or weight", f"a tensor on {tensor.device}", "one on the CPU, where z is", "Move it: .cpu()."
        )
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()
