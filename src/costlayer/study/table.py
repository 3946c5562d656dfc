"""Reading a table: a file of any common kind, or a bundled data set, into one polars frame."""

import csv
import gzip
import re
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import costlayer as cl
from costlayer.errors import CostLayerError, InvalidValue, nearest

BUNDLED = ("digits", "breast_cancer", "wine", "iris", "diabetes")
"""Real data sets that come with scikit-learn and need no network."""

NULLS = ["", "NA", "NaN", "nan", "null", "None", "?"]
"""How text files spell a missing value."""

_TEXT = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}
_LINES = (".ndjson", ".jsonl")
_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".ipc", ".feather")
_KINDS = "CSV, TSV, Parquet, Arrow (.arrow, .ipc, .feather), NDJSON (.ndjson, .jsonl) or .npz"
_MAGIC = {
    b"PAR1": ("a Parquet file", _PARQUET),
    b"ARROW1": ("an Arrow file", _ARROW),
    b"PK": ("a NumPy archive", (".npz",)),
}


@dataclass(frozen=True)
class Table:
    """A table and the column to predict.

    Attributes:
        frame: the rows, target included. NaN has become missing; no number is infinite.
        target: the name of the column to predict.
        name: a short name for a run, made from the file's.
        source: what was read, as it was asked for.
    """

    frame: pl.DataFrame
    target: str
    name: str
    source: str


def read_table(source: str | Path, target: str | None = None) -> Table:
    """Read a table from a file, or a bundled one by its name.

    Arguments:
        source: a CSV, TSV (either may be compressed with gzip), Parquet, Arrow, NDJSON or `.npz` file, or one of
            `BUNDLED`. A `.npz` holds the arrays `X` and `y`, or one array for each column. The separator of a CSV
            is found by looking; types are inferred from all rows; empty, NA, NaN, null, None and ? are missing.
        target: the column to predict. Bundled sets have "target" and `X`, `y` archives have "y"; for any other
            file it must be named.

    Raises:
        InvalidValue: the file is missing, unreadable, no table, or empty; the target column is not there; column
            names repeat; there is no other column; a number is infinite.

    >>> table = read_table("iris")
    >>> table.target, table.frame.shape
    ('target', (150, 5))
    """
    frame, default = _read(source, ())
    target = default if target is None else target
    if target is None:
        raise InvalidValue("target", "no column name", f"one of {_listed(frame.columns)}", "Name it with --target.")
    if target not in frame.columns:
        raise InvalidValue(
            "target", f"{target!r}, which is not a column", "a column of the table", nearest(target, frame.columns)
        )
    if frame.width == 1:
        raise InvalidValue(
            str(source),
            f"only the target column {target!r}",
            "at least one more column to predict it from",
            "If there are more, check the separator: comma, semicolon, tab and | are known.",
        )
    return Table(frame, target, run_name(source), str(source))


def read_features(source: str | Path, text: Collection[str] = ()) -> pl.DataFrame:
    """Read rows to predict: like `read_table`, but no target is needed.

    Arguments:
        source: as for `read_table`.
        text: columns of a CSV to leave as text, whatever they look like: the categories a preparation knows
            (`Preparation.text`). So "007" stays "007" when a new file happens to hold nothing but digits.
    """
    return _read(source, text)[0]


def run_name(source: str | Path) -> str:
    """A short name, fit for a folder: `run_name("in/House prices.csv.gz")` is `"House_prices"`."""
    path = Path(source)
    stem = path.name[: -len("".join(_suffixes(path)))] if _suffixes(path) else path.name
    return re.sub(r"[^\w.-]+", "_", stem).strip("._") or "table"


def as_dates(column: pl.Series) -> pl.Series:
    """The text column as dates or times of day and date, where every value is one in ISO 8601; else unchanged."""
    first = column.drop_nulls().head(1)
    if not len(first) or not re.match(r"\s*\d{4}-\d\d-\d\d", first[0]):
        return column
    conversions: tuple[Callable[[pl.Series], pl.Series], ...] = (
        lambda text: text.str.to_date("%Y-%m-%d", strict=False),
        lambda text: text.str.to_datetime(strict=False),
    )
    return _first_complete(column, column.str.strip_chars(), conversions)


def _read(source: str | Path, text: Collection[str]) -> tuple[pl.DataFrame, str | None]:
    """The frame, checked, and the target that the source itself names, if any."""
    if str(source) in BUNDLED:
        return _bundled(str(source)), "target"
    path = Path(source).expanduser()
    suffix = _check_file(path, str(source))
    default = None
    try:
        if suffix in _TEXT:
            frame = _read_text(path, _TEXT[suffix], text)
        elif suffix in _LINES:
            with path.open("rb") as file:
                frame = pl.read_ndjson(file, infer_schema_length=None)
            frame = frame.with_columns(as_dates(column) for column in frame if column.dtype == pl.String)
        elif suffix in _PARQUET:
            frame = pl.read_parquet(path, glob=False)
        elif suffix in _ARROW:
            with path.open("rb") as file:
                frame = pl.read_ipc(file)
        else:
            frame, default = _read_arrays(path)
    except PermissionError as error:
        raise _unreadable(source) from error
    except pl.exceptions.DuplicateError as error:
        raise InvalidValue(str(source), "duplicate column names", "each name once", "Rename one of them.") from error
    except pl.exceptions.NoDataError as error:
        raise _empty(source) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeError) as error:
        raise _no_table(source, path, suffix, error) from error
    if not frame.height:
        raise InvalidValue(
            str(source), f"no rows, only the columns {_listed(frame.columns)}", "a row for each example", "Add some."
        )
    return _finite(frame), default


