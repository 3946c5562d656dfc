"""Costs written for a whole row, as torch operations: what `costlayer.pairs` says of them with loops, without.

Everywhere in here the scores of a row lie along the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from costlayer.pair import Pair


class Goal(NamedTuple):
    """Targets: which class is the true one, and how much of each.

    Arguments:
        label: (..., 1), −1 where there are but shares.
        own: (..., scores), whether a score is the true class's.
        share: (..., scores), the probability of each class.
    """

    label: Tensor
    own: Tensor
    share: Tensor


def evaluate(pair: Pair, z: Tensor, y: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The cost of each row, and δ."""
    z, goal, values = z.movedim(axis, -1), _goal(z, y, axis), pair.values
    value, delta = _FORMS[pair.name].evaluate(z, goal, *values)
    classes = z.shape[-1] + pair.activation.thresholds
    # targets are not looked at one by one here: one that is no class gives NaN, not a gradient that looks right
    bad = (
        z.isnan().any(-1, keepdim=True) | (goal.label >= classes) | (goal.label < (-1 if y.is_floating_point() else 0))
    )
    value = torch.where(bad.squeeze(-1), torch.nan, value)
    return value, torch.where(bad, torch.nan, delta).movedim(-1, axis)


def along(pair: Pair, z: Tensor, y: Tensor, u: Tensor, axis: int) -> Tensor:
    """How δ changes along u."""
    found = _FORMS[pair.name].along(z.movedim(axis, -1), _goal(z, y, axis), u.movedim(axis, -1), *pair.values)
    return found.movedim(-1, axis)


def predict(pair: Pair, z: Tensor, axis: int) -> Tensor:
    """The predictions, by operations that autograd knows."""
    last = z.ndim - 1  # not −1, of which torch.jit makes an axis that ONNX has not
    z = z.movedim(axis, last)
    v = _PREDICTIONS[pair.activation.name](z)
    return torch.where(z.isnan().any(-1, keepdim=True), torch.nan, v).movedim(last, axis)


def _sigmoid(z: Tensor) -> Tensor:
    right, e = _sides(z)
    return torch.where(right, 1.0, e) / (1.0 + e)


def _conditional(z: Tensor) -> Tensor:
    right, e = _sides(z)
    return (torch.where(right, 0.0, z) - torch.log(1.0 + e)).cumsum(-1).exp()


def _sides(z: Tensor) -> tuple[Tensor, Tensor]:
    """Whether z ≥ 0, and exp(−|z|), whose derivative at 0 is that of one side, where that of |z| would be 0."""
    right = z >= 0.0
    return right, torch.exp(torch.where(right, -z, z))


def _goal(z: Tensor, y: Tensor, axis: int) -> Goal:
    ranks = torch.arange(z.shape[axis], device=z.device)
    if y.is_floating_point():
        share = y.movedim(axis, -1)
        return Goal(
            torch.full_like(share[..., :1], -1, dtype=torch.int64), torch.zeros_like(share, dtype=torch.bool), share
        )
    label = y.unsqueeze(-1)
    own = ranks == label
    return Goal(label, own, own.to(z.dtype))


def _others(own: Tensor, of: Tensor) -> Tensor:
    return torch.where(own, 0.0, of).sum(-1, keepdim=True)


# ---------------------------------------------------------------------------------------------- multiclass hinges


def _shortfall(z: Tensor, goal: Goal, margin: float) -> Tensor:
    """By how much the true class is short of a margin over each of the others; −∞ for itself."""
    truth = torch.where(goal.own, z, 0.0).sum(-1, keepdim=True)
    short = margin + torch.where(z == truth, 0.0, z - truth)
    return torch.where(goal.own, -torch.inf, short)


def _crammer_singer(z: Tensor, goal: Goal, margin: float) -> tuple[Tensor, Tensor]:
    short = _shortfall(z, goal, margin)
    worst = short.amax(-1, keepdim=True)
    best = torch.zeros_like(z).scatter(-1, short.argmax(-1, keepdim=True), 1.0)
    return worst.squeeze(-1).clamp(min=0.0), torch.where(worst > 0.0, best - goal.share, 0.0)


