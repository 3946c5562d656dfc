"""Where the time of a step goes: the parts of one, each by itself, in the same turns as the whole."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from _measure import Results, figure, interleaved
from _speed import alone, data, label, set_threads, step
from torch import nn

from costlayer.catalogue import pair as pair_of
from costlayer.engines import cpu, vector_math
from costlayer.evaluate import margin_loop
from costlayer.torch import CostLayer

LARGE = (
    ("sigmoid+cross_entropy", (1 << 24,)),
    ("exp+poisson", (1 << 24,)),
    ("identity+huber", (1 << 24,)),
    ("softmax+cross_entropy", (1 << 20, 10)),
    ("softmax+cross_entropy", (1 << 20, 100)),
    ("softmax+cross_entropy", (65536, 1000)),
)
SMALL = (
    ("softmax+cross_entropy", (64, 10), nn.functional.cross_entropy),
    ("sigmoid+cross_entropy", (256,), nn.functional.binary_cross_entropy_with_logits),
)
NOTES = (
    "float32, one thread, medians of interleaved runs. The kernel writes δ into memory that is there. The exponentials "
    "are those of every score, by the engine's own exp in the arithmetic that the pair has, and nothing else. The "
    "empty Function is a torch.autograd.Function of one input that computes nothing and hands on a gradient that is "
    "there, with its backward."
)
EXPONENTIALS = """

@njit(error_model="numpy", nogil=True)
def exponentials(z, out):
    for i in range(z.shape[0]):
        out[i] = plus(exp(real(-abs(z[i]))), real(0.0))  # in vectors as wide as the kernels have
"""


def main() -> None:
    before = torch.get_num_threads()
    set_threads(1)
    with Results("breakdown", "Where the time goes", NOTES, len(LARGE) + len(SMALL)) as results:
        parts = ["a step", "the kernel", "exponentials alone", "a copy of the scores"]
        rows = results.table(["pair", "scores", *(f"{part}, ms" for part in parts)], "Large arrays")
        for pair, shape in LARGE:
            results.begin(f"{pair} {label(shape)}")
            seconds = interleaved(large(pair, shape))
            results.cases.append({"pair": pair, "shape": shape, "seconds": seconds})
            rows.append([pair, label(shape), *(figure(s, 1e3) for s in seconds.values())])
        parts = ["a step", "forward alone", "the kernel", "an empty Function", "a step of torch eager"]
        rows = results.table(["pair", "scores", *(f"{part}, µs" for part in parts)], "Small arrays")
        for pair, shape, loss in SMALL:
            results.begin(f"{pair} {label(shape)}")
            seconds = interleaved(small(pair, shape, loss))
            results.cases.append({"pair": pair, "shape": shape, "seconds": seconds})
            rows.append([pair, label(shape), *(figure(s, 1e6) for s in seconds.values())])
    set_threads(before)


def large(pair: str, shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    z, y = data(pair, shape)
    flat = z.detach().numpy().reshape(-1)
    out = np.zeros_like(flat)
    return {
        "step": alone(partial(step, CostLayer(pair), z, y), z),
        "kernel": kernel(pair, z, y, out),
        "exponentials": partial(exponentials(pair), flat, out),
        "copy": partial(np.copyto, out, flat),
    }


def small(pair: str, shape: tuple[int, ...], loss: Callable) -> dict[str, Callable[[], object]]:
    z, y = data(pair, shape)
    layer, gradient = CostLayer(pair), torch.zeros_like(z)

    class Empty(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return z.new_empty(())

        @staticmethod
        def backward(ctx, upstream):
            return gradient

    return {
        "step": partial(step, layer, z, y),
        "forward": partial(layer, z, y),
        "kernel": kernel(pair, z, y, np.zeros(z.numel(), np.float32)),
        "empty": partial(step, lambda z, y: Empty.apply(z), z, y),
        "eager": partial(step, loss, z, y),
    }


def kernel(name: str, z: torch.Tensor, y: torch.Tensor, out: np.ndarray) -> Callable[[], object]:
    """The loop that a step runs, on arrays."""
    pair = pair_of(name)
    size, width = z.shape if pair.row else (z.numel(), 1)
    given = z.detach().numpy().reshape(-1), y.numpy(), None, np.float32(1 / size)
    if pair.row:
        loop, arguments = margin_loop(width), (*given, width, None, out)
    else:
        low, high = pair.target.bounds(np.float32)
        loop, arguments = "pointwise", (*given, low, high, pair.target.ends_only, None, out, None)
    return partial(cpu.run, pair, loop, "float32", size, width, arguments, pair.values, None, True)


def exponentials(name: str) -> Callable:
    pair = pair_of(name)
    kind = "half" if pair.row else "single" if pair.closed and pair.closed.single else "spare"
    names: dict = {}
    exec("\n\n\n".join((vector_math.INSTRUCTIONS, *vector_math.words("float32", kind), EXPONENTIALS)), names)
    return names["exponentials"]


if __name__ == "__main__":
    main()
