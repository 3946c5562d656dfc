import zipfile
from datetime import date, datetime, time

import numpy as np
import polars as pl
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from study_data import TARGETS

from costlayer.errors import InvalidValue
from costlayer.study import preparation as module
from costlayer.study.preparation import Preparation, drop_missing_target, split
from costlayer.study.table import read_features, read_table

KINDS = {
    "penguins": "positive",
    "titanic": "binary",
    "modules": "count",
    "characters": "classes",
    "continents": "classes",
}


def table(**columns) -> pl.DataFrame:
    """Forty rows: each column is repeated until it fills them; y counts from 0."""
    repeated = {name: pl.Series(name, (list(values) * 40)[:40]) for name, values in columns.items()}
    return pl.DataFrame({**repeated, "y": np.arange(40.0)})


def fit(frame: pl.DataFrame, kind: str = "real") -> Preparation:
    return Preparation.fit(frame, "y", kind)


def refused(call, *fragments: str) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        call()
    for fragment in fragments:
        assert fragment in str(caught.value), str(caught.value)
    return caught.value


# Columns


def test_numbers_are_scaled_and_missing_ones_become_the_median_and_are_marked():
    frame = table(a=[1, 2, 3, None, 100])
    preparation = fit(frame)
    values = np.array([1, 2, 3, 100] * (8.0).__int__())
    expected = (np.array([1, 2, 3, np.median(values), 100]) - values.mean()) / values.std()
    features = preparation.features(frame)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[:5, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(features[:5, 1], [0, 0, 0, 1, 0])
    assert preparation.feature_names == ["a", "a is missing"]
    (column,) = preparation.columns
    assert (column["name"], column["kind"], column["features"]) == ("a", "number", 2)
    assert "8 missing" in column["action"]


def test_statistics_come_from_the_training_rows_alone():
    frame = table(a=[1.0, 2.0, 4.0], c=["u", "v"])
    other = frame.with_columns(a=pl.col("a") * 1000 + 7, c=pl.lit("w"))
    train = np.arange(20)
    preparation = fit(frame[train])
    joined = pl.concat([frame[train], other[20:]])
    np.testing.assert_array_equal(preparation.features(joined)[:20], fit(joined[train]).features(frame[train]))
    assert abs(preparation.features(frame[train])[:, 0].mean()) < 1e-6
    assert preparation.features(joined)[20:, 0].mean() > 9
    assert preparation.feature_names == ["a", "c=u", "c=v"]
    np.testing.assert_array_equal(preparation.features(joined)[20:, 1:], 0)


def test_far_values_are_drawn_in_by_their_logarithm():
    preparation = fit(table(a=[-1.0, 1.0]))  # mean 0, standard deviation 1
    prepared = preparation.features(pl.DataFrame({"a": [2.0, -3.0, 3.0 + np.e - 1, -1002.0]}))
    np.testing.assert_allclose(prepared[:, 0], [2.0, -3.0, 4.0, -(3.0 + np.log(1000.0))], rtol=1e-6)


def test_rare_categories_are_grouped_and_unknown_ones_join_them():
    values = ["red"] * 120 + ["blue"] * 60 + [None] * 16 + ["rare"] * 3 + ["rarer"]
    frame = pl.DataFrame({"c": values, "y": np.arange(200.0)})
    preparation = fit(frame)
    assert preparation.feature_names == ["c=blue", "c=red", "c is missing", "c: any other"]
    new = pl.DataFrame({"c": ["red", "blue", None, "rare", "rarer", "new", "new", "newer"]})
    np.testing.assert_array_equal(preparation.features(new), np.eye(4, dtype=np.float32)[[1, 0, 2, 3, 3, 3, 3, 3]])
    assert preparation.unknown(new) == {"c": {"new": 2, "newer": 1}}
    assert preparation.unknown(frame) == {}
    (column,) = preparation.columns
    assert column["action"] == "one of 4 categories; missing (16) is one more; the 2 rarest of them grouped"


def test_unknown_categories_are_none_of_the_known_where_no_rare_ones_were_seen():
    preparation = fit(table(c=["u", "v"]))
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"c": ["u", "w", None]})), [[1, 0], [0, 0], [0, 0]])


