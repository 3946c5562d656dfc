"""How long a user waits before the first number: import, and the first use of a pair, cold and from the cache."""

import statistics
import tempfile

from _measure import Results, figure, process

IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
SETUP = "import time, warnings, numpy as np, costlayer as cl; warnings.simplefilter('ignore'); pair = cl.pair('{pair}')"
TIMED = "t = time.perf_counter(); {use}; print(time.perf_counter() - t)"
USES = {
    "array": (
        SETUP + "; z = np.ones((4, 3), np.{dtype}); y = {targets}",
        "cl.value_and_delta(pair, z, y)",
    ),
    "torch": (
        SETUP + "; import torch; from costlayer.torch import CostLayer; layer = CostLayer(pair); "
        "z = torch.ones(4, 3, dtype=torch.{dtype}, requires_grad=True); y = torch.as_tensor({targets})",
        "layer(z, y).backward()",
    ),
}
PARTS = ("importing Numba", "writing the kernel's text", "Numba's own start, and reading the machine code")
APART = (
    SETUP + "; z = np.ones((4, 3), np.float32); y = {targets}; c = time.perf_counter; a = c(); import numba; b = c(); "
    "from costlayer.engines import cpu; cpu.text(pair, 'float32', True); d = c(); cl.value_and_delta(pair, z, y); "
    "print(b - a, d - b, c() - d)"
)
FAMILIES = {  # one of each kind of kernel
    "pointwise, closed form": "sigmoid+cross_entropy",
    "pointwise, counts": "exp+poisson",
    "pointwise, positive": "softplus+gamma",
    "pointwise, composed": "tanh+mse",
    "rows, margin": "softmax+cross_entropy",
    "rows, composed": "softmax+mse",
}
SHOWN = ("pointwise, closed form", "rows, margin")  # what their first use is made of is shown too
IMPORT_BOUND, COLD_BOUND, CACHED_BOUND = 0.2, 1.0, 0.3  # seconds
RUNS = 5
NOTES = (
    f"Medians of {RUNS} fresh processes. Cold: the cache is empty, and the kernel is compiled then and there. From the "
    "cache: it was compiled by an earlier process. First use includes what it loads, Numba as well if it does; of the "
    "torch front it begins once torch is imported. In brackets: the bound that was set beforehand."
)


def main() -> None:
    modules = ("numpy", "numba", "costlayer", "torch", "costlayer.torch")
    cases = [(family, pair, "array", "float32") for family, pair in FAMILIES.items()]
    cases += [("float64", "sigmoid+cross_entropy", "array", "float64")]
    cases += [("bfloat16, torch", "softmax+cross_entropy", "torch", "bfloat16")]
    cases += [("float32, torch", "softmax+cross_entropy", "torch", "float32")]
    with Results("startup", "Before the first number", NOTES, len(modules) + len(cases)) as results:
        rows = results.table(["import", "seconds"], "Import")
        for module in modules:
            results.begin(f"import {module}")
            seconds = statistics.median(float(process(IMPORT.format(module=module))) for _ in range(RUNS))
            results.cases.append({"import": module, "seconds": {"import": seconds}})
            ours = module == "costlayer"
            rows.append([module, results.bound("import", module, seconds, IMPORT_BOUND) if ours else figure(seconds)])
        rows = results.table(["kernel", "pair", "cold, seconds", "from the cache, seconds"], "First value and δ")
        for family, pair, front, dtype in cases:
            results.begin(f"{pair}, {family}")
            cold, cached, parts = _first_use(pair, front, dtype)
            case = {"kernel": family, "pair": pair, "seconds": {"cold": cold, "cached": cached}}
            results.cases.append(case | ({"parts": parts} if family in SHOWN else {}))
            name = f"{pair}, {family}"
            held = results.bound(name, "cold", cold, COLD_BOUND), results.bound(name, "cached", cached, CACHED_BOUND)
            rows.append([family, pair, *held])


def _first_use(pair: str, front: str, dtype: str) -> tuple[float, float, dict[str, float]]:
    """The median seconds of the first use, with an empty cache and with a filled one, and the parts of the second."""
    setup, use = USES[front]
    targets = "np.array([0, 1, 2, 0])" if pair.startswith("softmax") else f"np.ones((4, 3), np.{dtype})"
    code = f"{setup.format(pair=pair, dtype=dtype, targets=targets)}\n{TIMED.format(use=use)}"
    cold, cached, apart = [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            for times in (cold, cached):
                times.append(float(process(code, {"COSTLAYER_CACHE": folder})))
            if front == "array" and dtype == "float32":
                said = process(APART.format(pair=pair, targets=targets), {"COSTLAYER_CACHE": folder})
                apart.append([float(seconds) for seconds in said.split()])
    parts = dict(zip(PARTS, map(statistics.median, zip(*apart, strict=True)), strict=False))
    return statistics.median(cold), statistics.median(cached), parts


if __name__ == "__main__":
    main()
