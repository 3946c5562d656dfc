"""How far every result is from the exact one, in units in the last place; makes docs/accuracy.md.

    costlayer bench accuracy                         every pair and type by a sample of scores from every binade
    python benchmarks/accuracy.py --exhaustive       and the functions of one score over all 2^32 float32 numbers; what
                                                     that found is kept when the rest is measured again without it
    python benchmarks/accuracy.py --pairs NAME ...   these pairs anew, or for the first time; the rest as it was

The exhaustive part may be stopped and started again: what it has found for a kernel as it is stays found. The results
say for every entry of which run it is: when, and on which machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import signal
import sys
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path

import numpy as np
from _measure import RESULTS, machine, report

BENCHMARKS = Path(__file__).parent
KINDS = ("float64", "float32", "float16", "bfloat16")
FEWER = 5  # of the scores, one in so many is tried with every implementation
USUAL = 10.0  # scores that a network is likely to give


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exhaustive", action="store_true", help="all float32 numbers, not only a sample of them")
    parser.add_argument("--pairs", nargs="+", metavar="NAME", help="measure these alone, into the last results")
    parser.add_argument("--jobs", type=int, default=0, help="processes; by default one per core")
    parser.add_argument("--thin", type=int, default=1, help="try one in so many scores: a quick look")
    parser.add_argument("--tables", action="store_true", help="measure nothing: print the tables of the last results")
    options = parser.parse_args()
    path = RESULTS / "accuracy.json"
    if options.tables:
        results = json.loads(path.read_text(encoding="utf-8"))
    else:
        try:
            if options.exhaustive:
                exhaustive()
            last = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            results = merged(last, measure(options.jobs, options.thin, options.pairs), bool(options.pairs))
        except KeyboardInterrupt:
            sys.exit("stopped; what was found of the exhaustive part is kept")
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tables(results)
    page().main()


def exhaustive() -> None:
    from _exhaustive import run

    with _bar() as tell:
        run(lambda done, of, name: tell(done, of, f"exhaustive, {name}"))


BY_KIND = ("pairs", "others", "bitwise", "classes", "words")
FLAT = ("scalar", "reference", "limits", "curves")


def merged(last: dict, found: dict, partly: bool) -> dict:
    """What was measured now, and if that was of some pairs only, the last results of the rest, in the order of the
    catalogue. `made` says for each entry which of the `runs` it is of. What was found of all float32 numbers stays
    until it is asked for again, unless a sample finds worse."""
    import costlayer as cl

    order = {str(pair): k for k, pair in enumerate(cl.pairs())}
    runs, made = [*last.get("runs", []), found["run"]], {}
    now = len(runs) - 1

    def joined(name: str, old: dict, new: dict) -> dict:
        kept = {entry: value for entry, value in old.items() if partly and entry not in found["measured"]}
        made[name] = {entry: last["made"][name][entry] for entry in kept} | dict.fromkeys(new, now)
        return dict(sorted({**kept, **new}.items(), key=lambda entry: order.get(entry[0], -1)))

    both = {"usual": found["usual"]}
    for section in BY_KIND:
        old, new = last.get(section, {}), found[section]
        both[section] = {
            kind: joined(f"{section} {kind}", old.get(kind, {}), new.get(kind, {})) for kind in {**old, **new}
        }
    for section in FLAT:
        both[section] = joined(section, last.get(section, {}), found[section])
    for name, new in found["scalar"].items():
        old = last.get("scalar", {}).get(name, new)
        if old["inputs"] > new["inputs"] and old["worst"] >= new["worst"]:
            both["scalar"][name] = {**old, "since": {key: new[key] for key in ("kernel", "worst", "inputs")}}
            made["scalar"][name] = last["made"]["scalar"][name]
    used = sorted({run for entries in made.values() for run in entries.values()})
    places = {run: k for k, run in enumerate(used)}
    return {
        "runs": [runs[run] for run in used],
        **both,
        "made": {name: {entry: places[run] for entry, run in entries.items()} for name, entries in made.items()},
    }


def measure(jobs: int = 0, thin: int = 1, only: list[str] | None = None) -> dict:
    """All sections, or those of some pairs, by a pool of processes."""
    from _exhaustive import functions
    from _implementations import OTHERS, available, version
    from _limits import measure as limits

    import costlayer as cl
    from costlayer.engines.cpu import available_cores

    pairs = cl.pairs()
    work = [("pair", str(pair), kind) for kind in KINDS for pair in pairs]
    work += [("bitwise", str(pair), kind) for kind in KINDS for pair in pairs]
    work += [
        ("classes", name, kind) for kind in ("float64", "float32") for name in ("costlayer", *OTHERS) if available(name)
    ]
    work += [("scalar", str(index), "float32") for index in range(len(functions()))]
    work += [("words", name, kind) for name in ("exp", "expm1", "log", "log1p", "tanh") for kind in KINDS]
    work += [("reference", str(pair), "float64") for pair in pairs]
    work += [("curves", name, "float32") for name in ("sigmoid+cross_entropy", "softmax+cross_entropy")]
    if only:
        by_pair = ("pair", "bitwise", "reference")
        work = [each for each in work if each[0] in by_pair and each[1] in map(str, map(_named, only))]
    found: dict[str, dict] = defaultdict(dict)
    context = multiprocessing.get_context("spawn")
    with _bar() as tell, ProcessPoolExecutor(jobs or available_cores(), context, initializer=_quiet) as pool:
        try:
            waiting = {pool.submit(job, *each, thin): each for each in work}
            for done, future in enumerate(as_completed(waiting), 1):
                section, name, kind = waiting[future]
                found[section][name, kind] = future.result()
                tell(done, len(work), f"{section} {name} {kind}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    measured = list(map(str, map(_named, only))) if only else list(map(str, pairs))
    return {
        "run": {
            "day": str(date.today()),
            "machine": machine(),
            "versions": {name: version(name) for name in OTHERS if available(name)},
            "thin": thin,
            "fewer": max(thin, FEWER),
        },
        "measured": measured,
        "usual": USUAL,
        "pairs": _by_kind(found["pair"], work, "pair", lambda result: result["costlayer"]),
        "others": _by_kind(found["pair"], work, "pair", lambda result: result["beside"]),
        "bitwise": _by_kind(found["bitwise"], work, "bitwise"),
        "classes": _by_kind(found["classes"], work, "classes"),
        "words": _by_kind(found["words"], work, "words"),
        "scalar": {result["name"]: result for result in (found["scalar"][n, k] for s, n, k in work if s == "scalar")},
        "reference": {name: found["reference"][name, kind] for s, name, kind in work if s == "reference"},
        "limits": {name: limits(_named(name)) for name in measured},
        "curves": _by_kind(found["curves"], work, "curves").get("float32", {}),
    }


def _by_kind(found: dict, work: list, section: str, what=lambda result: result) -> dict[str, dict]:
    """In the order of the work, without what is not there."""
    kinds: dict[str, dict] = {}
    for name, kind in ((n, k) for s, n, k in work if s == section):
        if (result := what(found[name, kind])) is not None:
            kinds.setdefault(kind, {})[name] = result
    return kinds


def _quiet() -> None:
    """In a process of the pool: the parent alone answers Ctrl-C; one thread, as the processes share the cores."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def job(section: str, name: str, kind: str, thin: int):
    """One entry of a section."""
    return _pair(name, kind, thin) if section == "pair" else globals()[f"_{section}"](name, kind)


