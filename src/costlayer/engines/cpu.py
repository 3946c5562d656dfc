"""The CPU engine: the program compiled by Numba, kept on disk, run by threads of our own.

The compiled module of a pair and element type is one generated file, named by a hash of its whole text and of the
compiler's version. So it is found again by every process, and a change to any formula or loop in it makes a new file:
Numba's own cache looks at the time stamp of one file only, and would serve a changed formula stale.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from costlayer.engines import kernels, lower, vector_math
from costlayer.errors import CacheWarning, InvalidValue
from costlayer.pair import Pair

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

BLOCK = 1 << 16  # elements summed by one call: fixed, so that the sum does not depend on the number of threads
ALONE = 1 << 16  # elements below which one thread is sooner done than two have found each other

_HEADER = '''"""Compiled by costlayer with Numba {numba}, llvmlite {llvmlite}. Safe to delete."""

{words}
loop = njit(error_model="numpy", nogil=True, cache=True, fastmath=False)


@formula
def room(rows, columns):
    return np.empty((rows, columns), score)


@formula
def sums_room(rows, columns):
    return np.empty((rows, columns), double)


'''


def run(
    pair: Pair,
    loop: str,
    storage: str,
    size: int,
    width: int,
    arguments: tuple,
    parameters: tuple[float, ...],
    threads: int | None = None,
    single: bool = False,
) -> tuple[float, int]:
    """Run a loop of `costlayer.engines.kernels` over `size` elements, or rows of `width` scores.

    `storage` is the type that the arrays have: "float32", "float64", or, as uint16, "bfloat16" or "float16". `threads`
    is how many may share the work, never more than `set_threads` said. `single` asks for arithmetic in float32 where
    the pair bears it. Returns the sum of what the blocks returned, added in a fixed order, and the first bad index or
    −1.
    """
    if parameters:
        parameters = typed(pair, storage, parameters)
    return share(kernel(pair, loop, storage, single), size, width, arguments, parameters, threads)


def kernel(pair: Pair, loop: str, storage: str, single: bool = False) -> Any:
    """A loop of a pair, to be compiled when it is first called."""
    return getattr(_module(pair, storage, single), loop)


def share(
    kernel: Any,
    size: int,
    width: int,
    arguments: tuple,
    parameters: tuple[float, ...],
    threads: int | None = None,
) -> tuple[float, int]:
    """Run a kernel as `run` does."""
    step = max(1, BLOCK // width) if width > 1 else BLOCK
    if size <= step:
        try:
            return kernel(*arguments, 0, size, parameters)
        except Exception as error:
            _leave_cache(kernel, error)
            return kernel(*arguments, 0, size, parameters)
    if not kernel.signatures:  # compiled here, so that what fails fails once
        share(kernel, 0, width, arguments, parameters)
    starts = range(0, size, step)
    totals, bads, waiting = [0.0] * len(starts), [-1] * len(starts), iter(enumerate(starts))

    def work() -> None:
        for k, start in waiting:  # whoever is free takes the next block
            totals[k], bads[k] = kernel(*arguments, start, min(start + step, size), parameters)

    workers = 1 if size * width <= ALONE else min(threads or get_threads(), get_threads(), len(starts))
    others = [_pool(workers - 1).submit(work) for _ in range(workers - 1)]
    try:
        work()
    finally:  # after Ctrl-C too nobody goes on writing
        for _ in waiting:
            pass
        for other in others:
            other.result()
    return sum(totals), next((bad for bad in bads if bad >= 0), -1)


def typed(pair: Pair, storage: str, given: tuple[float, ...]) -> tuple[float, ...]:
    """Parameters as the loops take them, if the type of the scores can hold them."""
    single = np.float64 if storage == "float64" else np.float32
    with np.errstate(over="ignore", under="ignore"):
        typed = tuple(single(value) for value in given)
    if any(t == 0.0 or not np.isfinite(t) for t, value in zip(typed, given, strict=True) if value):
        raise InvalidValue(
            ", ".join(pair.parameters), f"{given} for {storage} scores", "numbers that the type of z can hold"
        )
    kind = np.float32 if vector_math.KINDS[storage] == "half" else np.float64
    return tuple(map(kind, typed))  # type: ignore


_threads: int | None = None


def set_threads(count: int | None) -> None:
    """How many threads share a large array, at most; None is one per core that the process may use.

    In `costlayer.torch`, `torch.set_num_threads` is respected too: the smaller of both holds. Results are the same bit
    for bit with any number.

    >>> set_threads(1)
    >>> set_threads(None)
    """
    global _threads
    if count is not None and (isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1):
        raise InvalidValue("count", repr(count), "a whole number from 1 on, or None for one thread per core")
    _threads = None if count is None else int(count)


def get_threads() -> int:
    """How many threads share a large array, at most."""
    return _threads or available_cores()


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
def text(pair: Pair, storage: str, single: bool = False) -> str:
    """The module that is compiled for a pair and stored type."""
    import llvmlite
    import numba

    halves = storage in vector_math.CONVERSIONS
    kind = "single" if single else "spare" if halves and pair.row else ""  # a row's own terms are few: all their digits
    words = vector_math.text(storage, kind) + vector_math.rows(storage, loaded=kind != "spare")
    header = _HEADER.format(numba=numba.__version__, llvmlite=llvmlite.__version__, words=words)
    decorators = dict.fromkeys((f"kernels_{name}" for name in kernels.SUMS), "@sums")
    decorators |= dict.fromkeys((f"kernels_{name}" for name in kernels.EXTREMES), "@extremes")
    decorators |= dict.fromkeys((function.__name__ for function in lower.loops(pair)), "@loop")
    lines = []
    for line in lower.program(pair).splitlines():
        if line.startswith("def "):
            name = line[4 : line.index("(")]
            lines.append(decorators.get(name, "@helper" if name.startswith("kernels_") else "@formula"))
        lines.append(line)
    return header + "\n".join(lines) + "\n"


_compiling = threading.Lock()


def _module(pair: Pair, storage: str, single: bool = False) -> ModuleType:
    single = single and storage == "float32" and bool(pair.closed and pair.closed.single)
    with _compiling:  # two threads asking at once share one module, and so one compilation
        return _found(pair, storage, single)


@cache
def _found(pair: Pair, storage: str, single: bool) -> ModuleType:
    name = f"{pair.name.replace('+', '_')}_{storage}" + ("_single" if single else "")
    return _load(name, text(pair, storage, single))


@cache
def _load(name: str, code: str) -> ModuleType:
    import hashlib

    title = f"{name}_{hashlib.sha256(code.encode()).hexdigest()[:16]}"
    try:
        path = cache_folder() / "kernels" / f"{title}.py"
        if not path.exists() or path.read_text(encoding="utf-8") != code:  # damaged
            _write(path, code)
    except OSError as error:  # no folder to write in: compile for this process alone
        _warn_of_cache(error)
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


_warned = False


def _leave_cache(kernel: Any, error: Exception) -> None:
    """Let a kernel be compiled for this process alone, if it may be the files of the cache that failed."""
    from numba.core.caching import NullCache
    from numba.core.errors import NumbaError

    if isinstance(kernel._cache, NullCache):
        raise error
    kernel._cache = NullCache()
    if not isinstance(error, NumbaError):  # the compiler's own errors come again
        _warn_of_cache(error)


def _warn_of_cache(error: Exception) -> None:
    """Say once that kernels are not kept."""
    import warnings

    global _warned
    if _warned:
        return
    _warned = True
    warnings.warn(
        f"compiled kernels cannot be kept in {cache_folder()} ({type(error).__name__}: {error}): each process compiles "
        "its own. Delete that folder, or name another in the environment variable COSTLAYER_CACHE.",
        CacheWarning,
        stacklevel=2,
    )


def _write(path: Path, code: str) -> None:
    """Write the file whole or not at all."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(code)
    os.replace(temporary, path)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # here: imports made for one call keep `import costlayer` short

    return ThreadPoolExecutor(workers, thread_name_prefix="costlayer")


def _after_fork() -> None:
    """Neither threads nor what they hold survive into a forked child."""
    global _compiling
    _compiling = threading.Lock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
