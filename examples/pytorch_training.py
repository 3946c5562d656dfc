"""Trains a network on the handwritten digits of scikit-learn in plain PyTorch, with costlayer's pair as its end."""

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from costlayer.torch import CostLayer


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures and digits to train on, and those held out."""
    data: Any = load_digits()
    parts = train_test_split(np.float32(data.data / 16), data.target, test_size=0.25, random_state=0)
    x, x_test, y, y_test = map(torch.tensor, parts)
    return x, y, x_test, y_test


def network(start: Tensor) -> nn.Sequential:
    """Ends in scores: there is no softmax in it. At first it predicts how frequent each digit is."""
    last = nn.Linear(64, len(start))
    nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(start)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), last)


def main(epochs: int = 20) -> tuple[float, float]:
    torch.manual_seed(0)
    x, y, x_test, y_test = digits()
    layer = CostLayer("softmax+cross_entropy")
    model = network(layer.constant(y))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for images, labels in DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True):
            loss = layer(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        scores = model(x_test)
        cost = layer(scores, y_test).item()
        probabilities = layer.predict(scores)
    accuracy = (probabilities.argmax(1) == y_test).float().mean().item()
    print(f"held out: accuracy {accuracy:.3f}, mean cost {cost:.4f}")
    return accuracy, cost


if __name__ == "__main__":
    main()
