"""Training one network under one pair, a batch at a time, so that it can stop and go on anywhere: the only training
loop there is, of the estimators and of the study."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import costlayer as cl
from costlayer.errors import InvalidValue, MissingExtra, nearest
from costlayer.sklearn.encoding import Encoding
from costlayer.sklearn.network import batches
from costlayer.torch import CostLayer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

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
"""Optimizers by name: the class, its settings, and its usual learning rate."""

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "64-true", "bf16-mixed")

_CELLS = 1 << 22  # numbers of rows that are held at once to be scored
_ALONE, _BEFORE = threading.Lock(), list[int]()
_SMALL = 1e7  # multiplications of a batch up to which more than one thread gains nothing


def one_of(argument: str, got: Any, known) -> None:
    """Refuse what is none of the known names."""
    if got not in known:
        raise InvalidValue(argument, repr(got), "a known name", nearest(str(got), known))


@cache
def device(accelerator: str = "cpu", precision: str = "32-true") -> Fabric:
    """The device and the precision to train with.

    Errors: `InvalidValue` where this machine has no such accelerator.
    """
    one_of("accelerator", accelerator, ACCELERATORS)
    one_of("precision", precision, PRECISIONS)
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise MissingExtra("lightning_fabric", "sklearn") from error
    try:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # pyright: ignore
    except (RuntimeError, ValueError) as error:
        raise InvalidValue("accelerator", repr(accelerator), "one this machine has", str(error)) from error
    fabric.launch()
    return fabric


@contextmanager
def threads(network: nn.Module, batch_size: int, most: int | None = None) -> Iterator[None]:
    """As many threads as a batch is worth, `most` at most: matrices as small as most gain nothing from more than one,
    and one thread always gives the same bits."""
    if most is not None and most < 0:  # as joblib counts: -1 for all
        most = max(1, (os.cpu_count() or 1) + 1 + most)
    work = batch_size * sum(each.in_features * each.out_features for each in linear_layers(network))
    with _ALONE:
        if not _BEFORE:  # of several trainings at once, the first knows how many there were, and the last restores it
            _BEFORE.append(torch.get_num_threads())
        _BEFORE.append(before := _BEFORE[0])
    torch.set_num_threads(1 if work < _SMALL else min(before, most or before))
    try:
        yield
    finally:
        with _ALONE:
            _BEFORE.pop()
            torch.set_num_threads(before)
            if len(_BEFORE) == 1:
                _BEFORE.clear()


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    """The layers that have weights, from the inputs on."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def optimizer(name: str, network: nn.Module, rate: float | None, decay: float | None) -> torch.optim.Optimizer:
    """The optimizer of that name for the weights of a network; None: its usual learning rate or weight decay."""
    kind, options, usual = OPTIMIZERS[name]
    given = {} if decay is None else {"weight_decay": decay}
    return kind(network.parameters(), lr=usual if rate is None else rate, **options, **given)  # pyright: ignore


@dataclass(frozen=True)
class Rows:
    """Some rows of data.

    Arguments:
        x: features (N, F): an array, or a SciPy sparse array in CSR form.
        y: the truth as `Encoding` takes it.
        weight: how much each row counts, (N,); None: all the same.
    """

    x: Any
    y: np.ndarray
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)


def _dense(x: Any, rows: Any, kind: torch.dtype) -> torch.Tensor:
    """Some rows by themselves; the whole may be sparse, or memory that may not be written to."""
    part = x[rows]
    part = np.array(part, order="C") if isinstance(part, np.ndarray) else part.toarray(order="C")
    return torch.from_numpy(part).to(kind)