def test_very_many_categories_keep_the_most_frequent():
    names = [f"n{k:03}" for k in range(200) for _ in range(5 + k // 10)]
    preparation = fit(pl.DataFrame({"c": names, "y": np.arange(float(len(names)))}))
    assert len(preparation.feature_names) == module.MOST_CATEGORIES
    assert preparation.feature_names[-1] == "c: any other"
    assert "c=n199" in preparation.feature_names
    assert "c=n000" not in preparation.feature_names


def test_booleans_are_0_and_1():
    frame = table(b=[True, True, False, None])
    preparation = fit(frame)
    np.testing.assert_array_equal(preparation.features(frame)[:4], [[1, 0], [1, 0], [0, 0], [1, 1]])
    assert preparation.columns[0]["kind"] == "boolean"


def test_dates_become_their_parts():
    days = [date(2020, 1, 1), date(2021, 6, 15), None, date(2023, 12, 31)]
    frame = table(d=days)
    preparation = fit(frame)
    assert preparation.feature_names == [
        "d: days since 1970",
        "d is missing",
        "d: year",
        "d: month",
        "d: day of the week",
    ]
    features = preparation.features(frame)[:4]
    for part, real in ((0, [18262, 18793, 19722]), (2, [2020, 2021, 2023]), (3, [1, 6, 12]), (4, [3, 2, 7])):
        scaled = features[[0, 1, 3], part].astype(float)
        np.testing.assert_allclose(np.corrcoef(scaled, real)[0, 1], 1, atol=1e-6)
    np.testing.assert_array_equal(features[:, 1], [0, 0, 1, 0])
    assert preparation.columns[0]["kind"] == "date"


def test_parts_of_a_date_that_never_change_are_left_out():
    moments = [datetime(2020, 5, day, hour) for day, hour in ((4, 3), (11, 12), (18, 23))]
    assert fit(table(d=moments)).feature_names == ["d: days since 1970", "d: hour"]
    assert fit(table(d=[time(8), time(9, 30)])).feature_names == ["d: hour"]


def test_dates_may_come_as_text_or_moments_later():
    preparation = fit(table(d=[date(2020, 1, 1), date(2021, 6, 15), date(2023, 12, 31)]))
    expected = preparation.features(pl.DataFrame({"d": [date(2021, 6, 15), None]}))
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"d": ["2021-06-15", None]})), expected)
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"d": [datetime(2021, 6, 15), None]})), expected)
    refused(lambda: preparation.features(pl.DataFrame({"d": ["2021-06-15", "June"]})), "'d'", "'June' in row 2")
    refused(lambda: preparation.features(pl.DataFrame({"d": [time(3)]})), "'d'", "a date")
    hours = fit(table(d=[time(8), time(9, 30)]))
    np.testing.assert_array_equal(
        hours.features(pl.DataFrame({"d": ["08:00:00"]})), hours.features(pl.DataFrame({"d": [time(8)]}))
    )
    moments = fit(table(d=[datetime(2020, 5, 4, 3), datetime(2021, 7, 4, 9)]))
    assert moments.features(pl.DataFrame({"d": [date(2020, 5, 4)]})).shape == (1, len(moments.feature_names))


def test_what_tells_nothing_is_dropped_with_the_reason():
    frame = table(
        constant=["same"], empty=[None], a=[1, 2], name=[f"id {k}" for k in range(40)], nest=[[1, 2], [3, 4]]
    ).with_columns(empty=pl.lit(None, pl.Float64), scattered=pl.Series([f"t{k // 2}" for k in range(40)]))
    preparation = fit(pl.concat([frame] * 3).with_columns(name=pl.format("id {}", pl.int_range(pl.len()))))
    why = {column["name"]: column["why"] for column in preparation.dropped}
    assert [column["name"] for column in preparation.columns] == ["a", "scattered"]
    assert why.keys() == {"constant", "empty", "name", "nest"}
    assert "same" in why["constant"]
    assert "missing" in why["empty"]
    assert "120 different texts" in why["name"]
    assert "List" in why["nest"]
    assert preparation.features(pl.DataFrame({"a": [1], "scattered": ["t1"]})).shape[0] == 1  # the rest is not needed


