"""How long a user waits before the first number: import, and the first use of a pair, cold and from the cache."""

import statistics
import tempfile

from _measure import process, report

IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
FIRST_USE = """
import time, numpy as np, costlayer as cl, numba
from costlayer.catalogue import build
pair, z = build("{pair}", {{}}), np.ones({shape}, np.float32)
y = np.ones({targets}, {kind})
t = time.perf_counter(); cl.value_and_delta(pair, z, y); print(time.perf_counter() - t)
"""
PAIRS = {
    "sigmoid+cross_entropy": ("(4, 3)", "(4, 3)", "np.float32"),
    "softmax+cross_entropy": ("(4, 3)", "4", "np.int64"),
    "softmax+mse": ("(4, 3)", "4", "np.int64"),
    "softplus+gamma": ("(4, 3)", "(4, 3)", "np.float32"),
}


def main() -> None:
    rows = []
    for module in ("numpy", "costlayer"):
        seconds = statistics.median(float(process(IMPORT.format(module=module))) for _ in range(9))
        rows.append([f"import {module}", f"{seconds:.3f}", ""])
    for pair, (shape, targets, kind) in PAIRS.items():
        code = FIRST_USE.format(pair=pair, shape=shape, targets=targets, kind=kind)
        with tempfile.TemporaryDirectory() as folder:
            cold, cached = (float(process(code, {"COSTLAYER_CACHE": folder})) for _ in range(2))
        rows.append([f"first value and δ of {pair}, float32", f"{cold:.2f}", f"{cached:.3f}"])
    notes = "Fresh processes. Cold: compiled then and there; from the cache: compiled by an earlier process."
    report("startup", "Before the first number", ["what", "seconds", "seconds, from the cache"], rows, notes)


if __name__ == "__main__":
    main()
