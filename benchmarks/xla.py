"""The value and its gradient from costlayer.jax and from Optax's own losses, both compiled by XLA."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _measure import Results, figure, interleaved, ratio
from _speed import data, label

from costlayer.jax import value

LIMIT = 1.05  # medians of runs that are the same differ by that much
POINTS = (1 << 22,)
BOTH, ALONE = "value and gradient", "value alone"
LABELS, SHARES = optax.softmax_cross_entropy_with_integer_labels, optax.softmax_cross_entropy
CASES = [
    ("sigmoid+cross_entropy", optax.sigmoid_binary_cross_entropy, POINTS, BOTH),
    ("softmax+cross_entropy", LABELS, (65536, 100), BOTH),
    ("softmax+cross_entropy", LABELS, (2048, 32000), BOTH),
    ("softmax+cross_entropy", LABELS, (1 << 18, 10), BOTH),
    ("softmax+cross_entropy", SHARES, (65536, 100), BOTH),
    ("softmax+cross_entropy", LABELS, (65536, 100), ALONE),
    ("softmax+cross_entropy", LABELS, (2048, 32000), ALONE),
    ("identity+mse", optax.squared_error, POINTS, BOTH),
    ("identity+huber", optax.huber_loss, POINTS, BOTH),
    ("identity+log_cosh", optax.log_cosh, POINTS, BOTH),
]
NOTES = (
    "float32; `jax.jit` of the mean of the loss, or of its `jax.value_and_grad`; targets of softmax are class indices, "
    f"but where it says shares. JAX {jax.__version__}, Optax {optax.__version__}, as many threads as XLA takes; "
    f"medians of interleaved runs. No slower means a ratio of at most {LIMIT}: two runs of the same differ by as much."
)


def main() -> None:
    with Results("xla", "Beside Optax's own losses, under XLA", NOTES, len(CASES)) as results:
        rows = results.table(["pair", "scores", "what", "costlayer, ms", "Optax, ms", "costlayer / Optax"])
        for pair, loss, shape, what in CASES:
            said = f"{what}, shares" if loss is SHARES else what
            case = f"{pair} {label(shape)} {said}"
            results.begin(case)
            seconds = interleaved(contestants(pair, loss, shape, what), budget=8.0)
            results.cases.append({"pair": pair, "shape": shape, "what": said, "seconds": seconds})
            slower = results.bound(case, "costlayer / Optax", ratio(seconds["ours"], seconds["optax"]), LIMIT)
            rows.append([pair, label(shape), said, *(figure(s, 1e3) for s in seconds.values()), slower])


def contestants(pair: str, loss: Callable, shape: tuple[int, ...], what: str) -> dict[str, Callable[[], object]]:
    """Both, seen to give the same."""
    z, y = (jnp.asarray(each.detach().numpy()) for each in data(pair, shape))
    if loss is SHARES:
        y = jax.nn.softmax(jnp.flip(z, 0))
    made = jax.value_and_grad if what == BOTH else lambda f: f
    ours = jax.jit(made(lambda z, y: value(pair, z, y)))
    theirs = jax.jit(made(lambda z, y: loss(z, y).mean()))
    for a, b in zip(*map(jax.tree.leaves, (ours(z, y), theirs(z, y))), strict=True):
        if not np.allclose(a, b, 1e-4, 1e-5 * float(abs(b).max())):
            raise ArithmeticError(f"costlayer and Optax differ in {pair}")
    return {
        "ours": lambda: jax.block_until_ready(ours(z, y)),
        "optax": lambda: jax.block_until_ready(theirs(z, y)),
    }


if __name__ == "__main__":
    main()
