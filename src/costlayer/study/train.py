"""Training one network under one pair, a batch at a time, so that it can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

import costlayer as cl
from costlayer.errors import InvalidValue, nearest
from costlayer.study import measure
from costlayer.study.network import batches, build
from costlayer.study.target import Encoding
from costlayer.torch import CostLayer

PARTS = ("train", "validation", "test")

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any], float]] = {
    "sgd": (torch.optim.SGD, {}, 0.1),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}, 0.01),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, 0.01),
    "adagrad": (torch.optim.Adagrad, {}, 0.01),
    "adadelta": (torch.optim.Adadelta, {}, 1.0),
    "rmsprop": (torch.optim.RMSprop, {}, 0.001),
    "adam": (torch.optim.Adam, {}, 0.001),
    "adamw": (torch.optim.AdamW, {}, 0.001),
}
"""Optimizers by name: the class, its settings, and the rate at which the search for a learning rate begins."""

_STEP = 10**0.5
_MOST_TRIALS = 12
_TRIAL_BATCHES = 2_000
_CHUNK = 65_536


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
        from costlayer.study.network import ACTIVATIONS

        for name in ("epochs", "batch_size", "seeds", "patience", "search_epochs"):
            if getattr(self, name) < 1:
                raise InvalidValue(name, str(getattr(self, name)), "a whole number of at least 1")
        if any(width < 1 for width in self.hidden):
            raise InvalidValue(
                "hidden", ",".join(map(str, self.hidden)), "widths of at least 1", "For example: 128,64."
            )
        _one_of("activation", self.activation, ACTIVATIONS)
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("accelerator", self.accelerator, ("auto", "cpu", "cuda", "mps"))
        _one_of("precision", self.precision, ("32-true", "64-true", "bf16-mixed"))

    def fabric(self) -> Fabric:
        """The device and the precision."""
        try:
            fabric = Fabric(accelerator=self.accelerator, devices=1, precision=self.precision)  # pyright: ignore
        except (RuntimeError, ValueError) as error:
            raise InvalidValue("accelerator", repr(self.accelerator), "one this machine has", str(error)) from error
        fabric.launch()
        return fabric


def _one_of(argument: str, got: str, known) -> None:
    if got not in known:
        raise InvalidValue(argument, repr(got), "a known name", nearest(got, known))


@dataclass(frozen=True)
class Data:
    """The prepared table: float32 features (N, d) and the target (N,), by part."""

    x: dict[str, torch.Tensor]
    y: dict[str, np.ndarray]

    @property
    def features(self) -> int:
        return self.x["train"].shape[1]


class Training:
    """One network trained with one pair, one seed and one learning rate.

    `advance` trains one batch and says what there is to record. What `state` returns, handed to `resume` of a new
    Training of the same arguments, goes on as if nothing had happened: initial weights and batches follow from the
    seed, so there is no random state to keep.

    Arguments:
        fabric, settings, data: as above.
        pair, encoding: the pair and the target as it sees it.
        seed, rate: the seed and the learning rate.
        trial: a short run that only looks for the least validation loss, in the search for the learning rate.
    """

    def __init__(
        self,
        fabric: Fabric,
        settings: Settings,
        data: Data,
        pair: cl.Pair,
        encoding: Encoding,
        *,
        seed: int,
        rate: float,
        trial: bool = False,
    ) -> None:
        self.fabric, self.settings, self.data = fabric, settings, data
        self.pair, self.encoding, self.seed, self.rate, self.trial = pair, encoding, seed, rate, trial
        self.epochs, self.patience, self.most_batches = settings.epochs, settings.patience, None
        if trial:
            size = -(-len(data.y["train"]) // settings.batch_size)
            self.epochs = max(1, min(settings.epochs, settings.search_epochs, _TRIAL_BATCHES // size))
            self.patience, self.most_batches = self.epochs, _TRIAL_BATCHES
        self.layer = CostLayer(pair)
        self.wanted = {part: encoding.encode(data.y[part]) for part in ("train", "validation")}
        network = build(data.features, settings.hidden, settings.activation, encoding.outputs, seed)
        with torch.no_grad():
            start = self.layer.constant(torch.from_numpy(self.wanted["train"]), classes=encoding.classes or None)
            network[-1].bias.copy_(start)  # pyright: ignore[reportArgumentType, reportCallIssue]
        kind, options, _ = OPTIMIZERS[settings.optimizer]
        optimizer = kind(network.parameters(), lr=rate, **options)  # pyright: ignore[reportCallIssue]
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.kind = next(network.parameters()).dtype
        self.layers = [module for module in network if isinstance(module, torch.nn.Linear)]
        self.epoch = self.batch = 0
        self.order: list[np.ndarray] = []
        self.loss_sum = 0.0
        self.gradient_sum = torch.zeros(len(self.layers))
        self.best_loss, self.best_epoch = np.inf, 0
        self.best = self._weights()
        self.shots: dict[int, dict[str, Any]] = {}
        self.seconds = 0.0
        self.stopped = ""
        self.diverged = False

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return bool(self.stopped)

    @property
    def done(self) -> float:
        """The epochs done so far, with the part of the present one."""
        return self.epoch - 1 + self.batch / len(self.order) if self.order else self.epoch

    def advance(self) -> dict[str, Any] | None:
        """Train one batch; the first call measures the untrained network instead. Returns an epoch record at the end
        of an epoch, else None."""
        begin = perf_counter()
        if self.epoch == 0 and not self.order:
            record = self._first()
        else:
            self._step(self.order[self.batch])
            self.batch += 1
            record = self._end_of_epoch() if self.batch == len(self.order) else None
        self.seconds += perf_counter() - begin
        if record:
            record["seconds"] = round(self.seconds, 4)
        return record

    def _first(self) -> dict[str, Any]:
        rows = batches(len(self.data.y["train"]), self.settings.batch_size, self.seed, 1)[0]
        self._gradients(rows)
        norms = self._norms()
        loss = np.nan if self.trial else self._outputs("train", delta=False)[0]
        record = self._measured(loss, norms.tolist())
        self._open(1)
        return record

    def _open(self, epoch: int) -> None:
        self.epoch, self.batch, self.loss_sum = epoch, 0, 0.0
        self.gradient_sum = torch.zeros(len(self.layers))
        order = batches(len(self.data.y["train"]), self.settings.batch_size, self.seed, epoch)
        self.order = order[: self.most_batches]

    def _gradients(self, rows: np.ndarray) -> float:
        x = self.fabric.to_device(self.data.x["train"][torch.from_numpy(rows)])
        y = torch.from_numpy(self.wanted["train"][rows])
        scores = self.network(x.to(self.kind)).cpu()  # where the cost layer is; the gradient finds its way back
        loss = self.layer(scores, y.to(scores.dtype) if y.is_floating_point() else y)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        return loss.item()

    def _step(self, rows: np.ndarray) -> None:
        self.loss_sum += self._gradients(rows) * len(rows)
        self.gradient_sum += self._norms()
        self.optimizer.step()

    def _norms(self) -> torch.Tensor:
        pieces = [p.grad for layer in self.layers for p in (layer.weight, layer.bias)]
        norms = torch.stack(torch._foreach_norm(pieces)).double().cpu()  # pyright: ignore
        return norms.reshape(-1, 2).norm(dim=1).float()

    def _end_of_epoch(self) -> dict[str, Any]:
        rows = sum(map(len, self.order))
        record = self._measured(self.loss_sum / rows, (self.gradient_sum / len(self.order)).tolist())
        self.diverged = record["validation_loss"] is None
        if self.diverged or self.epoch - self.best_epoch >= self.patience:
            self.stopped = "early"
        elif self.epoch == self.epochs:
            self.stopped = "epochs"
        if not self.stopped:
            self._open(self.epoch + 1)
        return record

    def _measured(self, train_loss: float, norms: list[float]) -> dict[str, Any]:
        """Look at the validation rows; keep the weights if they are the best so far."""
        y = self.data.y["validation"]
        loss, z, delta = self._outputs("validation", delta=not self.trial)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch, self.best = loss, self.epoch, self._weights()
        record: dict[str, Any] = {
            "record": "epoch",
            "seed": self.seed,
            "epoch": self.epoch,
            "train_loss": measure.number(train_loss),
            "validation_loss": measure.number(loss),
        }
        if self.trial:
            return record
        v = cl.predict(self.pair, z)
        if np.isfinite(loss):
            self.shots = {at: shot for at, shot in self.shots.items() if at == 0 or at >= self.epoch // 2}
            self.shots[self.epoch] = measure.snapshot(self.encoding, y, z, v, delta)
        starved, wrong = measure.starved(self.encoding, y, v, delta)
        return record | {
            "metrics": measure.metrics(self.encoding, y, v),
            "gradient_norm": [measure.number(norm) for norm in norms],
            "starved": starved,
            "wrong": wrong,
        }

    def _outputs(self, part: str, delta: bool) -> tuple[float, np.ndarray, np.ndarray]:
        """The mean value, the scores, and the delta of every output of the rows of a part."""
        z = self.scores(self.data.x[part])
        y = self.wanted[part]
        if not delta:
            return float(cl.value(self.pair, z, y)), z, z
        value, delta_ = cl.value_and_delta(self.pair, z, y, reduction="none")
        return float(np.mean(value, dtype=np.float64)), z, delta_

    def scores(self, x: torch.Tensor) -> np.ndarray:
        """The raw scores of prepared rows, float32 (N, outputs)."""
        with torch.no_grad():
            parts = [
                self.network(self.fabric.to_device(x[at : at + _CHUNK].to(self.kind))).float().cpu()
                for at in range(0, len(x), _CHUNK)
            ]
        return torch.cat(parts).numpy()

    def restore_best(self) -> None:
        """Put the best weights back."""
        self.network.load_state_dict(self.best)

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

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    _PLAIN = (
        "epoch",
        "batch",
        "loss_sum",
        "gradient_sum",
        "best_loss",
        "best_epoch",
        "best",
        "shots",
        "seconds",
        "stopped",
        "diverged",
    )

    def state(self) -> dict[str, Any]:
        """All there is to go on from: tensors and plain values."""
        plain = {name: getattr(self, name) for name in self._PLAIN}
        return plain | {"network": self._weights(), "optimizer": self.optimizer.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        if state["epoch"]:
            self._open(state["epoch"])
        for name in self._PLAIN:
            setattr(self, name, state[name])
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


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