def _weston_watkins(z: Tensor, goal: Goal, margin: float) -> tuple[Tensor, Tensor]:
    short = _shortfall(z, goal, margin)
    inside = (short > 0.0).to(z.dtype)
    delta = torch.where(goal.own, -inside.sum(-1, keepdim=True), inside)
    return short.clamp(min=0.0).sum(-1), delta


def _nothing(z: Tensor, goal: Goal, u: Tensor, margin: float) -> Tensor:
    return torch.zeros_like(u)


# ------------------------------------------------------------------------------------------ sparse probabilities


def _below_top(z: Tensor) -> Tensor:
    """Scores less the largest, which may be infinite; only differences count, so nothing is lost to a derivative."""
    top = z.detach().amax(-1, keepdim=True)
    return torch.where((z == top) & z.isinf(), 0.0, z - top)


def _sorted(u: Tensor) -> tuple[Tensor, Tensor]:
    scores = u.detach().sort(-1, descending=True).values
    return scores, torch.arange(1, u.shape[-1] + 1, device=u.device, dtype=u.dtype)


def _threshold(u: Tensor) -> tuple[Tensor, Tensor]:
    """The threshold of sparsemax, and which scores lie above it."""
    scores, ranks = _sorted(u)
    total = scores.cumsum(-1)
    count = (1.0 + ranks * scores > total).sum(-1, keepdim=True).clamp(min=1)  # none among NaN
    inside = u > (total.gather(-1, count - 1) - 1.0) / count
    return (torch.where(inside, u, 0.0).sum(-1, keepdim=True) - 1.0) / inside.sum(-1, keepdim=True), inside


def _sparsemax(z: Tensor) -> Tensor:
    u = _below_top(z)
    threshold, inside = _threshold(u)
    return torch.where(inside, u - threshold, 0.0)