def _named(name: str):
    import costlayer as cl

    return next(pair for pair in cl.pairs() if str(pair) == name)


def _pair(name: str, kind: str, thin: int) -> dict:
    """The worst errors of costlayer over all scores; and of each implementation, over all and over usual scores."""
    import _rows
    from _implementations import HALVES, OTHERS, available, ours
    from _pairs import Sample, several

    pair = _named(name)
    rows, together = min(thin, 4), several(pair)  # there are few rows
    found = _rows.measure(pair, kind, thin=rows) if together else Sample(pair, kind, thin).measure()
    if kind in HALVES:
        return {"costlayer": found, "beside": None}
    beside, fewer = {}, max(thin, FEWER)
    sample = None if together else Sample(pair, kind, thin=fewer)
    for other, implementation in {**OTHERS, "costlayer": ours}.items():
        if not available(other) or (other == "costlayer" and not beside):  # nobody to be beside of
            continue
        everywhere = _rows.measure(pair, kind, implementation, rows) if together else sample.measure(implementation)
        if everywhere is not None:
            usual = None if together else sample.measure(implementation, USUAL)
            beside[other] = {"all": everywhere, "usual": usual}
    return {"costlayer": found, "beside": beside or None}


def _bitwise(name: str, kind: str) -> dict[str, bool]:
    import _bitwise as bitwise

    return bitwise.measure(_named(name), kind)


def _classes(name: str, kind: str) -> dict | None:
    import _rows
    from _implementations import OTHERS, ours

    return _rows.by_classes(_named("softmax+cross_entropy"), kind, {"costlayer": ours, **OTHERS}[name])


def _scalar(index: str, kind: str) -> dict:
    """One function of one score: over all float32 numbers if that was done for this code, else over a sample."""
    from _exhaustive import State, check, functions, sampled

    function, random = functions()[int(index)], np.random.default_rng(0)
    found = State().result(function) or sampled(function, random)
    return {"name": function.name, **found, "kernel": function.kernel, "reference": check(function, random)}


def _words(name: str, kind: str) -> dict | None:
    import _words

    return _words.measure(name, kind)


def _reference(name: str, kind: str) -> float | None:
    """How far the references are from 1000 digits, in float64 units; None where they are these themselves."""
    from _pairs import disagreement

    return disagreement(_named(name))


def _curves(name: str, kind: str) -> dict:
    import _curves

    return _curves.measure(_named(name))


# ------------------------------------------------------------------------------------------------- what is printed
def tables(results: dict) -> None:
    """Every table, printed and kept beside the results."""
    made = page()
    for name, title, header, rows, notes in made.tables(results):
        report(name, title, header, rows, notes, made.when(results, made.part_of(name)) + ".")


def page():
    """docs/accuracy_page.py."""
    spec = importlib.util.spec_from_file_location("accuracy_page", BENCHMARKS.parent / "docs" / "accuracy_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _bar:
    """A progress bar on a terminal, a line now and then elsewhere."""

    def __enter__(self):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.progress, self.shown = None, -1
        if console.is_terminal:
            columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
            self.progress = Progress(*columns, console=console)
            self.progress.start()
            self.task = self.progress.add_task("")
        return self

    def __call__(self, done: int, of: int, what: str) -> None:
        if self.progress:
            self.progress.update(self.task, completed=done, total=of, description=what)
        elif (tenth := 10 * done // of) > self.shown:
            self.shown = tenth
            print(f"{done} of {of}", file=sys.stderr, flush=True)

    def __exit__(self, *_) -> None:
        if self.progress:
            self.progress.stop()


if __name__ == "__main__":
    main()