def test_categories_that_are_all_rare_are_dropped():
    frame = pl.DataFrame({"c": [f"t{k // 2}" for k in range(300)], "a": [1, 2] * 150, "y": np.arange(300.0)})
    preparation = fit(frame)
    assert preparation.dropped == [{"name": "c", "why": "no value is frequent enough to learn from"}]
    assert preparation.feature_names == ["a"]


def test_no_column_left_is_refused():
    refused(lambda: fit(table(a=[1], b=["x"])), "no column to predict 'y' from", "a: every value is the same")


def test_a_column_that_gives_the_target_away_is_noted():
    frame = table(a=[1, 2]).with_columns(twice=pl.col("y") * 2 + 1, near=pl.col("y") ** 2)
    (note,) = fit(frame).notes
    assert "'twice'" in note
    frame = table(a=[1, 2], code=[7, 3, 5], near=[7, 3, 3]).with_columns(y=pl.Series((["u", "v", "w"] * 40)[:40]))
    (note,) = fit(frame, "classes").notes
    assert "'code'" in note
    assert fit(table(a=[1, 2, 4])).notes == []


def test_numbers_too_large_or_infinite_are_refused_with_the_row():
    frame = table(a=[1.0, 2.0])
    preparation = fit(frame)
    new = pl.DataFrame({"a": [1.0, np.inf]})
    refused(lambda: preparation.features(new), "column 'a'", "inf in row 2")
    refused(lambda: fit(frame.with_columns(a=pl.col("a") * 1e300)), "column 'a'", "1e+300 in row 1")
    far = preparation.features(pl.DataFrame({"a": [1e60, -1e60]}))
    assert np.isfinite(far).all()
    assert far[0, 0] > 100
    assert far[1, 0] < -100  # drawn in by the logarithm, as all that lies beyond three standard deviations


def test_rows_beyond_the_first_chunk_are_prepared_and_named_alike(monkeypatch):
    frame = table(a=[1.0, 2.0, 4.0, None], b=[3, 1, 4], c=["u", "v"])
    whole = fit(frame).features(frame)
    monkeypatch.setattr(module, "_SCRATCH", 42)  # seven rows at a time, one column at a time
    np.testing.assert_array_equal(np.sort(fit(frame).features(frame), axis=1), np.sort(whole, axis=1))
    spoilt = frame.with_columns(a=pl.when(pl.int_range(pl.len()) == 30).then(np.inf).otherwise("a"))
    refused(lambda: fit(frame).features(spoilt), "inf in row 31")


# New rows


def test_missing_columns_are_named_and_extra_ones_ignored():
    preparation = fit(table(size=[1, 2], tint=["u", "v"]))
    refused(lambda: preparation.features(pl.DataFrame({"sise": [1]})), "'size', 'tint'", "Did you mean 'sise'?")
    new = pl.DataFrame({"extra": [1], "tint": ["u"], "size": [1]})
    np.testing.assert_array_equal(preparation.features(new), preparation.features(new.drop("extra")))
    assert preparation.unused(new) == ["extra"]
    assert preparation.features(new.clear()).shape == (0, 3)


def test_numbers_may_come_as_text_when_they_are_numbers():
    preparation = fit(table(a=[1.5, 2.0, None]))
    expected = preparation.features(pl.DataFrame({"a": [2.0, None, 7.0]}))
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"a": ["2", None, " 7.0"]})), expected)
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"a": [2, None, 7]})), expected)
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"a": [None, None]}))[0], expected[1])
    refused(lambda: preparation.features(pl.DataFrame({"a": ["2", "two", "x"]})), "'a'", "'two' in row 2", "a number")
    refused(lambda: preparation.features(pl.DataFrame({"a": [date(2020, 1, 1)]})), "'a'", "a number")


