"""Applying a study's best network to new rows."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

import costlayer as cl
from costlayer.errors import InvalidValue
from costlayer.files import write_whole
from costlayer.sklearn import CostLayerClassifier, CostLayerRegressor
from costlayer.sklearn.training import scores
from costlayer.study.folder import RunFolder
from costlayer.study.preparation import Preparation
from costlayer.study.table import read_features

_WRITERS = {
    ".csv": lambda frame, file: frame.write_csv(file),
    ".tsv": lambda frame, file: frame.write_csv(file, separator="\t"),
    ".parquet": lambda frame, file: frame.write_parquet(file),
    ".arrow": lambda frame, file: frame.write_ipc(file),
    ".ndjson": lambda frame, file: frame.write_ndjson(file),
}


class Predictor:
    """The best network of a run with all it takes to use it.

    >>> predictor = Predictor("runs/digits")  # doctest: +SKIP
    >>> predictor(polars_frame)               # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        run = RunFolder(folder)
        run.check_network()
        self.preparation = Preparation.load(run.preparation_file)
        kind = CostLayerRegressor if self.preparation.classes is None else CostLayerClassifier
        self.estimator = run.read_network(kind)
        self.encoding = self.estimator.encoding_
        if len(self.preparation.feature_names) != self.estimator.n_features_in_:
            raise run.damaged(run.network_file, "the preparation is another network's")

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Predictions for the rows of a table, in their order: "prediction", a class name or a value in the target's
        own units; and for each class "probability of NAME", where the pair's outputs are probabilities."""
        v = self.outputs(self.preparation.features(frame))
        classes = self.preparation.classes
        if classes is None:
            return pl.DataFrame({"prediction": self.encoding.values(v)})
        columns: dict[str, object] = {"prediction": np.array(classes, dtype=object)[self.encoding.decide(v)]}
        p = self.encoding.probabilities(v)
        if p is not None:
            columns |= {f"probability of {name}": p[:, k] for k, name in enumerate(classes)}
        return pl.DataFrame(columns, schema_overrides={"prediction": pl.String})

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """The network's outputs v for prepared rows, (N, outputs)."""
        return cl.predict(self.estimator.pair_, scores(self.estimator.network_, features))


def predict(
    folder: str | Path,
    source: str | Path,
    out: str | Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> pl.DataFrame:
    """Predict every row of a table with the best network of a run.

    Arguments:
        folder: the run's folder.
        source: the rows, in any format `read_features` reads.
        out: a CSV, TSV, Parquet, Arrow or NDJSON file to write; standard output as CSV when None.
        note: is told of categories that training had not seen, and of columns that are not used.

    Raises InvalidValue for a folder without a network, a table without a column that is needed, and an `out` that
    cannot be written or is the table itself.
    """
    suffix = ".csv" if out is None else Path(out).suffix.lower()
    if suffix not in _WRITERS:
        raise InvalidValue("--output", repr(str(out)), "a name that ends in " + ", ".join(_WRITERS), "As in OUT.csv.")
    if out is not None and Path(out).exists() and Path(source).exists() and Path(out).samefile(source):
        raise InvalidValue("--output", f"{str(out)!r}, the table itself", "another file", "Name another file.")
    if out is not None and Path(out).is_dir():
        raise InvalidValue("--output", f"{str(out)!r}, which is a folder", "a file", "Name a file in it.")
    predictor = Predictor(folder)
    frame = read_features(source, predictor.preparation.text)
    predictions = predictor(frame)
    for column, values in predictor.preparation.unknown(frame).items():
        shown = ", ".join(repr(value) for value in list(values)[:5]) + (", ..." if len(values) > 5 else "")
        note(
            f"Column {column!r}: {sum(values.values()):,} rows hold categories unknown in training ({shown}); "
            "they count as rare ones, or as none of the known where training had no rare ones."
        )
    if unused := predictor.preparation.unused(frame):
        note(f"Not used, for training had no such columns: {', '.join(map(repr, unused))}.")
    content = io.BytesIO()
    _WRITERS[suffix](predictions, content)
    if out is None:
        sys.stdout.write(content.getvalue().decode())
        sys.stdout.flush()
    else:
        write_whole(Path(out), content.getvalue())
    return predictions
