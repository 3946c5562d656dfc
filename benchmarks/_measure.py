"""What every benchmark shares: interleaved medians, the machine's name, and a result file that says both."""

import datetime
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """The processor, the cores this process may use, and the versions that matter."""
    import numba
    import numpy
    import torch

    from costlayer.engines.cpu import available_cores

    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    versions = f"NumPy {numpy.__version__}, Numba {numba.__version__}, torch {torch.__version__}"
    return f"{name}, {available_cores()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def interleaved(cases: dict[str, Callable[[], object]], runs: int = 9) -> dict[str, float]:
    """The median seconds of each case, run in turn so that a slow spell of the machine falls on all of them."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()
    for _ in range(runs):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def process(code: str, environment: dict[str, str] | None = None) -> str:
    """What a fresh Python process prints when it runs the code."""
    import os

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def report(name: str, title: str, header: list[str], rows: list[list[str]], notes: str = "") -> None:
    """Print a table and keep it, with the machine and the day, in `results/NAME.md`."""
    lines = [f"# {title}", "", f"{datetime.date.today()}. {machine()}.", ""]
    lines += ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", notes] if notes else []
    print("\n".join(lines), "\n")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
