"""The network under study: a multi-layer perceptron whose weights follow from the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from costlayer.errors import InvalidValue, nearest

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
# How much each activation shrinks the signal, made good for in the initial weights (torch.nn.init.calculate_gain).
_GAIN = {"relu": 2**0.5, "leaky_relu": 2**0.5, "elu": 2**0.5, "gelu": 2**0.5, "silu": 2**0.5, "tanh": 5 / 3}


def build(features: int, hidden: Sequence[int], activation: str, outputs: int, seed: int) -> nn.Sequential:
    """A perceptron from `features` inputs through the `hidden` widths to `outputs` raw scores.

    Each linear layer draws its weights uniformly from ±gain·√(3 / inputs) out of a random stream of its own, named by
    (seed, position), so that two networks of one seed start from the same hidden weights even when their outputs
    differ in number. Biases start at 0.

    >>> build(4, [8], "tanh", 3, seed=0)
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=3, bias=True)
    )
    """
    if activation not in ACTIVATIONS:
        raise InvalidValue("activation", repr(activation), "a hidden activation", nearest(activation, ACTIVATIONS))
    widths = [features, *hidden, outputs]
    layers: list[nn.Module] = []
    for position, (inputs, size) in enumerate(pairwise(widths)):
        last = position == len(hidden)
        bound = (1.0 if last else _GAIN.get(activation, 1.0)) * (3.0 / inputs) ** 0.5
        drawn = np.random.default_rng([seed, position]).uniform(-bound, bound, (size, inputs))
        linear = nn.Linear(inputs, size)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(drawn))
            linear.bias.zero_()
        layers += [linear] if last else [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def shapes(*widths: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights of such a perceptron, from the features through the hidden widths to the outputs.

    >>> shapes(4, 8, 3)
    {'0.weight': (8, 4), '0.bias': (8,), '2.weight': (3, 8), '2.bias': (3,)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for position, (inputs, size) in enumerate(pairwise(widths)):  # between two of them lies an activation
        found |= {f"{2 * position}.weight": (size, inputs), f"{2 * position}.bias": (size,)}
    return found


def batches(rows: int, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The rows of each batch of one epoch: a shuffle that follows from (seed, epoch) alone."""
    order = np.random.default_rng([seed, epoch, rows]).permutation(rows)
    return [order[start : start + size] for start in range(0, rows, size)]
