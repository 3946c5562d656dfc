"""The CPU engine: the program compiled by Numba, kept on disk, run by threads of our own.

The compiled module of a pair and element type is one generated file, named by a hash of its whole text and of the
compiler's version. So it is found again by every process, and a change to any formula or loop in it makes a new file:
Numba's own cache looks at the time stamp of one file only, and would serve a changed formula stale.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from costlayer.engines import lower
from costlayer.errors import InvalidValue
from costlayer.pair import Pair
from costlayer.words import VOCABULARY

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

BLOCK = 1 << 16  # elements summed by one call: fixed, so that the sum does not depend on the number of threads

_HEADER = '''"""Compiled by costlayer with Numba {numba}, llvmlite {llvmlite}. Safe to delete."""

import numpy as np
from numba import njit
from numpy import {words}

real, double, log1p_unit = np.{real}, np.float64, np.log1p
formula = njit(error_model="numpy")
loop = njit(error_model="numpy", nogil=True, cache=True)


@formula
def where(condition, a, b):
    return a if condition else b


'''


def run(
    pair: Pair,
    loop: str,
    dtype: np.dtype,
    size: int,
    width: int,
    arguments: tuple,
    parameters: tuple[float, ...],
    threads: int | None = None,
) -> tuple[float, int]:
    """Run a loop of `costlayer.engines.kernels` over `size` elements, or rows of `width` scores.

    Returns the sum of what its blocks returned, added in a fixed order, and the first bad index or −1. `threads` is how
    many may share the work, by default one per core.
    """
    kernel = getattr(_module(pair, np.dtype(dtype).name), loop)
    real = np.dtype(dtype).type
    with np.errstate(over="ignore", under="ignore"):
        given, parameters = parameters, tuple(real(value) for value in parameters)
    if any(typed == 0.0 or not np.isfinite(typed) for typed, value in zip(parameters, given, strict=True) if value):
        raise InvalidValue(
            ", ".join(pair.parameters), f"{given} for {np.dtype(dtype)} scores", "numbers that the type of z can hold"
        )
    step = max(1, BLOCK // max(1, width))
    starts = range(0, size, step)

    def part(blocks: range) -> list:
        return [kernel(*arguments, start, min(start + step, size), parameters) for start in blocks]

    workers = min(threads or available_cores(), len(starts) // 2)
    if workers <= 1:
        results = part(starts)
    else:
        cuts = [len(starts) * k // workers for k in range(workers + 1)]
        first, *rest = [starts[a:b] for a, b in itertools.pairwise(cuts)]
        others = [_pool().submit(part, blocks) for blocks in rest]
        results = [*part(first), *itertools.chain.from_iterable(other.result() for other in others)]
    bad = next((index for _, index in results if index >= 0), -1)
    return sum((total for total, _ in results), 0.0), bad


def available_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path:
    """Where compiled kernels are kept: `COSTLAYER_CACHE`, or costlayer's folder in the user's cache directory."""
    if given := os.environ.get("COSTLAYER_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # as the XDG specification asks
            base = Path.home() / ".cache"
    return Path(base) / "costlayer"


@cache
def text(pair: Pair, dtype: str) -> str:
    """The module that is compiled for a pair and element type."""
    import llvmlite
    import numba

    words = ", ".join(word for word in VOCABULARY if word not in ("double", "log1p_unit", "where"))
    header = _HEADER.format(numba=numba.__version__, llvmlite=llvmlite.__version__, real=dtype, words=words)
    names = {function.__name__ for function in lower.loops(pair)}
    lines = []
    for line in lower.program(pair).splitlines():
        if line.startswith("def "):
            lines.append("@loop" if line[4 : line.index("(")] in names else "@formula")
        lines.append(line)
    return header + "\n".join(lines) + "\n"


_compiling = threading.Lock()


def _module(pair: Pair, dtype: str) -> ModuleType:
    with _compiling:  # two threads asking at once share one module, and so one compilation
        return _load(f"{pair.name.replace('+', '_')}_{dtype}", text(pair, dtype))


@cache
def _load(name: str, code: str) -> ModuleType:
    import hashlib

    title = f"{name}_{hashlib.sha256(code.encode()).hexdigest()[:16]}"
    try:
        path = cache_folder() / "kernels" / f"{title}.py"
        if not path.exists() or path.read_text(encoding="utf-8") != code:  # damaged
            _write(path, code)
    except OSError:  # no folder to write in: compile for this process alone
        module = ModuleType(f"costlayer_kernels.{title}")
        exec(compile(code.replace("cache=True", "cache=False"), title, "exec"), module.__dict__)
        return module
    spec = importlib.util.spec_from_file_location(f"costlayer_kernels_{title}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Numba looks the module up by name when it loads from its cache
    spec.loader.exec_module(module)
    return module


def _write(path: Path, code: str) -> None:
    """Write the file whole or not at all."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(code)
    os.replace(temporary, path)


@cache
def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # here: imports made for one call keep `import costlayer` short

    return ThreadPoolExecutor(max(1, available_cores() - 1), thread_name_prefix="costlayer")


def _after_fork() -> None:
    """Neither threads nor what they hold survive into a forked child."""
    global _compiling
    _compiling = threading.Lock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
