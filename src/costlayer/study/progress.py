"""What a study shows while it runs: a bar for each pair on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from costlayer.study.run import Listener
from costlayer.study.train import Settings

_USUAL_TRIALS = 4


def figure(value: float | None) -> str:
    """A number as shown to people; a dash where there is none."""
    return "–" if value is None else f"{value:.4g}"


def clock(seconds: float) -> str:
    """A time span as people read it: 0:07, 12:30, 3:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class _Work:
    """How far one pair is, in planned epochs: a network that stops early counts as if it had used them all."""

    planned: float
    units: float = 0.0
    running: float = 0.0
    trials: int = 0
    began: float | None = None
    seconds: float = 0.0
    said: str = "waiting"

    @property
    def done(self) -> float:
        return min(self.units + self.running, self.planned)

    @property
    def left(self) -> float | None:
        """Seconds, at the pace so far."""
        if self.began is None or self.done <= self.began:
            return None
        return self.seconds / (self.done - self.began) * (self.planned - self.done)


class _Following(Listener):
    """Keeps count of the work."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, pairs: Sequence[str], settings: Settings, metric: str) -> None:
        self.metric, self.epochs, self.trial = metric, settings.epochs, min(settings.search_epochs, settings.epochs)
        planned = settings.seeds * self.epochs + _USUAL_TRIALS * self.trial
        self.work = {pair: _Work(planned) for pair in pairs}
        self.heard = self.shown = perf_counter()

    def tick(self, pair: str, epochs: float) -> None:
        work, now = self.work[pair], perf_counter()
        if work.began is None:
            work.began = work.done
            work.said = "looking for a learning rate" if not work.trials else work.said
        work.seconds, work.running, self.heard = work.seconds + now - self.heard, epochs, now
        if now - self.shown > 0.1:
            self.shown = now
            self.show(pair)

    def record(self, record: dict[str, Any]) -> None:
        if record["record"] not in ("rate", "epoch", "final"):
            return
        work = self.work[record["pair"]]
        if record["record"] == "epoch":
            metric = figure(record["metrics"].get(self.metric))
            work.said = f"seed {record['seed']}, epoch {record['epoch']}: {self.metric.replace('_', ' ')} {metric}, "
            work.said += f"loss {figure(record['validation_loss'])}"
            return
        work.running = 0.0
        if record["record"] == "rate":
            work.trials += 1
            work.units = min(work.trials, _USUAL_TRIALS) * self.trial
            work.said = f"learning rate {record['learning_rate']:g}: loss {figure(record['score'])}"
        else:
            work.units = _USUAL_TRIALS * self.trial + (record["seed"] + 1) * self.epochs
            work.said = f"seed {record['seed']}: test {self.metric.replace('_', ' ')} "
            work.said += figure(record["metrics"][self.metric])
            work.said += f", best at epoch {record['epoch']}"
        self.show(record["pair"])

    def show(self, pair: str) -> None:
        """The pair has come further."""


class Live(_Following):
    """A bar for each pair, with the present loss, the metric and the time left."""

    def begin(self, pairs: Sequence[str], settings: Settings, metric: str) -> None:
        super().begin(pairs, settings, metric)
        self.bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=20 if self.console.width >= 100 else 8),
            TextColumn("{task.fields[left]}", justify="right", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[said]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self.console,
        )
        self.tasks = {
            pair: self.bars.add_task(pair, total=work.planned, left="", said=work.said)
            for pair, work in self.work.items()
        }
        self.bars.start()

    def show(self, pair: str) -> None:
        work = self.work[pair]
        left = "" if work.left is None or work.done == work.planned else f"{clock(work.left)} left"
        self.bars.update(self.tasks[pair], completed=work.done, said=work.said, left=left)

    def end(self) -> None:
        self.bars.stop()


class Lines(_Following):
    """A line for each network, and one now and then in a long training."""

    def __init__(self, console: Console, every: float = 10.0) -> None:
        super().__init__(console)
        self.every = every

    def begin(self, pairs: Sequence[str], settings: Settings, metric: str) -> None:
        super().begin(pairs, settings, metric)
        self.printed = self.heard

    def record(self, record: dict[str, Any]) -> None:
        super().record(record)
        if record["record"] in ("rate", "final"):
            self._print(record["pair"])

    def show(self, pair: str) -> None:
        if perf_counter() - self.printed > self.every:
            self._print(pair)

    def _print(self, pair: str) -> None:
        self.printed = perf_counter()
        known = [work.left for work in self.work.values() if work.left is not None]
        left = f" ({clock(sum(known))} left)" if len(known) == len(self.work) else ""
        self.note(f"{pair}: {self.work[pair].said}{left}")
