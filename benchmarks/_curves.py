"""The error in ulp along a line of scores, costlayer's and torch's, in float32: what the figure shows."""

from __future__ import annotations

import warnings

import _exact
import numpy as np
from _extended import Extended
from _implementations import by_torch, ours
from _rows import exact_classes
from _ulp import FORMATS, off

CLASSES = 1000


def measure(pair) -> dict[str, list[float]]:
    """The line, and for each implementation the error of δ: of the score, or of the true class by its margin."""
    float32 = FORMATS["float32"]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if pair.row:
            margin = np.linspace(0.0, 100.0, 401)
            y = np.zeros(len(margin), np.int64)
            z = np.zeros((len(margin), CLASSES))
            z[:, 0] = margin + np.log(CLASSES - 1)
            z = z.astype(np.float32)
            exact, line = exact_classes(z, y)[1][:, 0], margin
            found = {
                name: by(pair, "float32", z, y)[1][:, 0] for name, by in (("costlayer", ours), ("torch", by_torch))
            }
        else:
            line = np.linspace(-20.0, 105.0, 501).astype(np.float32)
            ones = np.ones_like(line)
            exact = _exact.terms(pair, Extended(line), Extended(ones))[1]
            found = {
                name: by(pair, "float32", line, ones)[1] for name, by in (("costlayer", ours), ("torch", by_torch))
            }
        return {
            "line": [round(float(x), 4) for x in line],
            **{name: [round(float(x), 3) for x in off(got, exact, float32)] for name, got in found.items()},
        }