def _check_file(path: Path, source: str) -> str:
    """The suffix that says how to read the file, once it is known to be there and to be what the suffix says."""
    if not path.exists():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InvalidValue(
            "data",
            f"{source!r}, which does not exist",
            f"a file ({_KINDS}) or a bundled set ({', '.join(BUNDLED)})",
            nearest(path.name, [*BUNDLED, *beside]) if beside else "Check the path.",
        )
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not an ordinary file"
        raise InvalidValue("data", f"{source!r}, which is {what}", f"a file: {_KINDS}", "Name the file itself.")
    suffix = next(iter(_suffixes(path)), "")
    if suffix not in (*_TEXT, *_LINES, *_PARQUET, *_ARROW, ".npz"):
        raise InvalidValue(
            "data",
            f"{source!r}, of a kind that is not known" if path.suffix else f"{source!r}, whose name has no ending",
            f"a file: {_KINDS}",
            "Save the table as CSV, or rename the file if it is one of these already.",
        )
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except PermissionError as error:
        raise _unreadable(source) from error
    if not head:
        raise _empty(source)
    for magic, (what, suffixes) in _MAGIC.items():
        if head.startswith(magic) != (suffix in suffixes):
            right = head.startswith(magic)
            raise InvalidValue(
                "data",
                f"{source!r}, which is {what if right else 'not ' + what}",
                f"what its ending {suffix} says",
                f"Rename it to {suffixes[0]}." if right else "Check that the file is whole and of that kind.",
            )
    return suffix


