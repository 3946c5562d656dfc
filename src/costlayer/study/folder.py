"""A run's folder: what is written there, whole or not at all, and read back with suspicion."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

from costlayer.errors import InvalidValue
from costlayer.files import write_whole, writing
from costlayer.study.train import Estimator


class RunFolder:
    """runs/NAME: config.json, results.jsonl, report.html, network.safetensors, preparation.skops; and, until the run
    has finished, checkpoint/ with what it takes to go on."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.results_file = self.path / "results.jsonl"
        self.network_file = self.path / "network.safetensors"
        self.preparation_file = self.path / "preparation.skops"
        self.checkpoint = self.path / "checkpoint"
        self.state_file = self.checkpoint / "state.pt"

    def refuse(self, overwrite: bool) -> None:
        """Raise where the folder cannot be made: it exists already, unless `overwrite` may replace a run."""
        if self.path.exists() or self.path.is_symlink():
            if not overwrite:
                raise InvalidValue(
                    "run folder",
                    f"{str(self.path)!r}, which exists",
                    "a new folder",
                    "Add --resume to go on with it, --overwrite to replace it, or --name NAME for another.",
                )
            if not self.config_file.is_file():
                raise InvalidValue(
                    "run folder",
                    f"{str(self.path)!r}, which holds no run",
                    "a folder that costlayer made, for --overwrite",
                    "Remove it yourself, or take another --name.",
                )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing the same run meanwhile; refuse if one does already."""
        lock = self.path.with_name(f".{self.path.name}.lock")
        with writing(lock):
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("w")
        with file:
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InvalidValue(
                    "run folder",
                    f"{str(self.path)!r}, which another costlayer is writing",
                    "a folder of its own for every run",
                    "Wait for it, or take another --name.",
                ) from error
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    def create(self) -> None:
        """Make the folder, in place of what is there."""
        with writing(self.path):
            if self.path.exists():
                shutil.rmtree(self.path)
            self.checkpoint.mkdir(parents=True)

    # --- config and results --------------------------------------------------------------------------------

    def write_config(self, config: dict[str, Any]) -> None:
        write_whole(self.config_file, json.dumps(config, indent=1, ensure_ascii=False, allow_nan=False).encode())

    def read_config(self) -> dict[str, Any]:
        if not self.path.is_dir():
            raise InvalidValue(
                "run folder",
                f"{str(self.path)!r}, which does not exist",
                "a folder that costlayer study made",
                "Check the name; a study begins without --resume.",
            )
        try:
            config = json.loads(self.config_file.read_text(encoding="utf-8"))
            _ = config["settings"], config["pairs"], config["data"]["kind"], config["created"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self.damaged(self.config_file, error) from error
        return config

    def append(self, records: list[dict[str, Any]]) -> None:
        """Add records to results.jsonl, each on a line."""
        lines = "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
        with writing(self.results_file), self.results_file.open("ab") as file:
            file.write(lines.encode())

    def length(self) -> int:
        return self.results_file.stat().st_size if self.results_file.exists() else 0

    def read_results(self) -> list[dict[str, Any]]:
        """The records of results.jsonl; a last line that was cut off is left out."""
        try:
            lines = self.results_file.read_bytes().split(b"\n")
            return [json.loads(line) for line in lines[:-1]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise self.damaged(self.results_file, error) from error

    # --- going on ------------------------------------------------------------------------------------------

    def write_state(self, state: dict[str, Any]) -> None:
        """Keep what it takes to go on from here, with the length that results.jsonl has here."""
        content = io.BytesIO()
        torch.save({"length": self.length(), **state}, content)
        write_whole(self.state_file, content.getvalue())

    def rewind(self) -> dict[str, Any]:
        """Cut results.jsonl back to the last kept state, and return that state; {} when none was kept yet."""
        state: dict[str, Any] = {"length": 0}
        if self.state_file.exists():
            try:
                state = torch.load(self.state_file, weights_only=True)
                missing = state["length"] - self.length()
            except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
                raise self.damaged(self.state_file, error) from error
            if missing > 0:
                raise self.damaged(self.results_file, f"{missing} bytes are missing at its end")
        with writing(self.results_file):
            self.checkpoint.mkdir(exist_ok=True)
            self.results_file.touch()
            os.truncate(self.results_file, state.pop("length"))
        return state

    def finished(self) -> bool:
        """Whether the run has gone to its end: there is a verdict and nothing to go on from."""
        records = [] if self.state_file.exists() else self.read_results()
        return bool(records) and records[-1]["record"] == "verdict" and self.network_file.exists()

    def forget_state(self) -> None:
        """The run has finished: nothing is left to go on with."""
        with writing(self.checkpoint):
            shutil.rmtree(self.checkpoint)

    def kept_network(self, pair: str) -> Path:
        """Where the best network of a pair so far is kept while the study runs."""
        return self.checkpoint / f"{pair.replace(':', '_')}.safetensors"

    def check_network(self) -> None:
        """Raise where no network has been trained to the end."""
        if not self.network_file.exists():
            self.read_config()
            raise InvalidValue(
                "run folder",
                f"{str(self.path)!r}, where no network has been trained to the end yet",
                "a finished run",
                "Go on with it: costlayer study ... --resume.",
            )

    def read_network(self, kind: type[Estimator]) -> Estimator:
        """The best network."""
        try:
            return kind.load(self.network_file)
        except InvalidValue as error:
            raise self.damaged(self.network_file, error) from error

    def damaged(self, file: Path, why: object) -> InvalidValue:
        """The error for a file of the folder that is not what a run wrote."""
        return InvalidValue(
            "run folder",
            f"{str(file)!r}, which is missing or damaged ({why})",
            "a folder as costlayer study left it",
            "Run the study again with --overwrite.",
        )
