"""The last linear map and its pair, forward and backward, beside its three products and what else there is: time and
memory. `--only` measures some parts again, and leaves the others as they were.

Two of what it is compared with are not in the extra `bench`, since they ask for Triton, a gigabyte that goes unused:
`pip install --no-deps -c constraints.txt cut-cross-entropy liger-kernel`, as `make bench` does.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import _measure
from _linear import (
    LABELS,
    OF_A_STEP,
    PART,
    ROWS,
    SCALE,
    SURE,
    YESES,
    Case,
    Spent,
    available,
    data,
    products,
    step,
    ways,
)
from _measure import Results, figure, interleaved, process, ratio
from _speed import THREADS, attempt, set_threads

NAMES = {
    "floor": "the three products",
    "parts": "the same, or in parts",
    "ours": "costlayer",
    "eager": "torch eager",
    "compile": "torch.compile of it",
    "chunked": "torch's linear_cross_entropy in chunks",
    "chunked_512": "the same, chunks of 512",
    "cut": "cut-cross-entropy, compiled",
    "liger": "Liger's chunks, compiled",
}
COMPARED = {
    "float32": Case(ROWS, (2048, 512, 32000), "float32", "all"),
    "bfloat16": Case(ROWS, (2048, 512, 32000), "bfloat16", "all"),
    "threshold": Case(ROWS, (2048, 512, 32000), "float32", "sure"),
    "large": Case(ROWS, (16384, 1024, 128256), "bfloat16", "once"),
    "labels": Case(YESES, (512, 256, 1_000_000), "float32", "labels"),
    "towers": Case(ROWS, (16384, 512, 16384), "float32", "towers"),
}
TITLES = {
    "float32": "float32",
    "bfloat16": "bfloat16",
    "threshold": "As of a trained model, small δ left out",
    "large": "A vocabulary of 128,256",
    "labels": "A million yes-or-no labels",
    "towers": "Two towers",
}
FLOORS = {"float32": 1.15, "bfloat16": 1.1, "threshold": 0.8}  # at most so many
EAGER = {"float32": 1.6, "bfloat16": 1.8}  # at least so many times as long as ours
ROOM = 48.0  # MiB beside the gradients
COPIES = 4  # of the scores, that torch eager holds at most: scores, their logarithms of shares, both gradients
MIDDLE, SIZES = (1024, 256, 16000), ((128, 512, 2048, 8192), (64, 256, 1024), (1000, 4000, 16000, 64000, 256000))
GROWN = {
    f"{axis} = {size:,}": Case(ROWS, (*MIDDLE[:k], size, *MIDDLE[k + 1 :]), "float32")
    for k, (axis, sizes) in enumerate(zip("NDV", SIZES, strict=True))
    for size in sizes
}
PARTS = (*COMPARED, "growth", "profile")
NOTES = (
    f"A step is forward and backward from x and W, into fresh gradients; {THREADS} threads; medians of interleaved "
    "runs, in one process. Extra memory is what a step adds to the most that a process has held, gradients "
    "included, in a process of its own. The three products are z = x Wᵀ, δ W and δᵀ x, each whole and by the "
    f"fastest way at hand: torch.mm into memory that is there, or oneDNN's; in parts, for {PART:,} classes at a time "
    "where that is faster. In brackets: the bounds that were set beforehand.\n\n"
    "Liger's fused linear cross entropy runs on no processor; what is measured is its base of losses in chunks, "
    "with cross entropy alone. Of cut-cross-entropy it is the way of its two that runs on a processor. The trained "
    "model is made up: classes drawn as often as words (1/j), W random with one feature that holds the logarithm of "
    f"how often, x the W of the true class {SURE:g} times and noise of deviation 1. What δ leaves out is what is at "
    f"most 2^-12 in all rows of a tile. The labels are {LABELS} per example, for torch made a dense target in the "
    f"step. The towers are (N, D) each, their scores scaled by {SCALE:g}; torch holds them whole, and is given the "
    "mean of two cross entropies, of them and of them turned. The large case is one run each, in a process of its "
    "own, so that its time includes what the first step takes for new memory."
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--what", nargs="*", choices=("time", "memory"), default=("time", "memory"), help="or nothing")
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run, kept in a temporary folder")
    asked = parser.parse_args(arguments)
    before = kept()
    if asked.quick:
        _measure.RESULTS, before, asked.runs = Path(tempfile.mkdtemp()), {}, 1
    set_threads(THREADS)
    with Results("linear", "The last linear map inside", NOTES) as results:
        for part in PARTS:
            what = asked.what if part in asked.only else ()
            if part == "growth":
                grow(results, before, what, asked)
            elif part == "profile":
                profile(results, before, what, asked)
            else:
                compare(results, part, before, what, asked)


def kept() -> dict[str, dict]:
    """What was measured before, by case."""
    file = _measure.RESULTS / "linear.json"
    return {case["case"]: case for case in json.loads(file.read_text("utf-8"))["cases"]} if file.exists() else {}


# --------------------------------------------------------------------------------------------------------- the parts


def compare(
    results: Results, part: str, before: dict[str, dict], what: tuple[str, ...], asked: argparse.Namespace
) -> None:
    """A table of the ways to one cost."""
    case = COMPARED[part].smaller(64) if asked.quick else COMPARED[part]
    found = measured(results, part, case, before, what, asked.runs)
    if found is None:
        return
    n, d, v = (f"{size:,}" for size in case.shape)
    title = f"{TITLES[part]}: {case.pair}, N = {n}, D = {d}, V = {v}, {case.type}, runs: {found.get('runs', 1)}"
    rows = results.table(["", "a step, ms", "times costlayer's", "extra memory, MiB"], title)
    seconds, memory, hold = found["seconds"], found["mebibytes"], partial(results.bound, f"linear {part}")
    for name in (name for name in NAMES if name in seconds or name in memory):
        times, held = ratio(seconds.get(name), seconds.get("ours")), figure(memory.get(name))
        cell = figure(times)
        if name == "floor" and part in FLOORS:
            least = hold("costlayer / products", ratio(1.0, times), FLOORS[part])
            cell = f"{cell}: costlayer takes {least} of it"
        elif name not in ("ours", "floor", "parts") and part in EAGER:
            least = EAGER[part] if name == "eager" else 1.0
            cell = hold(f"{NAMES[name]} / costlayer", times, least, least=True)
        if name == "ours" and part in EAGER:
            held = hold("extra memory, MiB", memory.get(name), case.gradients / 2**20 + ROOM)
        rows.append([NAMES[name], figure(seconds.get(name), 1e3), cell, held])


def grow(results: Results, before: dict[str, dict], what: tuple[str, ...], asked: argparse.Namespace) -> None:
    """How time and memory grow with N, D and V, the others fixed."""
    n, d, v = (f"{size:,}" for size in MIDDLE)
    header = ["", *(f"{NAMES[name]}, {unit}" for unit in ("ms", "MiB") for name in ("ours", "eager"))]
    rows = results.table(header, f"How it grows: {ROWS}, float32, from N = {n}, D = {d}, V = {v}")
    for name, case in GROWN.items():
        case = case.smaller(64) if asked.quick else case
        found = measured(results, name, case, before, what, asked.runs)
        if found is not None:
            cells = [figure(found["seconds"].get(way), 1e3) for way in ("ours", "eager")]
            rows.append([name, *cells, *(figure(found["mebibytes"].get(way)) for way in ("ours", "eager"))])


def profile(results: Results, before: dict[str, dict], what: tuple[str, ...], asked: argparse.Namespace) -> None:
    """What a step goes to."""
    parts = [*dict.fromkeys(OF_A_STEP.values()), "the rest"]
    rows = results.table(["", "a step, ms", *(f"{part}, %" for part in parts)], "Where the time goes")
    for kind in ("float32", "bfloat16"):
        name, case = f"profile, {kind}", COMPARED[kind].smaller(64) if asked.quick else COMPARED[kind]
        found = before.get(name)
        if "time" in what:
            results.begin(name)
            found = {**named(name, case), "seconds": spent(case, asked.runs), "runs": asked.runs}
        if found is not None:
            results.cases.append(found)
            seconds = found["seconds"]
            shares = (figure(seconds[part], 100 / seconds["step"]) for part in parts)
            rows.append([kind, figure(seconds["step"], 1e3), *shares])


# -------------------------------------------------------------------------------------------------------- one case


def named(name: str, case: Case) -> dict:
    return {"case": name, "pair": case.pair, "shape": case.shape, "dtype": case.type}


def measured(
    results: Results, name: str, case: Case, before: dict[str, dict], what: tuple[str, ...], runs: int
) -> dict | None:
    """A case, with what is asked for measured and the rest as it was before; None if it never was."""
    found = before.get(name)
    if what:
        found = {"seconds": {}, "mebibytes": {}, **(found or {}), **named(name, case)}
        if case.kind == "once" or "memory" in what:
            results.begin(f"{name}, memory")
            found |= alone(case)
        if case.kind != "once" and "time" in what:
            results.begin(f"{name}, time")
            found |= {"seconds": timed(case, runs), "runs": runs}
    if found is not None:
        results.cases.append(found)
    return found


def timed(case: Case, runs: int) -> dict[str, float | None]:
    """The seconds of a step by each way, and of the three products."""
    x, w, y = data(case)

    def run(loss: Callable) -> None:
        step(loss, x, w, y)
        x.grad = w.grad = None  # else the next contestant would pay for giving back their memory

    losses = {name: attempt(NAMES[name], make) for name, make in ways(case).items()}
    cases = {name: None if loss is None else partial(run, loss) for name, loss in losses.items()}
    for name, each in cases.items():  # what fails does so here
        cases[name] = each and attempt(NAMES[name], lambda each=each: each() or each)
    by_product = products(case) if case.kind in ("all", "sure") else {}
    singly = {(name, way): run for name, those in by_product.items() for way, run in those.items()}
    seconds = interleaved({**singly, **cases}, runs)  # type: ignore
    found = {name: seconds[name] for name in cases}
    if by_product:
        whole = [min(seconds[name, way] for way in those if "parts" not in way) for name, those in by_product.items()]
        any_way = [min(seconds[name, way] for way in those) for name, those in by_product.items()]
        found = {"floor": sum(whole), "parts": sum(any_way), **found}
    return found


def alone(case: Case) -> dict[str, dict[str, float | None]]:
    """The mebibytes a step by each way takes, and if it is to be run once its seconds, in processes of their own."""
    found: dict[str, dict[str, float | None]] = {"mebibytes": {}}
    if case.kind == "once":
        found["seconds"] = {}
    for name in ways(case):
        scores = case.shape[0] * case.shape[2] * case.dtype.itemsize
        said = None
        if name == "ours" or available() > COPIES * scores + 2**31:
            code = f"from _linear import Case, say_step; say_step({case!r}, {name!r}, {THREADS})"
            said = attempt(NAMES[name], lambda code=code: process(code, folder()))
        took, seconds = map(float, said.split()) if said else (None, None)
        found["mebibytes"][name] = None if took is None else took / 2**20
        if case.kind == "once":
            found["seconds"][name] = seconds
    return found


def folder() -> dict[str, str]:
    """So that a process finds what lies beside this file."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))}


def spent(case: Case, runs: int) -> dict[str, float]:
    """The seconds of a step and of its parts, of the run with the median step."""
    x, w, y = data(case)
    loss, found = ways(case)["ours"](), []
    step(loss, x, w, y)
    for _ in range(runs):
        with Spent() as spent:
            start = time.perf_counter()
            step(loss, x, w, y)
            whole = time.perf_counter() - start
        found.append({"step": whole, **spent.seconds, "the rest": whole - sum(spent.seconds.values())})
    return sorted(found, key=lambda each: each["step"])[runs // 2]


if __name__ == "__main__":
    main()
