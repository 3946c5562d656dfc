"""The CPU engine's own exp, log and the rest, as loops over each stored type."""

from __future__ import annotations

from dataclasses import asdict

import _extended
import numpy as np
from _exhaustive import word
from _extended import Extended
from _points import scores
from _ulp import FORMATS, Worst, off


def measure(name: str, kind: str) -> dict | None:
    """The worst over scores of every binade; None where the engine has no such word."""
    run = word(name, kind)
    if run is None:
        return None
    x = scores(kind)
    if name == "log":
        x = x[x > 0]
    elif name == "log1p":
        x = x[x > -1]
    if kind in ("float16", "bfloat16"):
        stored = x.view(np.uint16) if kind == "float16" else (x.view(np.uint32) >> 16).astype(np.uint16)
        out = run(stored)
        found = out.view(np.float16) if kind == "float16" else (out.astype(np.uint32) << 16).view(np.float32)
    else:
        found = run(x)
    z = Extended(x)
    exact = _tanh(z) if name == "tanh" else getattr(_extended, name)(z)
    apart = off(found, exact, FORMATS[kind])
    k = int(np.argmax(apart))
    return asdict(Worst(float(apart[k]), (float(x[k]),)))


def _tanh(z: Extended) -> Extended:
    e = _extended.expm1(2.0 * abs(z))
    return e / (e + 2.0) * np.where(z.high < 0, -1.0, 1.0)
