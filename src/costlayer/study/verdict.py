"""Which pair won: the records of a study, weighed."""

from __future__ import annotations

from math import inf, isinf
from statistics import mean, median, stdev
from typing import Any

from costlayer.study.measure import HIGHER_IS_BETTER

_TITLE = {"accuracy": "accuracy", "macro_f1": "macro F1", "rmse": "RMSE", "mae": "mean absolute error"}
_LEVEL = 0.9


def compared(kind: str, advised: str, largest_class: float) -> str:
    """The test metric by which pairs are ranked: one that every pair has, whatever its outputs mean, and that favours
    none by being its own cost.

    Classes: accuracy; macro F1 when one class holds over four fifths of the rows, where always naming it would score
    high. Numbers: the root mean squared error; the mean absolute error where the target's outliers led `choose` to
    advise a robust cost.
    """
    if kind in ("binary", "classes"):
        return "accuracy" if largest_class <= 0.8 else "macro_f1"
    return "mae" if advised.endswith(("+huber", "+mae")) else "rmse"


def verdict(records: list[dict[str, Any]], pairs: list[str], advised: str, metric: str) -> dict[str, Any] | None:
    """The verdict record, from the epoch and final records; None while no network has been trained.

    Pairs are compared over the seeds that all of them have finished. Where there is none, each pair's finished or
    interrupted networks count, and the sentence says so.
    """
    higher = HIGHER_IS_BETTER[metric]
    finals = {(r["pair"], r["seed"]): r for r in records if r["record"] == "final"}
    whole = {key for key, final in finals.items() if final["stopped"] != "interrupted"}
    seeds = sorted({seed for _, seed in finals})
    shared = [seed for seed in seeds if all((pair, seed) in whole for pair in pairs)]
    partial = not shared
    found = []
    for pair in pairs:
        of_pair = [finals[pair, seed] for seed in (shared or seeds) if (pair, seed) in finals]
        values = [final["metrics"].get(metric) for final in of_pair]
        good = [value for value in values if value is not None]
        if good:
            spread = stdev(good) if len(good) > 1 else None
            found.append({"pair": pair, "mean": mean(good), "spread": spread, "values": values})
    if not found:
        return None
    found.sort(key=lambda entry: (-entry["mean"] if higher else entry["mean"], entry["pair"] != advised))
    best, second = found[0], found[1] if len(found) > 1 else None
    difference = abs(best["mean"] - second["mean"]) if second else 0.0
    spreads = [entry["spread"] for entry in (best, second) if entry and entry["spread"] is not None]
    record = {
        "record": "verdict",
        "winner": best["pair"],
        "advised": advised,
        "metric": metric,
        "higher_is_better": higher,
        "ranking": found,
        "difference": difference,
        "larger_than_spread": bool(spreads) and difference > max(spreads),
        "chance": _chance(finals, best, metric),
        "speed": speed(records, pairs, best["pair"], metric, shared or seeds),
        "starved": starvation(records, pairs),
    }
    return record | {"sentence": _sentence(record, partial, len(shared or seeds)), "remark": _remark(record)}


def speed(
    records: list[dict[str, Any]], pairs: list[str], winner: str, metric: str, seeds: list[int]
) -> dict[str, Any]:
    """How many epochs each pair took to come nine tenths of the way from the winner's untrained validation score to
    its best one: the median over the seeds, interpolated between epochs; null where most seeds never came that far."""
    higher = HIGHER_IS_BETTER[metric]
    curves: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for r in records:
        if r["record"] == "epoch" and r["seed"] in seeds and r["metrics"].get(metric) is not None:
            curves.setdefault((r["pair"], r["seed"]), []).append((r["epoch"], r["metrics"][metric]))
    of_winner = [curve for (pair, _), curve in curves.items() if pair == winner]
    if not of_winner:
        return {"level": None, "epochs": dict.fromkeys(pairs)}
    start = mean(curve[0][1] for curve in of_winner)
    end = mean((max if higher else min)(value for _, value in curve) for curve in of_winner)
    level = start + _LEVEL * (end - start)
    epochs = {pair: median(_crossing(curves.get((pair, seed), []), level, higher) for seed in seeds) for pair in pairs}
    return {"level": level, "epochs": {pair: None if isinf(value) else value for pair, value in epochs.items()}}


def _crossing(curve: list[tuple[int, float]], level: float, higher: bool) -> float:
    before = None
    for epoch, value in curve:
        if value == level or (value > level) == higher:
            if before is None:
                return float(epoch)
            return before[0] + (level - before[1]) / (value - before[1]) * (epoch - before[0])
        before = epoch, value
    return inf


