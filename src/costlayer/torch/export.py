"""Predictions in graphs that are exported, to be run elsewhere: by torch.export, torch.jit.trace, or for ONNX.

The formulas are those of `operations`, over other words: where exporters and runtimes would lose digits, NaN or ∞ by an
operation, others stand in its place.
"""

from __future__ import annotations

import warnings
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from costlayer.catalogue import build
from costlayer.engines import reference
from costlayer.errors import InvalidType
from costlayer.evaluate import class_axis, score_axis
from costlayer.pair import Pair
from costlayer.torch import operations

# Their float32 predictions come of float64, as they do in the engine: a share of sparsemax is a difference, the normal
# distribution goes by exp of a square, a probability of `conditional` by a product.
_WIDE = ("probit", "sparsemax", "entmax15", "conditional")


class Predictor(nn.Module):
    """A trained network that gives predictions, φ(z), in place of scores: what is exported and served.

    Arguments:
        network: the module that gives the scores, or, before a `LinearCostLayer`, what that takes.
        layer: the `CostLayer` or `LinearCostLayer` it was trained with; softcap and temperature count.

    Called with what the network takes as its one argument, it returns predictions in the shape of the scores, without
    gradients. Network and layer are held, not copied. Export it with `torch.export.export` or `torch.onnx.export`, in
    evaluation mode: docs/export.md.

    Errors: `InvalidType` for a layer that gives no predictions.

    >>> from costlayer.torch import CostLayer
    >>> network = nn.Linear(2, 3)
    >>> predictor = Predictor(network, CostLayer("softmax+cross_entropy")).eval()
    >>> x = torch.zeros(1, 2)
    >>> torch.allclose(predictor(x), torch.softmax(network(x), 1))
    True
    """

    def __init__(self, network: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        if not callable(getattr(layer, "predict", None)):
            fix = "What torch's loss takes are scores too: name its pair, such as CostLayer('softmax+cross_entropy')."
            raise InvalidType("layer", type(layer).__name__, "a CostLayer or a LinearCostLayer", fix)
        self.network, self.layer = network, layer

    def forward(self, x: Any) -> Tensor:
        """The predictions."""
        with torch.no_grad():
            return self.layer.predict(self.network(x))  # type: ignore — checked above


def predict(pair: Pair, z: Tensor, softcap: float | None, temperature: float) -> Tensor:
    """φ of scores, with what predictions know of the layer's options. Where nobody can ask for a gradient, nothing in
    the graph is there for it."""
    if pair.row or pair.two:
        with warnings.catch_warnings(action="ignore"):  # torch.jit.trace warns of shapes that are looked at
            (score_axis if pair.two else class_axis)(pair, z)  # type: ignore — a shape is all they ask for
    if torch.onnx.is_in_onnx_export():
        z = z.detach()
    altered = softcap is not None or temperature != 1.0
    double = altered or pair.activation.name in _WIDE or z.dtype is torch.float64
    s = z.double() if double else z.float()
    if softcap is not None:
        s = operations.capped(_formulas(build("tanh+mse", {}), True), s, number(softcap))
    if altered:
        s = s / number(temperature)
    return operations.predict(_formulas(pair, double), pair, s).to(z.dtype)


@cache
def _formulas(pair: Pair, double: bool) -> SimpleNamespace:
    return reference.bind(pair, {**WORDS, "real": number} if double else WORDS)


def number(x: float) -> Tensor:
    """A number with all its digits: torch's exporter rounds Python's to float32, in graphs of float64 too."""
    with warnings.catch_warnings(action="ignore"):  # torch.jit.trace says that it is a constant, as is meant
        return torch.tensor(x, dtype=torch.float64)


def _extreme(a: Any, b: Any, largest: bool) -> Any:
    """ONNX's Clip, which `clamp` is written as, ends at the largest finite number."""
    a, b = (a, b) if isinstance(a, Tensor) else (b, a)
    return torch.where(a < b if largest else a > b, b, a)  # NaN stays


def _log1p(x: Tensor) -> Tensor:
    """ONNX has no log1p, and what is written for it, log(1 + x), has no digits of a small x. What rounding 1 + x does
    to its logarithm, it does to x as well (Kahan)."""
    u = 1.0 + x
    rounded = u - 1.0
    return torch.where(u == 1.0, x, u.log() * torch.where(rounded == x, 1.0, x / rounded))


def _expm1(x: Tensor) -> Tensor:
    """As `_log1p`, of exp and log."""
    u = x.exp()
    rounded = u - 1.0
    return torch.where(u == 1.0, x, torch.where(x.abs() < 0.5, rounded / u.log() * x, rounded))


def _tanh(x: Tensor) -> Tensor:
    """That of ONNX Runtime goes beyond 1 by a last place."""
    return _extreme(_extreme(x.tanh(), -1.0, True), 1.0, False)


WORDS = {
    **operations.WORDS,
    "expm1": _expm1,
    "log1p": _log1p,
    "log1p_unit": _log1p,
    "maximum": partial(_extreme, largest=True),
    "minimum": partial(_extreme, largest=False),
    "tanh": _tanh,
}
