"""`reduction="none"`: the cost of every example, and gradients that come from above in any layout."""

import torch
from _measure import Results, figure, interleaved, ratio
from _speed import THREADS, contestants, data, label, set_threads

POINTS, ROWS = (4096, 4096), (65536, 1000)
CASES = {
    "sigmoid+cross_entropy": (
        POINTS,
        {
            "contiguous": torch.rand(POINTS),
            "expanded from one number": torch.rand(()).expand(POINTS),
            "expanded from a column": torch.rand(POINTS[0], 1).expand(POINTS),
            "transposed": torch.rand(POINTS[::-1]).T,
        },
    ),
    "softmax+cross_entropy": (
        ROWS,
        {
            "contiguous": torch.rand(ROWS[0]),
            "expanded from one number": torch.rand(()).expand(ROWS[0]),
            "every second of more": torch.rand(2 * ROWS[0])[::2],
        },
    ),
}
NOTES = f"float32, a fresh gradient each step; {THREADS} threads; medians of interleaved runs."


def main() -> None:
    set_threads(THREADS)
    total = sum(len(layouts) for _, layouts in CASES.values())
    with Results("upstream", "A gradient from above, in any layout", NOTES, total) as results:
        for pair, (shape, layouts) in CASES.items():
            header = ["upstream gradient", "costlayer, ms", "torch eager, ms", "torch.compile, ms"]
            rows = results.table([*header, "eager / costlayer", "compile / costlayer"], f"{pair}, {label(shape)}")
            z, y = data(pair, shape)
            for layout, upstream in layouts.items():
                results.begin(f"{pair}, {layout}")
                seconds = interleaved(contestants(pair, z, y, upstream, "none"))
                results.cases.append({"pair": pair, "shape": shape, "layout": layout, "seconds": seconds})
                cells = [layout, *(figure(s, 1e3) for s in seconds.values())]
                rows.append(
                    [*cells, *(figure(ratio(seconds[other], seconds["ours"])) for other in ("eager", "compile"))]
                )


if __name__ == "__main__":
    main()
