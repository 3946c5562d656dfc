"""How far costlayer.jax is from the exact results, pair by pair: as accuracy.py measures the CPU engine.

python benchmarks/accuracy_jax.py [--thin 20]    try one in so many scores
"""

import argparse
import json
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import cache

import numpy as np
from _extended import LONG, extended
from _measure import RESULTS, Results, figure, machine
from _ulp import FORMATS, Format, off

KINDS = ("float32", "float64")
ROWS = 12  # of rows one in so many
QUANTITIES = ("value", "delta", "curvature")
NOTES = (
    "Units in the last place, the worst over scores of every binade; mixed: to the best exact result within one unit "
    "of score and target, so that what a rounded score cannot say does not count. Float32 is computed in float32, "
    "where the CPU engine takes float64 for compositions, and XLA has words of its own: the second table says how far "
    "they are off. Very many units come of three things. Where a prediction is next to its target, as those of tanh, "
    "elu and softplus are at scores around −0.5, their difference keeps none of the digits that a word of several "
    "units has wrong. Where a second derivative passes through 0, nothing is left of it but rounding. And a term "
    "beyond the numbers, or below the smallest normal one, for which XLA takes 0 on CPUs (so that is the smallest unit "
    "here), leaves nothing right of what is made of it."
)
WORDS = {  # over which numbers
    "exp": (-80.0, 80.0),
    "expm1": (-17.0, 80.0),
    "log": (1e-30, 1e30),
    "log1p": (-0.999, 1e30),
    "tanh": (-20.0, 20.0),
}


def words(kind: str) -> list[list[str]]:
    """How far XLA's own words are off, at numbers of every size."""
    import jax
    import jax.numpy as jnp

    rows, random = [], np.random.default_rng(0)
    for name, (low, high) in WORDS.items():
        sizes = np.exp(random.uniform(np.log(1e-6), np.log(max(high, 1.0)), 200_000))
        x = np.concatenate([sizes, -sizes, random.uniform(low, min(high, 100.0), 200_000)])
        x = x[(x > low) & (x < high)].astype(kind)
        with jax.enable_x64(kind == "float64"):
            found = np.asarray(jax.jit(getattr(jnp, name))(x))
        exact = getattr(np, name)(x.astype(LONG))
        rows.append([name, kind, figure(float(off(found, extended(exact), FORMATS[kind]).max()))])
    return rows


@cache
def _compiled(pair):
    import jax
    import jax.numpy as jnp

    from costlayer.jax import value

    @jax.jit
    def everything(z, y):
        def total(z):
            return value(pair, z, y, reduction="sum")

        each = jnp.eye(z.shape[-1], dtype=z.dtype) if pair.row or pair.two else jnp.ones((1, 1), z.dtype)
        ways = jax.vmap(lambda way: jax.jvp(jax.grad(total), (z,), (jnp.broadcast_to(way, z.shape),))[1] * way)
        return value(pair, z, y, reduction="none"), jax.grad(total)(z), ways(each).sum(0)

    return everything


def in_jax(pair, kind: str, z: np.ndarray, y: np.ndarray):
    """Value, δ and the diagonal of the second derivatives, of single examples."""
    import jax

    with jax.enable_x64(kind == "float64"):
        return tuple(np.asarray(found) for found in _compiled(pair)(z, y))


class Flushed(Format):
    """A type without the numbers below the smallest normal one, which is the smallest unit here."""

    def spacing(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(super().spacing(x), np.ldexp(LONG(1), self.low))


def measured(name: str, kind: str, thin: int) -> dict:
    import _rows
    from _pairs import Sample, several

    import costlayer as cl

    warnings.simplefilter("ignore")
    FORMATS[kind] = Flushed(**vars(FORMATS[kind]))
    pair = next(pair for pair in cl.pairs() if str(pair) == name)
    if several(pair):
        return _rows.measure(pair, kind, in_jax, ROWS)
    return Sample(pair, kind, thin).measure(in_jax)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--thin", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    import costlayer as cl

    work = [(str(pair), kind) for kind in given.kinds for pair in cl.pairs()]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        waiting = {each: pool.submit(measured, *each, given.thin) for each in work}
        found = {f"{name}: {kind}": future.result() for (name, kind), future in waiting.items()}
    kept = {"day": str(date.today()), "machine": machine(), "thin": given.thin, "found": found}
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    (RESULTS / "accuracy_jax.json").write_text(text + "\n", encoding="utf-8")
    header = ["pair", "type", *(f"{what}, {how}" for what in ("value", "δ", "curvature") for how in ("raw", "mixed"))]
    rows = [[*each.split(": "), *(_cell(entry.get(what), how) for what in QUANTITIES for how in ("raw", "mixed"))]
            for each, entry in found.items()]  # fmt: skip
    notes = f"{NOTES} One in {given.thin} of accuracy.py's scores, and one in {ROWS} of its rows."
    with Results("accuracy_jax", "Accuracy under JAX: the worst of every pair", notes) as results:
        results.table(header).extend(rows)
        results.table(["word", "type", "units"], "XLA's own words").extend(
            row for kind in given.kinds for row in words(kind)
        )


def _cell(worst: dict | None, how: str) -> str:
    if worst is None:
        return "—"
    return "∞" if np.isinf(worst[how]) else f"{worst[how]:.1e}" if worst[how] >= 1e4 else figure(worst[how])


if __name__ == "__main__":
    main()
