"""The study: from a table to a folder with the records, the verdict, the report and the best network."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl

import costlayer as cl
from costlayer.catalogue import build, read_pair, starvation
from costlayer.errors import InvalidValue
from costlayer.evaluate import predict_and_gain
from costlayer.files import write_whole
from costlayer.report import write_report
from costlayer.sklearn.encoding import CLASS_KINDS, CONTRAST, Encoding
from costlayer.sklearn.training import OPTIMIZERS, Training, device, threads
from costlayer.study import measure
from costlayer.study.folder import RunFolder
from costlayer.study.preparation import Preparation, drop_missing_target, split
from costlayer.study.table import Table, advise, read_table
from costlayer.study.train import PARTS, Data, Estimator, RateSearch, Settings, Watched, training
from costlayer.study.verdict import compared, verdict

_SPLIT_SEED, _VALIDATION, _TEST = 0, 0.2, 0.2
_KEEP_EVERY = 2.0
_VERSIONS = ("costlayer", "torch", "lightning-fabric", "scikit-learn", "polars", "numpy", "numba")


class Listener:
    """Is told what a study does while it does it; this one does nothing."""

    def note(self, text: str) -> None:
        """Something worth knowing, in a line."""

    def begin(self, pairs: Sequence[str], settings: Settings, metric: str) -> None:
        """Training is about to begin."""

    def record(self, record: dict[str, Any]) -> None:
        """A record was written (or, on resuming, read back)."""

    def tick(self, pair: str, epochs: float) -> None:
        """The network in training has done so many epochs, parts of one included."""

    def end(self) -> None:
        """Training is over."""


@dataclass(frozen=True)
class Outcome:
    """What a study ends with.

    Arguments:
        folder: the run folder.
        report: the report in it.
        config, records: what config.json and results.jsonl hold.
        verdict: the verdict record; None if no network was trained at all.
        interrupted: the number of the signal that stopped the study; 0 if it went to its end.
    """

    folder: Path
    report: Path
    config: dict[str, Any]
    records: list[dict[str, Any]]
    verdict: dict[str, Any] | None
    interrupted: int = 0


def study(
    source: str | Path = "digits",
    target: str | None = None,
    *,
    kind: str | None = None,
    pairs: Sequence[str] | None = None,
    settings: Settings | None = None,
    name: str | None = None,
    runs: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> Outcome:
    """Train the same network with each of several pairs, and say which does best.

    Arguments:
        source, target: a table and the column to predict, as `read_table` takes them.
        kind: what the target is, where `choose` would take it for something else.
        pairs: the pairs to study, as "identity+huber" or "identity+huber:delta=2"; the advised pair and those worth
            contrasting with it when not given.
        settings: how each is trained.
        name, runs: the run's folder is `runs`/`name`; the name is the table's when not given.
        resume: go on with a run that was stopped. The result is that of an unbroken run.
        overwrite: replace a run of that name.
        listener: is told of the progress.

    Raises InvalidValue for a table, a target, a pair, a setting or a folder that cannot be used, before anything is
    written.
    """
    settings, listener = settings or Settings(), listener or Listener()
    if pairs is not None and not pairs:
        raise InvalidValue("pairs", "none", "at least one pair", "Leave it out for the advised pair and its contrasts.")
    for text in pairs or ():
        read_pair(text)
    device(settings.accelerator, settings.precision)  # which refuses one that this machine has not
    table = read_table(source, target)
    folder = RunFolder(Path(runs) / _checked_name(name or table.name))
    if resume:
        folder.read_config()  # which refuses a folder that is not there or is damaged, before anything is written
    else:
        folder.refuse(overwrite)
    task = _Task.of(table, kind, pairs, settings, folder.path.name)
    with folder.alone():
        if resume:
            task.config["created"] = _check_same(folder.read_config(), task.config)
            if folder.finished():
                listener.note(f"{folder.path} has finished already; its report is written again.")
                records = folder.read_results()
                return Outcome(folder.path, write_report(folder.path), task.config, records, records[-1])
            state = folder.rewind()
        else:
            folder.refuse(overwrite)
            folder.create()
            task.preparation.save(folder.preparation_file)
            folder.write_config(task.config)
            state = {}
        for line in task.notes:
            listener.note(line)
        with _Interruption() as interruption:
            return _Study(folder, task, settings, listener, interruption).run(state)


@dataclass(frozen=True)
class _Task:
    """All that follows from the table and the settings before any training."""

    config: dict[str, Any]
    preparation: Preparation
    data: Data
    pairs: dict[str, cl.Pair]
    encodings: dict[str, Encoding]
    metric: str
    notes: list[str]
    plane: _Plane | None

    @classmethod
    def of(cls, table: Table, kind: str | None, names: Sequence[str] | None, settings: Settings, name: str) -> _Task:
        frame, without_target = drop_missing_target(table.frame, table.target)
        column = frame[table.target]
        advice = advise(table, kind)
        strata = column.rank("dense") if advice.kind in CLASS_KINDS else column
        parts = dict(zip(PARTS, split(strata.to_numpy(), advice.kind, _SPLIT_SEED, _VALIDATION, _TEST), strict=True))
        preparation = Preparation.fit(frame[parts["train"]], table.target, advice.kind)
        x, y = preparation.features(frame), preparation.target(frame)
        data = Data({part: x[rows] for part, rows in parts.items()}, {part: y[rows] for part, rows in parts.items()})
        classes = preparation.classes or []
        pairs, encodings = _fitting(names, advice, data.y["train"], y, len(classes))
        metric = compared(advice.kind, advice.pair, np.bincount(y).max() / len(y) if classes else 0.0)
        notes = [f"{without_target:,} rows without a target are left out."] if without_target else []
        notes += _dropped(preparation)
        notes += [*preparation.notes, *(starvation(pair) for pair in pairs.values() if pair.starves)]
        config = {
            "name": name,
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "data": {
                "source": table.source,
                "rows": frame.height,
                "rows_without_target": without_target,
                "target": table.target,
                "kind": advice.kind,
                "classes": classes or None,
                "columns": preparation.columns,
                "dropped": preparation.dropped,
                "features": data.features,
                "split": {part: len(rows) for part, rows in parts.items()},
                "hash": _hash(x, y),
            },
            "advice": advice.record(),
            "pairs": list(pairs),
            "formulas": {text: _about(pair) for text, pair in pairs.items()},
            "settings": {
                **asdict(settings),
                "hidden": list(settings.hidden),
                "split_seed": _SPLIT_SEED,
                "metric": metric,
            },
            "versions": {"python": platform.python_version(), **{package: version(package) for package in _VERSIONS}},
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        }
        plane = _Plane.of(preparation, frame, parts["test"])
        return cls(config, preparation, data, pairs, encodings, metric, notes, plane)


def _dropped(preparation: Preparation) -> list[str]:
    """A line for each reason that columns are dropped for."""
    reasons: dict[str, list[str]] = {}
    for entry in preparation.dropped:
        reasons.setdefault(entry["why"], []).append(entry["name"])
    return [f"Dropped, for {why}: {', '.join(names)}." for why, names in reasons.items()]


def _hash(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


def _fitting(
    names: Sequence[str] | None, advice: cl.Advice, train: np.ndarray, every: np.ndarray, classes: int
) -> tuple[dict[str, cl.Pair], dict[str, Encoding]]:
    """The pairs to study and the target as each sees it; of those not asked for by name, the ones that fit."""
    pairs, encodings = {}, {}
    for text in dict.fromkeys(names or (advice.pair, *CONTRAST[advice.kind])):
        pair = read_pair(text)
        try:
            encodings[text] = Encoding.fit(text, advice.kind, train, every, classes)
        except InvalidValue:
            if names or text == advice.pair:
                raise
            continue
        pairs[text] = pair
    return pairs, encodings


def _about(pair: cl.Pair) -> dict[str, Any]:
    """A pair's formulas, and its activation's curve."""
    about: dict[str, Any] = {
        name: getattr(pair, name)
        for name in ("summary", "formula", "derivative", "formula_latex", "derivative_latex", "reference")
    }
    # A softmax output is the sigmoid of how far its score is ahead of the others: see measure.snapshot.
    curved = build("sigmoid+cross_entropy", {}) if pair.row and not pair.written else pair
    reach = 100 if np.isfinite([curved.range.low, curved.range.high]).all() else 10  # beyond, exp dwarfs what is seen
    z = reach * np.sinh(np.linspace(-4, 4, 121)) / np.sinh(4)  # densest around 0, where the curve bends
    scores = np.stack([z, np.zeros_like(z)], axis=1) if pair.written else z  # of two classes, the first
    v, gain = predict_and_gain(curved, scores)
    if pair.written and gain is not None:
        v, gain = v[:, 0], gain[:, 0]
    about["curve"] = {"z": z.tolist(), "v": v.tolist(), "gain": np.asarray(gain).tolist()}
    return about


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Refuse to go on with a run that was begun with other data or other settings; returns when it was begun."""
    now = json.loads(json.dumps(now))
    parts = [("data", "hash"), ("data", "target"), ("data", "kind"), *(("settings", name) for name in now["settings"])]
    for part, name in [*parts, ("pairs", None)]:
        old = before[part].get(name) if name else before[part]
        new = now[part][name] if name else now[part]
        if old != new:
            what = "the data" if name == "hash" else name or part
            raise InvalidValue(
                "--resume",
                "other data than the run was begun with" if name == "hash" else f"{what} {_shown(new)}",
                "the same" if name == "hash" else f"{what} {_shown(old)}, as the run was begun with",
                "Leave that option out to go on, or begin anew with --overwrite or another --name.",
            )
    return before["created"]


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _checked_name(name: str) -> str:
    if not name.strip() or name in (".", "..") or any(c in name for c in "/\\\0"):
        raise InvalidValue("name", repr(name), "a plain folder name", "For example: --name houses.")
    return name


