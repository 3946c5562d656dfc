"""Compiling beforehand what is going to be used, into the cache that every process shares."""

from __future__ import annotations

import numpy as np

from costlayer.engines.vector_math import STORED as DTYPES
from costlayer.errors import InvalidValue
from costlayer.evaluate import NARROW
from costlayer.numpy import predict, value, value_and_delta
from costlayer.pair import Pair


def warm_up(pair: Pair, dtype: str = "float32") -> None:
    """Compile what training, with weights or without, and prediction with a pair need for scores of a type.

    Arguments:
        pair: the pair.
        dtype: "float32", "float64", or for `costlayer.torch` "bfloat16" or "float16".

    Errors: `InvalidValue` for another type; `ModuleNotFoundError` where a type needs torch and there is none.

    >>> from costlayer import pair
    >>> warm_up(pair("identity+mse"))
    """
    if dtype not in DTYPES:
        raise InvalidValue("dtype", repr(dtype), "one of " + ", ".join(DTYPES))
    short_and_long = pair.row and not pair.written  # these have kernels of their own
    for classes in (2, NARROW + 1) if short_and_long else (2,) if pair.row else (1,):
        z = np.zeros((2, classes) if pair.row else (2, 2) if pair.two else 2)
        y = np.zeros(2, np.int64) if pair.row else np.full(2, _target(pair))
        if dtype in ("float32", "float64"):
            z = z.astype(dtype)
            value(pair, z, y)
            value_and_delta(pair, z, y)
            value_and_delta(pair, z, y, np.ones(2))
            predict(pair, z)
        else:
            _in_torch(pair, z, y, dtype)


def _target(pair: Pair) -> float:
    """A number that may be one of the targets."""
    high, low = pair.target.high, pair.target.low
    return high if pair.target.ends_only else next(y for y in (0.5, 1.0, high, low) if y in pair.target)


def _in_torch(pair: Pair, z: np.ndarray, y: np.ndarray, dtype: str) -> None:
    import torch

    from costlayer.torch import CostLayer

    layer, kind = CostLayer(pair), getattr(torch, dtype)
    scores, goal = torch.from_numpy(z).to(kind), torch.from_numpy(y)
    goal = goal if pair.row else goal.to(kind)
    layer(scores, goal)
    for weight in (None, torch.ones(2)):
        layer(scores.requires_grad_(), goal, weight).backward()
    layer.predict(scores.detach())
