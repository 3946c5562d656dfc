"""torch.nn.functional's loss functions under their own names: change one import.

Each takes what torch's takes, with its defaults and shapes, and answers in its type. It is computed by costlayer where
costlayer has the pair; where not (targets that torch takes and the pair does not, shapes that torch broadcasts,
gradients by targets) torch's own function answers, with its own errors. docs/torch.md lists every difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction as legacy

# As they are in torch: what they take is no score any more, so that nothing is left for a pair to keep.
from torch.nn.functional import (
    binary_cross_entropy,
    gaussian_nll_loss,
    hinge_embedding_loss,
    kl_div,
    multi_margin_loss,
    multilabel_margin_loss,
    nll_loss,
)

from costlayer.errors import CostLayerError, InvalidValue
from costlayer.torch.layer import CostLayer, _transformed
from costlayer.torch.linear import linear_cost

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


def l1_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """`torch.nn.functional.l1_loss` by identity+mae.

    >>> l1_loss(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0]))
    tensor(2.)
    """
    reduction = _reduction(size_average, reduce, reduction)
    given: dict[str, Any] = {} if weight is None else {"weight": weight}
    return _pointwise(
        "identity+mae", input, target, lambda: F.l1_loss(input, target, reduction=reduction, **given), reduction, weight
    )


def mse_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """`torch.nn.functional.mse_loss` by identity+mse.

    >>> mse_loss(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0]))
    tensor(5.)
    """
    reduction = _reduction(size_average, reduce, reduction)
    given: dict[str, Any] = {} if weight is None else {"weight": weight}
    return _pointwise(
        "identity+mse",
        input,
        target,
        lambda: F.mse_loss(input, target, reduction=reduction, **given),
        reduction,
        weight,
    )


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """`torch.nn.functional.smooth_l1_loss` by identity+smooth_l1.

    >>> smooth_l1_loss(torch.tensor([0.5, 5.0]), torch.tensor([0.0, 2.0]))
    tensor(1.3125)
    """
    reduction = _reduction(size_average, reduce, reduction)
    torchs = lambda: F.smooth_l1_loss(input, target, reduction=reduction, beta=beta)  # noqa: E731
    return _pointwise("identity+smooth_l1", input, target, torchs, reduction, beta=beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """`torch.nn.functional.huber_loss` by identity+huber.

    >>> huber_loss(torch.tensor([0.5, 5.0]), torch.tensor([0.0, 2.0]), delta=2.0)
    tensor(2.0625)
    """
    given: dict[str, Any] = {} if weight is None else {"weight": weight}
    torchs = lambda: F.huber_loss(input, target, reduction=reduction, delta=delta, **given)  # noqa: E731
    return _pointwise("identity+huber", input, target, torchs, reduction, weight, by_weight=False, delta=delta)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average=None,
    reduce=None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`torch.nn.functional.binary_cross_entropy_with_logits` by sigmoid+cross_entropy: no gradient is lost to
    saturation.

    >>> z = torch.tensor([63.8], requires_grad=True)
    >>> binary_cross_entropy_with_logits(z, torch.tensor([1.0])).backward()
    >>> z.grad  # torch's own says 0
    tensor([-1.9589e-28])
    """
    reduction = _reduction(size_average, reduce, reduction)
    options = {"weight": weight, "reduction": reduction, "pos_weight": pos_weight}

    def torchs() -> Tensor:
        return F.binary_cross_entropy_with_logits(input, target, **options)

    try:
        factor = None if weight is None else weight.to(input.dtype).expand(input.shape)
        if pos_weight is not None:
            pos_weight = pos_weight.to(input.dtype).expand(input.shape)
    except (RuntimeError, TypeError, AttributeError):
        return torchs()
    name = "sigmoid+cross_entropy"
    return _pointwise(name, input, target, torchs, reduction, factor, by_weight=False, pos_weight=pos_weight)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average=None,
    ignore_index: int = -100,
    reduce=None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`torch.nn.functional.cross_entropy` by softmax+cross_entropy: no gradient is lost once the model is sure.

    >>> z = torch.tensor([[30.0, 0.0]], requires_grad=True)
    >>> cross_entropy(z, torch.tensor([0])).backward()
    >>> z.grad  # torch's own says 0 for the true class
    tensor([[-9.3576e-14,  9.3576e-14]])
    """
    reduction = _reduction(size_average, reduce, reduction)

    def torchs() -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )

    if not _plain(input, target) or target.dtype not in (torch.int64, input.dtype) or reduction not in _REDUCTIONS:
        return torchs()
    if (target.is_floating_point() and ignore_index >= 0) or not 0.0 <= label_smoothing < 1.0:
        return torchs()
    if weight is not None and (weight.dtype != input.dtype or weight.requires_grad):
        return torchs()
    ignored = ignore_index if target.dtype is torch.int64 else None
    options = {"ignore_index": ignored, "label_smoothing": label_smoothing}
    return _by_layer("softmax+cross_entropy", input, target, torchs, reduction, None, options, class_weight=weight)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`torch.nn.functional.linear_cross_entropy`, of torch 2.13, by softmax+cross_entropy and `linear_cost`.

    The scores are not held, whatever `options` says, but in compiled graphs. Of the options, `batch_chunk_size` is how
    many rows there are at a time.

    >>> linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([0, 3]))
    tensor(1.3863)
    """

    def torchs() -> Tensor:
        return F.linear_cross_entropy(  # type: ignore — from torch 2.13 on
            input,
            linear_weight,
            target,
            linear_bias=linear_bias,
            weight=weight,
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            options=options,
        )

    given = [each for each in (input, linear_weight, linear_bias) if each is not None]
    soft = isinstance(target, Tensor) and target.is_floating_point()
    if (
        not all(_plain(each, target) and each.dtype is input.dtype for each in given)
        or reduction not in _REDUCTIONS
        or target.dtype not in (torch.int64, input.dtype)
        or (soft and ignore_index is not None)
        or not 0.0 <= label_smoothing < 1.0
        or (weight is not None and (weight.dtype != input.dtype or weight.requires_grad))
        or linear_weight.ndim < 2
        or not 1 <= input.ndim <= 2
        or (input.ndim == 1 and linear_weight.ndim > 2)
        or (linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1])
    ):
        return torchs()
    ignored = None if soft else -100 if ignore_index is None else ignore_index
    if torch.compiler.is_compiling():  # by way of the scores, as a compiler cannot make the layer
        bias = None if linear_bias is None else linear_bias.flatten()
        scores = F.linear(input, linear_weight.flatten(0, -2), bias).unflatten(-1, linear_weight.shape[:-1])
        options = {"reduction": reduction, "label_smoothing": label_smoothing}
        return cross_entropy(scores, target, weight, ignore_index=-100 if ignored is None else ignored, **options)
    found = {"ignore_index": ignored, "label_smoothing": label_smoothing}
    layer = _layer(
        "softmax+cross_entropy", "sum" if reduction == "mean" and linear_weight.ndim > 2 else reduction, found
    )
    if layer is None:
        return torchs()
    layer = layer._with(class_weight=weight)
    rows = getattr(options, "batch_chunk_size", None)
    try:
        if linear_weight.ndim == 2:
            loss = linear_cost(input, linear_weight, target, layer, linear_bias, rows=rows)
        else:
            loss = _linear_at_places(input, linear_weight, target, layer, linear_bias, rows, reduction)
    except (CostLayerError, TypeError, ValueError):
        return torchs()
    return loss if torch.is_autocast_enabled(input.device.type) else loss.to(input.dtype)


