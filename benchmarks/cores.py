"""The same step on one core, and on more, up to all there are."""

from _measure import Results, cores, figure, interleaved
from _speed import contestants, data, label, set_threads

CASES = [("sigmoid+cross_entropy", (1 << 24,)), ("softmax+cross_entropy", (2048, 32000))]
COUNTS = sorted({cores(), *(1 << n for n in range(cores().bit_length()))} & set(range(1, cores() + 1)))
NOTES = (
    "float32, mean reduction, a fresh gradient each step; medians of interleaved runs. In brackets: times one thread."
)


def main() -> None:
    with Results("cores", "From one core to all", NOTES, len(CASES) * len(COUNTS)) as results:
        for pair, shape in CASES:
            rows = results.table(
                ["threads", "costlayer, ms", "torch eager, ms", "torch.compile, ms"], f"{pair}, {label(shape)}"
            )
            z, y = data(pair, shape)
            alone = {}
            for count in COUNTS:
                results.begin(f"{pair}, threads: {count}")
                set_threads(count)  # before torch.compile, which writes the number into its code
                seconds = interleaved(contestants(pair, z, y))
                alone = alone or seconds
                results.cases.append({"pair": pair, "shape": shape, "threads": count, "seconds": seconds})
                cells = [
                    f"{figure(s, 1e3)} ({figure(alone[name] / s)}×)" if s and alone[name] else figure(s, 1e3)
                    for name, s in seconds.items()
                ]
                rows.append([str(count), *cells])


if __name__ == "__main__":
    main()
