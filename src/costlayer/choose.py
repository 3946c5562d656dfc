"""Which pair a target asks for: `choose` looks at y and answers with an `Advice`."""

import math
import numbers
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from costlayer.errors import InvalidType, InvalidValue, nearest

KINDS = ("binary", "classes", "count", "positive", "fraction", "real")

MANY_CLASSES = 1000  # numbers of more distinct values are never class labels
FEW_VALUES = 20  # up to so many distinct whole numbers can be class labels whatever their shares
FAR = 5.0  # outliers lie more than so many robust standard deviations from the median
HEAVY = 0.25  # the tails are heavy when outliers hold more than this share of the squared deviations
SKEWED = 1.0  # positive values are right-skewed from this skewness on (an exponential has 2)
RARE = 0.2  # a class below this share of an even split counts as rare
HUBER = 1.345  # robust standard deviations; 95% efficient where the errors are normal
NORMAL_MAD = 1.4826  # from a median absolute deviation to the standard deviation of a normal
NORMAL_IQR = 1.349

_WIDTH = 100


@dataclass(frozen=True)
class Advice:
    """What `choose` says of a target; `print` it, or take `record()`.

    Attributes:
        pair: the pair to use.
        kind: what the target was taken for: one of binary, classes, count, positive, fraction, real.
        reasons: why, in plain sentences with the figures they rest on.
        alternatives: (pair, when to prefer it).
        avoid: (pair, why).
        seen: the figures found in the target, plain JSON values.
    """

    pair: str
    kind: str
    reasons: tuple[str, ...]
    alternatives: tuple[tuple[str, str], ...]
    avoid: tuple[tuple[str, str], ...]
    seen: dict[str, Any] = field(hash=False)

    def __str__(self) -> str:
        width = max((len(name) for name, _ in (*self.alternatives, *self.avoid)), default=0)
        lines = [f"{self.pair}   (target: {self.kind})", "", "Why"]
        for reason in self.reasons:
            lines += _wrapped(reason, "  - ")
        for title, entries in (("Prefer instead", self.alternatives), ("Avoid", self.avoid)):
            lines += ["", title] if entries else []
            for name, text in entries:
                lines += _wrapped(text, f"  {name:<{width}}  ")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """The advice as a dict that `json.dumps` takes."""
        return {
            "pair": self.pair,
            "kind": self.kind,
            "reasons": list(self.reasons),
            "alternatives": [list(entry) for entry in self.alternatives],
            "avoid": [list(entry) for entry in self.avoid],
            "seen": self.seen,
        }


def choose(y: Any, x: Any = None, *, kind: str | None = None) -> Advice:
    """The pair that fits a target, why, what else would do, and what to avoid.

    The target is taken for, in this order:

    - binary: two distinct values, truth values, or a table (N, K) of 0 and 1 (several labels a row).
    - classes: text; a table of one-hot rows or of probabilities that sum to 1; at most 20 distinct whole
      numbers with at least 5 rows for each on average (2 when they run from 0 or 1 without a gap), unless
      their shares make a hump with a thin upper end, as numbers do that measure or count something; or any
      number of whole numbers that run from 0 or 1 without a gap, each in nearly the same share of the rows.
    - count: other whole numbers >= 0 that reach down towards 0, or whose variance is within half and five times
      the mean; not when they lean to the left, or when most are multiples of ten.
    - fraction: reals in [0, 1].
    - positive: right-skewed reals > 0 (or >= 0: with exact zeros the pair is exp+poisson).
    - real: everything else; identity+huber when outliers hold over a quarter of the squared deviations.

    Arguments:
        y: the target, (N,) or (N, K): anything NumPy can read. None, NaN and NA count as missing and are left out.
        x: the features, (N, F), optional: an array or a data frame.
        kind: what the target is, where you know better: one of binary, classes, count, positive, fraction, real.

    Errors:
        InvalidValue: nothing to learn from (empty, all missing, one value), infinite numbers, more than two
            axes, x of another length, a kind that does not fit. InvalidType: dates, complex numbers, nested objects.

    Example:
        >>> advice = choose(["cat", "dog", "fish", "dog"])
        >>> advice.pair, advice.kind
        ('softmax+cross_entropy', 'classes')
        >>> choose([0.2, 1.7, -3.1, 0.4]).pair
        'identity+mse'
    """
    if kind is not None and kind not in KINDS:
        raise InvalidValue("kind", repr(kind), "one of " + ", ".join(KINDS), nearest(str(kind), KINDS))
    target = _look(_array(y, "y"))
    features = None if x is None else _look_at_features(x, target.rows + target.missing_rows)
    found, why = _kind(target) if kind is None else _given(target, kind)
    choice = _CHOICES[found](target)

    reasons = [why, *choice.reasons]
    if target.missing:
        what, of = "rows have no target", target.rows + target.missing_rows
        if target.columns > 1:
            what, of = "entries of the target are missing", of * target.columns
        reasons.append(f"{target.missing:,} of {of:,} {what} ({_share(target.missing / of)}); they are left out.")
    seen: dict[str, Any] = {"rows": target.rows, "columns": target.columns, "missing": target.missing}
    seen |= {"kind_given": kind is not None, "distinct": len(target.labels), **target.figures, **choice.seen}
    if features is not None:
        seen["features"] = features
        reasons += _on_features(features, target, found)
    return Advice(
        choice.pair, found, tuple(reasons), tuple(choice.alternatives.items()), tuple(choice.avoid.items()), seen
    )


# --- reading the target ------------------------------------------------------------------------------------


@dataclass
class _Target:
    rows: int  # with a target
    missing: int  # entries
    missing_rows: int
    columns: int
    labels: list[tuple[str, int]]  # (class, rows) in order; of numbers too, where few enough to be classes
    values: np.ndarray = field(default_factory=lambda: np.empty(0))  # distinct numbers, rising; none for text
    counts: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    figures: dict[str, Any] = field(default_factory=dict)  # of the numbers; empty for text
    table: np.ndarray | None = None  # when y has several columns: the rows that miss nothing
    one_hot: bool = False

    @property
    def whole(self) -> bool:
        return bool(self.figures.get("whole", False))


