"""The reference engine: the program run as it is, by plain Python, on float64 or on any other kind of number."""

import types
from collections.abc import Callable, Mapping

import numpy as np

from costlayer import words
from costlayer.engines import lower
from costlayer.pair import Pair

WORDS = {name: getattr(words, name) for name in words.VOCABULARY} | {
    "real": np.float64,
    "score": np.float64,
    "load": np.float64,
    "store": np.float64,
    "INFINITY": np.inf,
    "short": False,
    "exp_below": lambda x, top: np.exp(np.float64(x - top if x != top else 0.0)),
    "plus": lambda a, b: a + b,
    "larger": max,
    "reach": lambda x: abs(x) if x == x else np.inf,
}


def bind(pair: Pair, vocabulary: Mapping[str, Callable] = WORDS) -> types.SimpleNamespace:
    """The program of a pair with its names bound to an engine's words: `activation`, `cost`, `terms` and the rest."""
    names = dict(vocabulary)
    exec(compile(lower.program(pair), f"<{pair}>", "exec"), names)
    return types.SimpleNamespace(**names)


def activation(pair: Pair) -> Callable[[float], tuple[float, ...]]:
    """`z -> v, φ'(z), φ''(z)` of a pointwise pair, on floats."""
    return _on_floats(bind(pair).activation, pair.activation_values)


def terms(pair: Pair) -> Callable[[float, float], tuple[float, ...]]:
    """`z, y -> value, δ, curvature` of a pointwise pair, on floats."""
    return _on_floats(bind(pair).terms, pair.values)


def kernel(pair: Pair, name: str, vocabulary: Mapping[str, Callable] = WORDS) -> Callable:
    """A loop of `costlayer.engines.kernels`, run by Python over arrays of float64 (or of objects, with other words)."""
    run = getattr(bind(pair, vocabulary), name)

    def quiet(*arguments):
        with np.errstate(all="ignore"):
            return run(*arguments)

    return quiet


def _on_floats(formula: Callable, parameters: tuple[float, ...]) -> Callable:
    given = tuple(map(np.float64, parameters))

    def evaluate(*arguments: float) -> tuple[float, ...]:
        with np.errstate(all="ignore"):
            return tuple(float(term) for term in formula(*map(np.float64, arguments), *given))

    return evaluate