def _linear_at_places(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    layer: CostLayer,
    linear_bias: Tensor | None,
    rows: int | None,
    reduction: str,
) -> Tensor:
    """The same where each example has a class at several places, and each place weights of its own."""
    classes, *places, width = linear_weight.shape
    shape = (len(input), *places)
    soft = target.is_floating_point()
    if target.shape != ((shape[0], classes, *places) if soft else shape):
        raise InvalidValue("target", f"shape {tuple(target.shape)}", f"{shape}")
    weights = linear_weight.reshape(classes, -1, width).unbind(1)
    biases = [None] * len(weights) if linear_bias is None else linear_bias.reshape(classes, -1).unbind(1)
    targets = target.reshape(*target.shape[: 1 + soft], -1).unbind(-1)
    parts = [
        linear_cost(input, w, y.contiguous(), layer, b, rows=rows)
        for w, y, b in zip(weights, targets, biases, strict=True)
    ]
    if reduction == "none":
        return torch.stack(parts, -1).reshape(shape)
    total = torch.stack(parts).sum()
    if reduction == "sum":
        return total
    kept = target[target != layer.ignore_index]
    by_class = layer.class_weight
    return total / (math.prod(shape) if soft else kept.numel() if by_class is None else by_class[kept].sum())


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average=None,
    eps: float = 1e-8,
    reduce=None,
    reduction: str = "mean",
) -> Tensor:
    """`torch.nn.functional.poisson_nll_loss`, with `log_input` by exp+poisson. Rates themselves are no scores: torch's
    own function takes them.

    >>> poisson_nll_loss(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
    tensor(1.)
    """
    reduction = _reduction(size_average, reduce, reduction)
    options = {"log_input": log_input, "full": full, "eps": eps, "reduction": reduction}
    torchs = lambda: F.poisson_nll_loss(input, target, **options)  # noqa: E731
    if not log_input or full:
        return torchs()
    return _pointwise("exp+poisson", input, target, torchs, reduction)