def starvation(records: list[dict[str, Any]], pairs: list[str]) -> dict[str, float | None]:
    """Of the outputs that were wrong by more than half while a pair was trained (validation rows, all epochs and
    seeds), the share that was starved; null where none was wrong."""
    shares: dict[str, float | None] = {}
    for pair in pairs:
        own = [r for r in records if r["record"] == "epoch" and r["pair"] == pair and r["epoch"]]
        wrong = sum(r.get("wrong", 0.0) for r in own)
        shares[pair] = sum(r["starved"] for r in own) / wrong if wrong else None
    return shares


def _sentence(record: dict[str, Any], partial: bool, seeds: int) -> str:
    title = _TITLE[record["metric"]]
    best = record["ranking"][0]
    over = f"over {seeds} seeds" if seeds > 1 else "over one seed"
    parts = ["The study was interrupted before every pair had finished a seed."] if partial else []
    if len(record["ranking"]) == 1:
        parts.append(
            f"{best['pair']} reached a test {title} of {figure(best['mean'])} {over}; nothing to compare it with."
        )
        return " ".join(parts)
    second = record["ranking"][1]
    if record["difference"] == 0:
        parts.append(f"{best['pair']} and {second['pair']} tied: a test {title} of {figure(best['mean'])} {over}.")
    else:
        better = "above" if record["higher_is_better"] else "below"
        parts.append(
            f"{best['pair']} won: a test {title} of {figure(best['mean'])} {over}, "
            f"{figure(record['difference'], 2)} {better} {second['pair']} ({figure(second['mean'])})."
        )
        spreads = [entry["spread"] for entry in (best, second) if entry["spread"] is not None]
        spread, chance = figure(max(spreads, default=0.0), 2), record["chance"] or 0.0
        if not spreads:
            parts.append("One seed cannot show whether that is more than chance: use more with --seeds.")
        elif not record["larger_than_spread"]:
            parts.append(f"That is not larger than the spread between seeds ({spread}): no clear winner.")
        elif record["difference"] <= chance:
            parts.append(
                f"That is larger than the spread between seeds ({spread}), but not than chance in so few test rows "
                f"(± {figure(chance, 2)}): no clear winner."
            )
        else:
            parts.append(f"That is larger than the spread between seeds ({spread}).")
    advised, names = record["advised"], [entry["pair"] for entry in record["ranking"]]
    if advised == best["pair"]:
        parts.append("It is the pair that `choose` named.")
    elif advised in names:
        place = names.index(advised)
        behind = abs(best["mean"] - record["ranking"][place]["mean"])
        parts.append(f"`choose` named {advised}, which came {_place(place)}, {figure(behind, 2)} behind.")
    else:
        parts.append(f"`choose` named {advised}, which was not studied.")
    return " ".join(parts)


def _remark(record: dict[str, Any]) -> str:
    """Which pairs starved, and who was late."""
    starved = {pair: share for pair, share in record["starved"].items() if share and share >= 0.001}
    fed = [pair for pair, share in record["starved"].items() if share is not None and pair not in starved]
    if not starved:
        return ""
    worst = sorted(starved, key=lambda pair: -starved[pair])
    said = ", ".join(
        f"{pair} {starved[pair]:.0%}" if starved[pair] >= 0.01 else f"{pair} {starved[pair]:.1%}" for pair in worst
    )
    remark = f"Starved, of the outputs wrong by more than half: {said}"
    remark += f"; {', '.join(fed)} none." if fed else "."
    took = {pair: epochs for pair, epochs in record["speed"]["epochs"].items() if epochs is not None}
    if took:
        late = [f"{pair} {took[pair]:.1f}" if pair in took else f"{pair} never" for pair in record["speed"]["epochs"]]
        title = _TITLE[record["metric"]]
        remark += f" Epochs to a validation {title} of {record['speed']['level']:.3g}: {', '.join(late)}."
    return remark


def _chance(finals: dict[tuple[str, int], dict[str, Any]], best: dict[str, Any], metric: str) -> float | None:
    """The standard error of a share of right answers that comes from the number of test rows; None for numbers."""
    counts = [
        final["confusion"] for (pair, _), final in finals.items() if pair == best["pair"] and final.get("confusion")
    ]
    if metric != "accuracy" or not counts:
        return None
    return (best["mean"] * (1 - best["mean"]) / max(1, sum(map(sum, counts[0])))) ** 0.5


def figure(x: float, digits: int = 4) -> str:
    """A number to some digits, without an exponent where people would not write one.

    >>> figure(0.97271), figure(123.4, 2), figure(0.0073, 2)
    ('0.9727', '123', '0.0073')
    """
    return f"{x:,.0f}" if 10**digits / 10 <= abs(x) < 1e9 else f"{x:.{digits}g}"


def _place(index: int) -> str:
    return {1: "second", 2: "third"}.get(index, f"number {index + 1}")
