"""Trains on the handwritten digits of scikit-learn with Lightning: the cost layer is part of the module."""

from typing import Any

import lightning as L
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric

from costlayer.torch import CostLayer


class Classifier(L.LightningModule):
    """The network gives scores, the layer their cost in training and their probabilities in prediction."""

    def __init__(self, pixels: int, classes: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(pixels, 64), nn.ReLU(), nn.Linear(64, classes))
        self.layer = CostLayer("softmax+cross_entropy")
        self.val_loss = MeanMetric()  # of batches by their counts, which differ where labels are ignored

    def training_step(self, batch: list[Tensor]) -> Tensor:
        return self.layer(self.network(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor]) -> None:
        total, count = self.layer.sum_and_count(self.network(batch[0]), batch[1])
        self.val_loss.update(total / count, count)
        self.log("val_loss", self.val_loss)

    def predict_step(self, batch: list[Tensor]) -> Tensor:
        return self.layer.predict(self.network(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main(epochs: int = 20) -> tuple[float, float]:
    L.seed_everything(0, verbose=False)
    digits: Any = load_digits()
    parts = train_test_split(np.float32(digits.data / 16), digits.target, test_size=0.25, random_state=0)
    x, x_test, y, y_test = map(torch.tensor, parts)
    model = Classifier(64, 10)
    model.network[-1].bias.data = model.layer.constant(y)  # type: ignore — at first it predicts the frequencies
    trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False)
    held_out = DataLoader(TensorDataset(x_test, y_test), batch_size=100)
    trainer.fit(model, DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True), held_out)
    cost = trainer.validate(model, held_out, verbose=False)[0]["val_loss"]
    probabilities = torch.cat(trainer.predict(model, held_out))  # type: ignore — one tensor for each batch
    accuracy = (probabilities.argmax(1) == y_test).float().mean().item()
    print(f"held out: accuracy {accuracy:.3f}, mean cost {cost:.4f}")
    return accuracy, cost


if __name__ == "__main__":
    main()
