"""A network in plain jax.numpy, trained by Optax through a pair: scikit-learn's digits.

    python examples/optax_training.py

The output bias starts at the best constant scores. Labels are looked at once, before training: a compiled step cannot
say which of them is no class.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import costlayer as cl
from costlayer.jax import predict, value

PAIR = cl.pair("softmax+cross_entropy")


def scores(network: dict, x: Any) -> jax.Array:
    return jax.nn.relu(x @ network["hidden"] + network["shift"]) @ network["out"] + network["bias"]


def train(x: Any, y: Any, epochs: int = 20, batch: int = 64, seed: int = 0) -> tuple[dict, list[float]]:
    """The trained network, and the mean cost before each epoch and after the last."""
    a, b = jax.random.split(jax.random.key(seed))
    start = np.asarray(cl.constant(PAIR, y), np.float32)
    hidden = jax.random.normal(a, (x.shape[1], 64)) * (2.0 / x.shape[1]) ** 0.5
    out = jax.random.normal(b, (64, len(start))) * 0.01
    network = {"hidden": hidden, "shift": jnp.zeros(64), "out": out, "bias": jnp.asarray(start)}
    optimizer, random = optax.adam(3e-3), np.random.default_rng(seed)
    state = optimizer.init(network)

    @jax.jit
    def step(network, state, x, y):
        slopes = jax.grad(lambda network: value(PAIR, scores(network, x), y))(network)
        updates, state = optimizer.update(slopes, state)
        return optax.apply_updates(network, updates), state

    costs = [float(value(PAIR, scores(network, x), y))]  # and refuses what is no class
    for _ in range(epochs):
        for rows in np.array_split(random.permutation(len(x)), len(x) // batch):
            network, state = step(network, state, x[rows], y[rows])
        costs.append(float(value(PAIR, scores(network, x), y)))
    return network, costs


if __name__ == "__main__":
    x, y = map(np.asarray, load_digits(return_X_y=True))
    x, x_test, y, y_test = train_test_split((x / 16.0).astype(np.float32), y, random_state=0)
    network, costs = train(x, y)
    right = predict(PAIR, scores(network, x_test)).argmax(1) == y_test
    print(f"mean cost {costs[0]:.4f} before, {costs[-1]:.4f} after {len(costs) - 1} epochs")
    print(f"accuracy {np.mean(right):.3f} on {len(y_test)} digits that were held back")
