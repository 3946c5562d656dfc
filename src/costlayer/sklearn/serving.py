"""A fitted estimator as a torch module, to be exported and served."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from costlayer.pair import Pair
from costlayer.sklearn.encoding import Encoding
from costlayer.torch import CostLayer, Predictor


class Served(Predictor):
    """A network that gives what its estimator predicts: `Encoding.values`, or `Encoding.probabilities`, in torch.

    As in the estimator all that comes after the scores is computed in float64; the result has the type of the scores.
    """

    low: Tensor
    high: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, pair: Pair, encoding: Encoding) -> None:
        super().__init__(network, CostLayer(pair))
        self.encoding = encoding
        for name in ("low", "high", "scale", "shift"):  # as buffers: exporters round numbers of Python to float32
            number = torch.tensor(getattr(encoding, name), dtype=torch.float64)
            self.register_buffer(name, number, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Numbers (N,) or (N, M); probabilities (N, classes), of several labels (N, L)."""
        with torch.no_grad():
            z = self.network(x)
            v = self.layer.predict(z.double())  # type: ignore
            return (self._probabilities(v) if self.encoding.classes else self._values(v)).to(z.dtype)

    def _values(self, v: Tensor) -> Tensor:
        return (v[:, 0] if isinstance(self.encoding.scale, float) else v) * self.scale + self.shift

    def _probabilities(self, v: Tensor) -> Tensor:
        p = (v - self.low) / (self.high - self.low)
        if self.encoding.several:
            return p
        if self.encoding.outputs == 1:
            return torch.cat([1.0 - p, p], 1)
        total = p.sum(1, keepdim=True)
        return torch.where(total == 0.0, 1.0 / self.encoding.classes, p / total)