def test_booleans_may_come_as_words_or_digits():
    preparation = fit(table(b=[True, False]))
    expected = [[1], [0]]
    for values in (["True", "false"], ["1", "0"], [1, 0], [1.0, 0.0], [True, False]):
        np.testing.assert_array_equal(preparation.features(pl.DataFrame({"b": values})), expected)
    refused(lambda: preparation.features(pl.DataFrame({"b": ["yes"]})), "'yes' in row 1")
    refused(lambda: preparation.features(pl.DataFrame({"b": [1, 2]})), "2 in row 2")


def test_categories_may_come_as_numbers(tmp_path):
    frame = table(c=["1", "2", "x"])
    preparation = fit(frame)
    assert preparation.text == ["c"]
    expected = preparation.features(pl.DataFrame({"c": ["1", "2", None]}))
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"c": [1, 2, None]})), expected)
    np.testing.assert_array_equal(preparation.features(pl.DataFrame({"c": [1.0, 2.0, None]})), expected)
    categorical = frame.with_columns(pl.col("c").cast(pl.Categorical))
    np.testing.assert_array_equal(fit(categorical).features(categorical), preparation.features(frame))


# Target


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([10, 9, 10, 2], ["2", "9", "10"]),
        ([1.0, 0.0, 1.0], ["0", "1"]),
        ([True, False], ["false", "true"]),
        (["b", "a", "ä"], ["a", "b", "ä"]),
        ([0.5, 0.25], ["0.25", "0.5"]),
    ],
)
def test_classes_are_in_order_and_coded(values, classes):
    frame = table(a=[1, 2]).with_columns(y=pl.Series((values * 40)[:40]))
    preparation = fit(frame, "classes")
    assert preparation.classes == classes
    codes = preparation.target(frame)
    assert codes.dtype == np.int64
    assert [classes[code] for code in codes] == [str(v).lower().removesuffix(".0") for v in (values * 40)[:40]]


def test_targets_of_new_rows():
    frame = table(a=[1, 2]).with_columns(y=pl.Series(["u", "v"] * 20))
    preparation = fit(frame, "binary")
    refused(lambda: preparation.target(pl.DataFrame({"y": ["u", "w"]})), "'w' in row 2")
    refused(lambda: preparation.target(pl.DataFrame({"y": ["u", None]})), "1 rows without a target", "row 2")
    refused(lambda: preparation.target(pl.DataFrame({"yy": ["u"]})), "Did you mean 'yy'?")
    numbers = fit(table(a=[1, 2]))
    truth = numbers.target(pl.DataFrame({"y": [1, 2]}))
    assert truth.dtype == np.float64
    assert truth.tolist() == [1, 2]
    refused(lambda: numbers.target(pl.DataFrame({"y": ["u"]})), "numbers")
    refused(lambda: numbers.target(pl.DataFrame({"y": [1.0, np.inf]})), "inf in row 2")
    refused(lambda: fit(table(a=[1, 2]).with_columns(y=pl.col("y").cast(pl.Date)), "classes"), "Date")


def test_rows_without_a_target_are_counted_and_left_out():
    frame = pl.DataFrame({"a": [1, 2, 3, 4], "y": [1.0, None, float("nan"), 2.0]})
    kept, missing = drop_missing_target(frame, "y")
    assert (kept["a"].to_list(), missing) == ([1, 4], 2)
    assert drop_missing_target(kept, "y")[1] == 0
    refused(lambda: drop_missing_target(frame[:3], "y"), "the same target in every row: 1.0")
    refused(lambda: drop_missing_target(frame[1:3], "y"), "no target in any row")
    refused(lambda: fit(table(a=[1, 2]).with_columns(y=pl.lit("u")), "binary"), "the same target in every row: 'u'")


# Parts


