"""How a study trains: the estimators of `costlayer.sklearn` with the same settings for every pair, watched closely."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import costlayer as cl
from costlayer.errors import InvalidValue
from costlayer.sklearn import CostLayerClassifier, CostLayerRegressor
from costlayer.sklearn.encoding import Encoding
from costlayer.sklearn.network import ACTIVATIONS, batches
from costlayer.sklearn.training import ACCELERATORS, OPTIMIZERS, PRECISIONS, Training, linear_layers, one_of
from costlayer.study import measure

PARTS = ("train", "validation", "test")

_STEP = 10**0.5
_MOST_TRIALS = 12
_TRIAL_BATCHES = 2_000

Estimator = CostLayerClassifier | CostLayerRegressor


@dataclass(frozen=True)
class Settings:
    """How every pair is trained: the same for each.

    Arguments:
        hidden: the widths of the hidden layers.
        activation: the hidden activation.
        optimizer: a name in OPTIMIZERS.
        epochs: the most epochs.
        batch_size: rows a batch.
        seeds: how many seeds, from 0 on: other initial weights and other batches.
        patience: training stops after so many epochs without a lower validation loss.
        search_epochs: epochs of one trial in the search for the learning rate.
        accelerator, precision: as lightning-fabric has them.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "relu"
    optimizer: str = "sgd"
    epochs: int = 60
    batch_size: int = 64
    seeds: int = 5
    patience: int = 8
    search_epochs: int = 10
    accelerator: str = "cpu"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "seeds", "patience", "search_epochs"):
            if getattr(self, name) < 1:
                raise InvalidValue(name, str(getattr(self, name)), "a whole number of at least 1")
        if any(width < 1 for width in self.hidden):
            raise InvalidValue(
                "hidden", ",".join(map(str, self.hidden)), "widths of at least 1", "For example: 128,64."
            )
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("accelerator", self.accelerator, ACCELERATORS)
        one_of("precision", self.precision, PRECISIONS)

    def estimator(self, encoding: Encoding, seed: int, rate: float) -> Estimator:
        """A network to train with a pair, one seed and one learning rate."""
        kind = CostLayerClassifier if encoding.classes else CostLayerRegressor
        return kind(
            encoding.pair,
            hidden_layer_sizes=self.hidden,
            activation=self.activation,
            solver=self.optimizer,
            batch_size=self.batch_size,
            learning_rate_init=rate,
            max_iter=self.epochs,
            early_stopping=True,
            n_iter_no_change=self.patience,
            random_state=seed,
            accelerator=self.accelerator,
            precision=self.precision,
        )


@dataclass(frozen=True)
class Data:
    """The prepared table: float32 features (N, d) and the target (N,), by part."""

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]

    @property
    def features(self) -> int:
        return self.x["train"].shape[1]


