"""Trains on scikit-learn's digits with Accelerate: one mean over the labels of all micro-batches and processes."""

from contextlib import nullcontext
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from costlayer.torch import CostLayer


def accumulate(accelerator: Accelerator, model: nn.Module, layer: CostLayer, parts: list[list[Tensor]]) -> None:
    """The gradient of one step: that of the mean over the labels of all parts, in all processes."""
    count = torch.stack([(labels != layer.ignore_index).sum() for _, labels in parts]).sum()
    count = accelerator.gather(count).sum()  # type: ignore — a tensor
    for i, (images, labels) in enumerate(parts):
        with nullcontext() if i == len(parts) - 1 else accelerator.no_sync(model):
            total, _ = layer.sum_and_count(model(images), labels)
            accelerator.backward(total / count.clamp(min=1) * accelerator.num_processes)  # of which it takes the mean


def main(epochs: int = 25) -> tuple[float, float]:
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)  # without gradient_accumulation_steps, by which it would divide
    digits: Any = load_digits()
    parts = train_test_split(np.float32(digits.data / 16), digits.target, test_size=0.25, random_state=0)
    x, x_test, y, y_test = map(torch.tensor, parts)
    y[::3] = -100  # as if nobody had said what these are: so batches have unequally many labels
    layer = CostLayer("softmax+cross_entropy", ignore_index=-100)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    model[-1].bias.data = layer.constant(y)  # type: ignore — at first it predicts how frequent each digit is
    batches, held_out = DataLoader(TensorDataset(x, y), 16, shuffle=True), DataLoader(TensorDataset(x_test, y_test), 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model, optimizer, batches, held_out = accelerator.prepare(model, optimizer, batches, held_out)
    for _ in range(epochs):
        left = iter(batches)
        while group := list(islice(left, 4)):  # fewer at the end of an epoch
            accumulate(accelerator, model, layer, group)
            optimizer.step()
            optimizer.zero_grad()
    with torch.no_grad():  # processes are given some examples twice, so that all have as many: here they go again
        found = [accelerator.gather_for_metrics((model(images), labels)) for images, labels in held_out]
    scores, labels = (torch.cat(each) for each in zip(*found, strict=True))
    accuracy = (layer.predict(scores).argmax(1) == labels).float().mean().item()
    cost = layer(scores, labels).item()
    accelerator.print(f"held out: accuracy {accuracy:.3f}, mean cost {cost:.4f}")
    return accuracy, cost


if __name__ == "__main__":
    main()