def _sparsemax_loss(z: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    u = _below_top(z)
    threshold, inside = _threshold(u)
    p = torch.where(inside, u - threshold, 0.0).clamp(min=0.0)
    more = goal.share.sum(-1, keepdim=True) - 1.0
    off = torch.where(goal.own, -_others(goal.own, p), p - goal.share)
    missed = torch.where(goal.share == 0.0, 0.0, goal.share * (threshold - u).clamp(min=0.0))
    return (0.5 * (off * off + more * p * p) + missed).sum(-1), off + more * p


def _sparsemax_along(z: Tensor, goal: Goal, u: Tensor) -> Tensor:
    _, inside = _threshold(_below_top(z))
    mean = torch.where(inside, u, 0.0).sum(-1, keepdim=True) / inside.sum(-1, keepdim=True)
    return torch.where(inside, u - mean, 0.0) * goal.share.sum(-1, keepdim=True)


def _half_threshold(u: Tensor) -> tuple[Tensor, Tensor]:
    """The threshold of entmax15 for halves of scores, and which lie above it."""
    scores, ranks = _sorted(u)
    mean = scores.cumsum(-1) / ranks
    spread = scores.square().cumsum(-1) - ranks * mean.square()
    each = mean - ((1.0 - spread) / ranks).clamp(min=0.0).sqrt()
    count = (each < scores).sum(-1, keepdim=True).clamp(min=1)  # none among NaN
    inside = u > each.gather(-1, count - 1)
    count = inside.sum(-1, keepdim=True)
    mean = torch.where(inside, u, 0.0).sum(-1, keepdim=True) / count
    spread = torch.where(inside, u - mean, 0.0).square().sum(-1, keepdim=True)
    return mean - ((1.0 - spread) / count).sqrt(), inside


def _roots(z: Tensor) -> Tensor:
    """The square roots of the probabilities of entmax15."""
    u = 0.5 * _below_top(z)
    threshold, inside = _half_threshold(u)
    return torch.where(inside, u - threshold, 0.0)


def _entmax15_loss(z: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    u = 0.5 * _below_top(z)
    threshold, inside = _half_threshold(u)
    w, r = torch.where(inside, u - threshold, 0.0).clamp(min=0.0), goal.share.sqrt()
    more = goal.share.sum(-1, keepdim=True) - 1.0
    others = _others(goal.own, w * w)
    apart = torch.where(goal.own, -others / (1.0 + w), w - r)
    off = torch.where(goal.own, -others, (w - r) * (w + r))
    missed = torch.where(goal.share == 0.0, 0.0, goal.share * 2.0 * (threshold - u).clamp(min=0.0))
    value = 2.0 / 3.0 * (apart * apart * (w + 2.0 * r) + more * w * w * w) + missed
    return value.sum(-1), off + more * w * w


def _entmax15_along(z: Tensor, goal: Goal, u: Tensor) -> Tensor:
    w = _roots(z)
    mean = (w * u).sum(-1, keepdim=True) / w.sum(-1, keepdim=True)
    return w * (u - mean) * goal.share.sum(-1, keepdim=True)


# ----------------------------------------------------------------------------------------------- classes in order


def _steps(z: Tensor, goal: Goal, lowest: int | None = None, highest: int | None = None) -> tuple[Tensor, ...]:
    """At each threshold, whether the truth lies above: the cost and its derivatives; of those alone that lie from
    `lowest` to `highest`, counted from the true class."""
    place = torch.arange(z.shape[-1], device=z.device) - goal.label
    above = place < 0
    e = torch.exp(-z.abs())
    side = torch.where(above, -z, z)
    slope = torch.where(side >= 0.0, 1.0, e) / (1.0 + e)
    terms = side.clamp(min=0.0) + torch.log1p(e), torch.where(above, -slope, slope), e / (1.0 + e).square()
    kept = torch.ones_like(above)
    if lowest is not None:
        kept = kept & (place >= lowest)
    if highest is not None:
        kept = kept & (place <= highest)
    return tuple(torch.where(kept, term, 0.0) for term in terms)


def _coral(z: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    value, slope, _ = _steps(z, goal)
    return value.sum(-1), slope


def _coral_along(z: Tensor, goal: Goal, u: Tensor) -> Tensor:
    return _steps(z, goal)[2] * u


def _corn(z: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    value, slope, _ = _steps(z, goal, highest=0)
    return value.sum(-1), slope


def _corn_along(z: Tensor, goal: Goal, u: Tensor) -> Tensor:
    return _steps(z, goal, highest=0)[2] * u


def _wall(z: Tensor, goal: Goal) -> tuple[Tensor, ...]:
    """What keeps the scores on both sides of the true class apart, of each score and the next."""
    here = torch.arange(1, z.shape[-1], device=z.device) == goal.label
    gap = torch.where(here, z[..., :-1] - z[..., 1:], 1.0)
    push = 1.0 / torch.expm1(gap)
    value = -torch.where(gap < 0.7, torch.log(-torch.expm1(-gap)), torch.log1p(-torch.exp(-gap)))
    return tuple(torch.where(here, term, 0.0) for term in (value, push, push * (1.0 + push)))


def _apart(push: Tensor) -> Tensor:
    """What pushes a score and the next apart, added up at each score."""
    return F.pad(push, (1, 0)) - F.pad(push, (0, 1))


def _cumulative_logit(z: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    value, slope, _ = _steps(z, goal, -1, 0)
    wall, push, _ = _wall(z, goal)
    return value.sum(-1) + wall.sum(-1), slope + _apart(push)


def _cumulative_logit_along(z: Tensor, goal: Goal, u: Tensor) -> Tensor:
    return _steps(z, goal, -1, 0)[2] * u - _apart(_wall(z, goal)[2] * (u[..., :-1] - u[..., 1:]))


class _Form(NamedTuple):
    """`(z, goal, *parameters) -> value, δ`, and `(z, goal, u, *parameters)`, how δ changes along u."""

    evaluate: Callable[..., tuple[Tensor, Tensor]]
    along: Callable[..., Tensor]


_FORMS = {
    "class_scores+crammer_singer": _Form(_crammer_singer, _nothing),
    "class_scores+weston_watkins": _Form(_weston_watkins, _nothing),
    "sparsemax+fenchel_young": _Form(_sparsemax_loss, _sparsemax_along),
    "entmax15+fenchel_young": _Form(_entmax15_loss, _entmax15_along),
    "ordinal+cumulative_logit": _Form(_cumulative_logit, _cumulative_logit_along),
    "ordinal+coral": _Form(_coral, _coral_along),
    "conditional+corn": _Form(_corn, _corn_along),
}
_PREDICTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "class_scores": lambda z: z,
    "sparsemax": _sparsemax,
    "entmax15": lambda z: _roots(z).square(),
    "ordinal": _sigmoid,  # runtimes elsewhere have a sigmoid that ends at −18
    "conditional": _conditional,
}