def _array(data: Any, argument: str) -> np.ndarray:
    """`data` as an array of one or two axes, of a dtype this module reads; masked entries become None."""
    if hasattr(data, "detach"):  # a torch tensor that may need a gradient or live on a device
        data = data.detach().cpu()
        data = data.float() if str(data.dtype) == "torch.bfloat16" else data
    if np.ma.isMaskedArray(data):
        mask, data = np.ma.getmaskarray(data), np.ma.getdata(data).astype(object)
        data[mask] = None
    try:
        array = np.asarray(data)
        if array.dtype.kind in "US" and isinstance(data, (list, tuple)):
            array = np.array(data, dtype=object)  # NumPy would have turned a NaN into the text "nan"
    except ValueError as error:
        raise InvalidValue(argument, "rows of different lengths", "equally many values in each row") from error
    if array.dtype.kind in "mM":
        fix = "Turn it into a number first, such as days since a fixed date."
        raise InvalidType(argument, f"dates or times ({array.dtype})", "numbers, text or truth values", fix)
    if array.dtype.kind not in "biufUSTO":
        raise InvalidType(argument, f"values of type {array.dtype}", "numbers, text or truth values")
    if array.ndim == 0:
        fix = "Pass a list, an array or a column."
        raise InvalidValue(argument, f"a single {type(data).__name__}", "a value for each row", fix)
    if array.ndim > 2:
        fix = f"Make each example one row, such as {argument}.reshape(len({argument}), -1)."
        raise InvalidValue(argument, f"{array.ndim} axes, shape {array.shape}", "(N,) or (N, K)", fix)
    if array.size == 0:
        fix = "Check the file, the column name and any filter on the rows."
        raise InvalidValue(argument, f"no values (shape {array.shape})", "at least two rows", fix)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _look(array: np.ndarray) -> _Target:
    if array.dtype.kind in "OUST":
        found = _look_at_objects(array)
        if isinstance(found, _Target):
            return found
        array = found
    elif array.dtype.kind == "b" and array.ndim == 1:
        ones = int(np.count_nonzero(array))
        return _several([("False", array.size - ones), ("True", ones)], 0)
    array = array.astype(np.float64, copy=False)
    infinite = np.isinf(array)
    if infinite.any():
        first = np.unravel_index(int(np.argmax(infinite)), array.shape)
        fix = "Leave those rows out, or make them None or NaN: missing."
        got = f"{int(infinite.sum()):,} infinite numbers, the first at row {first[0]}"
        raise InvalidValue("y", got, "finite numbers", fix)
    absent = np.isnan(array)
    missing = int(np.count_nonzero(absent))
    if missing == array.size:
        raise _all_missing(array.size)
    values, counts = np.unique(array[~absent] if missing else array, return_counts=True)
    if values.size == 1:
        raise _one_value(_figure(values[0]))
    gone = absent.any(axis=1) if array.ndim == 2 else absent
    missing_rows = int(np.count_nonzero(gone))
    target = _Target(len(array) - missing_rows, missing, missing_rows, 1, [], values, counts, _figures(values, counts))
    if array.ndim == 2:
        target.table = table = array[~gone] if missing else array
        target.columns = table.shape[1]
        target.one_hot = values.tolist() == [0, 1] and len(table) > 0 and bool(np.all(table.sum(axis=1) == 1))
        if target.one_hot:
            target.labels = [(f"column {i}", int(n)) for i, n in enumerate(table.sum(axis=0))]
    elif values.size <= MANY_CLASSES:
        target.labels = [(_figure(v, ""), n) for v, n in zip(values.tolist(), counts.tolist(), strict=True)]
    return target


def _look_at_objects(array: np.ndarray) -> _Target | np.ndarray:
    """The classes of text and truth values; numbers held as objects come back as an array of float64."""
    flat = array.reshape(-1).tolist()
    types = {t for t in set(map(type, flat)) if not _is_missing(t)}
    numeric = {t for t in types if issubclass(t, (numbers.Real, Decimal, np.bool_))}
    text = {t for t in types if issubclass(t, (str, bytes))}
    for odd in types - numeric - text:
        fix = "Turn each into one number or one text; for several targets a row, pass a table (N, K)."
        raise InvalidType("y", f"values of type {odd.__name__}", "numbers, text or truth values", fix)
    if numeric and not text and (array.ndim == 2 or not all(issubclass(t, (bool, np.bool_)) for t in numeric)):
        try:
            return np.array([math.nan if _is_missing(type(v)) else float(v) for v in flat]).reshape(array.shape)
        except OverflowError as error:
            raise InvalidValue("y", "a whole number beyond 1e308", "numbers that a float64 holds") from error

    present = {value: rows for value, rows in Counter(flat).items() if not _is_missing(type(value)) and value == value}
    if not present:
        raise _all_missing(len(flat))
    if array.ndim == 2:
        fix = "Choose a pair for each column by itself, or give a 0/1 column for each label."
        raise InvalidValue("y", f"a table of text, shape {array.shape}", "one column of classes", fix)
    words = [value for value in present if isinstance(value, (str, bytes))]
    if words and len(words) < len(present):
        times = sum(present[value] for value in words)
        fix = "If that text marks missing values make it None; if the numbers are class names make them text."
        raise InvalidValue("y", f"numbers mixed with text ({times:,} times, such as {words[0]!r})", "one of both", fix)
    labels = sorted((_name(value), rows) for value, rows in present.items())
    target = _several(labels, len(flat) - sum(present.values()))
    if len(labels) > FEW_VALUES:
        if all(_reads_as_number(name) for name, _ in labels):
            fix = "Convert it: np.asarray(y, dtype=float)."
            raise InvalidValue("y", f"{len(labels):,} different numbers written as text", "numbers", fix)
        if len(labels) == target.rows:
            fix = "It looks like a name or an identifier: take another column as the target."
            raise InvalidValue("y", f"a different text in each of {target.rows:,} rows", "classes that recur", fix)
    return target


