"""What the benchmarks of speed share: the pairs with their equals in torch, and a training step through a loss."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import costlayer as cl
from costlayer.torch import CostLayer

THREADS = 2
POINTWISE = {
    "sigmoid+cross_entropy": F.binary_cross_entropy_with_logits,
    "identity+mse": F.mse_loss,
    "identity+huber": F.huber_loss,
    "exp+poisson": F.poisson_nll_loss,
}
IN_TORCH = {**POINTWISE, "softmax+cross_entropy": F.cross_entropy}


def set_threads(count: int) -> None:
    """How many threads costlayer and torch may use."""
    torch.set_num_threads(count)
    if hasattr(cl, "set_threads"):
        cl.set_threads(count)


def data(pair: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Scores that want a gradient, and targets: class indices for softmax, else noughts and ones."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, generator=generator).to(dtype).requires_grad_()
    if pair.startswith("softmax"):
        return z, torch.randint(shape[1], shape[:1], generator=generator)
    return z, (torch.rand(shape, generator=generator) < 0.5).to(dtype)


def step(loss: Callable, z: Tensor, y: Tensor, upstream: Tensor | None = None) -> None:
    """Forward and backward, into a fresh gradient, as in training."""
    z.grad = None
    loss(z, y).backward(upstream)


def contestants(
    pair: str,
    z: Tensor,
    y: Tensor,
    upstream: Tensor | None = None,
    reduction: str = "mean",
) -> dict[str, Callable[[], None] | None]:
    """A step through costlayer, torch eager and torch.compile, each seen to give the same gradient."""
    eager = IN_TORCH[pair]

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return eager(z, y, reduction=reduction)

    layer = CostLayer(pair, reduction=reduction)
    steps = {
        "ours": lambda: step(layer, z, y, upstream),
        "eager": lambda: step(loss, z, y, upstream),
        "compile": attempt("torch.compile", lambda: _compiled(loss, z, y, upstream)),
    }
    agree(steps, z)
    return {name: run and alone(run, z) for name, run in steps.items()}


def alone(run: Callable[[], None], z: Tensor) -> Callable[[], None]:
    """A step that drops its own gradient: else the next contestant would pay for giving back its memory."""

    def step() -> None:
        run()
        z.grad = None

    return step


def _compiled(loss: Callable, z: Tensor, y: Tensor, upstream: Tensor | None) -> Callable[[], None]:
    torch.compiler.reset()  # what was compiled for another shape would be taken for a reason to compile for any
    compiled = torch.compile(loss, dynamic=False)
    step(compiled, z, y, upstream)
    return lambda: step(compiled, z, y, upstream)


def attempt(name: str, make: Callable[[], Any]) -> Any:
    """What needs something that may not be here, such as a C++ compiler: or None, and a line that says why."""
    try:
        return make()
    except Exception as error:
        print(f"  {name} is left out: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
        return None


def agree(steps: dict[str, Callable[[], None] | None], z: Tensor) -> None:
    """Every step gives the same gradient, to what torch's own rounding allows: a wrong answer needs no timing."""
    found = {}
    for name, run in steps.items():
        if run is not None:
            run()
            found[name] = z.grad
    ours = found.pop("ours")
    allowed = {torch.bfloat16: 2e-2, torch.float16: 4e-3}.get(z.dtype, 1e-4) * ours.abs().max().item()
    for name, theirs in found.items():
        off = ours.sub(theirs).abs_().max().item()
        if not off <= allowed:
            raise ArithmeticError(f"costlayer and {name} give gradients that differ by {off:g}, over {allowed:g}")
    z.grad = None


def floor(z: Tensor, y: Tensor) -> Callable[[], object]:
    """The least possible work: read scores and targets and write as much, or for rows copy the scores."""
    z = z.detach()
    if z.ndim == 1:
        return partial(np.add, z.numpy(), y.numpy(), out=np.zeros(z.shape, np.float32))
    return partial(torch.zeros_like(z).copy_, z)


def label(shape: tuple[int, ...]) -> str:
    """A shape as the tables have it: 2^24, 2,048 × 32,000."""
    return " × ".join(f"2^{n.bit_length() - 1}" if n >= 1 << 20 and n & (n - 1) == 0 else f"{n:,}" for n in shape)
