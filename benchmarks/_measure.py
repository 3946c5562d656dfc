"""What every benchmark shares: interleaved medians, the machine's name, and result files that say both."""

import datetime
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """The processor, the cores this process may use, and the versions that matter."""
    import numba
    import numpy
    import torch

    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    versions = f"NumPy {numpy.__version__}, Numba {numba.__version__}, torch {torch.__version__}"
    return f"{name}, {cores()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def interleaved(
    cases: Mapping[str, Callable[[], object] | None], runs: int | None = None, budget: float = 5.0
) -> dict[str, float | None]:
    """The median seconds of each case, run in turn so that a slow spell of the machine falls on all of them.

    Without `runs`, each case runs 5 to 51 times: as often as all of them together can in `budget` seconds. What takes
    under 2 ms is repeated until it does. A case that is None was not to be had, and its time is None.
    """
    present = {name: case for name, case in cases.items() if case is not None}
    for case in present.values():
        case()
    once = {name: _seconds(case, 1) for name, case in present.items()}
    once = {
        name: min(s, *(_seconds(present[name], 1) for _ in range(4))) if s < 0.02 else s for name, s in once.items()
    }
    repeats = {name: max(1, round(0.002 / max(seconds, 1e-7))) for name, seconds in once.items()}
    if runs is None:
        runs = min(51, max(5, round(budget / sum(max(seconds, 0.002) for seconds in once.values()))))
    times: dict[str, list[float]] = {name: [] for name in present}
    for run in range(runs):
        for name in present if run % 2 else reversed(present):  # what came before may leave memory at hand, or none
            times[name].append(_seconds(present[name], repeats[name]))
    return {name: statistics.median(times[name]) if name in times else None for name in cases}


def _seconds(case: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        case()
    return (time.perf_counter() - start) / repeats


def process(code: str, environment: dict[str, str] | None = None) -> str:
    """What a fresh Python process prints when it runs the code."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{code}\n{done.stderr}")
    return done.stdout


class Results:
    """Tables that fill case by case, and the numbers behind them.

    They are kept in `results/NAME.md` and `results/NAME.json`, with the machine and the day, when the `with` block
    ends: by Ctrl-C or an error too, and then they say that they are not whole. What was measured before says `when`.
    """

    def __init__(self, name: str, title: str, notes: str = "", total: int = 0, when: str = "") -> None:
        self.when = when
        self.name, self.title, self.notes, self.total = name, title, notes, total
        self.tables: list[tuple[str, list[str], list[list[str]]]] = []
        self.cases: list[dict[str, Any]] = []
        self.bounds: list[dict[str, Any]] = []
        self.begun, self.start = 0, time.monotonic()

    def table(self, header: list[str], title: str = "") -> list[list[str]]:
        """A new table; what is returned takes its rows."""
        rows: list[list[str]] = []
        self.tables.append((title, header, rows))
        return rows

    def begin(self, case: str) -> None:
        """Say on stderr which case comes now."""
        self.begun += 1
        of = f"/{self.total}" if self.total else ""
        print(
            f"{self.name} {self.begun}{of}, {time.monotonic() - self.start:.0f} s: {case}", file=sys.stderr, flush=True
        )

    def bound(self, case: str, what: str, found: float | None, limit: float, *, least: bool = False) -> str:
        """Hold a figure against the most it may be, or the least, and give the cell that says so."""
        if found is None:
            return "—"
        met = found >= limit if least else found <= limit
        self.bounds.append({"case": case, "what": what, "found": found, "limit": limit, "least": least, "met": met})
        sign = "≥" if least else "≤"
        return f"{figure(found)} ({sign} {limit:g}: met)" if met else f"**{figure(found)}** ({sign} {limit:g}: missed)"

    def __enter__(self) -> "Results":
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be ended is to be interrupted
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        whole, interrupted = kind is None, kind is not None and issubclass(kind, KeyboardInterrupt)
        if interrupted:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cost what was measured
        lines = [f"# {self.title}", "", self.when or f"{datetime.date.today()}. {machine()}.", ""]
        lines += [] if whole else ["**Interrupted: not all cases were measured.**", ""]
        for title, header, rows in self.tables:
            lines += [f"## {title}", ""] if title else []
            lines += ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
            lines += ["| " + " | ".join(row) + " |" for row in rows] + [""]
        if self.bounds:
            met = sum(bound["met"] for bound in self.bounds)
            lines += [f"{met} of {len(self.bounds)} bounds are met.", ""]
        lines += [self.notes, ""] if self.notes else []
        if whole or any(rows for _, _, rows in self.tables):  # nothing does not replace something
            self._keep(lines, whole)
        if interrupted:
            sys.exit(130)

    def _keep(self, lines: list[str], whole: bool) -> None:
        print("\n".join(lines))
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self.name}.md").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
        if self.cases or self.bounds:
            kept = {
                "day": str(datetime.date.today()),
                "machine": machine(),
                "whole": whole,
                "cases": self.cases,
                "bounds": self.bounds,
            }
            text = json.dumps(kept, indent=1, ensure_ascii=False)
            (RESULTS / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")


def report(name: str, title: str, header: list[str], rows: list[list[str]], notes: str = "", when: str = "") -> None:
    """Print a table and keep it, with the machine and the day, or those that `when` says, in `results/NAME.md`."""
    with Results(name, title, notes, when=when) as results:
        results.table(header).extend(rows)


def figure(number: float | None, scale: float = 1.0) -> str:
    """Three digits, or a dash for what was not measured."""
    if number is None:
        return "—"
    number *= scale
    return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:#.3g}".rstrip(".")


def ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b
