"""Learning from another network's scores: softmax+kl of two rows of scores, beside softmax+cross_entropy of labels."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from costlayer import evaluate as front
from costlayer.errors import InvalidType, InvalidValue
from costlayer.pair import POSITIVE, UNIT
from costlayer.torch.layer import CostLayer, _dense, _transformed

_HERE = 0.3  # apart by less than this, a series has more digits than e^−u − 1 + u
_LARGE = 30.0  # and from this on e^−u may be too large for p, which is then too small: their product is known by q
_SERIES = {  # as many coefficients of (e^−u − 1 + u) / u² as reach the last digit there, the last one first
    kind: [(-1.0) ** k / math.factorial(k) for k in range(last, 1, -1)]
    for kind, last in ((torch.float32, 8), (torch.float64, 13))
}
_PART = 1 << 16  # scores at a time
_FAR = 1e3  # where Σ p f(u) is beyond it, the divergence is so large that its plain formula loses nothing


class DistillationLoss(nn.Module):
    """What a student network has to learn from a teacher's scores and from labels (Hinton, Vinyals and Dean 2015).

    alpha · T² · KL(softmax(teacher / T) ‖ softmax(student / T)) + (1 − alpha) · (cross entropy of student and labels)

    Arguments:
        temperature: T > 0; T² keeps the gradient's size.
        alpha: the teacher's share, in [0, 1].
        reduction, ignore_index, label_smoothing, empty: as for `CostLayer`; ignored examples have no part in either
            term, and smoothing is that of the labels.

    Called with the scores of student and teacher, both (N, K) or (N, K, d1, ...), with labels, which alpha = 1 can do
    without, and a weight per example if wanted. The teacher gets no gradient. Where both are of one mind the loss and
    its gradient are exactly 0, and near there they keep their digits; the divergence is made of torch's operations.

    Errors: `InvalidValue` or `InvalidType`, as for `CostLayer`.

    >>> loss = DistillationLoss(temperature=2.0, alpha=0.5)
    >>> student, teacher = torch.zeros(1, 2, requires_grad=True), torch.tensor([[2.0, -2.0]])
    >>> round(loss(student, teacher, torch.tensor([0])).item(), 4)  # 0.5 · 4 · 0.3278 + 0.5 · 0.6931
    1.0022
    >>> DistillationLoss(temperature=2.0, alpha=1.0)(teacher, teacher)
    tensor(0.)
    """

    def __init__(
        self,
        temperature: float,
        alpha: float,
        *,
        reduction: front.Reduction = "mean",
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        empty: str = "zero",
    ) -> None:
        super().__init__()
        for name, given, domain in (("temperature", temperature, POSITIVE), ("alpha", alpha, UNIT)):
            if isinstance(given, bool) or not isinstance(given, (int, float)) or float(given) not in domain:
                raise InvalidValue(name, repr(given), f"a number in {domain}")
        front.check_options(reduction, empty, label_smoothing, ignore_index)
        self.alpha, self.reduction, self.empty = alpha, reduction, empty
        self.soft = _Divergence(temperature)
        self.hard = CostLayer(
            "softmax+cross_entropy", reduction="none", ignore_index=ignore_index, label_smoothing=label_smoothing
        )

    @property
    def temperature(self) -> float:
        """T, by which the scores of both are divided."""
        return self.soft.sharpness

    def forward(
        self, student: Tensor, teacher: Tensor, y: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """The reduced loss."""
        shape = _dense(student).shape[:1] + student.shape[2:] if student.ndim > 1 else student.shape[:0]
        self._check(student, teacher, y, weight, shape)
        kind = student.dtype if student.dtype in (torch.float32, torch.float64) else torch.float32
        present = torch.ones(shape, dtype=torch.bool, device=student.device)
        if y is not None and self.hard.ignore_index is not None and not y.is_floating_point():
            present = y != self.hard.ignore_index
        own = torch.ones(shape, dtype=kind, device=student.device)
        if weight is not None:
            own = weight.to(own).reshape(weight.shape + (1,) * (len(shape) - weight.ndim)).expand(shape)
        values = torch.zeros(shape, dtype=kind, device=student.device)
        if self.alpha:
            values = self.alpha * self.soft(student, teacher.detach(), torch.where(present, own, 0.0))
        looking = not (torch.compiler.is_compiling() or _transformed())
        if self.alpha != 1.0:
            values = values + (1.0 - self.alpha) * self.hard(student, y, weight)  # type: ignore — checked above
        elif y is not None and looking and student.is_cpu:
            self.hard(student.detach(), y, weight)  # labels that are none are refused, though they do not count
        if self.reduction == "none":
            return values
        total = values.sum()
        if self.reduction == "sum":
            return total
        counted = torch.ones_like(own) if self.reduction == "mean" else own
        count = torch.where(present, counted, 0.0).sum()
        if self.empty == "nan":
            return total / count
        if self.empty == "error" and looking and not count:
            raise InvalidValue(
                "y", "no examples to average", "at least one", "Use reduction='sum' where it may be empty."
            )
        return torch.where(count == 0, 0.0, total / torch.where(count == 0, 1.0, count))

    def _check(
        self, student: Tensor, teacher: Tensor, y: Tensor | None, weight: Tensor | None, shape: tuple[int, ...]
    ) -> None:
        if not isinstance(teacher, Tensor) or not teacher.is_floating_point():
            given = f"{teacher.dtype}" if isinstance(teacher, Tensor) else type(teacher).__name__
            raise InvalidType("teacher", given, "a torch tensor of floating-point scores")
        if teacher.shape != student.shape:
            given = f"shape {tuple(teacher.shape)} for scores of shape {tuple(student.shape)}"
            raise InvalidValue("teacher", given, "scores in the shape of the student's")
        if y is None and self.alpha != 1.0:
            raise InvalidValue("y", "no labels", f"labels, as alpha is {self.alpha:g}", "Without labels take alpha=1.")
        if y is not None and y.shape != (student.shape if y.is_floating_point() else shape):
            given = f"shape {tuple(y.shape)} for scores of shape {tuple(student.shape)}"
            raise InvalidValue(
                "y", given, f"class indices of shape {tuple(shape)}, or probabilities in that of the scores"
            )
        if weight is not None and weight.shape != shape[: weight.ndim]:
            raise InvalidValue("weight", f"shape {tuple(weight.shape)}", f"{tuple(shape)}, or its leading axes")

    def extra_repr(self) -> str:
        shown = [f"temperature={self.temperature:g}", f"alpha={self.alpha:g}"]
        shown += [f"reduction={self.reduction!r}"] if self.reduction != "mean" else []
        shown += [f"empty={self.empty!r}"] if self.empty != "zero" else []
        return ", ".join(shown)


class _Divergence(CostLayer):
    """softmax+kl of a target that is known by its scores, times T²: of probabilities, which have been rounded, it could
    not tell a teacher and a student who are nearly of one mind from two who are."""

    def __init__(self, temperature: float) -> None:
        self.sharpness = temperature
        super().__init__("softmax+kl", reduction="none")

    def _program(self) -> SimpleNamespace:
        return SimpleNamespace(
            rows=partial(_in_parts, temperature=self.sharpness),
            rows_along=partial(_along, temperature=self.sharpness),
        )

    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        return self._by_operations(z, y, weight)


def _in_parts(z: Tensor, y: Tensor, axis: int, temperature: float) -> tuple[Tensor, Tensor]:
    """`_divergence`, some rows at a time where that can be: as many as stay in a cache from one pass to the next."""
    if not axis or not z.is_cpu or z.numel() <= _PART or torch.compiler.is_compiling() or _transformed():
        return _divergence(z, y, axis, temperature)
    few = max(1, _PART // z[0].numel())
    found = (_divergence(*part, axis, temperature) for part in zip(z.split(few), y.split(few), strict=True))
    values, slopes = zip(*found, strict=True)
    return torch.cat(values), torch.cat(slopes)


def _divergence(z: Tensor, y: Tensor, axis: int, temperature: float) -> tuple[Tensor, Tensor]:
    """T² KL(p ‖ q) of p = softmax(y / T) and q = softmax(z / T), and its derivative by z, T (q − p).

    With u = (y − z) / T less its mean under p, KL is ln(1 + Σ p f(u)), where f(u) = e^−u − 1 + u is never below 0: so
    nothing cancels, however near the two are. And q / p is e^−u over Σ p e^−u.
    """
    z, y = _finite(z, axis), _finite(y, axis)
    gap = torch.where(z == y, 0.0, y - z) / temperature
    log_p, log_q = (torch.log_softmax(scores / temperature, axis) for scores in (y, z))
    p, q = log_p.exp(), log_q.exp()
    absent = p == 0.0

    def mean(of: Tensor) -> Tensor:
        return (p * of).masked_fill(absent, 0.0).sum(axis, keepdim=True)

    u = gap - mean(gap)
    here = u.abs() < _HERE
    x = torch.where(here, u, 0.0)
    first, *others = _SERIES[z.dtype]
    series = torch.full_like(x, first)
    for coefficient in others:
        series = series * x + coefficient
    change = torch.expm1(-u.clamp(min=-_LARGE))
    best = p.argmax(axis, keepdim=True)
    ratio = (log_p - log_q - u).gather(axis, best).exp()  # of p e^−u and q, the same for all of a row
    far = ratio * q + (p * (u - 1.0)).masked_fill(absent, 0.0)
    terms = torch.where(here, p * series * x * x, torch.where(u > -_LARGE, p * (change + u), far))
    apart = terms.sum(axis, keepdim=True)
    known = apart < _FAR
    value = torch.where(known, apart.log1p(), mean(log_p - log_q)).squeeze(axis)
    more = apart - mean(u)  # Σ p e^−u less 1, as it is when u was rounded: so is the likeliest class's own u
    slope = torch.where(here & known, p * (change - more) / (1.0 + more), q - p)
    return value * temperature**2, slope * temperature


def _finite(z: Tensor, axis: int) -> Tensor:
    """Scores with the shares that those have in the limit: where some are +∞, these alone, and alike."""
    sure = torch.isposinf(z)
    beside = torch.where(z.isnan(), z, -torch.inf)
    return torch.where(sure.any(axis, keepdim=True), torch.where(sure, 0.0, beside), z)


def _along(z: Tensor, u: Tensor, axis: int, temperature: float) -> Tensor:
    """How T (q − p) changes along u."""
    q = torch.softmax(_finite(z, axis) / temperature, axis)
    return q * (u - (q * u).sum(axis, keepdim=True))
