"""Every float32 there is, through the functions of one score: the worst of 4,294,967,296 results.

The exact results are taken in float64, by forms that lose nothing, rounded far below a float32's last place (`check`
holds them against mpmath). The work goes through chunks on all cores. What is done is kept after each chunk, under the
text of the kernel that did it: a run that was stopped goes on where it was, and one that has finished is not run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache

import numpy as np

import costlayer as cl
from costlayer.engines.cpu import available_cores, cache_folder, text

ALL = 1 << 32
CHUNK = 1 << 24
PART = 1 << 16  # fits the cache


@dataclass(frozen=True)
class Function:
    """A function of one score: how costlayer gives it for float32, the exact result in float64 and in mpmath, and what
    names the text of the kernel that computes it."""

    name: str
    found: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[np.ndarray], np.ndarray]
    truth: Callable  # of an mpmath number
    kernel: str


def _sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def _softplus(z):
    return np.maximum(z, 0.0) + np.log1p(np.exp(-abs(z)))


def _bell(z):
    e = np.exp(-abs(z))
    return e / ((1.0 + e) * (1.0 + e))


def _erf(z):
    import torch

    return torch.erf(torch.from_numpy(z)).numpy()


def _mp(name):
    from mpmath import mp

    softplus = lambda z: mp.log1p(mp.exp(z))  # noqa: E731
    return {
        "identity": lambda z: z,
        "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
        "tanh": mp.tanh,
        "relu": lambda z: max(z, 0),
        "leaky_relu": lambda z: z if z > 0 else mp.mpf(0.01) * z,
        "elu": lambda z: z if z > 0 else mp.expm1(z),
        "softplus": softplus,
        "exp": mp.exp,
        "expm1": mp.expm1,
        "log": mp.log,
        "log1p": mp.log1p,
        "erf": mp.erf,
        "value0": softplus,
        "value1": lambda z: softplus(-z),
        "delta0": lambda z: 1 / (1 + mp.exp(-z)),
        "delta1": lambda z: -1 / (1 + mp.exp(z)),
        "curvature": lambda z: 1 / ((1 + mp.exp(z)) * (1 + mp.exp(-z))),
    }[name]


ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0.0))),
    "softplus": _softplus,
    "exp": np.exp,
}
WORDS = {"exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "erf": _erf}


def word(name: str, kind: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """A word of the CPU engine's own mathematics, as a loop over a stored type; None where there is no such word."""
    if _missing("costlayer.engines.vector_math"):
        return None
    from costlayer.engines import vector_math

    if name not in vector_math.WORDS:
        return None
    return _loop(vector_math.text(kind), name)


