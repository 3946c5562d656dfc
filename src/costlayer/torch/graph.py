"""The linear layer in a compiled graph: one operation that compilers leave as it is, so that no scores are held there.

They hand over tensors and numbers only, so that a layer goes by its number.
"""

# without `from __future__ import annotations`: torch reads the types of what is an operation
import itertools
import weakref
from collections.abc import Sequence
from typing import Any, Optional

import torch
from torch import Tensor

from costlayer.errors import UnsupportedDerivative

_count = itertools.count()
_layers: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def number(layer: Any) -> int:
    """A number by which a layer is found as long as it is there."""
    given = next(_count)
    _layers[given] = layer
    return given


@torch.library.custom_op("costlayer::linear_cost", mutates_args=())
def linear_cost(
    bias: Optional[Tensor],  # noqa: UP045 — as torch wants it
    tensors: Sequence[Tensor],
    y: Tensor,
    weight: Optional[Tensor],  # noqa: UP045
    needs: Sequence[bool],
    layer: int,
    threshold: float,
    rows: int,
    work: torch.dtype,
) -> list[Tensor]:
    """The reduced cost of inputs and weights in turn, and the gradients by those that need one."""
    from costlayer.torch.fused import gradients_too
    from costlayer.torch.linear import Call

    x, w = tensors[:2]
    call = Call(_layers[layer], x, w, y, bias, weight, None, False, threshold, (), rows or None, work)
    call.given, call.needs = (bias, *tensors), tuple(needs)
    call.check_labels()
    return gradients_too(call)


@linear_cost.register_fake
def _(bias, tensors, y, weight, needs, layer, threshold, rows, work):
    exact = torch.float64 if work is torch.float64 else torch.float32
    needed = [of for of, need in zip((bias, *tensors), needs, strict=True) if need]
    return [
        tensors[0].new_empty((), dtype=exact),
        *(torch.empty_like(of, memory_format=torch.contiguous_format) for of in needed),
    ]


def _keep(ctx: Any, inputs: tuple, output: list[Tensor]) -> None:
    ctx.needs = inputs[4]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*output[1:])


def _backward(ctx: Any, upstream: Sequence[Tensor]) -> tuple:
    if any(each is not None for each in upstream[1:]):
        raise UnsupportedDerivative(
            "x, W",
            "a second derivative through the linear layer in a compiled graph",
            "the first",
            "Do not compile it.",
        )
    gradients = iter([each * upstream[0].to(each.dtype) for each in ctx.saved_tensors])
    bias, *tensors = (next(gradients) if need else None for need in ctx.needs)
    return bias, tensors, *(None,) * 7


linear_cost.register_autograd(_backward, setup_context=_keep)
