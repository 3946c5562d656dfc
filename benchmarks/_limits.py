"""What the engine answers where a score is infinite or no number, in float32."""

from __future__ import annotations

import numpy as np

import costlayer as cl

ENDS = (-np.inf, np.inf, np.nan)
TWO = ((-np.inf, 0.5), (np.inf, 0.5), (0.5, -np.inf), (0.5, np.inf), (0.5, np.nan))  # of the target 0.25
ROWS = ((np.inf, 0, 0), (0, np.inf, 0), (-np.inf, 0, 0), (0, -np.inf, 0), (0, np.nan, 0))  # of the true class 0


def measure(pair) -> list[dict]:
    """For targets at the ends and inside, the values and δ at −∞, ∞ and NaN; for rows, those of three scores; for two
    scores per target, those of either."""
    found = []
    with np.errstate(all="ignore"):
        if pair.row or pair.two:
            for scores in TWO if pair.two else ROWS:
                z = np.array([scores], np.float32)
                y = np.array([0.25], np.float32) if pair.two else np.array([0])
                value, delta = cl.value_and_delta(pair, z, y, reduction="none")
                found.append({"scores": _text(z[0]), "value": _text(value)[0], "delta": _text(delta[0])})
        else:
            target = pair.target
            inside = [] if target.ends_only else [0.25] if target.high == 1.0 else [1.0]
            for y in sorted({end for end in (target.low, target.high, 0.0) if end in target} | set(inside)):
                z = np.array(ENDS, np.float32)
                value, delta = cl.value_and_delta(pair, z, np.full_like(z, y), reduction="none")
                found.append({"y": y, "value": _text(value), "delta": _text(delta)})
    return found


def _text(x: np.ndarray) -> list[str]:
    return [f"{float(number) + 0.0:.6g}" for number in x]