def _missing(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is None


def _loop(source: str, name: str) -> Callable[[np.ndarray], np.ndarray]:
    names: dict = {}
    exec(
        f"{source}\n\n@njit(error_model='numpy', nogil=True)\ndef loop(x, out):\n"
        f"    for i in range(x.shape[0]):\n        out[i] = store({name}(load(x[i])))\n",
        names,
    )

    def run(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        names["loop"](x, out)
        return out

    return run


def functions() -> list[Function]:
    found = []
    for pair in cl.pairs():
        name = pair.activation.name
        if not pair.row and name in ACTIVATIONS and f"predict: {name}" not in {f.name for f in found}:
            exact, truth = ACTIVATIONS[name], _mp(name)
            run = lambda z, p=pair: cl.predict(p, z)  # noqa: E731
            found.append(Function(f"predict: {name}", run, exact, truth, _kernel(pair, "activate")))
    for name, exact in WORDS.items():
        if own := word(name, "float32"):
            from costlayer.engines import vector_math

            found.append(Function(name, own, exact, _mp(name), _named(vector_math.text("float32"))))
    pair = cl.pair("sigmoid+cross_entropy")
    forms = {
        "value, y = 0": (lambda z: _value(pair, z, 0), _softplus, _mp("value0")),
        "value, y = 1": (lambda z: _value(pair, z, 1), lambda z: _softplus(-z), _mp("value1")),
        "δ, y = 0": (lambda z: _delta(pair, z, 0), _sigmoid, _mp("delta0")),
        "δ, y = 1": (lambda z: _delta(pair, z, 1), lambda z: -_sigmoid(-z), _mp("delta1")),
        "curvature": (lambda z: cl.curvature(pair, z, np.zeros_like(z)), _bell, _mp("curvature")),
    }
    kernel = _kernel(pair, "pointwise")
    return found + [Function(f"{pair}: {what}", *parts, kernel) for what, parts in forms.items()]


def _kernel(pair, loop: str) -> str:
    """The hash of the text of a loop for float32, and of what it calls; other loops of the module do not matter."""
    parts = []
    for single in (False, True) if pair.closed and pair.closed.single else (False,):
        head, *loops = text(pair, "float32", single).split("@loop\n")
        parts += [head, next(part for part in loops if part.startswith(f"def {loop}("))]
    return _named("".join(parts))


def _named(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _value(pair, z, y):
    return cl.value(pair, z, np.full_like(z, y), reduction="none")


def _delta(pair, z, y):
    return cl.value_and_delta(pair, z, np.full_like(z, y), reduction="none")[1]


@cache
def _worst_of():
    """Compiled: the largest error in float32 units, and its index. NaN must answer NaN, as infinity infinity."""
    import numba

    def worst_of(found, exact):
        worst, at = -1.0, 0
        edge, smallest = 2.0**128, 2.0**-126
        for i in range(found.shape[0]):
            aim, got = min(max(exact[i], -edge), edge), min(max(np.float64(found[i]), -edge), edge)
            binade = np.int64(np.float64(aim).view(np.int64) & np.int64(0x7FF << 52)).view(np.float64)
            off = abs(got - aim) / (max(binade, smallest) * 2.0**-23)
            if exact[i] != exact[i] or found[i] != found[i]:
                off = 0.0 if exact[i] != exact[i] and found[i] != found[i] else np.inf
            if off > worst:
                worst, at = off, i
        return worst, at

    return numba.njit(nogil=True, error_model="numpy")(worst_of)


def part_of(start: int, stop: int) -> np.ndarray:
    """The float32 numbers whose patterns are start to stop."""
    return np.arange(start, stop, dtype=np.int64).astype(np.uint32).view(np.float32)


def chunk(function: Function, start: int, size: int = CHUNK) -> tuple[float, float]:
    """The worst error of a chunk, and where."""
    worst, at = -1.0, 0.0
    with np.errstate(all="ignore"), warnings.catch_warnings():
        for first in range(start, start + size, PART):
            z = part_of(first, min(first + PART, start + size))
            off, k = _worst_of()(function.found(z), np.asarray(function.exact(z.astype(np.float64))))
            if off > worst:
                worst, at = float(off), float(z[k])
    return worst, at


class State:
    """Which chunks are done, and their worst, by function and kernel: one file, written whole after each chunk."""

    def __init__(self) -> None:
        self.path = cache_folder() / "accuracy" / "exhaustive.json"
        self.lock = threading.Lock()
        self.done: dict[str, dict[str, list[float]]] = {}
        if self.path.exists():
            self.done = json.loads(self.path.read_text(encoding="utf-8"))

    def of(self, function: Function) -> dict[str, list[float]]:
        """The chunks of a function that are done by its kernel as it is."""
        return self.done.setdefault(f"{function.name}, {function.kernel}", {})

    def add(self, function: Function, start: int, worst: float, at: float) -> None:
        with self.lock:
            self.of(function)[str(start)] = [worst, at]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(self.done), encoding="utf-8")
            os.replace(temporary, self.path)

    def result(self, function: Function) -> dict | None:
        """The worst of all numbers, or None if not all are done."""
        parts = self.of(function)
        if len(parts) < ALL // CHUNK:
            return None
        worst, at = max(parts.values(), key=lambda part: part[0])
        return {"worst": worst, "at": at, "inputs": ALL}


def run(progress: Callable[[int, int, str], None] = lambda done, of, name: None) -> State:
    """Every number through every function; Ctrl-C keeps what is done."""
    state, all_functions = State(), functions()
    waiting = [
        (function, start)
        for function in all_functions
        for start in range(0, ALL, CHUNK)
        if str(start) not in state.of(function)
    ]
    of = len(all_functions) * (ALL // CHUNK)
    done = of - len(waiting)
    for function in {f.name: f for f, _ in waiting}.values():
        chunk(function, 0, PART)  # compiled once, before the threads
    queue, running, workers = iter(waiting), {}, available_cores()
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            while len(running) < 2 * workers and (job := next(queue, None)):
                running[pool.submit(chunk, *job)] = job
            if not running:
                return state
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                function, start = running.pop(future)
                state.add(function, start, *future.result())
                done += 1
                progress(done, of, function.name)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def sampled(function: Function, random: np.random.Generator, parts: int = 64) -> dict:
    """The worst over runs of neighbours: around the patterns where binades begin, and at random; both ends included."""
    starts = [*range(0, ALL, 1 << 23), *random.integers(0, ALL - 4096, parts)]
    worst, at, inputs = -1.0, 0.0, 0
    for start in starts:
        low = max(0, int(start) - 128)
        size = min(512, ALL - low)
        found = chunk(function, low, size)
        inputs += size
        if found[0] > worst:
            worst, at = found
    return {"worst": worst, "at": at, "inputs": inputs}


def check(function: Function, random: np.random.Generator, count: int = 60) -> float:
    """How many float32 units the float64 forms are from mpmath, at most: at random numbers of every size."""
    from mpmath import mp

    z = np.concatenate([part_of(int(s), int(s) + 1) for s in random.integers(0, ALL, count)])
    z = np.concatenate([z, random.normal(size=count).astype(np.float32) * 20])
    z = z[np.isfinite(z) & (abs(z) < 1e4)]
    if function.name in ("log", "log1p"):
        z = abs(z)
    worst = 0.0
    with np.errstate(all="ignore"), mp.workdps(60):
        exact = np.asarray(function.exact(z.astype(np.float64)))
        for x, got in zip(z, exact, strict=True):
            right = mp.mpf(function.truth(mp.mpf(float(x))))
            if abs(right) < mp.mpf(2) ** 128:
                unit = mp.ldexp(1, max(int(mp.floor(mp.log(abs(right), 2))) if right else -126, -126) - 23)
                worst = max(worst, float(abs(mp.mpf(float(got)) - right) / unit))
    return worst
