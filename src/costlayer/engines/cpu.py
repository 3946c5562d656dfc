"""The CPU engine: the program compiled by Numba, kept on disk, run by threads of our own.

The compiled module of a pair and element type is one generated file, named by a hash of its whole text and of the
compiler's version. So it is found again by every process, and a change to any formula or loop in it makes a new file:
Numba's own cache looks at the time stamp of one file only, and would serve a changed formula stale.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from costlayer.engines import kernels, lower, vector_math
from costlayer.engines.inline import inline
from costlayer.errors import InvalidValue
from costlayer.pair import Pair

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

BLOCK = 1 << 16  # elements summed by one call: fixed, so that the sum does not depend on the number of threads
ALONE = 1 << 18  # elements up to which one thread is sooner done than two have found each other

_HEADER = '"""Compiled by costlayer with Numba {numba}, llvmlite {llvmlite}. Safe to delete."""\n\n'
_DECORATORS = """# without reference counts: what the loops work in is handed to them
loop = njit(error_model="numpy", nogil=True, fastmath=False, _nrt=False)
helper = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=False, _nrt=False)"""


class Loop(NamedTuple):
    """A loop of a pair, which is compiled when it is first called."""

    name: str
    score: type
    compiled: Any


def run(
    pair: Pair,
    loop: str,
    storage: str,
    size: int,
    width: int,
    arguments: tuple | Callable[[int, int], tuple],
    parameters: tuple[float, ...],
    threads: int | None = None,
    single: bool = False,
) -> tuple[float, int]:
    """Run a loop of `costlayer.engines.kernels` over `size` elements, or rows of `width` scores.

    `storage` is the type that the arrays have: "float32", "float64", or, as uint16, "bfloat16" or "float16". `threads`
    is how many may share the work, never more than `set_threads` said. `single` asks for arithmetic in float32 where
    the pair bears it. Returns the sum of what the blocks returned, added in a fixed order, and the first bad index or
    −1. A function in place of the arguments gives those of the part from start to stop, in the thread that works on it.
    """
    if parameters:
        parameters = typed(pair, storage, parameters)
    found = kernel(pair, loop, storage, single)
    if callable(arguments):
        found, arguments = found._replace(compiled=_of_parts(found.compiled, arguments)), ()
    return share(found, size, width, _all_writable(arguments), parameters, threads)


def _of_parts(kernel: Any, arguments: Callable[[int, int], tuple]) -> Callable:
    """A kernel that is handed each part by itself."""

    def work(start: int, stop: int, parameters: tuple[float, ...], *rooms: np.ndarray) -> tuple[float, int]:
        total, bad = kernel(*_all_writable(arguments(start, stop)), 0, stop - start, parameters, *rooms)
        return total, bad if bad < 0 else start + bad

    return work


def _all_writable(arguments: tuple) -> tuple:
    return tuple(_as_writable(given) if isinstance(given, np.ndarray) else given for given in arguments)


class _Writable:
    """What NumPy makes an array of that says it may be written to."""

    def __init__(self, array: np.ndarray) -> None:
        given = array.__array_interface__
        self.array, self.__array_interface__ = array, {**given, "data": (given["data"][0], False)}


def _as_writable(array: np.ndarray) -> np.ndarray:
    """The same memory as an array of the type that is compiled for, read-only or not; loops do not write to inputs."""
    return array if array.flags.writeable else np.asarray(_Writable(array))


def kernel(pair: Pair, loop: str, storage: str, single: bool = False) -> Loop:
    """A loop of a pair."""
    module = _module(pair, storage, single)
    return Loop(loop, module.score, getattr(module, loop))


def share(
    loop: Loop,
    size: int,
    width: int,
    arguments: tuple,
    parameters: tuple[float, ...],
    threads: int | None = None,
) -> tuple[float, int]:
    """Run a kernel as `run` does."""
    step = max(1, BLOCK // width) if width > 1 else BLOCK
    kernel, rooms = loop.compiled, tuple(zip(kernels.rooms(loop.name, width), (loop.score, np.float64), strict=False))
    if size <= step:
        return kernel(*arguments, 0, size, parameters, *itertools.starmap(np.empty, rooms))
    starts = range(0, size, step)
    totals, bads, waiting = [0.0] * len(starts), [-1] * len(starts), iter(enumerate(starts))

    def work() -> None:
        own = list(itertools.starmap(np.empty, rooms))
        for k, start in waiting:  # whoever is free takes the next block
            totals[k], bads[k] = kernel(*arguments, start, min(start + step, size), parameters, *own)

    workers = 1 if size * width <= ALONE else min(threads or get_threads(), get_threads(), len(starts))
    others: list[Future] = []
    try:
        for _ in range(workers - 1):
            others.append(_pool(workers - 1).submit(work))  # noqa: PERF401 — each must be known to be waited for
    except RuntimeError:  # the interpreter is ending, and starts no threads any more
        pass
    try:
        work()
    finally:  # after Ctrl-C too nobody goes on writing
        for _ in waiting:
            pass
        _join(others)
        arguments = ()  # another thread may hold its task a while longer: not a gradient that is wanted elsewhere
    return sum(totals), next((bad for bad in bads if bad >= 0), -1)


def _join(others: list[Future]) -> None:
    """Wait for those that have begun, for a block's time, however often Ctrl-C is pressed."""
    try:
        for other in others:
            if not other.cancel():  # not one that never began, and waits for the work of other threads
                other.result()
    except KeyboardInterrupt:
        _join(others)
        raise


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

    kind = "single" if single else vector_math.KINDS[storage]
    if kind == "half" and pair.row:
        kind = "spare"  # a row's own terms are few: all their digits
    loaded, instructions = kind in ("single", vector_math.KINDS[storage]), _has_half_instructions()
    words, rows = vector_math.words(storage, kind, instructions), vector_math.rows(storage, loaded, instructions)
    body = inline(
        "\n".join((words.functions, rows.functions, lower.program(pair))), {"short": kind in ("single", "half")}
    )
    for name in re.findall(r"^def (\w+)", body, re.M):
        kept = any(name == loop.__name__ for loop in lower.loops(pair))
        body = re.sub(rf"^def {name}\(", f"@{'loop' if kept else 'helper'}\n\\g<0>", body, flags=re.M)
    header = _HEADER.format(numba=numba.__version__, llvmlite=llvmlite.__version__)
    return "\n\n\n".join(
        (header + vector_math.INSTRUCTIONS, f"{words.constants}\n{rows.constants}\n{_DECORATORS}", body)
    )


