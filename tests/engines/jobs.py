"""Calls whose results must be the same in every thread and process, and processes of one's own to make them in."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import costlayer as cl
from costlayer.catalogue import build

POINTWISE = ("sigmoid+cross_entropy", "identity+huber")
ROWS = ("softmax+cross_entropy", "softmax+mse")
PAIRS = POINTWISE + ROWS  # two closed forms, two compositions
SIZE = 7 * 37463  # several blocks, and a rest of every size


def example(name, dtype, shape):
    """Scores and targets: of rows, class indices."""
    pair, random = build(name, {}), np.random.default_rng(0)
    z = (3 * random.normal(size=shape)).astype(dtype)
    if pair.row:
        return z, random.integers(0, shape[1], (shape[0], *shape[2:]))
    return z, random.random(shape).astype(dtype)


def digest(name, dtype="float32", size=SIZE) -> str:
    """Of the mean and its gradient, over as many threads as there are."""
    pair = build(name, {})
    value, delta = cl.value_and_delta(pair, *example(name, dtype, (size // 7, 7) if pair.row else (size,)))
    return hashlib.sha256(np.float64(value).tobytes() + delta.tobytes()).hexdigest()


def environment(cache=None, **others) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **({"COSTLAYER_CACHE": str(cache)} if cache else {}), **others}


def start(script, *arguments, cache=None, **others) -> subprocess.Popen:
    """A process that runs a script which may import this module; every warning is an error unless it says otherwise."""
    quiet = "ignore:This process:DeprecationWarning"  # from Python 3.12 on, of a fork with threads: that is the test
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-W", quiet, "-c", script, *map(str, arguments)],
        env=environment(cache, **others),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process) -> str:
    """What a process printed. One that hangs is killed; the limit is no measure of speed."""
    try:
        out, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"hangs after printing {out!r}\n{err}") from None
    assert process.returncode == 0, out + err
    return out.strip()


def run(script, *arguments, cache=None, **others) -> str:
    return finished(start(script, *arguments, cache=cache, **others))