@dataclass(frozen=True)
class _Plane:
    """The two columns of a table that has just two numbers: a grid over them, and the test rows on it."""

    names: tuple[str, str]
    axes: tuple[np.ndarray, np.ndarray]
    grid: np.ndarray
    points: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, preparation: Preparation, frame: pl.DataFrame, test: np.ndarray, side: int = 60) -> _Plane | None:
        columns = preparation.columns
        if [(column["kind"], column["features"]) for column in columns] != [("number", 1)] * 2:
            return None
        first, second = (column["name"] for column in columns)
        values = [frame[name].cast(pl.Float64).to_numpy() for name in (first, second)]
        across, up = (np.linspace(np.nanmin(v), np.nanmax(v), side) for v in values)
        grid = pl.DataFrame({first: np.tile(across, side), second: np.repeat(up, side)})
        points = (values[0][test][:2000], values[1][test][:2000])
        return cls((first, second), (across, up), preparation.features(grid), points)

    def regions(self, encoding: Encoding, v: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        """What the network says all over the plane."""
        said = encoding.decide(v) if encoding.classes else encoding.values(v)
        rows = said.reshape(len(self.axes[1]), len(self.axes[0]))
        return {
            "x": {"name": self.names[0], "values": self.axes[0].tolist()},
            "y": {"name": self.names[1], "values": self.axes[1].tolist()},
            "prediction": rows.tolist() if encoding.classes else [_numbers(row) for row in rows],
            "points": {"x": _numbers(self.points[0]), "y": _numbers(self.points[1]), "target": truth[:2000].tolist()},
        }


def _numbers(values: np.ndarray) -> list[float | None]:
    return [measure.number(value) for value in values]


class _Interruption:
    """Ctrl-C and SIGTERM, heard at the next batch; heard twice, they end the program at once."""

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def _hear(self, number: int, _frame: object) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        self._restore()


class _Study:
    """The work itself: units of a learning-rate trial or of a whole training, one after the other."""

    def __init__(
        self,
        folder: RunFolder,
        task: _Task,
        settings: Settings,
        listener: Listener,
        interruption: _Interruption,
    ) -> None:
        self.folder, self.task, self.settings = folder, task, settings
        self.listener, self.interruption = listener, interruption
        self.records = folder.read_results()
        self.kept_at = perf_counter()

    def run(self, state: dict[str, Any]) -> Outcome:
        self.listener.begin(list(self.task.pairs), self.settings, self.task.metric)
        for record in self.records:
            self.listener.record(record)
        try:
            for pair, seed, rate, trial in self._units():
                self._train(pair, seed, rate, trial, state)
                state = {}
                if self.interruption.signal:
                    break
        finally:
            self.listener.end()
        return self._conclude()

    def _units(self) -> Iterator[tuple[str, int, float, bool]]:
        """What is left to do: (pair, seed, learning rate, whether it is a trial)."""
        start = OPTIMIZERS[self.settings.optimizer][2]
        searches = {pair: RateSearch(start, self._scores(pair)) for pair in self.task.pairs}
        for pair, search in searches.items():
            while (rate := search.next()) is not None:
                yield pair, 0, rate, True
                search.scores = self._scores(pair)
        # seed by seed, so that a study that is stopped has as many pairs as can be to compare
        for seed in range(self.settings.seeds):
            for pair, search in searches.items():
                if seed not in (final["seed"] for final in self._of("final", pair)):
                    yield pair, seed, search.best, False

    def _scores(self, pair: str) -> dict[float, float | None]:
        return {r["learning_rate"]: r["score"] for r in self._of("rate", pair)}

    def _of(self, kind: str, pair: str) -> list[dict[str, Any]]:
        return [r for r in self.records if r["record"] == kind and r["pair"] == pair]

    def _write(self, *records: dict[str, Any]) -> None:
        self.folder.append(list(records))
        self.records += records
        for record in records:
            self.listener.record(record)

    def _keep(self, unit: list[Any] | None, training: Training | None) -> None:
        self.folder.write_state({"unit": unit, "training": training.state() if training else None})
        self.kept_at = perf_counter()

    def _train(self, pair: str, seed: int, rate: float, trial: bool, state: dict[str, Any]) -> None:
        estimator, run = training(
            self.settings, self.task.data, self.task.encodings[pair], seed=seed, rate=rate, trial=trial
        )
        if state.get("unit") == [pair, seed, rate, trial]:
            run.resume(state["training"])
        with threads(run.module, self.settings.batch_size):
            self._advance(pair, estimator, run, trial)

    def _advance(self, pair: str, estimator: Estimator, run: Training, trial: bool) -> None:
        rate, unit = estimator.learning_rate_init, [pair, run.seed, estimator.learning_rate_init, trial]
        while not run.finished:
            if self.interruption.signal:
                self._keep(unit, run)
                if isinstance(run, Watched) and run.epoch:
                    self._write(*self._ending(pair, estimator, run, "interrupted"))
                return
            if (record := run.advance()) and not trial:
                self._write({"record": "epoch", "pair": pair, "seed": run.seed, **record})
            self.listener.tick(pair, run.done)
            if perf_counter() - self.kept_at > _KEEP_EVERY:
                self._keep(unit, run)
        if isinstance(run, Watched):
            self._write(*self._ending(pair, estimator, run, run.stopped))
        else:
            score = None if run.diverged else measure.number(run.best_loss)
            self._write({"record": "rate", "pair": pair, "learning_rate": rate, "score": score})
        self._keep(None, None)

    def _ending(self, pair: str, estimator: Estimator, run: Watched, stopped: str) -> list[dict[str, Any]]:
        """The snapshots and the final record of a network, whose best weights are kept if no seed had better ones."""
        encoding, y = run.encoding, self.task.data.y["test"]
        estimator.take(run)
        if all(run.best_loss < loss for loss in self._best_losses(pair)):
            estimator.save(self.folder.kept_network(pair))
        v = cl.predict(run.pair, run.scores(self.task.data.x["test"]))
        regions = None
        if self.task.plane and run.seed == 0:
            regions = self.task.plane.regions(encoding, cl.predict(run.pair, run.scores(self.task.plane.grid)), y)
        final = {
            "record": "final",
            "pair": pair,
            "seed": run.seed,
            "epoch": run.best_epoch,
            "learning_rate": estimator.learning_rate_init,
            "metrics": measure.metrics(encoding, y, v),
            "calibration": measure.calibration(encoding, y, v),
            "confusion": measure.confusion(encoding, y, v).tolist() if encoding.classes else None,
            "residuals": measure.residuals(encoding, y, v),
            "regions": regions,
            "stopped": stopped,
            "seconds": round(run.seconds, 4),
        }
        return [*({"record": "snapshot", "pair": pair, **shot} for shot in run.snapshots()), final]

    def _best_losses(self, pair: str) -> list[float]:
        """The least validation loss of each seed of a pair so far."""
        best = {final["seed"]: final["epoch"] for final in self._of("final", pair)}
        return [r["validation_loss"] for r in self._of("epoch", pair) if best.get(r["seed"]) == r["epoch"]]

    def _conclude(self) -> Outcome:
        found = verdict(self.records, list(self.task.pairs), self.task.config["advice"]["pair"], self.task.metric)
        if found:
            self._write(found)
            write_whole(self.folder.network_file, self.folder.kept_network(found["winner"]).read_bytes())
        report = write_report(self.folder.path)
        if not self.interruption.signal:
            self.folder.forget_state()
        return Outcome(self.folder.path, report, self.task.config, self.records, found, self.interruption.signal)