def training(
    settings: Settings, data: Data, encoding: Encoding, *, seed: int, rate: float, trial: bool = False
) -> tuple[Estimator, Training]:
    """A network, and its training with one pair, one seed and one learning rate; a trial is a short one that only looks
    for the least validation loss, in the search for the learning rate."""
    estimator = settings.estimator(encoding, seed, rate)
    more: dict[str, Any] = {"kind": Watched}
    if trial:
        size = -(-len(data.y["train"]) // settings.batch_size)
        epochs = max(1, min(settings.epochs, settings.search_epochs, _TRIAL_BATCHES // size))
        more = {"epochs": epochs, "patience": epochs, "most_batches": _TRIAL_BATCHES}
    held = data.x["validation"], data.y["validation"], None
    return estimator, estimator.training(data.x["train"], data.y["train"], validation=held, encoding=encoding, **more)


class Watched(Training):
    """A training of which every epoch's record says more: "metrics" of the validation rows, "gradient_norm" of each
    layer (the mean over the batches), and the shares of outputs "starved" and "wrong"; with `snapshots` of where the
    scores lie."""

    PLAIN = (*Training.PLAIN, "gradient_sum", "shots")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.layers = linear_layers(self.module)
        self.gradient_sum = torch.zeros(len(self.layers))
        self.shots: dict[int, dict[str, Any]] = {}

    def stepping(self) -> None:
        self.gradient_sum += self._norms()

    def _norms(self) -> torch.Tensor:
        pieces = [p.grad for layer in self.layers for p in (layer.weight, layer.bias)]
        norms = torch.stack(torch._foreach_norm(pieces)).double().cpu()  # pyright: ignore
        return norms.reshape(-1, 2).norm(dim=1).float()

    def cost(self, z: np.ndarray, wanted: np.ndarray, weight: np.ndarray | None) -> float:
        value, self.delta = cl.value_and_delta(self.pair, z, wanted, weight, reduction="none")
        return float(np.mean(value, dtype=np.float64))  # of a study, all rows count once

    def seen(self, z: np.ndarray | None) -> dict[str, Any]:
        assert z is not None
        assert self.validation is not None, "a study has validation rows"
        first: dict[str, Any] = {}
        if self.order:
            norms = self.gradient_sum / len(self.order)
        else:
            rows = batches(len(self.train), self.batch_size, self.seed, self.epoch + 1)[0]
            self.gradients(rows)
            norms = self._norms()
            loss = float(cl.value(self.pair, self.scores(self.train.x), self.wanted.numpy()))
            first["train_loss"] = measure.number(loss)
        self.gradient_sum = torch.zeros(len(self.layers))
        y, v = self.validation.y, cl.predict(self.pair, z)
        if np.isfinite(self.delta).all():
            self.shots = {at: shot for at, shot in self.shots.items() if at == 0 or at >= self.epoch // 2}
            self.shots[self.epoch] = measure.snapshot(self.encoding, y, z, v, self.delta)
        starved, wrong = measure.starved(self.encoding, y, v, self.delta)
        return first | {
            "metrics": measure.metrics(self.encoding, y, v),
            "gradient_norm": [measure.number(norm) for norm in norms.tolist()],
            "starved": starved,
            "wrong": wrong,
        }

    def snapshots(self) -> Iterator[dict[str, Any]]:
        """The snapshot records: before training, halfway, and after the last epoch."""
        last = max(self.shots, default=0)
        for moment, epoch in (("start", 0), ("middle", round(last / 2)), ("end", last)):
            if epoch in self.shots:
                yield {
                    "record": "snapshot",
                    "seed": self.seed,
                    "moment": moment,
                    "epoch": epoch,
                    **self.shots[epoch],
                }


class RateSearch:
    """The learning rate at which a pair's own validation loss falls lowest in a short run.

    Begins at the optimizer's usual rate, tries a factor √10 to either side, and goes on towards the better side until
    the best rate has a worse one on both sides. Each pair is given the same search and is judged by the loss it
    itself minimises, so none is tuned for another's sake.

    >>> search = RateSearch(0.1, {})
    >>> search.next()
    0.1
    """

    def __init__(self, start: float, scores: dict[float, float | None]) -> None:
        self.start, self.scores = start, scores

    def rate(self, step: int) -> float:
        """The learning rate so many steps of √10 from the start."""
        return float(f"{self.start * _STEP**step:.3g}")

    def next(self) -> float | None:
        """The rate to try next; None when the search is over."""
        tried = {
            step: self._loss(self.rate(step))
            for step in range(-_MOST_TRIALS, _MOST_TRIALS + 1)
            if self.rate(step) in self.scores
        }
        if len(tried) >= _MOST_TRIALS:
            return None
        for step in (0, 1, -1):
            if step not in tried:
                return self.rate(step)
        best = min(tried, key=lambda step: (tried[step], step))
        for step in (best + 1, best - 1):
            if step not in tried:
                return self.rate(step)
        return None

    @property
    def best(self) -> float:
        """The best rate tried."""
        return min(self.scores, key=self._loss)

    def _loss(self, rate: float) -> float:
        score = self.scores[rate]
        return np.inf if score is None else score
