"""Preparing a table for a network: every column to float32 numbers of like size, by what the training rows show."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import skops.io
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException

from costlayer.errors import CostLayerError, InvalidValue, nearest
from costlayer.study.table import as_dates

CLASS_KINDS = ("binary", "classes")
MOST_CATEGORIES = 50
"""A column of categories gives at most this many features; the rarer ones share the last."""

_FORMAT = 1
_SCRATCH = 1 << 22  # float64 numbers held at once beside the prepared table: 32 MiB
_LARGEST = 1e100  # the square of a larger number overflows, and with it the spread
_TRUSTED = ["numpy.dtype"]
_STEPS = (StandardScaler, SimpleImputer, OneHotEncoder)


@dataclass
class _Block:
    """Some parts of columns that one fitted scikit-learn pipeline turns into features."""

    parts: list[list[str]]  # [column, part]: a date has several parts, any other column the one called "value"
    pipeline: Pipeline
    features: list[str]  # their names
    owners: list[str]  # the column each comes from


@dataclass
class Preparation:
    """Turns rows of a table into the numbers a network takes, as fitted on the training rows.

    Numbers are scaled to mean 0 and spread 1, a missing one becomes the median and is marked by a feature of its own.
    Categories become one feature each, the rare ones share one, missing is a category. Booleans become 0 and 1. Dates
    become days since 1970, year, month, day of the week and hour. Columns that tell nothing are dropped, with the
    reason.

    Attributes:
        target_column: the name of the column to predict.
        kind: the target's kind, as `costlayer.choose` names it.
        classes: the class names in the order of their codes, for "binary" and "classes"; else None.
        columns: one dict for each column used: "name", "kind" (number, category, boolean or date), "action" (what is
            done to it), "features" (how many it gives).
        dropped: one dict for each column that is not: "name", "why".
        notes: what the reader should look at, such as a column that gives the target away.
        feature_names: one for each column of the prepared array.

    >>> frame = pl.DataFrame({"size": [1, 2, None, 4], "tint": ["a", "b", "a", "b"], "price": [1.0, 3.0, 2.0, 5.0]})
    >>> preparation = Preparation.fit(frame, "price", "real")
    >>> preparation.feature_names
    ['size', 'size is missing', 'tint=a', 'tint=b']
    >>> preparation.features(frame).shape
    (4, 4)
    """

    target_column: str
    kind: str
    classes: list[str] | None
    columns: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list, repr=False)

    @classmethod
    def fit(cls, frame: pl.DataFrame, target: str, kind: str) -> Preparation:
        """Learn the preparation from the training rows, and from no others.

        Arguments:
            frame: the training rows, target included and nowhere missing.
            target: the column to predict.
            kind: "binary", "classes", "count", "positive", "fraction" or "real" (`Advice.kind`).

        Raises:
            InvalidValue: no column is left to predict from; the target has one value, or none somewhere; a number is
                infinite, or too large to scale.
        """
        _check_varies(frame[target])
        classes = _sorted_classes(frame[target]) if kind in CLASS_KINDS else None
        self = cls(target, kind, classes)
        truth = self.target(frame)
        for name in frame.columns:
            if name != target:
                column = frame[name]
                why = _why_dropped(column)
                if why:
                    self.dropped.append({"name": name, "why": why})
                else:
                    self.columns.append({"name": name, "kind": _kind(column.dtype), "action": "", "features": 0})
                    if _gives_away(column, frame[target], truth, classes):
                        self.notes.append(
                            f"Column {name!r} gives the target away: each tells the other. "
                            "Leave it out if it is not known when predictions are made."
                        )
        self.blocks = list(_fitted(frame, self.columns))
        for column in self.columns:
            column["features"] = sum(block.owners.count(column["name"]) for block in self.blocks)
            column["action"] = self._action(frame[column["name"]], column["kind"])
        self._drop_empty()
        if not self.columns:
            reasons = "; ".join(f"{column['name']}: {column['why']}" for column in self.dropped[:20])
            raise InvalidValue(
                "data", f"no column to predict {target!r} from ({reasons})", "at least one that varies", "Add columns."
            )
        return self

    @property
    def feature_names(self) -> list[str]:
        return [name for block in self.blocks for name in block.features]

    @property
    def text(self) -> list[str]:
        """The columns of categories: what `read_features` has to leave as text."""
        return [column["name"] for column in self.columns if column["kind"] == "category"]

    def features(self, frame: pl.DataFrame) -> np.ndarray:
        """The rows as numbers: float32 (rows, features), all finite. Columns that are not used may be missing.

        Beside the result only a few tens of MiB are held, however long the table.

        Raises:
            InvalidValue: a column is missing; text that is no number stands where numbers are due; a number is
                infinite. The first such value and its row are named.
        """
        frame = self._conformed(frame)
        out = np.empty((frame.height, len(self.feature_names)), np.float32)
        rows = max(1, _SCRATCH // max(1, out.shape[1]))
        for start in range(0, frame.height, rows):
            chunk, left = frame.slice(start, rows), 0
            for block in self.blocks:
                prepared = block.pipeline.transform(_matrix(chunk, block.parts, start))
                right = left + len(block.features)
                out[start : start + rows, left:right] = _drawn_in(prepared)
                left = right
        return out

    def target(self, frame: pl.DataFrame) -> np.ndarray:
        """The truth: int64 class codes for "binary" and "classes", float64 values for any other kind; (rows,).

        Raises:
            InvalidValue: the column is not there, holds a missing or an infinite value, a class that the training
                rows do not have, or no numbers where numbers are due.
        """
        name = self.target_column
        if name not in frame.columns:
            raise InvalidValue("target", f"{name!r}, which is not a column", "a column", nearest(name, frame.columns))
        column = frame[name]
        missing = _missing(column)
        if missing.any():
            raise InvalidValue(
                f"column {name!r}",
                f"{missing.sum()} rows without a target, the first in row {_first(missing)}",
                "a target in every row",
                "Leave such rows out with drop_missing_target.",
            )
        if self.classes is not None:
            names = _as_text(column)
            codes = names.replace_strict(
                {known: code for code, known in enumerate(self.classes)}, default=None, return_dtype=pl.Int64
            )
            if codes.null_count():
                row = _first(codes.is_null())
                raise InvalidValue(
                    f"column {name!r}",
                    f"{names[row - 1]!r} in row {row}",
                    "a class of the training rows",
                    nearest(names[row - 1], self.classes),
                )
            return codes.to_numpy()
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            raise InvalidValue(
                f"column {name!r}", f"{column.dtype} values", f"numbers, for a {self.kind} target", "Convert them."
            )
        return _checked_numbers(column, 0)

    def unused(self, frame: pl.DataFrame) -> list[str]:
        """The columns of new rows that the training rows did not have; they are ignored."""
        known = {entry["name"] for entry in [*self.columns, *self.dropped]} | {self.target_column}
        return [name for name in frame.columns if name not in known]

    def unknown(self, frame: pl.DataFrame) -> dict[str, dict[str, int]]:
        """The categories of new rows that the training rows did not have, with how often each occurs, by column.

        `features` treats them as rare ones, or as none of the known where no rare ones were grouped.
        """
        frame, found = self._conformed(frame), {}
        for block in self.blocks:
            encoder: Any = block.pipeline[-1]
            name, part = block.parts[0]
            if part == "text":
                new = frame[name].drop_nulls()
                new = new.filter(~new.is_in([known for known in encoder.categories_[0] if known is not None]))
                if len(new):
                    counts = new.value_counts(sort=True, name="count")
                    found[name] = dict(zip(counts[name].to_list(), counts["count"].to_list(), strict=True))
        return found

    def save(self, path: str | Path) -> None:
        """Write the preparation to one file, in the format of skops, which holds data and no code.

        Raises:
            InvalidValue: the file cannot be written; nothing is left half-written.
        """
        record = {key: value for key, value in vars(self).items() if key != "blocks"}
        record["blocks"] = [{**vars(block)} for block in self.blocks]
        record["format"] = _FORMAT
        record["versions"] = {package: version(package) for package in ("costlayer", "scikit-learn", "skops")}
        path = Path(path)
        partial = path.with_name(path.name + ".part")
        try:
            skops.io.dump(record, partial, compression=zipfile.ZIP_DEFLATED)
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise InvalidValue(
                "preparation",
                f"{str(path)!r}, which cannot be written ({error.strerror})",
                "a file in a folder that may be written to, with room",
                "Name another folder, or make room.",
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> Preparation:
        """Read a preparation that `save` wrote. Loading runs no code, whoever wrote the file.

        Raises:
            InvalidValue: the file is missing or damaged, or holds anything but a preparation.
        """
        try:
            record = skops.io.load(path, trusted=_TRUSTED)
            if record.pop("format") != _FORMAT:
                raise _no_preparation(path, "a preparation from another version of costlayer")
            record.pop("versions")
            blocks = [_Block(**block) for block in record.pop("blocks")]
            for block in blocks:
                if type(block.pipeline) is not Pipeline or any(
                    type(step) not in _STEPS for _, step in block.pipeline.steps
                ):
                    raise _no_preparation(path, f"{block.pipeline} where a known pipeline belongs")
            return cls(**record, blocks=blocks)
        except CostLayerError:
            raise
        except UntrustedTypesFoundException as error:
            raise _no_preparation(path, f"objects that do not belong there ({error})") from error
        except FileNotFoundError as error:
            raise _no_preparation(path, "no file") from error
        except Exception as error:  # a damaged archive fails in as many ways as it has parts
            raise _no_preparation(path, f"a damaged file ({type(error).__name__}: {error})") from error

    def _action(self, column: pl.Series, kind: str) -> str:
        missing = int(_missing(column).sum())
        if kind == "category":
            encoder: Any = next(block.pipeline[-1] for block in self.blocks if column.name in block.owners)
            rare = encoder.infrequent_categories_[0]
            rare = [] if rare is None else list(rare)
            action = f"one of {len(encoder.categories_[0]) - bool(missing)} categories"
            action += f"; missing ({missing}) is one more" if missing else ""
            return action + (f"; the {len(rare)} rarest of them grouped" if rare else "")
        if kind == "boolean":
            action, filled = "0 or 1", "the more frequent"
        elif kind == "number":
            action, filled = "scaled to mean 0 and spread 1", "the median"
        else:
            parts = [part for block in self.blocks for name, part in block.parts if name == column.name]
            action, filled = f"{', '.join(parts)}; scaled to mean 0 and spread 1", "the median"
        return action + (f"; {missing} missing: filled with {filled}, and marked" if missing else "")

    def _drop_empty(self) -> None:
        """Drop categories that came out as a single feature: all rare, they are told apart no more."""
        for column in [column for column in self.columns if column["kind"] == "category" and column["features"] < 2]:
            self.columns.remove(column)
            self.blocks = [block for block in self.blocks if block.parts[0][0] != column["name"]]
            self.dropped.append({"name": column["name"], "why": "no value is frequent enough to learn from"})

    def _conformed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The used columns of new rows, each of the kind it had in training."""
        missing = [column["name"] for column in self.columns if column["name"] not in frame.columns]
        if missing:
            raise InvalidValue(
                "data",
                f"a table without the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}",
                f"the {len(self.columns)} columns the network was trained on",
                (f"{close} " if (close := nearest(missing[0], frame.columns)).startswith("Did") else "")
                + "Add what is missing; cells may be empty where a value is not known.",
            )
        first = {name: part for block in reversed(self.blocks) for name, part in reversed(block.parts)}
        return pl.DataFrame(
            [_conform(frame[(name := column["name"])], column["kind"], first[name]) for column in self.columns]
        )


