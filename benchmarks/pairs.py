"""Forward and backward through the cost layer against torch eager, torch.compile and the floor of memory."""

from dataclasses import dataclass
from functools import partial

from _measure import Results, figure, interleaved, ratio
from _speed import THREADS, contestants, data, floor, label, set_threads


@dataclass(frozen=True)
class Case:
    """A pair at a size, and its bounds: at most so many floors; at least so many times as fast as torch."""

    pair: str
    shape: tuple[int, ...]
    floor: float | None
    eager: float
    compiled: float | None


LARGE = [
    Case("sigmoid+cross_entropy", (1 << 24,), 1.8, 12, 3.5),
    Case("identity+mse", (1 << 24,), 1.8, 5, 3),
    Case("identity+huber", (1 << 24,), 1.8, 5, 3),
    Case("exp+poisson", (1 << 24,), 1.8, 5, 3),
    Case("softmax+cross_entropy", (2048, 32000), 2.2, 8, 3.5),
    Case("softmax+cross_entropy", (65536, 1000), 2.2, 8, 3.5),
    Case("softmax+cross_entropy", (1 << 20, 10), 5, 12, 4),
    Case("softmax+cross_entropy", (1 << 20, 100), 5, 12, 4),
]
SMALL = [
    Case("softmax+cross_entropy", (64, 10), None, 1, None),
    Case("sigmoid+cross_entropy", (256,), None, 1, None),
]
NOTES = (
    f"float32, mean reduction, a fresh gradient each step; {THREADS} threads; medians of interleaved runs. The floor "
    "is what the least possible work would cost: for pointwise pairs `np.add(z, y, out=kept)`, which runs on one "
    "thread, for rows a copy of the scores into a kept tensor. In brackets: the bound that was set beforehand."
)


def main() -> None:
    set_threads(THREADS)
    with Results("pairs", "Forward and backward", NOTES, len(LARGE) + len(SMALL)) as results:
        header = ["pair", "scores", "costlayer", "floor", "torch eager", "torch.compile"]
        ratios = ["costlayer / floor", "eager / costlayer", "compile / costlayer"]
        rows = results.table([*header[:2], *(f"{name}, ms" for name in header[2:]), *ratios], "Large arrays")
        for case in LARGE:
            rows.append(_row(results, case, scale=1e3))
        del header[3]
        rows = results.table([*header[:2], *(f"{name}, µs" for name in header[2:]), *ratios[1:]], "Small arrays")
        for case in SMALL:
            rows.append(_row(results, case, scale=1e6))


def _row(results: Results, case: Case, scale: float) -> list[str]:
    name = f"{case.pair} {label(case.shape)}"
    results.begin(name)
    z, y = data(case.pair, case.shape)
    steps = contestants(case.pair, z, y)
    least = {"floor": floor(z, y)} if case.floor else {}
    seconds = interleaved({"ours": steps["ours"], **least, "eager": steps["eager"], "compile": steps["compile"]})
    results.cases.append({"pair": case.pair, "shape": case.shape, "seconds": seconds})
    hold = partial(results.bound, name)
    cells = [case.pair, label(case.shape), *(figure(s, scale) for s in seconds.values())]
    if case.floor:
        cells.append(hold("costlayer / floor", ratio(seconds["ours"], seconds["floor"]), case.floor))
    cells.append(hold("eager / costlayer", ratio(seconds["eager"], seconds["ours"]), case.eager, least=True))
    against = ratio(seconds["compile"], seconds["ours"])
    free = case.compiled is None
    cells.append(figure(against) if free else hold("compile / costlayer", against, case.compiled, least=True))
    return cells


if __name__ == "__main__":
    main()
