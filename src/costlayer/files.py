"""Files that are there whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from costlayer.errors import InvalidValue


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write under `path` into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise InvalidValue(
            str(path),
            f"'{error.strerror or error}' on writing",
            "a place that can be written to",
            "Make room, or name another place.",
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # of this writer alone, on any machine
    with writing(path):
        try:
            draft.write_bytes(content)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