@cache
def _has_half_instructions() -> bool:
    """Whether the processor that Numba compiles for converts float16 by itself; if not, LLVM would call a library."""
    import platform

    from llvmlite.binding import get_host_cpu_features
    from numba import config

    named = config.CPU_FEATURES or config.CPU_NAME  # type: ignore
    features = config.CPU_FEATURES if named else get_host_cpu_features().flatten()  # type: ignore
    return "+f16c" in (features or "") or platform.machine() in ("aarch64", "arm64")


_compiling = threading.Lock()


def _module(pair: Pair, storage: str, single: bool = False) -> ModuleType:
    single = single and storage == "float32" and bool(pair.closed and pair.closed.single)
    with _compiling:  # two threads asking at once share one module, and so one compilation
        return _found(pair, storage, single)


@cache
def _found(pair: Pair, storage: str, single: bool) -> ModuleType:
    from numba import config

    if config.DISABLE_JIT:  # type: ignore
        raise InvalidValue(
            "NUMBA_DISABLE_JIT",
            "1 in the environment",
            "a compiler, as this engine is nothing but what Numba compiles",
            "Unset it; costlayer.engines.reference runs the same formulas in plain Python.",
        )
    name = f"{pair.name.replace('+', '_')}_{storage}" + ("_single" if single else "")
    return _load(name, text(pair, storage, single), tuple(loop.__name__ for loop in lower.loops(pair)))


@cache
def _load(name: str, code: str, loops: tuple[str, ...]) -> ModuleType:
    import hashlib

    from costlayer.engines import disk

    title = f"{name}_{hashlib.sha256(code.encode()).hexdigest()[:16]}"
    try:
        path = cache_folder() / "kernels" / f"{title}.py"
    except RuntimeError:  # a user without a home: nothing is kept, and a warning says so
        path = Path(os.devnull) / f"{title}.py"
    if disk.read(path) != code.encode():  # not there, or damaged; it is for people to read
        disk.keep(path, code.encode())
    module = ModuleType(f"costlayer_kernels_{title}")
    sys.modules[module.__name__] = module  # Numba looks the module up by name when a loop comes from the disk
    exec(compile(code, str(path), "exec"), module.__dict__)
    for loop in loops:
        getattr(module, loop)._cache = disk.Kept(path.with_name(f"{title}.{loop}"))
    return module


_workers: ThreadPoolExecutor | None = None
_most = 0


def _pool(workers: int) -> ThreadPoolExecutor:
    """The threads that share large arrays, at least so many."""
    global _workers, _most
    from concurrent.futures import ThreadPoolExecutor  # here: imports made for one call keep `import costlayer` short

    with _hiring:
        if _workers is None or _most < workers:
            if _workers is not None:
                _workers.shutdown(wait=False)  # they end when they have done what they were given
            _most = max(workers, available_cores() - 1)
            _workers = ThreadPoolExecutor(_most, thread_name_prefix="costlayer")
        return _workers


_hiring = threading.Lock()


# A forked child has the locks of all threads of its parent, and of these only the one that forked: what another held
# would be held for ever. So the compiler rests while a process forks.


def _compiler_locks() -> tuple[Any, ...]:
    compiler = sys.modules.get("numba.core.compiler_lock")
    return (_compiling, compiler.global_compiler_lock) if compiler else (_compiling,)


_held: list[tuple[Any, ...]] = []


def _before_fork() -> None:
    locks = _compiler_locks()
    for lock in locks:
        lock.acquire()
    _held.append(locks)


def _after_fork() -> None:
    for lock in reversed(_held.pop()):
        lock.release()


def _in_child() -> None:
    global _workers, _hiring
    _after_fork()
    _workers, _hiring = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
