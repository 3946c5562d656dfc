"""torch.nn's losses under their own names: the same arguments, defaults, shapes and types, computed by costlayer.

>>> from costlayer.torch import CrossEntropyLoss
>>> CrossEntropyLoss(label_smoothing=0.1)
CrossEntropyLoss()
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from costlayer.torch import functional


class L1Loss(nn.L1Loss):
    """torch.nn.L1Loss by identity+mae."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(input, target, reduction=self.reduction)


class MSELoss(nn.MSELoss):
    """torch.nn.MSELoss by identity+mse."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(nn.SmoothL1Loss):
    """torch.nn.SmoothL1Loss by identity+smooth_l1."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(nn.HuberLoss):
    """torch.nn.HuberLoss by identity+huber."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):
    """torch.nn.BCEWithLogitsLoss by sigmoid+cross_entropy: no gradient is lost to saturation."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """torch.nn.CrossEntropyLoss by softmax+cross_entropy: no gradient is lost once the model is sure."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


_Linear: Any = getattr(nn, "LinearCrossEntropyLoss", nn.Module)  # older versions of torch have none


class LinearCrossEntropyLoss(_Linear):
    """torch.nn.LinearCrossEntropyLoss (torch 2.13 and newer) by softmax+cross_entropy, with its last linear map inside:
    the scores are not held, whatever `options` says, but in compiled graphs."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        linear, shape = self.linear, (self.num_classes, *self.out_features)
        return functional.linear_cross_entropy(
            input,
            linear.weight.reshape(*shape, linear.in_features),
            target,
            linear_bias=None if linear.bias is None else linear.bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )


class PoissonNLLLoss(nn.PoissonNLLLoss):
    """torch.nn.PoissonNLLLoss; of log rates (`log_input=True`, the default) by exp+poisson."""

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return functional.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class SoftMarginLoss(nn.SoftMarginLoss):
    """torch.nn.SoftMarginLoss by identity+logistic, which does not overflow."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(nn.MultiLabelSoftMarginLoss):
    """torch.nn.MultiLabelSoftMarginLoss by sigmoid+cross_entropy."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class BCELoss(nn.BCELoss):
    """torch.nn.BCELoss as it is. It takes probabilities, from which a sigmoid has already taken the digits: torch
    clamps their logarithms at −100, and their gradient is wrong from a score of about 17 on. Give `BCEWithLogitsLoss`
    (sigmoid+cross_entropy) the scores themselves."""


class NLLLoss(nn.NLLLoss):
    """torch.nn.NLLLoss as it is. It takes log probabilities, in which a sure class has been rounded to 0. Give
    `CrossEntropyLoss` (softmax+cross_entropy) the scores themselves."""


class KLDivLoss(nn.KLDivLoss):
    """torch.nn.KLDivLoss as it is. It takes log probabilities; of scores, softmax+kl keeps the digits."""


class GaussianNLLLoss(nn.GaussianNLLLoss):
    """torch.nn.GaussianNLLLoss as it is: it takes a variance, not a score."""


class HingeEmbeddingLoss(nn.HingeEmbeddingLoss):
    """torch.nn.HingeEmbeddingLoss as it is: nothing is rounded in it."""


class MultiMarginLoss(nn.MultiMarginLoss):
    """torch.nn.MultiMarginLoss as it is: nothing is rounded in it but differences of scores."""


class MultiLabelMarginLoss(nn.MultiLabelMarginLoss):
    """torch.nn.MultiLabelMarginLoss as it is: nothing is rounded in it but differences of scores."""
