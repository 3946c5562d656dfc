"""bfloat16, float16 and float64 scores: gradients in the type of the scores, against float32 and against torch."""

from functools import partial

import torch
from _measure import Results, figure, interleaved, ratio
from _speed import THREADS, alone, contestants, data, label, set_threads, step

from costlayer.torch import CostLayer

ROWS = "softmax+cross_entropy", (2048, 32000)
CASES = [(*ROWS, "sum"), (*ROWS, "mean"), ("sigmoid+cross_entropy", (1 << 24,), "sum")]
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
BOUND = 1.4  # times as fast as float32: half the bytes, and the same arithmetic
NOTES = (
    f"A fresh gradient each step, in the type of the scores; {THREADS} threads; medians of interleaved runs. The sum, "
    "and for rows the mean, whose δ in float16 is made in the backward pass, once it is known what scales it: divided "
    "by the examples alone, much of it would be less than float16 can hold. In brackets: the bound that was set "
    "beforehand."
)


def main() -> None:
    set_threads(THREADS)
    with Results("precision", "Element types", NOTES, len(CASES) * len(TYPES)) as results:
        for pair, shape, reduction in CASES:
            header = ["type", "costlayer, ms", "torch eager, ms", "torch.compile, ms"]
            rows = results.table(
                [*header, "eager / costlayer", "compile / costlayer", "costlayer float32 / costlayer"],
                f"{pair}, {label(shape)}, {reduction}",
            )
            plain, single = CostLayer(pair, reduction=reduction), data(pair, shape)
            for name, dtype in TYPES.items():
                results.begin(f"{pair}, {name}, {reduction}")
                z, y = data(pair, shape, dtype)
                steps = contestants(pair, z, y, reduction=reduction)
                # float32 runs in the same turns, as what it is compared with
                seconds = interleaved({**steps, "float32": alone(partial(step, plain, *single), single[0])})
                results.cases.append(
                    {"pair": pair, "shape": shape, "type": name, "reduction": reduction, "seconds": seconds}
                )
                ours = seconds["ours"]
                cells = [name, *(figure(seconds[who], 1e3) for who in steps)]
                cells += [figure(ratio(seconds[other], ours)) for other in ("eager", "compile")]
                gain = ratio(seconds["float32"], ours)
                held = pair.startswith("softmax") and dtype.itemsize == 2
                rows.append(
                    [
                        *cells,
                        results.bound(f"{pair} {name}, {reduction}", "float32 / costlayer", gain, BOUND, least=True)
                        if held
                        else figure(gain),
                    ]
                )


if __name__ == "__main__":
    main()
