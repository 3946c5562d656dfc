"""Compiled loops on disk: found by every process, and compiled again where a file is damaged or cannot be written.

In place of Numba's own cache, which fails where a file is damaged or the disk is full, runs machine code in which a bit
has turned, and does not read from a folder that it cannot write to, such as one that came with an image.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

from costlayer.errors import CacheWarning, InvalidValue
from costlayer.files import write_whole, writing

_DIGEST = 32  # bytes of a SHA-256, which a file begins with


class Kept:
    """What Numba asks for a loop that has been compiled before, and hands one that has not."""

    def __init__(self, stem: Path) -> None:
        self.stem, self.cache_path = stem, str(stem.parent)

    def load_overload(self, signature: Any, context: Any) -> Any:
        from numba.core.compiler import CompileResult

        context.refresh()
        path = self._path(signature, context.codegen())
        whole = read(path) or b""
        digest, data = whole[:_DIGEST], whole[_DIGEST:]
        if _digest(path, data) != digest:
            return None
        try:
            return CompileResult._rebuild(context, *pickle.loads(data))
        except Exception:  # whatever another version of Python or of a library has written under this name
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        from numba.core.serialize import dumps

        data, path = dumps(result._reduce()), self._path(signature, result.codegen)
        keep(path, _digest(path, data) + data)

    def _path(self, signature: Any, codegen: Any) -> Path:
        """A file for these types on this processor: the compiler's version is in the stem."""
        from numba import config

        key = repr((signature, codegen.magic_tuple(), sys.implementation.cache_tag, config.OPT))  # type: ignore
        return self.stem.with_name(f"{self.stem.name}.{sha256(key.encode()).hexdigest()[:16]}.nbc")


def _digest(path: Path, data: bytes) -> bytes:
    """Of what a file holds and of its name: under another it would be another formula."""
    return sha256(path.name.encode() + data).digest()


def read(path: Path) -> bytes | None:
    """What a file holds, or None if there is none to be had."""
    try:
        return path.read_bytes()
    except OSError:
        return None


_warned = False


def keep(path: Path, content: bytes) -> None:
    """Write a file whole, or say once in a process that it cannot be."""
    global _warned
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except InvalidValue as error:
        if not _warned:
            _warned = True
            warnings.warn(
                f"{error} Until then each process compiles its own kernels. The environment variable COSTLAYER_CACHE "
                "names the folder to keep them in.",
                CacheWarning,
                stacklevel=2,
            )