def _suffixes(path: Path) -> list[str]:
    """What tells the kind of file: [".csv"], or [".csv", ".gz"]; empty where the name has no ending."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return suffixes if suffixes[1:] == [".gz"] else suffixes[-1:]


def _read_text(path: Path, separator: str | None, text: Collection[str]) -> pl.DataFrame:
    lines = _first_lines(path)
    separator = separator or _separator(lines)
    first = pl.read_csv(path, separator=separator, has_header=False, n_rows=1, infer_schema=False, glob=False)
    header = ["" if name is None else name for name in first.row(0)]
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header, start=1)]
    _check_names(path, names)

    def read(**types) -> pl.DataFrame:
        return pl.read_csv(path, separator=separator, null_values=NULLS, glob=False, **types)

    kept = {name: pl.String for name, clean in zip(header, names, strict=True) if clean in text}
    try:
        frame = read(infer_schema_length=None, try_parse_dates=True, schema_overrides=kept)
    except pl.exceptions.ComputeError:
        # What inference trips over may still be a table of text; what is wrong with the table itself fails again.
        frame = read(infer_schema=False)
    frame.columns = names
    return frame.with_columns(
        column if column.name in text else _typed(column, decimal_comma=separator == ";")
        for column in map(_stripped, frame)
        if column.dtype == pl.String
    )


def _first_lines(path: Path) -> list[str]:
    # polars itself opens the file, so that whatever it can unpack is seen unpacked here too. No table has the unit
    # separator in it, so that a line stays whole.
    lines = pl.read_csv(
        path,
        separator="\x1f",
        quote_char=None,
        has_header=False,
        infer_schema=False,
        truncate_ragged_lines=True,
        n_rows=50,
        glob=False,
    )
    rows = [row[0] or "" for row in lines.iter_rows()]
    if any(re.search("[\0-\x08]", row) for row in rows):
        raise UnicodeError("control characters")
    if not any(map(str.strip, rows)):
        raise pl.exceptions.NoDataError("no text")
    return [row for row in rows if row]


def _separator(lines: list[str]) -> str:
    """The separator that cuts every line into the same number of fields, the more the better."""

    def quality(separator: str) -> tuple[bool, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
        return len(set(counts)) == 1 and counts[0] > 1, counts[0]

    return max(",;\t|", key=quality)


def _check_names(path: Path, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise InvalidValue(
            str(path), f"duplicate column names: {_listed(repeated)}", "each name once", "Rename or remove one of them."
        )


def _stripped(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    clean = column.str.strip_chars()
    return clean.set(clean.is_in(NULLS).fill_null(False), None) if (clean != column).any() else column


def _typed(column: pl.Series, decimal_comma: bool) -> pl.Series:
    """The text as numbers or dates, where all of it is: polars infers neither from " 5" nor from "1,5"."""
    conversions: tuple[Callable[[pl.Series], pl.Series], ...] = (
        lambda text: text.cast(pl.Int64, strict=False),
        lambda text: text.cast(pl.Float64, strict=False),
    )
    numbers = _first_complete(column, column.str.replace(",", ".") if decimal_comma else column, conversions)
    return numbers if numbers.dtype != pl.String else as_dates(column)


def _first_complete(
    column: pl.Series, text: pl.Series, conversions: tuple[Callable[[pl.Series], pl.Series], ...]
) -> pl.Series:
    """The first conversion of the text that loses no value; the column as it is where there is none."""
    if column.null_count() == len(column):
        return column
    start = text.drop_nulls().head(100)
    for convert in conversions:
        try:
            if not convert(start).null_count() and (done := convert(text)).null_count() == column.null_count():
                return done
        except pl.exceptions.ComputeError:
            continue
    return column


def _read_arrays(path: Path) -> tuple[pl.DataFrame, str | None]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        pickled = "allow_pickle" in str(error)
        raise InvalidValue(
            str(path),
            "an array of Python objects" if pickled else f"what NumPy cannot read ({error})",
            "arrays of numbers, text, booleans or dates, written by numpy.savez",
            "Save text with dtype=str; objects are never unpickled, for that would run code."
            if pickled
            else "Check that the file is whole.",
        ) from error
    if set(arrays) == {"X", "y"}:
        arrays["X"] = arrays["X"].reshape(len(arrays["X"]), -1) if arrays["X"].ndim else arrays["X"]
        if arrays["y"].shape[1:] == (1,):
            arrays["y"] = arrays["y"][:, 0]
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    odd = [n for n, a in arrays.items() if a.ndim != (2 if n == "X" else 1) or a.dtype.kind not in "biufSUmM"]
    if odd or not arrays or len({len(array) for array in arrays.values()}) > 1:
        raise InvalidValue(
            str(path),
            f"arrays {shapes}" if arrays else "no array",
            "X (rows, columns) and y (rows,), or one array (rows,) of numbers, text or dates for each column",
            "Save such arrays with numpy.savez.",
        )
    columns = {}
    for name, array in arrays.items():
        array = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
        parts = {f"x{place}": part for place, part in enumerate(array.T)} if name == "X" else {name: array}
        columns |= {part: pl.Series(part, np.ascontiguousarray(values)) for part, values in parts.items()}
    return pl.DataFrame(columns), "y" if set(arrays) == {"X", "y"} else None


def _bundled(name: str) -> pl.DataFrame:
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    frame = pl.DataFrame(data.data, schema=[str(column) for column in data.feature_names])
    classes = getattr(data, "target_names", None)
    target = data.target if classes is None else np.asarray(classes).astype(str)[data.target]
    return frame.with_columns(pl.Series("target", target))


def _finite(frame: pl.DataFrame) -> pl.DataFrame:
    """NaN made missing, and nothing infinite let through."""
    columns = [column for column in frame if column.dtype.is_float()]
    for column in columns:
        if column.is_infinite().any():
            row = column.is_infinite().arg_max() or 0
            raise InvalidValue(
                f"column {column.name!r}",
                f"{column[row]} in row {row + 1} (the first row of data is 1)",
                "finite numbers",
                "Correct the value, or leave the field empty where it is not known.",
            )
    return frame.with_columns(column.fill_nan(None) for column in columns if column.is_nan().any())


def _listed(names: Collection[str], most: int = 20) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _unreadable(source: str | Path) -> InvalidValue:
    return InvalidValue("data", f"{str(source)!r}, which may not be read", "a readable file", "Give yourself access.")


def _empty(source: str | Path) -> InvalidValue:
    return InvalidValue("data", f"{str(source)!r}, which is empty", "a table with a header and rows", "Check the file.")


def _no_table(source: str | Path, path: Path, suffix: str, error: BaseException) -> InvalidValue:
    reason = str(error).split("\n")[0]
    if "utf-8" in reason or isinstance(error, UnicodeError):
        got, fix = "what is not text in UTF-8", "If it is a table, save it again with the encoding UTF-8."
    elif "more fields" in reason and (place := _first_long_row(path)):
        line, fields, expected = place
        got = f"a row of {fields} fields in line {line}, where the header has {expected}"
        fix = "Correct that line; put quotes around text that holds the separator."
    else:
        got, fix = f"what cannot be read as {suffix} ({reason})", "Check that the file is whole and of that kind."
    return InvalidValue(str(source), got, f"a table: {_KINDS}", fix)


def _first_long_row(path: Path) -> tuple[int, int, int] | None:
    """(line, fields, fields in the header) of the first row that is longer than the header."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as lines:
        separator = _TEXT[_suffixes(path)[0]] or _separator(_first_lines(path))
        rows = csv.reader(lines, delimiter=separator)
        expected = len(next(rows))
        return next(((rows.line_num, len(row), expected) for row in rows if len(row) > expected), None)


def advise(table: Table, kind: str | None = None) -> cl.Advice:
    """What `costlayer.choose` says of a table's target; its errors name the column."""
    try:
        return cl.choose(table.frame[table.target].to_numpy(), kind=kind)
    except CostLayerError as error:
        if error.argument != "y":
            raise
        raise type(error)(f"column {table.target!r}", error.got, error.expected, error.fix) from error
