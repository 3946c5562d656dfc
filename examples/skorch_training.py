"""Trains on the handwritten digits of scikit-learn with skorch: a classifier whose probabilities are the pair's."""

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from costlayer.torch import CostLayer


class Network(nn.Module):
    """Ends in scores, which at first are `start`: skorch's default would have it end in probabilities."""

    def __init__(self, start: Tensor, width: int = 64) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(64, width), nn.Linear(width, len(start))
        self.last.bias.data = start.clone()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.inner(x)))


def classifier(y: np.ndarray, pair: str = "softmax+cross_entropy", epochs: int = 20) -> NeuralNetClassifier:
    """`predict_nonlinearity` has to be said: skorch knows that of torch's own losses only, and for others gives the
    scores themselves as probabilities."""
    layer = CostLayer(pair)
    return NeuralNetClassifier(
        Network,
        module__start=layer.constant(torch.from_numpy(y)),
        criterion=CostLayer,  # type: ignore — which is a module too
        criterion__pair=pair,
        predict_nonlinearity=layer.predict,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        batch_size=64,
        max_epochs=epochs,
        verbose=0,
    )


def main(epochs: int = 20) -> tuple[float, float]:
    torch.manual_seed(0)
    digits: Any = load_digits()
    parts: Any = train_test_split(np.float32(digits.data / 16), digits.target, test_size=0.25, random_state=0)
    x, x_test, y, y_test = parts
    net = classifier(y, epochs=epochs).fit(x, y)
    accuracy, cost = net.score(x_test, y_test), log_loss(y_test, net.predict_proba(x_test))
    print(f"held out: accuracy {accuracy:.3f}, mean cost {cost:.4f}")
    return accuracy, cost


if __name__ == "__main__":
    main()