@given(
    st.lists(st.integers(0, 6), min_size=3, max_size=300),
    st.sampled_from(["classes", "real"]),
    st.integers(0, 5),
    st.floats(0.05, 0.45),
    st.floats(0.05, 0.45),
)
def test_every_row_is_in_one_part_and_every_class_is_trained_on(y, kind, seed, validation, test):
    y = np.array(y)
    _, counts = np.unique(y, return_counts=True)
    if kind == "classes" and counts.max() < 3:
        refused(lambda: split(y, kind, seed), "3 rows or more")
        return
    parts = split(y, kind, seed, validation, test)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(y)))
    assert all(len(part) and (np.diff(part) > 0).all() for part in parts)
    if kind == "classes":
        for label, count in zip(*np.unique(y, return_counts=True), strict=True):
            shared = [int((y[part] == label).sum()) for part in parts]
            assert shared[0] >= 1
            if count < 3:
                assert shared[1:] == [0, 0]
            else:
                for got, share in zip(shared[1:], (validation, test), strict=True):
                    assert got >= 1
                    assert abs(got - share * count) <= 1.5
    for part, again in zip(parts, split(y, kind, seed, validation, test), strict=True):
        np.testing.assert_array_equal(part, again)


def test_parts_have_the_sizes_asked_for_and_differ_by_seed():
    y = np.random.default_rng(0).integers(0, 10, 1797)
    sizes = [len(part) for part in split(y, "classes", 0, validation=0.1, test=0.3)]
    np.testing.assert_allclose(sizes, [1078.2, 179.7, 539.1], atol=3)
    assert not np.array_equal(split(y, "classes", 0)[2], split(y, "classes", 1)[2])
    many = np.repeat(np.arange(20), 17)  # 3.4 rows of each class: the fractions add up to 8 rows
    assert [len(part) for part in split(many, "classes", 0)] == [204, 68, 68]
    skewed = np.exp(3 * np.random.default_rng(0).normal(size=1000))
    train, validation, test = split(skewed, "positive", 0)
    assert (len(train), len(validation), len(test)) == (600, 200, 200)
    for tenth in np.array_split(np.argsort(skewed), 10):
        assert len(np.intersect1d(tenth, test)) == 20


def test_values_in_file_order_are_mixed():
    train, _, test = split(np.zeros(1000), "count", 0)
    assert 400 < test.mean() < 600
    assert not np.array_equal(test, np.arange(800, 1000))
    assert len(np.intersect1d(train, test)) == 0


def test_too_few_rows_or_odd_shares_are_refused():
    refused(lambda: split(np.arange(50), "classes", 0), "50 rows of 50 classes", "names rows")
    refused(lambda: split(np.array([]), "real", 0), "0 rows")
    refused(lambda: split(np.arange(2.0), "real", 0), "2 rows")
    for shares in ((0, 0.2), (0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.2)):
        refused(lambda shares=shares: split(np.arange(50.0), "real", 0, *shares), "add up to less than 1")


# Files


@pytest.mark.parametrize("write_data", TARGETS, ids=lambda function: function.__name__)
def test_real_data_from_file_to_features_and_back(tmp_path, write_data):
    path, target, kind = write_data(tmp_path), TARGETS[write_data], KINDS[write_data.__name__]
    read = read_table(path, target)
    frame, missing = drop_missing_target(read.frame, target)
    assert missing == (2 if write_data.__name__ == "penguins" else 0)
    whole = Preparation.fit(frame, target, kind)
    y = whole.target(frame)
    train, validation, test = split(y, kind, seed=0)
    preparation = Preparation.fit(frame[train], target, kind)
    assert preparation.classes == whole.classes
    features = preparation.features(frame)
    assert features.shape == (frame.height, len(preparation.feature_names))
    assert features.shape[1] == sum(column["features"] for column in preparation.columns)
    assert np.isfinite(features).all()
    assert np.abs(features[test]).max() < 100
    named = [column["name"] for column in preparation.columns + preparation.dropped]
    assert sorted(named) == sorted(set(frame.columns) - {target})

    preparation.save(tmp_path / "preparation.skops")
    loaded = Preparation.load(tmp_path / "preparation.skops")
    for name in ("target_column", "kind", "classes", "columns", "dropped", "notes", "feature_names", "text"):
        assert getattr(loaded, name) == getattr(preparation, name)
    new = read_features(path, text=loaded.text)
    np.testing.assert_array_equal(loaded.features(new), preparation.features(read.frame))
    np.testing.assert_array_equal(loaded.target(frame), y)
    assert loaded.unknown(frame[validation]) == preparation.unknown(frame[validation])


