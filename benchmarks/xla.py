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
CASES = [
    ("sigmoid+cross_entropy", optax.sigmoid_binary_cross_entropy, POINTS),
    ("softmax+cross_entropy", optax.softmax_cross_entropy_with_integer_labels, (65536, 100)),
    ("softmax+cross_entropy", optax.softmax_cross_entropy_with_integer_labels, (2048, 32000)),
    ("softmax+cross_entropy", optax.softmax_cross_entropy_with_integer_labels, (1 << 18, 10)),
    ("identity+mse", optax.squared_error, POINTS),
    ("identity+huber", optax.huber_loss, POINTS),
]
NOTES = (
    f"float32; `jax.jit(jax.value_and_grad(mean of the loss))`, JAX {jax.__version__}, Optax {optax.__version__}, as "
    f"many threads as XLA takes; medians of interleaved runs. No slower means a ratio of at most {LIMIT}: two runs of "
    "the same differ by as much."
)


def main() -> None:
    with Results("xla", "Beside Optax's own losses, under XLA", NOTES, len(CASES)) as results:
        rows = results.table(["pair", "scores", "costlayer, ms", "Optax, ms", "costlayer / Optax"])
        for pair, loss, shape in CASES:
            case = f"{pair} {label(shape)}"
            results.begin(case)
            seconds = interleaved(contestants(pair, loss, shape), budget=8.0)
            results.cases.append({"pair": pair, "shape": shape, "seconds": seconds})
            slower = results.bound(case, "costlayer / Optax", ratio(seconds["ours"], seconds["optax"]), LIMIT)
            rows.append([pair, label(shape), *(figure(s, 1e3) for s in seconds.values()), slower])


def contestants(pair: str, loss: Callable, shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """Both, seen to give the same value and gradient."""
    z, y = (jnp.asarray(each.detach().numpy()) for each in data(pair, shape))
    ours = jax.jit(jax.value_and_grad(lambda z, y: value(pair, z, y)))
    theirs = jax.jit(jax.value_and_grad(lambda z, y: loss(z, y).mean()))
    for a, b in zip(ours(z, y), theirs(z, y), strict=True):
        if not np.allclose(a, b, 1e-4, 1e-5 * float(abs(b).max())):
            raise ArithmeticError(f"costlayer and Optax differ in {pair}")
    return {
        "ours": lambda: jax.block_until_ready(ours(z, y)),
        "optax": lambda: jax.block_until_ready(theirs(z, y)),
    }


if __name__ == "__main__":
    main()
