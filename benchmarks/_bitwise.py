"""Whether a result depends on anything but its own score and target: threads, strides, position, batch."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from _points import SEED, rounded
from torch import Tensor

from costlayer.torch import CostLayer

WAYS = ("threads", "strides", "position", "batch")
COUNT = 2 * (1 << 16) + 1037  # blocks of the engine, and a part of one


def example(pair, kind: str, count: int = COUNT, classes: int = 7) -> tuple[Tensor, Tensor]:
    """Scores of both signs and many sizes, and targets of the pair."""
    random, dtype = np.random.default_rng(SEED), getattr(torch, kind)
    if pair.row:
        z = random.normal(size=(count // classes, classes)) * np.exp(random.uniform(-3, 3, (count // classes, 1)))
        z = -np.sort(-z, axis=1) if pair.activation.thresholds else z
        z = rounded(z, kind)
        if pair.activation.thresholds:
            z = z[(np.diff(z) < 0).all(axis=1)]  # not where two of them meet in the type
        return torch.from_numpy(z).to(dtype), torch.from_numpy(random.integers(0, classes, len(z)))
    size = (count, 2) if pair.two else count
    z = random.normal(size=size) * np.exp(random.uniform(-3, 3, size))
    low, high = max(pair.target.low, -3.0), min(pair.target.high, 3.0)
    inside = (low + high) / 2 + (high - low) * random.uniform(-0.49, 0.49, count)
    y = random.choice([low, high], count) if pair.target.ends_only else inside
    return torch.from_numpy(rounded(z, kind)).to(dtype), torch.from_numpy(rounded(y, kind)).to(dtype)


def results(pair, z: Tensor, y: Tensor, reduction: str = "none") -> tuple[Tensor, Tensor]:
    """The value and δ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of starvation
        layer = CostLayer(pair, reduction=reduction)
    z = z.detach().requires_grad_()
    value = layer(z, y)
    (delta,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), delta


def same(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> bool:
    """Bit for bit, the sign of zero too."""
    raw = [[x.contiguous().reshape(-1).view(torch.uint8) for x in part] for part in (a, b)]
    return all(torch.equal(x, y) for x, y in zip(*raw, strict=True))


def measure(pair, kind: str, count: int = COUNT) -> dict[str, bool]:
    """For each way in which a call may differ, whether all its results are the same bit for bit."""
    z, y = example(pair, kind, count)
    whole = results(pair, z, y)

    def part(start: int, size: int) -> bool:
        here = slice(start, start + size)
        return same(results(pair, z[here], y[here]), tuple(x[here] for x in whole))

    return {
        "threads": _threads(pair, z, y, whole),
        "strides": _strides(pair, z, y, whole),
        "position": all(part(start, 300) for start in (*range(1, 18), 1001)),
        "batch": all(part(start, size) for size in (1, 2, 3, 5, 8, 13, 64, 1000) for start in (0, 77, len(z) - size)),
    }


def _threads(pair, z, y, whole) -> bool:
    before, sums, others = torch.get_num_threads(), [], []
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            sums.append(results(pair, z, y, "sum"))
            others.append(results(pair, z, y))
    finally:
        torch.set_num_threads(before)
    return all(same(other, sums[0]) for other in sums) and all(same(other, whole) for other in others)


def _strides(pair, z, y, whole) -> bool:
    found = [results(pair, z.repeat_interleave(2, 0)[::2], y.repeat_interleave(2, 0)[::2])]
    if z.dim() > 1:
        found.append(results(pair, z.T.contiguous().T, y))
    else:
        size = len(z) // 6 * 6
        turned = [x[:size].reshape(2, -1).T.contiguous().T for x in (z, y)]
        value, delta = results(pair, *turned)
        ends = tuple(torch.cat([x.reshape(-1), own[size:]]) for x, own in zip((value, delta), whole, strict=True))
        found.append(ends)
    return all(same(other, whole) for other in found)
