"""How the time of a step grows with the number of scores, from a hundred to a hundred million."""

from _measure import Results, figure, interleaved
from _speed import THREADS, contestants, data, floor, set_threads

CLASSES = 100
SIZES = [10**n for n in range(2, 9)]
SHAPES = {
    "sigmoid+cross_entropy": [(size,) for size in SIZES],
    "softmax+cross_entropy": [(size // CLASSES, CLASSES) for size in SIZES],
}
NOTES = (
    f"float32, mean reduction, a fresh gradient each step; softmax over {CLASSES} classes; {THREADS} threads; medians "
    "of interleaved runs. Floor: `np.add(z, y, out=kept)` for sigmoid, a copy of the scores into a kept tensor for "
    "softmax."
)


def main() -> None:
    set_threads(THREADS)
    with Results("growth", "How time grows with size", NOTES, len(SHAPES) * len(SIZES)) as results:
        for pair, shapes in SHAPES.items():
            header = ["scores", "costlayer, ms", "torch eager, ms", "torch.compile, ms", "floor, ms"]
            rows = results.table([*header, "costlayer, ns a score"], pair)
            for size, shape in zip(SIZES, shapes, strict=True):
                results.begin(f"{pair} {size:,}")
                z, y = data(pair, shape)
                steps = contestants(pair, z, y)
                seconds = interleaved({**steps, "floor": floor(z, y)}, budget=3.0)
                results.cases.append({"pair": pair, "size": size, "seconds": seconds})
                cells = [f"{size:,}", *(figure(s, 1e3) for s in seconds.values())]
                rows.append([*cells, figure(seconds["ours"], 1e9 / size)])


if __name__ == "__main__":
    main()