class Training:
    """One network trained with one pair.

    `advance` trains one batch and says what there is to record. What `state` returns, handed to `resume` of a new
    Training of the same arguments, goes on as if nothing had happened: batches follow from the seed, so there is no
    random state to keep.

    Arguments:
        fabric: as `device` gives it.
        network, optimizer: what is trained, and how.
        pair, encoding: the pair, and the target as it sees it.
        train: the rows to train on. The cost of a batch is Σ w ℓ / (rows · mean weight of all rows), so that its
            expectation is the weighted mean.
        validation: rows whose cost says which weights were best, or None.
        seed, batch_size: batches are shuffled by the seed and the epoch.
        epoch, epochs: how many epochs the network has behind it, and after how many it stops.
        patience: it stops after so many epochs without a lower validation cost.
        most_batches: an epoch ends after so many batches.
    """

    PLAIN = ("epoch", "batch", "loss_sum", "best_loss", "best_epoch", "best", "seconds", "stopped", "diverged")
    """What `state` keeps beside the network and the optimizer."""

    def __init__(
        self,
        fabric: Fabric,
        network: nn.Sequential,
        optimizer: torch.optim.Optimizer,
        pair: cl.Pair,
        encoding: Encoding,
        train: Rows,
        validation: Rows | None = None,
        *,
        seed: int = 0,
        batch_size: int = 64,
        epoch: int = 0,
        epochs: int = 1,
        patience: int | None = None,
        most_batches: int | None = None,
    ) -> None:
        self.fabric, self.pair, self.encoding = fabric, pair, encoding
        self.train, self.validation = train, validation
        self.seed, self.batch_size, self.epochs, self.patience = seed, batch_size, epochs, patience
        self.most_batches = most_batches
        self.layer = CostLayer(pair)
        self.module, self.kind = network, next(network.parameters()).dtype
        dtype = np.float64 if self.kind == torch.float64 else np.float32
        self.wanted = torch.from_numpy(encoding.encode(train.y, dtype))
        self.expected = None if validation is None else encoding.encode(validation.y, dtype)
        weight = train.weight
        self.weight = None if weight is None else torch.from_numpy((weight / weight.mean()).astype(dtype))
        self.network, self.optimizer = fabric.setup(network, optimizer)
        if self.kind == torch.float64:  # Fabric's wrapper turns what a network puts out into float32
            self.network = network
        self.epoch, self.batch = epoch, 0
        self.order: list[np.ndarray] = []
        self.loss_sum = 0.0
        self.best_loss, self.best_epoch = np.inf, epoch
        self.best = self._weights()
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
        """Train one batch; the first call measures the network as it came instead. Returns a record at the end of an
        epoch, else None: "epoch", "train_loss" (the mean over the batches, None as it came), "validation_loss" (None
        where it is not finite, or there are no validation rows) and "seconds"."""
        begin = perf_counter()
        if not self.order:
            record = self._measured(np.nan)
            self._open(self.epoch + 1)
        else:
            self._step(self.order[self.batch])
            self.batch += 1
            record = self._end_of_epoch() if self.batch == len(self.order) else None
        self.seconds += perf_counter() - begin
        if record:
            record["seconds"] = round(self.seconds, 4)
        return record

    def _open(self, epoch: int) -> None:
        self.epoch, self.batch, self.loss_sum = epoch, 0, 0.0
        self.order = batches(len(self.train), self.batch_size, self.seed, epoch)[: self.most_batches]

    def gradients(self, rows: np.ndarray) -> float:
        """The cost of some training rows, whose gradients are left at the weights."""
        x = self.fabric.to_device(_dense(self.train.x, rows, self.kind))
        at = torch.from_numpy(rows)
        scores = self.network(x).to("cpu", self.kind)  # where the cost layer is; the gradient finds its way back
        loss = self.layer(scores, self.wanted[at], None if self.weight is None else self.weight[at])
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        return loss.item()

    def _step(self, rows: np.ndarray) -> None:
        self.loss_sum += self.gradients(rows) * len(rows)
        self.stepping()
        self.optimizer.step()

    def stepping(self) -> None:
        """A batch's gradients are there, and the weights are about to follow them."""

    def cost(self, z: np.ndarray, wanted: np.ndarray, weight: np.ndarray | None) -> float:
        """The (weighted) mean cost of the validation rows."""
        return float(cl.value(self.pair, z, wanted, weight, "mean" if weight is None else "weighted_mean"))

    def seen(self, z: np.ndarray | None) -> dict[str, Any]:
        """More to record of an epoch, from the scores of the validation rows."""
        return {}

    def _end_of_epoch(self) -> dict[str, Any]:
        train_loss = self.loss_sum / sum(map(len, self.order))
        record = self._measured(train_loss)
        judged = record["train_loss" if self.validation is None else "validation_loss"]
        self.diverged = judged is None
        if self.diverged or (self.patience is not None and self.epoch - self.best_epoch >= self.patience):
            self.stopped = "early"
        elif self.epoch == self.epochs:
            self.stopped = "epochs"
        if not self.stopped:
            self._open(self.epoch + 1)
        return record

    def _measured(self, train_loss: float) -> dict[str, Any]:
        """Look at the validation rows; keep the weights if they are the best so far."""
        loss, z = np.nan, None
        if self.validation is not None and self.expected is not None:
            z, weight = self.scores(self.validation.x), self.validation.weight
            loss = self.cost(z, self.expected, weight)
            if loss < self.best_loss:
                self.best_loss, self.best_epoch, self.best = loss, self.epoch, self._weights()
        return {
            "epoch": self.epoch,
            "train_loss": train_loss if np.isfinite(train_loss) else None,
            "validation_loss": loss if np.isfinite(loss) else None,
        } | self.seen(z)

    def scores(self, x: Any) -> np.ndarray:
        """The raw scores of rows, (N, outputs)."""
        return scores(self.network, x, self.fabric)

    def restore_best(self) -> None:
        """Put the best weights back, where there are validation rows to tell."""
        if self.validation is not None:
            self.network.load_state_dict(self.best)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.module.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """All there is to go on from: tensors and plain values."""
        plain = {name: getattr(self, name) for name in self.PLAIN}
        begun = bool(self.order)
        return plain | {"begun": begun, "network": self._weights(), "optimizer": self.optimizer.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        if state["begun"]:
            self._open(state["epoch"])
        for name in self.PLAIN:
            setattr(self, name, state[name])
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def scores(network: nn.Module, x: Any, fabric: Fabric | None = None) -> np.ndarray:
    """The raw scores of rows, (N, outputs), in the type of the network's weights; some rows at a time."""
    kind = next(network.parameters()).dtype
    found, rows = [], max(1, _CELLS // max(1, x.shape[1]))
    with torch.no_grad():
        for start in range(0, max(x.shape[0], 1), rows):
            part = _dense(x, slice(start, start + rows), kind)
            found.append(network(part if fabric is None else fabric.to_device(part)).to(kind).cpu())
    return torch.cat(found).numpy()
