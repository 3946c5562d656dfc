"""The same bits whatever the threads, the strides and the place in memory: and what that costs."""

from collections.abc import Callable
from functools import partial
from unittest import mock

import numpy as np
import torch
from _measure import Results, figure, interleaved, ratio
from _speed import IN_TORCH, THREADS, data, label, set_threads
from torch import Tensor

from costlayer.catalogue import pair as pair_of
from costlayer.engines import cpu, lower
from costlayer.evaluate import margin_loop
from costlayer.torch import CostLayer

CASES = [("sigmoid+cross_entropy", (4096, 4099)), ("softmax+cross_entropy", (65536, 251))]
ORDERS = [("sigmoid+cross_entropy", (1 << 24,)), ("softmax+cross_entropy", (2048, 32000))]
MANY = 7  # shares the blocks out unevenly
NOTES = (
    f"float32, mean reduction, {THREADS} threads unless said otherwise; widths that fill no vector evenly. The same "
    "bits: loss and gradient equal those of contiguous scores, bit for bit. Times are medians of interleaved runs, in "
    "brackets against contiguous scores of the same library. Part of a batch: the last third of the examples alone, "
    "`reduction='none'`, against their part of the whole batch, so that they fall elsewhere in vectors, blocks and "
    "threads. The order of sums: value and δ by the kernel as it is, beside the same kernel with sums in any order: one"
    " block for each thread, and the exponentials of a long row added up as they come; into memory that is there."
)


def main() -> None:
    with Results("reproducible", "The same bits in any order", NOTES, len(CASES) + len(ORDERS)) as results:
        for pair, shape in CASES:
            results.begin(pair)
            rows = results.table(
                ["scores", "same bits, costlayer", "same bits, torch eager", "costlayer, ms", "torch eager, ms"],
                f"{pair}, {label(shape)}",
            )
            found = {name: _measure(*losses, pair, shape) for name, losses in _losses(pair).items()}
            for case in found["ours"]:
                ours, eager = found["ours"][case], found["eager"][case]
                same, seconds = ({"ours": ours[n], "eager": eager[n]} for n in (0, 1))
                results.cases.append({"pair": pair, "case": case, "same": same, "seconds": seconds})
                times = (
                    "—" if s is None else f"{figure(s, 1e3)} ({figure(ratio(s, found[name]['contiguous'][1]))}×)"
                    for name, (_, s) in (("ours", ours), ("eager", eager))
                )
                rows.append([case, *("yes" if same else "no" for same in (ours[0], eager[0])), *times])
        rows = results.table(["pair", "scores", "fixed, ms", "any, ms", "fixed / any"], "The order of sums")
        for pair, shape in ORDERS:
            results.begin(f"{pair}, any order")
            seconds = interleaved(_orders(pair, shape))
            results.cases.append({"pair": pair, "shape": shape, "seconds": seconds})
            cost = figure(ratio(seconds["fixed"], seconds["any"]))
            rows.append([pair, label(shape), *(figure(s, 1e3) for s in seconds.values()), cost])


def _orders(name: str, shape: tuple[int, ...]) -> dict[str, Callable]:
    """The kernel that training runs, and the same without what keeps the order of its sums."""
    pair, (z, y) = pair_of(name), data(name, shape)
    size, width = shape if pair.row else (*shape, 1)
    flat = z.detach().numpy().reshape(-1)
    given, out = (flat, y.numpy(), None, np.float32(1 / size)), np.zeros_like(flat)
    loop = margin_loop(width) if pair.row else "pointwise"
    bounds = (width,) if pair.row else (*pair.target.bounds(np.float32), pair.target.ends_only)
    arguments = (*given, *bounds, None, out, *(() if pair.row else (None,)))
    program = lower.program(pair)
    free = program.replace("on_grid = x + grid - grid", "on_grid = score(real(0.0))")
    assert (free != program) == pair.row
    with mock.patch.object(lower, "program", return_value=free):
        text = cpu.text.__wrapped__(pair, "float32", True)
    module = cpu._load("any_order", text, (loop,))
    loops = {"fixed": cpu.kernel(pair, loop, "float32", True), "any": cpu.Loop(loop, module.score, vars(module)[loop])}

    def run(order: str) -> None:
        block = cpu.BLOCK if order == "fixed" else -(-size * width // THREADS)
        with mock.patch.object(cpu, "BLOCK", block):
            cpu.share(loops[order], size, width, arguments, pair.values, THREADS)

    return {order: partial(run, order) for order in loops}


def _losses(pair: str) -> dict[str, tuple[Callable, Callable]]:
    """The mean, and the cost of each example."""
    return {
        "ours": (CostLayer(pair), CostLayer(pair, reduction="none")),
        "eager": (IN_TORCH[pair], partial(IN_TORCH[pair], reduction="none")),
    }


def _measure(loss: Callable, each: Callable, pair: str, shape: tuple[int, ...]) -> dict[str, tuple[bool, float | None]]:
    """For each case whether the bits are the same, and the seconds of a step."""
    z, y = data(pair, shape)
    z = z.detach()
    elsewhere = torch.empty(z.numel() + 1)[1:].view(shape).copy_(z)
    spread = torch.empty(shape[0], 2 * shape[1])[:, ::2].copy_(z)
    layouts = {
        "contiguous": z,
        "one element further in memory": elsewhere,
        "transposed in memory": z.T.contiguous().T,
        "every second of more": spread,
    }
    set_threads(THREADS)
    expected = _step(loss, z, y)

    def same(z: Tensor) -> bool:
        return all(map(torch.equal, expected, _step(loss, z, y)))

    steps = {name: partial(_step, loss, given, y) for name, given in layouts.items()}
    seconds = interleaved(steps)
    found = {name: (same(given), seconds[name]) for name, given in layouts.items()}
    set_threads(1)
    found["contiguous, one thread"] = same(z), interleaved({"alone": steps["contiguous"]}, budget=2.0)["alone"]
    set_threads(MANY)
    found[f"contiguous, {MANY} threads"] = same(z), None
    set_threads(THREADS)
    third = shape[0] // 3
    whole, part = _step(each, z, y), _step(each, z[-third:], y[-third:])
    found["part of a batch"] = all(torch.equal(a[-third:], b) for a, b in zip(whole, part, strict=True)), None
    return found


def _step(loss: Callable, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    z = z.detach().requires_grad_()
    value = loss(z, y)
    (delta,) = torch.autograd.grad(value, z, torch.ones_like(value))
    return value.detach(), delta


if __name__ == "__main__":
    main()