def drop_missing_target(frame: pl.DataFrame, target: str) -> tuple[pl.DataFrame, int]:
    """The rows that have a target, and how many have none.

    Raises:
        InvalidValue: no row has one, or all have the same: there is nothing to learn.
    """
    missing = _missing(frame[target])
    kept = frame.filter(~missing) if missing.any() else frame
    _check_varies(kept[target])
    return kept, int(missing.sum())


def split(
    y: np.ndarray, kind: str, seed: int, validation: float = 0.2, test: float = 0.2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Part the rows into training, validation and test rows, at random and stratified.

    Classes keep their shares in each part; a class of 3 rows or more is in every part, and a class of 1 or 2 rows is
    in training only, for there it can at least be learned. Values are parted within up to ten bins of equal count, so
    that each part sees the whole range.

    Arguments:
        y: class codes for "binary" and "classes", values for other kinds; (rows,).
        kind: the target's kind.
        seed: the same seed gives the same parts.
        validation, test: shares of the rows.

    Returns:
        Three arrays of row numbers, int64, each in rising order; together they hold every row once.

    Raises:
        InvalidValue: shares that leave no rows to train on, or too few rows to part.

    >>> train, validation, test = split(np.arange(100.0), "real", seed=0)
    >>> len(train), len(validation), len(test)
    (60, 20, 20)
    """
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise InvalidValue(
            "split", f"validation {validation} and test {test}", "two shares above 0 that add up to less than 1"
        )
    y, random = np.asarray(y), np.random.default_rng(seed)
    if kind in CLASS_KINDS:
        _, strata = np.unique(y, return_inverse=True)
    else:
        strata = np.empty(len(y), np.int64)
        strata[np.argsort(y, kind="stable")] = np.arange(len(y)) * min(10, max(1, len(y) // 30)) // max(1, len(y))
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    shares, owed = np.array([test, validation]), np.zeros(2)
    for stratum in range(int(strata.max()) + 1 if len(y) else 0):
        rows = random.permutation(np.flatnonzero(strata == stratum))
        held = np.zeros(2, np.int64)
        if len(rows) >= 3:
            # What rounding takes from one stratum the next gives back, but never more than half a row.
            held = np.maximum(1, np.rint(len(rows) * shares + owed)).astype(np.int64)
            owed = np.clip(owed + len(rows) * shares - held, -0.5, 0.5)
        while held.sum() >= max(len(rows), 1):
            held[held.argmax()] -= 1
        cut = np.split(rows, np.cumsum(held))
        for part, piece in zip(parts, reversed(cut), strict=True):
            part.append(piece)
    if not sum(map(len, parts[1])):
        few = f"{len(y)} rows" + (f" of {len(np.unique(y))} classes" if kind in CLASS_KINDS else "")
        raise InvalidValue(
            "data",
            few,
            "3 rows or more of at least one class, for training, validation and test"
            if kind in CLASS_KINDS
            else "3 rows or more, for training, validation and test",
            "Add rows; if nearly every row has a class of its own, that column names rows and cannot be predicted.",
        )
    train, held_out, tested = (np.sort(np.concatenate(part)) for part in parts)
    return train, held_out, tested


def _kind(dtype: pl.DataType) -> str | None:
    if dtype.is_numeric() or dtype == pl.Duration:
        return "number"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype == pl.String or dtype == pl.Categorical or dtype == pl.Enum:
        return "category"
    return "date" if dtype.is_temporal() else None


def _why_dropped(column: pl.Series) -> str | None:
    present = column.filter(~_missing(column))
    if not len(present):
        return "every value is missing"
    kind = _kind(column.dtype)
    if kind is None:
        return f"{column.dtype} values are not supported"
    distinct = present.n_unique()
    if distinct == 1 and len(present) == len(column):
        return "every value is the same"
    if kind == "category" and distinct > 0.9 * len(present) and distinct > 2:
        return f"{distinct} different texts in {len(present)} rows: it names rows, it does not describe them"
    return None


def _gives_away(column: pl.Series, target: pl.Series, truth: np.ndarray, classes: list[str] | None) -> bool:
    """Whether the column and the target are one and the same but for the names of the classes, or for a unit."""
    if classes is not None:
        pairs = pl.DataFrame({"column": column, "truth": truth}).drop_nulls()
        distinct = len(classes)
        return pairs["column"].n_unique() == distinct == pairs.n_unique() and pairs["truth"].n_unique() == distinct
    if _kind(column.dtype) != "number":
        return False
    values = _checked_numbers(column, 0)
    both = np.isfinite(values) & np.isfinite(truth)
    if both.sum() < 3:
        return False
    x, y = values[both] - values[both].mean(), truth[both] - truth[both].mean()
    scale = np.sqrt(x @ x) * np.sqrt(y @ y)
    return bool(scale > 0 and abs(x @ y) > (1 - 1e-9) * scale)


def _fitted(frame: pl.DataFrame, columns: list[dict[str, Any]]) -> Iterator[_Block]:
    """One block for as many numbers as fit the scratch memory, and one for each column of categories."""
    kinds = {column["name"]: column["kind"] for column in columns}
    dates = {name: _date_parts(frame[name]) for name, kind in kinds.items() if kind == "date"}
    # A date that is missing lacks all its parts: only the first is marked, or one fact would be told five times.
    marked = [[name, "value"] for name, kind in kinds.items() if kind == "number"]
    marked += [[name, parts[0]] for name, parts in dates.items()]
    unmarked = [[name, part] for name, parts in dates.items() for part in parts[1:]]
    booleans = [[name, "value"] for name, kind in kinds.items() if kind == "boolean"]
    # Scaling comes before imputing: means and spreads are those of real values, and marks stay 0 or 1.
    for parts, steps in (
        (marked, lambda: (StandardScaler(), SimpleImputer(strategy="median", add_indicator=True))),
        (unmarked, lambda: (StandardScaler(), SimpleImputer(strategy="median"))),
        (booleans, lambda: (SimpleImputer(strategy="most_frequent", add_indicator=True),)),
    ):
        wide = max(1, _SCRATCH // frame.height)
        for start in range(0, len(parts), wide):
            some = parts[start : start + wide]
            pipeline = make_pipeline(*steps()).fit(_matrix(frame, some, 0))
            names = [name if part == "value" else f"{name}: {part}" for name, part in some]
            owners = [name for name, _ in some]
            indicator: Any = pipeline.named_steps["simpleimputer"].indicator_
            missing = [] if indicator is None else [owners[place] for place in indicator.features_]
            yield _Block(some, pipeline, names + [f"{name} is missing" for name in missing], owners + missing)
    for name in (name for name, kind in kinds.items() if kind == "category"):
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=min(5, max(1, frame.height // 50)),
            max_categories=MOST_CATEGORIES,
            sparse_output=False,
            dtype=np.float32,  # pyright: ignore[reportArgumentType]
        )
        pipeline = make_pipeline(encoder).fit(_matrix(frame, [[name, "text"]], 0))
        rare = encoder.infrequent_categories_[0]
        rare = set() if rare is None else set(rare)
        names = [
            f"{name} is missing" if value is None else f"{name}={value}"
            for value in encoder.categories_[0]
            if value not in rare
        ]
        names += [f"{name}: any other"] * bool(rare)
        yield _Block([[name, "text"]], pipeline, names, [name] * len(names))


def _drawn_in(x: np.ndarray) -> np.ndarray:
    """Scaled numbers, growing only by their logarithm beyond three standard deviations: a heavy tail in one column must
    not throw the whole network, least of all one whose prediction is exp(z)."""
    far = np.abs(x) > 3.0
    if not far.any():
        return x
    return np.where(far, np.sign(x) * (3.0 + np.log1p(np.maximum(np.abs(x) - 3.0, 0.0))), x)


def _matrix(frame: pl.DataFrame, parts: list[list[str]], offset: int) -> np.ndarray:
    """The parts as scikit-learn takes them: float64 with NaN for missing, or text with None. (rows, parts)

    `offset` is the number of rows before these, for the row that an error names.
    """
    if parts[0][1] == "text":
        return _as_text(frame[parts[0][0]]).to_numpy()[:, None]
    out = np.empty((frame.height, len(parts)), order="F")
    for place, (name, part) in enumerate(parts):
        column = frame[name]
        out[:, place] = _checked_numbers(column, offset) if part == "value" else _DATE_PARTS[part](column)
    return out


def _checked_numbers(column: pl.Series, offset: int) -> np.ndarray:
    values = _numbers(column)
    large = np.abs(values) > _LARGEST
    if large.any():
        row = int(large.argmax())
        raise InvalidValue(
            f"column {column.name!r}",
            f"{values[row]:g} in row {offset + row + 1} (the first row of data is 1)",
            f"finite numbers, up to {_LARGEST:g} in size",
            "Correct the value, or leave the field empty where it is not known.",
        )
    return values


def _numbers(column: pl.Series) -> np.ndarray:
    if column.dtype == pl.Duration:
        column = column.dt.total_microseconds() / 1e6
    return column.cast(pl.Float64).to_numpy()


def _clock(column: pl.Series) -> pl.Series:
    return column.cast(pl.Datetime) if column.dtype == pl.Date else column


_DAY = 86_400_000_000
_DATE_PARTS = {
    "days since 1970": lambda column: _numbers(column.cast(pl.Datetime("us")).to_physical() / _DAY),
    "year": lambda column: _numbers(column.dt.year()),
    "month": lambda column: _numbers(column.dt.month()),
    "day of the week": lambda column: _numbers(column.dt.weekday()),
    "hour": lambda column: _numbers(_clock(column).dt.hour() + _clock(column).dt.minute() / 60),
}


def _date_parts(column: pl.Series) -> list[str]:
    """The parts of a date that tell one row from another."""
    if column.dtype == pl.Time:
        return ["hour"]
    first, *others = list(_DATE_PARTS)[: 4 if column.dtype == pl.Date else 5]
    return [first, *(part for part in others if np.nanmin(v := _DATE_PARTS[part](column)) < np.nanmax(v))]


def _as_text(column: pl.Series) -> pl.Series:
    """The values as text, the same whether a whole number was read as 3 or, beside missing ones, as 3.0."""
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        column = whole if (column == whole).fill_null(column.is_null()).all() else column
    return column.cast(pl.String)


def _sorted_classes(column: pl.Series) -> list[str]:
    if _kind(column.dtype) in (None, "date"):
        raise InvalidValue(f"column {column.name!r}", f"{column.dtype} values", "classes", "Choose another target.")
    ordered = column.cast(pl.String) if _kind(column.dtype) == "category" else column
    return _as_text(ordered.unique().sort()).drop_nulls().to_list()


def _conform(column: pl.Series, kind: str, part: str) -> pl.Series:
    """The column in the kind it had in training, read from text where new rows have only that.

    `part` is the first part taken from it: a date that gives the hour first is a time of day.
    """
    now, clock = _kind(column.dtype), part == "hour"
    if column.null_count() == len(column):
        types = {"number": pl.Float64, "boolean": pl.Boolean, "category": pl.String}
        return pl.repeat(None, len(column), dtype=types.get(kind, pl.Datetime("us")), eager=True).alias(column.name)
    if kind == "category" and now is not None:
        return _as_text(column)
    if kind == "date" and now == "date":
        now = kind if column.dtype == pl.Datetime or (column.dtype == pl.Time) == clock else None
    if now == kind or (kind == "number" and now == "boolean"):
        return column
    done = None
    if now == "category":
        text = column.cast(pl.String).str.strip_chars()
        if kind == "number":
            done = text.cast(pl.Float64, strict=False)
        elif kind == "date":
            done = text.str.to_time("%H:%M:%S", strict=False) if clock else as_dates(text)
            done = done if done.dtype.is_temporal() else text.str.to_date("%Y-%m-%d", strict=False)
        else:
            words = {"true": True, "false": False, "1": True, "0": False}
            done = text.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    elif kind == "boolean" and now == "number":
        done = column.cast(pl.Float64).replace_strict({1.0: True, 0.0: False}, default=None, return_dtype=pl.Boolean)
    lost = column.is_not_null() if done is None else done.is_null() & ~_missing(column)
    if done is None or lost.any():
        row = _first(lost)
        raise InvalidValue(
            f"column {column.name!r}",
            f"{column[row - 1]!r} in row {row} (the first row of data is 1)",
            f"a {kind}, as in the training rows",
            "Correct the value, or leave the field empty where it is not known.",
        )
    return done


def _missing(column: pl.Series) -> pl.Series:
    return column.is_null() | column.is_nan().fill_null(False) if column.dtype.is_float() else column.is_null()


def _first(mask: pl.Series) -> int:
    """The row, counted from 1, of the first true value."""
    return int(mask.arg_max() or 0) + 1


def _check_varies(column: pl.Series) -> None:
    present = column.filter(~_missing(column))
    if present.n_unique() < 2:
        raise InvalidValue(
            f"column {column.name!r}",
            f"the same target in every row: {present[0]!r}" if len(present) else "no target in any row",
            "a target with two values or more",
            "Choose another column as the target, or add rows.",
        )


def _no_preparation(path: str | Path, got: str) -> InvalidValue:
    return InvalidValue(
        "preparation", f"{str(path)!r}: {got}", "a file written by Preparation.save", "Run the study again."
    )
