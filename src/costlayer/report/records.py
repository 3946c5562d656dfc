"""The records of a run, read, checked and put in order: what every part of the page draws from."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from costlayer.errors import InvalidValue

MOMENTS = ("start", "middle", "end")

# What a record of each kind cannot do without; everything else may be missing.
REQUIRED = {
    "rate": ("pair",),
    "epoch": ("pair", "seed", "epoch"),
    "snapshot": ("pair", "seed", "moment"),
    "final": ("pair", "seed"),
    "verdict": (),
}


@dataclass(frozen=True)
class Metric:
    label: str
    higher_is_better: bool


METRICS = {
    "accuracy": Metric("Accuracy", True),
    "r2": Metric("R²", True),
    "macro_f1": Metric("Macro F1", True),
    "auc": Metric("AUC", True),
    "log_loss": Metric("Log loss", False),
    "brier": Metric("Brier score", False),
    "ece": Metric("Calibration error", False),
    "mae": Metric("Mean absolute error", False),
    "rmse": Metric("Root mean squared error", False),
    "poisson_deviance": Metric("Poisson deviance", False),
}


def metric(name: str) -> Metric:
    return METRICS.get(name) or Metric(name.replace("_", " "), False)


@dataclass(frozen=True)
class Ranked:
    """One line of the ranking: a pair and its test results over the seeds that finished."""

    pair: str
    mean: float | None
    spread: float | None
    values: list[float]


@dataclass(frozen=True)
class Series:
    """One figure over the epochs, for one pair.

    `mean` and `spread` (sample standard deviation; None with one seed) hold the epochs that every seed has run;
    `tails` holds, seed by seed, what the longer runs add, from the last shared epoch on.
    """

    epochs: list[int]
    mean: list[float | None]
    spread: list[float | None]
    tails: list[tuple[list[int], list[float | None]]]


@dataclass(frozen=True)
class Run:
    """The records of one run by kind, pair and seed."""

    config: dict
    pairs: list[str]
    rates: dict[str, list[dict]]
    epochs: dict[str, dict[Any, list[dict]]]
    snapshots: dict[str, dict[str, list[dict]]]
    finals: dict[str, list[dict]]
    verdict: dict | None

    @property
    def data(self) -> dict:
        return self.config.get("data") or {}

    @property
    def settings(self) -> dict:
        return self.config.get("settings") or {}

    @property
    def formulas(self) -> dict:
        return self.config.get("formulas") or {}

    @property
    def classes(self) -> list[str] | None:
        return [str(c) for c in self.data["classes"]] if self.data.get("classes") else None

    @property
    def seeds(self) -> int:
        """How many seeds each pair was to be trained with."""
        asked = self.settings.get("seeds")
        if isinstance(asked, list):
            return len(asked)
        seen = {seed for by_seed in self.epochs.values() for seed in by_seed}
        return asked if isinstance(asked, int) else len(seen)

    @property
    def metric(self) -> str | None:
        """The metric the pairs are compared by."""
        if self.verdict and self.verdict.get("metric"):
            return self.verdict["metric"]
        return next(iter(self.metrics()), None)

    @property
    def higher_is_better(self) -> bool:
        if self.verdict and self.verdict.get("higher_is_better") is not None:
            return bool(self.verdict["higher_is_better"])
        return metric(self.metric or "").higher_is_better

    @property
    def winner(self) -> str | None:
        if self.verdict and self.verdict.get("winner"):
            return self.verdict["winner"]
        return next((row.pair for row in self.ranking() if row.mean is not None), None)

    def metrics(self) -> list[str]:
        """The metrics that have a figure anywhere, in the order of METRICS."""
        holders = [r for by_seed in self.epochs.values() for rs in by_seed.values() for r in rs]
        holders += [r for rs in self.finals.values() for r in rs]
        seen = {k for r in holders for k, x in (r.get("metrics") or {}).items() if x is not None}
        return [m for m in METRICS if m in seen] + sorted(seen - set(METRICS))

    def series(self, pair: str, get: Callable[[dict], float | None]) -> Series:
        """What `get` finds in the epoch records of a pair, over the seeds."""
        by_seed = [{r["epoch"]: get(r) for r in records} for records in self.epochs[pair].values() if records]
        if not by_seed:
            return Series([], [], [], [])
        shared = sorted(set.intersection(*(set(values) for values in by_seed)))
        mean = [average([values[e] for values in by_seed]) for e in shared]
        spread = [deviation([values[e] for values in by_seed]) for e in shared]
        tails = []
        for values in by_seed:
            later = [e for e in sorted(values) if not shared or e >= shared[-1]]
            if len(later) > 1:
                tails.append((later, [values[e] for e in later]))
        return Series(shared, mean, spread, tails)

    def final(self, pair: str, name: str) -> list[float]:
        """A test metric of a pair, for each seed that finished with a figure."""
        return [v for r in self.finals[pair] if (v := (r.get("metrics") or {}).get(name)) is not None]

    def starved(self, pair: str) -> Series:
        return self.series(pair, lambda r: r.get("starved"))

    def ranking(self) -> list[Ranked]:
        """Every pair, best first; pairs without a result come last."""
        given = {r["pair"]: r for r in (self.verdict or {}).get("ranking") or []}
        rows = []
        for pair in self.pairs:
            values = self.final(pair, self.metric) if self.metric else []
            if pair in given:
                r = given[pair]
                rows.append(
                    Ranked(
                        pair, r.get("mean"), r.get("spread"), [v for v in r.get("values") or values if v is not None]
                    )
                )
            else:
                rows.append(Ranked(pair, average(values), deviation(values), values))
        order = {pair: i for i, pair in enumerate(given)}
        sign = -1 if self.higher_is_better else 1
        return sorted(
            rows,
            key=lambda r: (r.mean is None, order.get(r.pair, len(order)), sign * r.mean if r.mean is not None else 0),
        )


def average(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def deviation(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None


def collect(config: dict, records: list[dict]) -> Run:
    """The records in order. Of two records of the same thing (a resumed run) the later one holds."""
    pairs = config.get("pairs") if isinstance(config, dict) else None
    if not isinstance(pairs, list) or not all(isinstance(p, str) for p in pairs):
        raise InvalidValue("config.json", "no list of pairs", "the configuration of a study", "Run the study again.")
    by_kind: dict[str, dict] = {kind: {} for kind in REQUIRED}
    for number, record in enumerate(records, start=1):
        kind = record.get("record")
        if kind not in REQUIRED:
            continue
        for key in REQUIRED[kind]:
            if record.get(key) is None:
                raise InvalidValue(
                    "results.jsonl",
                    f"record {number} ({kind}) without {key!r}",
                    f"a {kind} record with {', '.join(REQUIRED[kind])}",
                    "The file is damaged: run the study again.",
                )
        last = "learning_rate" if kind == "rate" else REQUIRED[kind][-1] if kind in ("epoch", "snapshot") else "record"
        by_kind[kind][record.get("pair"), record.get("seed"), record.get(last)] = record

    seen = [r["pair"] for kind in ("rate", "epoch", "snapshot", "final") for r in by_kind[kind].values()]
    pairs = list(dict.fromkeys([*pairs, *seen]))
    epochs: dict[str, dict[Any, list[dict]]] = {p: {} for p in pairs}
    for r in by_kind["epoch"].values():
        epochs[r["pair"]].setdefault(r["seed"], []).append(r)
    for by_seed in epochs.values():
        for rows in by_seed.values():
            rows.sort(key=lambda r: r["epoch"])
    return Run(
        config=config,
        pairs=pairs,
        rates={
            p: sorted(
                (r for r in by_kind["rate"].values() if r["pair"] == p and r.get("learning_rate") is not None),
                key=lambda r: r["learning_rate"],
            )
            for p in pairs
        },
        epochs=epochs,
        snapshots={
            p: {m: [r for r in by_kind["snapshot"].values() if r["pair"] == p and r["moment"] == m] for m in MOMENTS}
            for p in pairs
        },
        finals={p: [r for r in by_kind["final"].values() if r["pair"] == p] for p in pairs},
        verdict=next(reversed(by_kind["verdict"].values()), None),
    )


def read(folder: Path) -> tuple[dict, list[dict]]:
    """config.json and results.jsonl of a run folder; a torn last line of the latter is left out."""
    again = "Give a folder that `costlayer study` wrote (runs/NAME), or run the study again."
    if not folder.is_dir():
        raise InvalidValue("folder", f"{folder}, which is not a folder", "the folder of a run", again)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        lines = (folder / "results.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InvalidValue("folder", f"{error.filename}: {error.strerror}", "the folder of a run", again) from error
    except ValueError as error:
        raise InvalidValue(
            "folder", f"{folder / 'config.json'}, not JSON ({error})", "the folder of a run", again
        ) from error
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("not an object")
        except ValueError as error:
            if number == len(lines):
                break
            raise InvalidValue(
                "folder", f"{folder / 'results.jsonl'}, line {number} damaged ({error})", "a JSON object a line", again
            ) from error
        records.append(record)
    return config, records


def rebin(edges: list[float], amounts: list[float], onto: list[float]) -> list[float]:
    """Amounts per bin moved onto other edges, each spread evenly over its bin; onto the same edges they stay."""
    if edges == onto:
        return list(amounts)
    total = np.concatenate([[0.0], np.cumsum(amounts)])
    return np.diff(np.interp(onto, edges, total)).tolist()


def pooled_edges(all_edges: list[list[float]]) -> list[float]:
    """Edges that cover the bins of every seed, as many as the seeds have."""
    if all(e == all_edges[0] for e in all_edges):
        return all_edges[0]
    low, high = min(e[0] for e in all_edges), max(e[-1] for e in all_edges)
    return np.linspace(low, high, max(len(e) for e in all_edges)).tolist()


def quantile(edges: list[float], counts: list[float], q: float) -> float | None:
    """Where a share q of a histogram lies to the left."""
    total = np.concatenate([[0.0], np.cumsum(counts)])
    return float(np.interp(q * total[-1], total, edges)) if total[-1] > 0 else None


def finite(x: Any) -> bool:
    return isinstance(x, (int, float)) and math.isfinite(x)