def _several(labels: list[tuple[str, int]], missing: int) -> _Target:
    labels = [(name, rows) for name, rows in labels if rows]
    if len(labels) < 2:
        raise _one_value(labels[0][0])
    return _Target(sum(rows for _, rows in labels), missing, missing, 1, labels)


def _figures(values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    """The figures of numbers, from the distinct values, rising, and how often each occurs."""
    unit = float(np.abs(values).max())  # squares and cubes of the scaled values neither overflow nor vanish
    t, share = values / unit, counts / counts.sum()
    mean = float(share @ t)
    std = float(np.sqrt(share @ (t - mean) ** 2)) or float(t[-1] - t[0]) / 2 or 1.0
    low, quarter, median, three_quarters, high = _quantiles(t, counts, 0.05, 0.25, 0.5, 0.75, 0.95)
    distance = t - median
    order = np.argsort(np.abs(distance))
    (spread,) = _quantiles(np.abs(distance)[order], counts[order], 0.5)
    spread = NORMAL_MAD * spread or (three_quarters - quarter) / NORMAL_IQR or std
    # each side is measured by its own scale, so that a skewed body is not taken for outliers
    left, right = distance <= 0, distance >= 0
    below = NORMAL_MAD * _quantiles(-distance[left][::-1], counts[left][::-1], 0.5)[0] or spread
    above = NORMAL_MAD * _quantiles(distance[right], counts[right], 0.5)[0] or spread
    far = (distance < -FAR * below) | (distance > FAR * above)
    squares = share * distance**2
    return {
        "distinct": int(values.size),
        "whole": bool(np.all(values == np.floor(values))),
        "min": float(values[0]),
        "max": float(values[-1]),
        "mean": mean * unit,
        "median": median * unit,
        "std": std * unit,
        "zeros": float(share[values == 0].sum()),
        "skew": float(share @ ((t - mean) / std) ** 3),
        "quantile_5": low * unit,
        "quantile_95": high * unit,
        "skew_of_quantiles": (high + low - 2 * median) / (high - low) if high > low else None,
        "robust_std": spread * unit,
        "outliers": int(counts[far].sum()),
        "outlier_weight": float(squares[far].sum() / (squares.sum() or 1.0)),
        "variance_over_mean": _finite(std * (std / mean) * unit) if values[0] >= 0 else None,
    }


def _quantiles(values: np.ndarray, counts: np.ndarray, *shares: float) -> list[float]:
    """The quantiles of rising values that occur so often; between two values, their mean, as a median is defined."""
    upto = np.cumsum(counts)
    wanted = np.array(shares) * upto[-1]
    last = values.size - 1
    below = values[np.minimum(np.searchsorted(upto, wanted, side="left"), last)]
    above = values[np.minimum(np.searchsorted(upto, wanted, side="right"), last)]
    return (below / 2 + above / 2).tolist()


def _is_missing(kind: type) -> bool:
    return kind is type(None) or kind.__name__ in ("NAType", "NaTType")  # pandas' NA and NaT


def _all_missing(size: int) -> InvalidValue:
    fix = "Check that this is the right column, and how the file marks missing values."
    return InvalidValue("y", f"{size:,} values, all missing", "at least two values", fix)


def _one_value(value: str) -> InvalidValue:
    fix = "There is nothing to learn from it: check the column, or any filter on the rows."
    return InvalidValue("y", f"one single value, {value}, in every row", "at least two distinct values", fix)


# --- what it is --------------------------------------------------------------------------------------------


def _kind(target: _Target) -> tuple[str, str]:
    """The kind of the target, and the sentence that says why; the rules are in the docstring of `choose`."""
    if target.table is not None:
        return _kind_of_table(target)
    if not target.figures:
        if len(target.labels) == 2:
            return "binary", _two_values(target)
        why = f"{len(target.labels):,} distinct names in {target.rows:,} rows: taken as classes."
        blank = sum(rows for name, rows in target.labels if not name.strip())
        if blank:
            rows = f"{blank:,} rows hold" if blank > 1 else "1 row holds"
            why += f" {rows} an empty text, a class like any other: make it None if it means missing."
        return "classes", why
    f = target.figures
    distinct, low, high = f["distinct"], f["min"], f["max"]
    span = f"from {_figure(low)} to {_figure(high)}"
    if distinct == 2:
        return "binary", _two_values(target)
    if target.whole:
        labels, why_labels = _labels(target)
        whole = f"{distinct:,} distinct whole numbers {span}"
        counts = _counts(target)
        if labels:
            other = "counts, use exp+poisson" if low >= 0 else "measurements, use identity+mse"
            other += f" (kind={'count' if low >= 0 else 'real'!r})"
            return "classes", f"{whole}, {why_labels}: taken as classes; if they are {other}."
        if counts:
            if_labels = (
                "; if they are labels, use softmax+cross_entropy (kind='classes')" if distinct <= MANY_CLASSES else ""
            )
            return "count", f"{whole}, {why_labels}; {counts}: taken as counts{if_labels}."
        rest = f"{whole}, {why_labels}, and not spread as counts are"
    elif 0 <= low and high <= 1:
        hint = ""
        if high <= 0.1:
            hint = "; if they are small positive measurements, use exp+gamma (kind='positive')"
        return "fraction", f"Reals {span}, all within 0 and 1: taken as fractions or probabilities{hint}."
    else:
        rest = f"Reals {span}"
    skewed = _skewed(target)
    if skewed:
        return "positive", f"{rest}; {skewed}: taken as positive and right-skewed."
    return "real", f"{rest}, mean {_figure(f['mean'])}, standard deviation {_figure(f['std'])}: taken as reals."


def _kind_of_table(target: _Target) -> tuple[str, str]:
    table, f = target.table, target.figures
    assert table is not None
    columns, span = f"{target.columns:,} columns", f"from {_figure(f['min'])} to {_figure(f['max'])}"
    within = f["min"] >= 0 and f["max"] <= 1
    if target.one_hot:
        kind = "binary" if target.columns == 2 else "classes"
        return kind, f"{columns} with exactly one 1 in each row (one-hot): taken as the classes."
    if within and len(table) and bool(np.allclose(table.sum(axis=1), 1, rtol=0, atol=1e-6)):
        return "classes", f"{columns} of numbers that sum to 1 in each row: taken as the probabilities of the classes."
    if f["distinct"] == 2:
        low, high = (_figure(v) for v in target.values)
        ones = _figure(target.counts[1] / target.counts.sum() * target.columns)
        text = f"{columns} of {low} and {high}, {ones} times {high} a row on average"
        return "binary", f"{text}: taken as labels that do not exclude one another."
    if target.whole and (counts := _counts(target)):
        return "count", f"{columns} of whole numbers {span}, {counts}: taken as counts."
    if within and not target.whole:
        return "fraction", f"{columns} of reals {span}, all within 0 and 1: taken as fractions or probabilities."
    if skewed := _skewed(target):
        return "positive", f"{columns} of numbers {span}; {skewed}: taken as positive and right-skewed."
    return "real", f"{columns} of numbers {span}: taken as reals, all columns judged together."


def _two_values(target: _Target) -> str:
    (low, n_low), (high, n_high) = target.labels
    shares = f"{low} in {_share(n_low / target.rows)} and {high} in {_share(n_high / target.rows)}"
    return f"Two distinct values, {shares} of {target.rows:,} rows: taken as two classes."


def _labels(target: _Target) -> tuple[bool, str]:
    """Whether whole numbers look like class labels, and the half-sentence that says so."""
    f, counts = target.figures, target.counts
    distinct, rows = f["distinct"], target.rows
    run = f["min"] in (0, 1) and f["max"] - f["min"] + 1 == distinct
    if counts.max() <= 2 * counts.min():
        each = f"each in about {_one_in(distinct)} of the rows"
    else:
        each = f"each in {_share(counts.min() / rows)} to {_share(counts.max() / rows)} of the rows"
    if distinct > FEW_VALUES:
        even = counts.max() <= 2 * rows / distinct and counts.min() >= max(10, rows / distinct / 2)
        return (True, each) if run and even else (False, "too many and too uneven for labels")
    if rows < (2 if run else 5) * distinct:
        return False, f"only {_figure(rows / distinct)} rows for each, too few for labels"
    if _hump(target):
        return False, "their shares rise to one peak and fall to a thin upper end, unlike those of labels"
    return True, each


def _hump(target: _Target) -> bool:
    """Whether the shares rise to one peak and fall to a thin upper end: numbers that measure, not names.

    Rises and falls within two standard deviations of chance are let pass; so is an excess of zeros. A narrow
    hump (variance under half the mean) over fewer than six values may as well be one common class among rare ones.
    """
    f, counts = target.figures, target.counts.astype(float)
    narrow = f["min"] >= 0 and f["variance_over_mean"] < 0.5
    if counts.size < (6 if narrow else 4):
        return False
    shapes = [counts, counts[1:]] if f["min"] == 0 and counts.size >= 5 else [counts]
    for shape in shapes:
        peak = int(np.argmax(shape))
        falling, rising = shape[peak:], shape[: peak + 1][::-1]
        if shape[-1] <= 0.1 * shape[peak] and _falls(falling) and _falls(rising):
            return True
    return False


def _falls(counts: np.ndarray) -> bool:
    least = np.minimum.accumulate(counts)
    return bool(np.all(counts - least <= 2 * np.sqrt(counts + least)))


def _counts(target: _Target) -> str:
    """The half-sentence why whole numbers look like counts; empty when they do not."""
    f = target.figures
    if f["min"] < 0 or f["skew"] < -0.5 or f["variance_over_mean"] is None:
        return ""
    if f["max"] >= 100 and target.counts[target.values % 10 == 0].sum() > 0.5 * target.counts.sum():
        return ""  # amounts rounded to tens
    mean, ratio = _figure(f["mean"]), f["variance_over_mean"]
    if f["min"] == 0:
        return f"mean {mean}, {_share(f['zeros'])} of them 0"
    if f["min"] < 0.05 * f["mean"] or (f["min"] == 1 and ratio >= 0.5):
        return f"mean {mean}, reaching down to {_figure(f['min'])}"
    if 0.5 <= ratio <= 5:
        return f"mean {mean} with a variance {_figure(ratio)} times as large (1 for Poisson counts)"
    return ""


def _skewed(target: _Target) -> str:
    """The half-sentence why numbers are positive and right-skewed; empty when they are not."""
    f = target.figures
    body = f["skew_of_quantiles"]
    if f["min"] < 0 or f["skew"] < SKEWED or (body is not None and body < 0.2):
        return ""  # skewed by a few outliers only, or not at all
    if f["quantile_95"] < 3 * f["quantile_5"]:
        return ""  # far from 0 for their spread: the variance cannot be seen to grow with the mean
    span = f"the middle 90% go from {_figure(f['quantile_5'])} to {_figure(f['quantile_95'])}"
    none = "none is 0" if f["min"] > 0 else f"{_share(f['zeros'])} are exactly 0"
    return f"none is negative, {none}, skewness {_figure(f['skew'])}, {span}"


def _given(target: _Target, kind: str) -> tuple[str, str]:
    """The kind that was asked for, if the target can be that."""
    f, distinct = target.figures, target.figures.get("distinct", len(target.labels))

    def refuse(got: str, expected: str, fix: str = "Leave kind out to have it found.") -> InvalidValue:
        return InvalidValue("y", got, f"{expected} for kind={kind!r}", fix)

    if target.table is not None and kind in ("binary", "classes"):
        found, why = _kind_of_table(target)
        if found == kind or (kind == "classes" and target.one_hot) or (kind == "binary" and distinct == 2):
            return kind, why if found == kind else f"{target.columns:,} columns of 0 and 1: {kind}, as you said."
        raise refuse(f"a table that looks {found}", "columns of two values, or probabilities by class")
    if kind in ("binary", "classes"):
        if distinct == 2:
            return "binary", _two_values(target)
        if kind == "binary":
            raise refuse(f"{distinct:,} distinct values", "exactly two distinct values")
        if not target.labels or (f and FEW_VALUES < distinct == target.rows):
            raise refuse(f"{distinct:,} distinct numbers", f"at most {MANY_CLASSES:,} that recur")
        return "classes", f"{distinct:,} distinct values in {target.rows:,} rows: classes, as you said."
    if not f:
        raise refuse("text or truth values", "numbers", "Convert it: np.asarray(y, dtype=float).")
    low, high = _figure(f["min"]), _figure(f["max"])
    if kind in ("count", "positive") and f["min"] < 0:
        raise refuse(f"numbers down to {low}", "numbers >= 0")
    if kind == "count" and not target.whole:
        odd = _figure(target.values[target.values != np.floor(target.values)][0])
        raise refuse(f"numbers that are not whole, such as {odd}", "whole numbers", "Use kind='positive'.")
    if kind == "fraction" and not (f["min"] >= 0 and f["max"] <= 1):
        raise refuse(f"numbers from {low} to {high}", "numbers from 0 to 1", "Divide by the largest possible value.")
    return kind, f"Numbers from {low} to {high}, mean {_figure(f['mean'])}: {kind}, as you said."


# --- what to use for it ------------------------------------------------------------------------------------


@dataclass
class _Choice:
    pair: str
    reasons: list[str]
    alternatives: dict[str, str]
    avoid: dict[str, str]
    seen: dict[str, Any] = field(default_factory=dict)


_SIGMOID_MSE = (
    "starves where it is most wrong: for a truth of 0 and a score of 5 the output is wrong by .9933, but the gain of "
    "the sigmoid there is .00665, so almost none of the error comes back."
)
_RELU_MSE = "every score below 0 gives 0 with a gain of 0: a row that lands there sends back nothing."
_EXP_MSE = (
    "the gain of exp is the prediction itself: a prediction of .01 passes on a hundredth of its error, one of 100 a "
    "hundredfold, and a few large targets set the training."
)
_SOFTPLUS = "when effects add up rather than multiply: softplus grows like the score, exp multiplies with each unit."
_IF_COUNTS = "when the numbers count something (kind='count')."
_IF_SPREAD = "when the spread is wanted too: two scores, a location and how far from it the truth may be."
_IF_LABELS = "when the numbers are names of classes (kind='classes')."


def _binary(target: _Target) -> _Choice:
    reasons = [
        "sigmoid turns the score into a probability, and cross entropy cancels the sigmoid's gain: the gradient at "
        "the score is the error itself, v - y, however wrong the output is."
    ]
    if target.table is not None and not (target.one_hot and target.columns == 2):
        softmax, seen = _on_label_columns(target, reasons)
    else:
        (low, _), (high, _) = target.labels
        if target.one_hot:
            reasons.append("Two one-hot columns say the same twice: give the layer the second one only.")
        elif (low, high) != ("0", "1"):
            reasons.append(f"Give the layer 0 for {low} and 1 for {high}: v is then the probability of {high}.")
        reasons += _on_balance(target.labels)
        softmax = (
            "redundant for two classes: two scores where one is enough, and adding the same number to both changes "
            "nothing. It learns the same model."
        )
        seen = {"classes": 2, "class_counts": [list(entry) for entry in target.labels]}
    hinge = "when only the side of the boundary matters, not a probability; targets are -1 and 1."
    mse = (
        "the scores leave 0 to 1, so they are no probabilities, and a right answer is punished for being too sure: for "
        "a truth of 1 a score of 3 costs as much as one of -1."
    )
    avoid = {"sigmoid+mse": _SIGMOID_MSE, "softmax+cross_entropy": softmax, "identity+mse": mse}
    alternatives = {"identity+hinge": hinge} | _if_rare(target)
    return _Choice("sigmoid+cross_entropy", reasons, alternatives, avoid, seen)


def _if_rare(target: _Target) -> dict[str, str]:
    """What else is used where the yes, or some label, is rare."""
    table = target.table if not (target.one_hot and target.columns == 2) else None
    if table is not None:
        shares = np.sum(table == target.values[1], axis=0) / max(len(table), 1)
        share = min(shares[(shares > 0.0) & (shares < 1.0)], key=lambda s: min(s, 1.0 - s), default=0.5)
    else:
        share = target.labels[-1][1] / sum(n for _, n in target.labels)
    rarer = min(share, 1.0 - share)
    if rarer >= RARE / 2:
        return {}
    unsure = "Its output is no share of yeses any more, as a probability is, and its powers need tuning."
    found = {
        "sigmoid+focal": f"when the rarer answer, in {_share(rarer)} of the rows, still drowns in easy examples: those "
        f"already right count little. {unsure}"
    }
    if table is not None:
        found["sigmoid+asymmetric"] = (
            "when of many labels a row has few, and some that it has were not marked: it looks away from easy noes, "
            f"and from those it is sure are a yes. {unsure}"
        )
    if share == rarer:
        found["cloglog+cross_entropy"] = (
            "when a yes says that a count was above 0, or that at least one of a group had a rare event: the score is "
            "the logarithm of the rate, to which that of the exposure, or of the group's size, may be added."
        )
    return found


def _on_label_columns(target: _Target, reasons: list[str]) -> tuple[str, dict[str, Any]]:
    """Adds to the reasons what a table of labels shows; returns why not softmax, and the figures."""
    assert target.table is not None
    low, high = target.values
    if (low, high) != (0, 1):
        reasons.append(f"Give the layer 0 for {_figure(low)} and 1 for {_figure(high)}.")
    softmax = "the labels of a row would have to share one unit of probability"
    on = target.table == high
    if not len(on):
        return f"{softmax}.", {}
    shares = on.mean(axis=0)
    least, most = int(np.argmin(shares)), int(np.argmax(shares))
    reasons.append(
        f"The labels differ in how often they are on: column {least} in {_share(shares[least])} of the rows, "
        f"column {most} in {_share(shares[most])}."
    )
    if shares[least] < 0.1:
        reasons.append("Answering no to everything looks accurate for the rare ones: judge by macro F1 or log loss.")
    constant = [str(i) for i in np.flatnonzero((shares == 0) | (shares == 1))]
    if constant:
        reasons.append(f"{len(constant):,} of the columns never change ({_first(constant)}): leave them out.")
    several = float(np.mean(on.sum(axis=1) != 1))
    if several:
        softmax += f", but {_share(several)} of the rows have none or several of them"
    return f"{softmax}.", {"label_shares": shares.tolist()}


def _classes(target: _Target) -> _Choice:
    labels = target.labels
    soft = not labels
    k = target.columns if soft else len(labels)
    reasons = [
        f"softmax turns the {k:,} scores of a row into probabilities that sum to 1, one class a row; with cross "
        "entropy, -ln p of the true class, the gradient at the scores is p - y: the error itself."
    ]
    if soft:
        reasons.append("Give the layer the table as it is: cross entropy takes probabilities as targets.")
    elif target.one_hot:
        reasons.append("Give the layer the class index, y.argmax(axis=1): it is smaller than the one-hot rows.")
    elif sorted(name for name, _ in labels) != sorted(str(i) for i in range(k)):
        reasons.append(f"Give the layer the class index, 0 to {k - 1:,} for {labels[0][0]} to {labels[-1][0]}.")
    if not soft:
        reasons += _on_balance(labels)
    alternatives = {
        "sigmoid+cross_entropy": (
            "when the classes do not exclude one another, so that a row can be in several: a 0/1 column for each."
        ),
        "softmax+binary_cross_entropy": (
            "when probability gathered on a single wrong class should cost more than the same spread over several: it "
            "adds -ln(1 - p) for each wrong class. Its gradient is not p - y."
        ),
        "softmax+gce": "when some labels are wrong: rows that look mislabelled pull less than under cross entropy.",
    }
    if target.figures and target.table is None:
        alternatives["identity+mse"] = (
            "when the numbers are steps of a scale, so that an answer of 4 for a truth of 5 is better than one of 1: "
            "softmax ignores their order."
        )
        alternatives["ordinal+cumulative_logit"] = (
            "when the classes are ordered and each should keep its probability: K - 1 scores lie between K classes, "
            "made by costlayer.torch.OrdinalScores. Give the layer the class index, from 0 in the order."
        )
        if target.figures["min"] >= 0:
            alternatives["exp+poisson"] = _IF_COUNTS
    softmax = (
        "starves where it is most wrong: at scores (10, 0, 0) with the second class true, the output is wrong by .9999 "
        "and the gradient at the true score is .00018."
    )
    seen: dict[str, Any] = {"classes": k}
    if not soft:
        seen["class_counts"] = [list(entry) for entry in sorted(labels, key=lambda entry: -entry[1])[:100]]
    avoid = {"softmax+mse": softmax, "sigmoid+mse": _SIGMOID_MSE}
    return _Choice("softmax+cross_entropy", reasons, alternatives, avoid, seen)


def _count(target: _Target) -> _Choice:
    f = target.figures
    reasons = [
        "exp keeps the prediction above 0, and the Poisson cost cancels its gain: the gradient at the score is v - y."
    ]
    ratio = f["variance_over_mean"]
    if ratio is not None:
        if ratio > 2:
            what = "more than the 1 of a Poisson count; features may explain part of it. The predicted mean is still "
            what += "right, but the spread around it is larger than Poisson says."
        else:
            what = "less than the 1 of a Poisson count: steadier than chance."
            what = what if ratio < 0.5 else "close to the 1 of a Poisson count."
        reasons.append(f"The variance is {_figure(ratio)} times the mean ({_figure(f['mean'])}), {what}")
    negative_binomial = {}
    if ratio is not None and ratio > 2:
        dispersion = _figure((ratio - 1) / f["mean"], "")
        negative_binomial["exp+negative_binomial"] = (
            "when the features leave much of that spread unexplained: large counts pull less than under Poisson. Its "
            f"dispersion is {dispersion} if they explain nothing, less if something."
        )
    if f["zeros"]:
        poisson = math.exp(-f["mean"])
        zeros = f"{_share(f['zeros'])} are 0; a Poisson count with this mean has {_share(poisson)}"
        if f["zeros"] > max(0.05, 2 * poisson):
            zeros += ": more zeros than one mean explains, so check that the features can tell them"
        reasons.append(f"{zeros}.")
    alternatives = negative_binomial | {
        "softplus+poisson": _SOFTPLUS,
        "identity+mse": f"when an error of 1 matters as much at {_figure(f['max'])} as at {_figure(f['min'])}.",
    }
    if f["min"] > 0:
        alternatives["exp+gamma"] = "when the spread grows in proportion to the mean, as for amounts; needs y > 0."
    if f["distinct"] <= FEW_VALUES and target.table is None:
        alternatives["softmax+cross_entropy"] = _IF_LABELS
    return _Choice("exp+poisson", reasons, alternatives | _if_mistakes(target), _avoid_above_0(target))


def _positive(target: _Target) -> _Choice:
    f = target.figures
    in_units = {"identity+mse": "when errors count in the units of y, not as shares of the truth."} | _if_mistakes(
        target
    )
    if f["min"] == 0:
        reasons = [
            f"exp keeps the prediction above 0. {_share(f['zeros'])} of y are exactly 0, for which the gamma cost has "
            "no value; the Poisson cost takes any y >= 0, whole or not, and gets the mean right."
        ]
        gamma = "for the values above 0 alone, beside a sigmoid+cross_entropy for whether there is one."
        tweedie = (
            "when the zeros belong to the same story, as years without a claim do: the variance grows as the mean to "
            "the power, 1.5 by default, between Poisson's 1 and gamma's 2."
        )
        alternatives = {"exp+tweedie": tweedie, "softplus+poisson": _SOFTPLUS, "exp+gamma": gamma}
        return _Choice("exp+poisson", reasons, alternatives | in_units, _avoid_above_0(target))
    low, high = _figure(f["quantile_5"]), _figure(f["quantile_95"])
    reasons = [
        "exp keeps the prediction above 0; the gamma cost weighs errors as shares of the prediction: being off by a "
        f"tenth counts the same at {low} as at {high}.",
        "Its gradient at the score is 1 - y/v: where the prediction is too small it grows with the miss.",
    ]
    poisson = "when zeros can occur, or totals must be right: its gradient is v - y."
    steep = "when the spread grows faster than the mean: the variance goes with its cube, so large values pull less."
    alternatives = {"softplus+gamma": _SOFTPLUS, "exp+poisson": poisson, "exp+inverse_gaussian": steep}
    return _Choice("exp+gamma", reasons, alternatives | in_units, _avoid_above_0(target))


def _avoid_above_0(target: _Target) -> dict[str, str]:
    avoid = {"exp+mse": _EXP_MSE, "relu+mse": _RELU_MSE}
    if target.figures["max"] > 1:
        avoid["sigmoid+mse"] = f"cannot go above 1, and y goes up to {_figure(target.figures['max'])}."
    return avoid


def _fraction(target: _Target) -> _Choice:
    y, rest = np.clip(target.values, 1e-300, 1), np.clip(1 - target.values, 1e-300, 1)
    least = float(-(target.counts / target.counts.sum()) @ (y * np.log(y) + rest * np.log(rest)))
    reasons = [
        "sigmoid keeps the prediction between 0 and 1, and cross entropy takes any target in [0, 1] and cancels the "
        "sigmoid's gain: the gradient at the score is v - y.",
        f"The cost does not fall to 0 even for perfect answers: with these targets its least mean is {_figure(least)}.",
    ]
    alternatives = {
        "identity+mse": "when 0 and 1 are only the ends of a scaling and values beyond them make sense.",
        "identity+huber": "the same, when a few values are far from the rest.",
    }
    if target.figures["min"] > 0 and target.figures["max"] < 1:
        alternatives["exp_exp+beta"] = (
            "when how far they spread is wanted too: two scores, the shapes of a distribution."
        )
    if target.figures["min"] > 0:
        alternatives["exp+gamma"] = "when they are small positive measurements with no upper limit at 1."
    avoid = {"sigmoid+mse": _SIGMOID_MSE, "relu+mse": _RELU_MSE}
    return _Choice("sigmoid+cross_entropy", reasons, alternatives, avoid, {"least_cost": least})


def _real(target: _Target) -> _Choice:
    f = target.figures
    span = f"y goes from {_figure(f['min'])} to {_figure(f['max'])}"
    avoid = {"sigmoid+mse": _SIGMOID_MSE}
    if f["min"] < 0 or f["max"] > 1:
        avoid["sigmoid+mse"] = f"cannot leave 0 to 1, and {span}; it starves near its ends."
    if f["min"] < -1 or f["max"] > 1:
        avoid["tanh+mse"] = f"cannot leave -1 to 1, and {span}; at a score of 5 its gain is .00018."
    avoid["relu+mse"] = _RELU_MSE
    alternatives = {
        "identity+mae": "when the median is wanted: every error pulls equally hard, however large.",
        "identity+quantile": "when another quantile is wanted than the median, such as quantile=0.9.",
    }
    if f["min"] > 0 and f["quantile_95"] >= 3 * f["quantile_5"]:
        alternatives["exp+gamma"] = "when errors count as shares of the truth rather than in units of y."
    if target.whole and f["min"] >= 0:
        alternatives["exp+poisson"] = _IF_COUNTS
    if target.whole and f["distinct"] <= FEW_VALUES and target.table is None:
        alternatives["softmax+cross_entropy"] = _IF_LABELS
    if f["outlier_weight"] > HEAVY:
        delta, std = HUBER * f["robust_std"], f["std"]
        reasons = [
            f"{_outliers(target)} mse would train on them first; huber is squared for errors up to delta and grows "
            "only linearly beyond, where the gradient stays at delta.",
            f"delta={_figure(delta, '')} suits, in the units of y: {HUBER} robust standard deviations of y (each "
            f"{_figure(f['robust_std'])}). If you divide y by its standard deviation ({_figure(std)}), use "
            f"delta={_figure(delta / std, '')}. Only the target is seen here: features may explain the far values.",
        ]
        mse = {
            "identity+mse": "when the far values are right and must be met: the mean is wanted, not the bulk.",
            "identity+tukey": (
                "when the far values are mistakes that should not count at all: beyond its limit nothing pulls. "
                "Divide y by its robust standard deviation first, and begin with huber: it is not convex."
            ),
        }
        alternatives["identity_exp+student_t"] = _IF_SPREAD
        seen = {"delta": delta, "delta_standardised": delta / std}
        return _Choice("identity+huber", reasons, mse | alternatives, avoid, seen)
    far = f"No value is more than {FAR:.0f} robust standard deviations from the median."
    reasons = [
        "identity flattens nowhere: the gradient of mse at the score is 2 (v - y), in proportion to the error.",
        f"{_outliers(target)} That is not enough to turn from mse." if f["outliers"] else far,
    ]
    if not 0.1 <= f["std"] <= 10 or abs(f["mean"]) > 10 * f["std"]:
        reasons.append("Scale y before training: subtract the mean, divide by the standard deviation.")
    huber = {"identity+huber": "when the errors of the trained network turn out to have a few very large ones."}
    alternatives["identity_exp+gaussian"] = _IF_SPREAD
    return _Choice("identity+mse", reasons, huber | alternatives, avoid)


_CHOICES: dict[str, Callable[[_Target], _Choice]] = {
    "binary": _binary,
    "classes": _classes,
    "count": _count,
    "positive": _positive,
    "fraction": _fraction,
    "real": _real,
}


def _on_balance(labels: list[tuple[str, int]]) -> list[str]:
    """What the shares of the classes mean for how to judge the model."""
    rows = sum(n for _, n in labels)
    most, least = max(labels, key=lambda e: e[1]), min(labels, key=lambda e: e[1])
    share = most[1] / rows
    reasons = []
    if least[1] * len(labels) < rows * RARE or share > 0.8:
        reasons.append(
            f"Unbalanced: {most[0]} has {_share(share)} of the rows, {least[0]} {_share(least[1] / rows)}. Always "
            f"answering {most[0]} is right in {_share(share)} of the rows, which accuracy hides: judge by macro F1, "
            "log loss or AUC. If the rare class matters as much, weigh it up to "
            f"{_figure(most[1] / max(least[1], 1))} times."
        )
    elif len(labels) > 2:
        reasons.append(
            f"The classes are balanced enough: {_share(least[1] / rows)} ({least[0]}) to {_share(share)} ({most[0]}) "
            "of the rows, so accuracy is fair."
        )
    few = [name for name, n in labels if n < 10]
    if few and rows >= 10 * len(labels):
        verb = "classes have" if len(few) > 1 else "class has"
        reasons.append(f"{len(few):,} {verb} fewer than 10 rows ({_first(few)}): too few to learn from or to test on.")
    return reasons


def _outliers(target: _Target) -> str:
    f = target.figures
    n, size = f["outliers"], int(target.counts.sum())
    verb = "values lie" if n > 1 else "value lies"
    return (
        f"{n:,} of {size:,} {verb} more than {FAR:.0f} robust standard deviations from the median "
        f"({_figure(f['median'])}) and {'hold' if n > 1 else 'holds'} {_share(f['outlier_weight'])} of the squared "
        "deviations from it."
    )


def _if_mistakes(target: _Target) -> dict[str, str]:
    if target.figures["outlier_weight"] <= HEAVY:
        return {}
    return {"identity+huber": f"when the far values are mistakes. {_outliers(target)}"}


# --- features ----------------------------------------------------------------------------------------------


def _look_at_features(x: Any, rows: int) -> dict[str, Any]:
    """How many rows and columns x has, and which columns never change."""
    if hasattr(x, "columns"):  # a data frame: one column at a time, for a table of mixed types would become objects
        names = [str(name) for name in x.columns]
        columns = [np.asarray(x[name]) for name in x.columns]
        length = len(x)
    else:
        array = _array(x, "x")
        array = array[:, None] if array.ndim == 1 else array
        names, columns, length = [str(i) for i in range(array.shape[1])], list(array.T), len(array)
    if length != rows:
        fix = "Each row of x must belong to the same row of y: check how they were split or filtered."
        raise InvalidValue("x", f"{length:,} rows", f"{rows:,} rows, as many as y", fix)
    constant = [name for name, column in zip(names, columns, strict=True) if _constant(column)]
    return {"columns": len(names), "constant": constant}


def _constant(column: np.ndarray) -> bool:
    head = column[:1000]  # nearly every column that changes does so early
    if column.dtype == object:  # entries may not compare, as None, NA and lists
        return len(set(map(repr, head))) == 1 and len(set(map(repr, column))) == 1
    return bool(np.all(head == head[0]) and np.all(column == head[0]))


def _on_features(features: dict[str, Any], target: _Target, kind: str) -> list[str]:
    reasons = []
    columns, constant = features["columns"], features["constant"]
    usable = columns - len(constant)
    if constant:
        some = f"{len(constant):,} of {columns:,} feature columns"
        reasons.append(f"{some} never change ({_first(constant)}): they tell nothing.")
    if not usable:
        return reasons
    what, rows = "There are", target.rows
    if kind in ("binary", "classes") and target.labels:
        name, rows = min(target.labels, key=lambda entry: entry[1])
        what = f"The smallest class ({name}) has"
    if rows < 10 * usable:
        reasons.append(
            f"{what} {rows:,} rows for {usable:,} features that change, {_figure(rows / usable)} a feature: few, so "
            "judge the pair over several seeds and keep the network small."
        )
    return reasons


# --- words and figures -------------------------------------------------------------------------------------


def _figure(value: float, thousands: str = ",") -> str:
    """A number as a reader wants it: whole numbers in full, others to four digits."""
    value = float(value)
    size = abs(value)
    if value == round(value) and size < 1e15:
        return f"{int(value):{thousands}}"
    if not 1e-4 <= size < 1e7:
        return f"{value:.4g}"
    digits = max(0, 3 - math.floor(math.log10(size)))
    text = f"{value:{thousands}.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _share(share: float) -> str:
    percent = 100 * float(share)
    if percent in (0, 100):
        return f"{percent:.0f}%"
    if percent < 1 or percent > 99:
        text = f"{percent:.2g}" if percent < 1 else f"{percent:.2f}"
        return "over 99.99%" if text == "100.00" else f"{text}%"
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.1f}%"


def _one_in(n: int) -> str:
    words = ("third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    return f"a{'n' if n == 8 else ''} {words[n - 3]}" if n <= 10 else f"1 in {n:,}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _wrapped(text: str, head: str) -> list[str]:
    rest = " " * len(head)
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )


def _name(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