def soft_margin_loss(input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean") -> Tensor:
    """`torch.nn.functional.soft_margin_loss` by identity+logistic, which does not overflow.

    >>> soft_margin_loss(torch.tensor([100.0]), torch.tensor([-1.0]))  # torch's own says infinity
    tensor(100.)
    """
    reduction = _reduction(size_average, reduce, reduction)
    torchs = lambda: F.soft_margin_loss(input, target, reduction=reduction)  # noqa: E731
    if not _plain(input, target) or input.shape != target.shape or input.dtype != target.dtype:
        return torchs()
    hidden = torch.compiler.is_compiling() or _transformed() or input.is_meta  # nobody can look at targets there
    if hidden or not (target.abs() == 1).all():  # of any target it is the margin that counts
        input, target = input * target, torch.ones_like(input)
    return _pointwise("identity+logistic", input, target, torchs, reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average=None,
    reduce=None,
    reduction: str = "mean",
) -> Tensor:
    """`torch.nn.functional.multilabel_soft_margin_loss` by sigmoid+cross_entropy.

    >>> multilabel_soft_margin_loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))
    tensor(0.6931)
    """
    reduction = _reduction(size_average, reduce, reduction)
    if (
        reduction not in _REDUCTIONS
        or not _plain(input, target)
        or input.ndim == 0
        or input.shape != target.shape
        or not target.is_floating_point()
        or (weight is not None and weight.shape not in (input.shape, input.shape[-1:]))
    ):
        return F.multilabel_soft_margin_loss(input, target, weight=weight, reduction=reduction)
    rows = binary_cross_entropy_with_logits(input, target, weight, reduction="none").mean(-1)
    return rows if reduction == "none" else rows.sum() if reduction == "sum" else rows.mean()


_REDUCTIONS = ("none", "mean", "sum")
_layers = ModuleType("layers")  # as a module's attribute a graph that is compiled finds what was made meanwhile
_names: dict[tuple, str] = {}  # of the layers there, by what they are made of


def _layer(pair: str, reduction: str, options: dict[str, Any]) -> CostLayer | None:
    """The layer of a pair and its options; None if there can be none."""
    name = _made(pair, reduction, options)
    return getattr(_layers, name) if name else None


def _made(pair: str, reduction: str, options: dict[str, Any]) -> str:
    """The name of such a layer among the layers, once it is made; empty if none can be."""
    key = (pair, reduction, *options.items())
    name = _names.get(key)
    if name is None:
        try:
            made = CostLayer(pair, reduction=reduction, empty="nan", **options)  # type: ignore
        except (CostLayerError, TypeError, ValueError):
            return ""
        name = f"layer_{len(_names)}"
        setattr(_layers, name, made)
        _names[key] = name
    return name


# Compilers of graphs call it and take its answer, where tracing it would lead them through the reading of formulas. By
# `torch.compiler.assume_constant_result`, which sets this, but imports the compiler at once.
_made._dynamo_marked_constant = True  # type: ignore


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """What torch's older arguments say."""
    if size_average is None and reduce is None:
        return reduction
    return legacy.legacy_get_string(size_average, reduce)


def _plain(input: Any, target: Any) -> bool:
    """Whether the arguments are tensors, and the gradient is asked for by the input alone."""
    return (
        isinstance(input, Tensor)
        and isinstance(target, Tensor)
        and input.device == target.device
        and input.is_floating_point()
        and not target.requires_grad
    )


def _pointwise(
    pair: str,
    input: Tensor,
    target: Tensor,
    torchs: Callable[[], Tensor],
    reduction: str,
    weight: Tensor | None = None,
    by_weight: bool = True,
    pos_weight: Tensor | None = None,
    **parameters: float,
) -> Tensor:
    """A loss of single scores, by the pair, or else torch's own."""
    if reduction not in _REDUCTIONS:
        return torchs()
    if not _plain(input, target) or input.shape != target.shape or input.dtype != target.dtype:
        return torchs()  # torch broadcasts and converts
    if weight is not None and (weight.shape != input.shape or weight.requires_grad):
        return torchs()
    if pos_weight is not None and pos_weight.requires_grad:
        return torchs()
    if weight is not None and by_weight and reduction == "mean":
        reduction = "weighted_mean"
    return _by_layer(pair, input, target, torchs, reduction, weight, parameters, pos_weight=pos_weight)


def _by_layer(
    pair: str,
    input: Tensor,
    target: Tensor,
    torchs: Callable[[], Tensor],
    reduction: str,
    weight: Tensor | None,
    options: dict[str, Any],
    class_weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
) -> Tensor:
    try:
        # a compiler cannot make modules, and may take numbers for variables of its graph
        compiling = torch.compiler.is_compiling()
        layer = _layer(pair, reduction, {} if compiling else options)
        if layer is None:
            return torchs()
        if compiling:
            known = layer.pair.cost.parameters
            if any(name in known and value not in known[name].domain for name, value in options.items()):
                return torchs()
            found = layer._by_operations(
                input, target, weight, class_weight=class_weight, pos_weight=pos_weight, **options
            )
        else:
            if class_weight is not None or pos_weight is not None:
                layer = layer._with(class_weight=class_weight, pos_weight=pos_weight)
            found = layer(input, target, weight)
    except (CostLayerError, TypeError, ValueError):
        return torchs()
    return (
        found if found.dtype is input.dtype or torch.is_autocast_enabled(input.device.type) else found.to(input.dtype)
    )
