"""How far costlayer.jax is from the exact results, in units in the last place, beside the engine's own kernels.

    python benchmarks/accuracy_jax.py [--thin 4]     one in so many of the scores of every binade

Every pair of the catalogue is measured at the same scores and targets as in benchmarks/accuracy.py, against the same
references. What JAX cannot have is what XLA has not: it takes numbers below the smallest normal one for 0, and has
logarithms and exponentials of its own.
"""

import argparse
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
from _measure import Results, cores

KINDS = ("float32", "float64")
QUANTITIES = ("value", "delta", "curvature")
NOTES = (
    "Worst errors in ulp, of results as they are / of results for scores within one unit in the last place of those "
    "given, over scores of every binade up to ±{most:g}, infinities, targets at the ends of their interval and in "
    "between, as in [accuracy_float32.md](accuracy_float32.md) for the kernels of the CPU, of which the last column "
    "repeats the second figures of value and δ. XLA takes subnormal numbers for 0: where the result is one, 0 counts as "
    "exact; where it is the product of one, not."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thin", type=int, default=8, help="try one in so many scores")
    parser.add_argument("--jobs", type=int, default=0, help="processes; by default one per core")
    options = parser.parse_args()
    import costlayer as cl

    pairs = [str(pair) for pair in cl.pairs()]
    work = [(name, kind) for kind in KINDS for name in pairs]
    found: dict[tuple[str, str], Any] = {}
    context = multiprocessing.get_context("spawn")
    with Results("accuracy_jax", "How exact JAX is", NOTES.format(most=MOST), len(work)) as results:
        with ProcessPoolExecutor(options.jobs or cores(), context) as pool:
            waiting = {pool.submit(measured, *each, options.thin): each for each in work}
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
                results.begin(" ".join(waiting[future]))
        for kind in KINDS:
            rows = results.table(["pair", *QUANTITIES, "points", "the CPU's kernel"], kind)
            for name in pairs:
                jax, own = found[name, kind]
                results.cases.append({"pair": name, "kind": kind, "jax": jax, "cpu": own})
                cells = [_both(jax.get(quantity)) for quantity in QUANTITIES]
                ours = " and ".join(_units(own[quantity]["mixed"]) for quantity in QUANTITIES[:2])
                rows.append([name, *cells, f"{jax['points']:,}", ours])


MOST = 1e4


def measured(name: str, kind: str, thin: int) -> tuple[dict, dict]:
    """The worst errors of JAX and of the CPU's kernel."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import _rows
    from _implementations import ours
    from _pairs import Sample, several

    import costlayer as cl

    warnings.simplefilter("ignore")
    pair = next(pair for pair in cl.pairs() if str(pair) == name)
    if several(pair):
        each = [_rows.measure(pair, kind, implementation, min(thin, 4)) for implementation in (by_jax, ours)]
    else:
        sample = Sample(pair, kind, thin)
        each = [sample.measure(implementation, MOST) for implementation in (by_jax, ours)]
    return each[0] or {}, each[1] or {}


def by_jax(pair, kind: str, z: np.ndarray, y: np.ndarray):
    """Value, δ and curvature of single examples."""
    import jax
    import jax.numpy as jnp
    from _implementations import ours

    import costlayer.jax

    jax.config.update("jax_enable_x64", True)
    beside, small = ours(pair, kind, z, y), np.finfo(z.dtype).tiny
    z, y = jnp.asarray(z), jnp.asarray(y)

    def total(z):
        return costlayer.jax.value(pair, z, y, reduction="sum")

    value = costlayer.jax.value(pair, z, y, reduction="none")
    delta = jax.grad(total)(z)
    if pair.row or pair.two:
        curvature = jnp.diagonal(jax.hessian(total)(z).reshape(z.size, z.size)).reshape(z.shape)
    else:
        curvature = jax.jvp(jax.grad(total), (z,), (jnp.ones_like(z),))[1]
    found = [np.asarray(each) for each in (value, delta, curvature)]
    # where the result is subnormal and XLA has 0: that is told, and not measured
    return [np.where((each == 0) & (abs(own) < small), own, each) for each, own in zip(found, beside, strict=True)]


def _both(entry: dict | None) -> str:
    return "—" if entry is None else f"{_units(entry['raw'])} / {_units(entry['mixed'])}"


def _units(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.0f}" if x < 999.5 else f"{x:.1e}".replace("e+0", "e").replace("e+", "e")


if __name__ == "__main__":
    main()
