"""The default study, as a newcomer runs it: how long, how much memory, and what it shows."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import report


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "costlayer", "study", "--runs", folder], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - start
        lines = (Path(folder) / "digits" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    verdict = json.loads(lines[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rows = []
    for entry in verdict["ranking"]:
        pair = entry["pair"]
        epochs = verdict["speed"]["epochs"][pair]
        rows.append(
            [
                pair + (" (advised)" if pair == verdict["advised"] else ""),
                f"{entry['mean']:.4f} ± {entry['spread']:.4f}",
                "never" if epochs is None else f"{epochs:.1f}",
                f"{verdict['starved'][pair]:.1%}",
            ]
        )
    header = ["pair", "test accuracy", f"epochs to a validation accuracy of {verdict['speed']['level']:.3f}", "starved"]
    notes = (
        f"{verdict['sentence']} Starved: of the outputs wrong by more than half during training, the share that sent "
        f"back under 1 % of their error. {seconds:.0f} seconds from start to report, {peak:.0f} MiB at most."
    )
    report("study", "The default study: digits", header, rows, notes)


if __name__ == "__main__":
    main()
