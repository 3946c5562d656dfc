"""How long `choose` takes on a million rows."""

import numpy as np
from _measure import interleaved, report

import costlayer as cl

ROWS = 1_000_000


def main() -> None:
    rng = np.random.default_rng(0)
    targets = {
        "reals": rng.normal(size=ROWS),
        "counts": rng.poisson(3.0, ROWS),
        "class indices": rng.integers(0, 10, ROWS),
        "class names": np.array(["setosa", "versicolor", "virginica"])[rng.integers(0, 3, ROWS)],
        "positive amounts": rng.gamma(1.5, 100.0, ROWS),
    }
    seconds = interleaved({name: lambda y=y: cl.choose(y) for name, y in targets.items()}, runs=5)
    rows = [[name, f"{seconds[name]:.2f}", cl.choose(y).pair] for name, y in targets.items()]
    report("choose", f"Choosing a pair for {ROWS:,} rows", ["target", "seconds", "pair"], rows)


if __name__ == "__main__":
    main()
