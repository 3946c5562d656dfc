"""The value and its gradient from everyone who computes both on a CPU: costlayer, torch, Optax and scikit-learn."""

from collections.abc import Callable
from functools import partial

import numpy as np
from _measure import Results, figure, interleaved
from _speed import THREADS, attempt, contestants, data, label, set_threads

import costlayer as cl

CASES = [
    ("sigmoid+cross_entropy", (1 << 24,)),
    ("identity+mse", (1 << 24,)),
    ("identity+huber", (1 << 24,)),
    ("exp+poisson", (1 << 24,)),
    ("softmax+cross_entropy", (65536, 1000)),
    ("softmax+cross_entropy", (1 << 20, 10)),
]
OPTAX = {
    "sigmoid+cross_entropy": "sigmoid_binary_cross_entropy",
    "identity+mse": "squared_error",
    "identity+huber": "huber_loss",
    "softmax+cross_entropy": "softmax_cross_entropy_with_integer_labels",
}
SCIKIT_LEARN = {
    "sigmoid+cross_entropy": "HalfBinomialLoss",
    "identity+mse": "HalfSquaredError",
    "identity+huber": "HuberLoss",
    "exp+poisson": "HalfPoissonLoss",
    "softmax+cross_entropy": "HalfMultinomialLoss",
}
NOTES = (
    f"float32; {THREADS} threads, and for Optax as many as XLA takes; medians of interleaved runs; a dash where a "
    "library has no such loss, or is not installed. costlayer and torch: a step of training with a mean and a fresh "
    "gradient, and for costlayer also `cl.value_and_delta` on NumPy arrays. Optax: `jax.jit(jax.value_and_grad(mean "
    "of the loss))`. scikit-learn: the private `sklearn._loss`, which takes no mean: `loss_gradient` writes a loss "
    "and a gradient for each example into given arrays, so that it makes no array at all; its squared error is the "
    "half."
)


def main() -> None:
    set_threads(THREADS)
    with Results("others", "Everyone who computes both", NOTES, len(CASES)) as results:
        header = ["costlayer.torch", "costlayer, NumPy", "torch eager", "torch.compile", "Optax, jit", "scikit-learn"]
        rows = results.table(["pair", "scores", *(f"{name}, ms" for name in header)])
        for pair, shape in CASES:
            results.begin(f"{pair} {label(shape)}")
            cases = _everyone(pair, shape)
            seconds = interleaved(cases)
            results.cases.append({"pair": pair, "shape": shape, "seconds": seconds})
            rows.append([pair, label(shape), *(figure(s, 1e3) for s in seconds.values())])


def _everyone(pair: str, shape: tuple[int, ...]) -> dict[str, Callable | None]:
    """What computes value and gradient, each seen to give the same gradient as costlayer."""
    z, y = data(pair, shape)
    steps = contestants(pair, z, y)
    scores, targets = z.detach().numpy(), y.numpy()
    ours = partial(cl.value_and_delta, pair, scores, targets)
    optax = attempt("Optax", lambda: _optax(pair, scores, targets)) if pair in OPTAX else None
    sklearn = attempt("scikit-learn", lambda: _scikit_learn(pair, scores, targets))
    delta = ours()[1]
    examples = shape[0]
    for name, theirs, factor in (
        ("Optax", optax, 1.0),
        ("scikit-learn", sklearn, (2.0 if pair == "identity+mse" else 1.0) / examples),
    ):
        if theirs is not None and not np.allclose(
            np.multiply(theirs()[1], factor), delta, 1e-4, 1e-5 * abs(delta).max()
        ):
            raise ArithmeticError(f"costlayer and {name} differ in the gradient of {pair}")
    return {
        "ours": steps["ours"],
        "numpy": ours,
        "eager": steps["eager"],
        "compile": steps["compile"],
        "optax": optax,
        "scikit_learn": sklearn,
    }


def _optax(pair: str, z: np.ndarray, y: np.ndarray) -> Callable[[], tuple]:
    import jax
    import optax

    loss = getattr(optax.losses, OPTAX[pair])
    run = jax.jit(jax.value_and_grad(lambda z, y: loss(z, y).mean()))
    z, y = jax.numpy.asarray(z), jax.numpy.asarray(y)
    return lambda: jax.block_until_ready(run(z, y))


def _scikit_learn(pair: str, z: np.ndarray, y: np.ndarray) -> Callable[[], tuple]:
    from sklearn import _loss

    kind = getattr(_loss, SCIKIT_LEARN[pair])
    loss = kind(n_classes=z.shape[1]) if z.ndim == 2 else kind(delta=1.0) if pair == "identity+huber" else kind()
    value, gradient = np.zeros(z.shape[:1], np.float32), np.zeros_like(z)
    y = y.astype(np.float32)
    return lambda: loss.loss_gradient(y, z, loss_out=value, gradient_out=gradient, n_threads=THREADS)


if __name__ == "__main__":
    main()