def test_names_and_tickets_of_the_titanic(tmp_path):
    write_data = next(function for function in TARGETS if function.__name__ == "titanic")
    frame = read_table(write_data(tmp_path), "survived").frame
    preparation = Preparation.fit(frame, "survived", "binary")
    assert [column["name"] for column in preparation.dropped] == ["name"]
    assert {"sex=female", "age", "age is missing", "embarked=S"} <= set(preparation.feature_names)


class _Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_file_with_anything_else_in_it_is_refused(tmp_path, capsys):
    path = tmp_path / "preparation.skops"
    refused(lambda: Preparation.load(path), "no file")
    path.write_bytes(b"not a zip")
    refused(lambda: Preparation.load(path), "damaged")
    preparation = fit(table(a=[1, 2]))
    preparation.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(lambda: Preparation.load(path), "damaged")
    skops.io.dump({"format": 1, "evil": _Evil()}, path)
    refused(lambda: Preparation.load(path), "do not belong there", "_Evil")
    skops.io.dump({"format": 1, "versions": {}, "blocks": [], "surprise": 1}, path)
    refused(lambda: Preparation.load(path), "damaged")
    skops.io.dump({"format": 0}, path)
    refused(lambda: Preparation.load(path), "another version")
    for pipeline in (LinearRegression(), make_pipeline(LinearRegression())):
        block = {"parts": [["a", "value"]], "pipeline": pipeline, "features": ["a"], "owners": ["a"]}
        skops.io.dump({"format": 1, "versions": {}, "blocks": [block]}, path)
        refused(lambda: Preparation.load(path), "LinearRegression", "a known pipeline")
    assert capsys.readouterr().out == ""


def test_saving_leaves_nothing_half_written(tmp_path, monkeypatch):
    preparation = fit(table(a=[1, 2]))
    refused(lambda: preparation.save(tmp_path / "no folder" / "p.skops"), "cannot be written")

    def full(record, file, **_):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.skops.io, "dump", full)
    refused(lambda: preparation.save(tmp_path / "p.skops"), "No space left", "make room")
    assert list(tmp_path.iterdir()) == []


def test_no_pickle_in_the_file(tmp_path):
    frame = table(a=[1, None, 3], c=["u", None, "v"], b=[True, None], d=[date(2020, 1, 1), date(2021, 2, 2)])
    fit(frame).save(tmp_path / "p.skops")
    with zipfile.ZipFile(tmp_path / "p.skops") as archive:
        for name in archive.namelist():
            assert name.endswith((".json", ".npy"))
            if name.endswith(".npy"):
                with archive.open(name) as file:
                    np.lib.format.read_array(file, allow_pickle=False)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.one_of(st.none(), st.floats(-1e90, 1e90)),
            "whole": st.one_of(st.none(), st.integers(-(2**62), 2**62)),
            "text": st.one_of(st.none(), st.sampled_from(["", "a", "b", "ü", "None", "nan"])),
            "flag": st.one_of(st.none(), st.booleans()),
            "day": st.one_of(st.none(), st.dates()),
        }
    ),
    min_size=4,
    max_size=30,
)
SCHEMA = {"number": pl.Float64, "whole": pl.Int64, "text": pl.String, "flag": pl.Boolean, "day": pl.Date}


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_any_rows_give_finite_features_that_depend_on_the_row_alone(rows, others):
    frame = pl.DataFrame(rows, schema=SCHEMA).with_columns(
        y=pl.int_range(pl.len()).cast(pl.Float64), z=pl.int_range(pl.len())
    )
    new = pl.DataFrame(others, schema=SCHEMA).with_columns(z=pl.lit(3))
    preparation = fit(frame)
    features = preparation.features(new)
    assert np.isfinite(features).all()
    assert np.isfinite(preparation.features(frame)).all()
    np.testing.assert_array_equal(preparation.features(new[::-1])[::-1], features)
    np.testing.assert_array_equal(preparation.features(new[1:2]), features[1:2])
