import gzip
import string
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from study_data import TARGETS

from costlayer.errors import InvalidValue
from costlayer.study import table as module
from costlayer.study.table import BUNDLED, read_features, read_table, run_name

FRAME = pl.DataFrame(
    {
        "size": [1.5, 2.25, 1e-7, -4.0],
        "rooms": [1, 2, 3, 40_000_000_000],
        "tint": ["red", "green, dark", 'say "blue"', "é"],
        "old": [True, False, True, True],
        "built": [date(2001, 1, 31), date(1999, 12, 1), date(2024, 2, 29), date(1950, 7, 4)],
        "seen": [
            datetime(2020, 1, 1, 10, 30),
            datetime(2021, 5, 6),
            datetime(2022, 1, 1),
            datetime(2023, 1, 1, 23, 59),
        ],
        "price": [10, 20, 30, 40],
    }
)
HOLES = FRAME.with_columns(pl.when(pl.int_range(pl.len()) != 1).then(pl.all()).name.keep())


def write(frame: pl.DataFrame, path: Path) -> Path:
    suffix = "".join(path.suffixes)
    if suffix in (".csv", ".txt", ".tsv"):
        frame.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    elif suffix == ".csv.gz":
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    elif suffix == ".parquet":
        frame.write_parquet(path)
    elif suffix in (".arrow", ".ipc", ".feather"):
        frame.write_ipc(path)
    elif suffix == ".jsonl.gz":
        path.write_bytes(gzip.compress(frame.write_ndjson().encode()))
    else:
        frame.write_ndjson(path)
    return path


ENDINGS = ["csv", "txt", "tsv", "csv.gz", "parquet", "arrow", "ipc", "feather", "ndjson", "jsonl", "jsonl.gz"]


@pytest.mark.parametrize("frame", [FRAME, HOLES], ids=["full", "holes"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_frame(tmp_path, frame, ending):
    table = read_table(write(frame, tmp_path / f"Some houses.{ending}"), "price")
    assert_frame_equal(table.frame, frame)
    assert (table.target, table.name) == ("price", "Some_houses")


def test_arrays_by_column(tmp_path):
    np.savez(tmp_path / "t.npz", **{column.name: column.to_numpy() for column in FRAME if column.dtype != pl.String})
    frame = read_table(tmp_path / "t.npz", "price").frame
    assert_frame_equal(frame, FRAME.drop("tint").with_columns(pl.col("built").cast(frame["built"].dtype)))
    np.savez(tmp_path / "s.npz", tint=np.array(["a", "é"]), raw=np.array([b"x", b"y"]), y=np.array([1, 2]))
    assert read_table(tmp_path / "s.npz", "y").frame.rows() == [("a", "x", 1), ("é", "y", 2)]


def test_arrays_x_and_y_need_no_target(tmp_path):
    x = np.arange(12.0).reshape(3, 2, 2)
    np.savez_compressed(tmp_path / "images.npz", X=x, y=np.array([[0], [1], [0]]))
    table = read_table(tmp_path / "images.npz")
    assert table.target == "y"
    assert table.frame.columns == ["x0", "x1", "x2", "x3", "y"]
    np.testing.assert_array_equal(table.frame.drop("y").to_numpy(), x.reshape(3, 4))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets(name):
    import sklearn.datasets

    data = getattr(sklearn.datasets, f"load_{name}")()
    table = read_table(name)
    assert (table.target, table.name, table.source) == ("target", name, name)
    assert table.frame.columns == [*map(str, data.feature_names), "target"]
    np.testing.assert_array_equal(table.frame.drop("target").to_numpy(), data.data)
    wanted = data.target if name == "diabetes" else [str(data.target_names[code]) for code in data.target]
    assert table.frame["target"].to_list() == list(wanted)


def csv_file(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_missing_values_are_spelled_in_many_ways(tmp_path):
    path = csv_file(
        tmp_path, "a,b,y\n1,x,1\n,,1\nNA,NA,1\nNaN,NaN,1\nnan,nan,1\nnull,null,1\nNone,None,1\n?,?,1\n2,z,1\n"
    )
    frame = read_table(path, "y").frame
    assert frame["a"].to_list() == [1, *[None] * 7, 2]
    assert frame["b"].to_list() == ["x", *[None] * 7, "z"]


def test_nan_becomes_missing_in_any_format(tmp_path):
    pl.DataFrame({"a": [1.0, float("nan")], "y": [1, 2]}).write_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "y").frame["a"].to_list() == [1.0, None]


@pytest.mark.parametrize("separator", ",;\t|")
def test_separator_is_found(tmp_path, separator):
    text = "name;a;b\n'x, y';1.5;2\n'u | v';2.5;3\n".replace(";", separator).replace("'", '"')
    frame = read_table(csv_file(tmp_path, text), "b").frame
    assert frame.rows() == [("x, y", 1.5, 2), ("u | v", 2.5, 3)]


def test_decimal_commas_beside_semicolons(tmp_path):
    frame = read_table(csv_file(tmp_path, "a;b;c\n1,5;x,y;1\n-2,25;z;2\n;w;3\n"), "c").frame
    assert frame.rows() == [(1.5, "x,y", 1), (-2.25, "z", 2), (None, "w", 3)]


def test_a_decimal_comma_between_commas_is_text(tmp_path):
    assert read_table(csv_file(tmp_path, 'a,y\n"1,5",1\n"2,5",2\n'), "y").frame["a"].to_list() == ["1,5", "2,5"]


def test_the_separator_is_the_one_that_cuts_every_line_alike(tmp_path):
    assert read_table(csv_file(tmp_path, "x;y, in m, up\n1;2\n3;4\n"), "x").frame.rows() == [(1, 2), (3, 4)]


def test_spaces_around_fields(tmp_path):
    frame = read_table(csv_file(tmp_path, "a, b, day, y\n 1, u, 2020-01-01, 3\n ?, v , 2020-01-02, 4\n"), "y").frame
    assert frame.columns == ["a", "b", "day", "y"]
    assert frame.rows() == [(1, "u", date(2020, 1, 1), 3), (None, "v", date(2020, 1, 2), 4)]


def test_types_come_from_all_rows(tmp_path):
    rows = "\n".join(["1,1"] * 5000 + ["2.5,x"])
    frame = read_table(csv_file(tmp_path, f"a,b\n{rows}\n"), "a").frame
    assert frame.schema == {"a": pl.Float64, "b": pl.String}
    assert frame["b"][0] == "1"


def test_new_rows_need_no_target_and_keep_text(tmp_path):
    path = csv_file(tmp_path, "code,a\n007,1\n010,2\n")
    assert read_features(path)["code"].to_list() == [7, 10]
    assert read_features(path, text=["code"])["code"].to_list() == ["007", "010"]


def test_byte_order_mark_line_ends_and_nameless_columns(tmp_path):
    frame = read_table(csv_file(tmp_path, b"\xef\xbb\xbf,a,y\r\n0,1,2\r\n1,3,4\r\n"), "y").frame
    assert frame.columns == ["column_1", "a", "y"]


def test_file_names_are_taken_literally(tmp_path):
    csv_file(tmp_path, "a,b\n1,2\n", "t1.csv")
    assert read_table(csv_file(tmp_path, "a,b\n3,4\n", "t[1].csv"), "b").frame.rows() == [(3, 4)]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.one_of(st.none(), st.text(string.ascii_letters + " ,;\t|\"'\né", min_size=1)),
            st.integers(-(2**63), 2**63 - 1),
        ),
        min_size=2,
    )
)
def test_any_text_and_number_survives_csv(tmp_path_factory, rows):
    # Text is compared as it is kept: without outer spaces, and with the spellings of missing as missing. A letter in
    # front keeps it from reading as another type.
    texts = [None if text is None else "t" + text.strip() + "t" for _, text, _ in rows]
    frame = pl.DataFrame(
        {"a": [a for a, _, _ in rows], "b": texts, "y": [y for _, _, y in rows]},
        schema={"a": pl.Float64, "b": pl.String, "y": pl.Int64},
    )
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    frame.write_csv(path, quote_style="necessary")
    read = read_features(path, text=["b"])
    assert read["a"].to_list() == frame["a"].to_list()
    assert read["b"].to_list() == texts
    assert read["y"].to_list() == frame["y"].to_list()


def refused(source, target="y", *fragments: str) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        read_table(source, target)
    for fragment in fragments:
        assert fragment in str(caught.value), str(caught.value)
    assert caught.value.fix
    return caught.value


def test_missing_file(tmp_path):
    csv_file(tmp_path, "a,y\n1,2\n", "houses.csv")
    refused(tmp_path / "house.csv", "y", "does not exist", "Did you mean 'houses.csv'?")
    refused(tmp_path / "no folder" / "t.csv", "y", "does not exist")
    refused("digit", "y", "does not exist", "'digits'")


def test_folder_and_unknown_endings(tmp_path):
    refused(tmp_path, "y", "is a folder")
    refused(csv_file(tmp_path, "x", "t.xlsx"), "y", "not known", "CSV")
    refused(csv_file(tmp_path, "x", "table"), "y", "has no ending")


def test_unreadable_file(tmp_path, monkeypatch):
    path = csv_file(tmp_path, "a,y\n1,2\n")

    def deny(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.Path, "open", deny)  # file modes do not bind the superuser, who may run the tests
    refused(path, "y", "may not be read")


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        ("t.csv", b"", ("empty",)),
        ("t.csv", b"\n\n  \n", ("empty",)),
        ("t.parquet", b"", ("empty",)),
        ("t.csv", b"a,b,y\n", ("no rows", "'b'")),
        ("t.ndjson", b"\n", ("cannot be read",)),
        ("t.csv", b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", ("UTF-8",)),
        ("t.csv", bytes(range(1, 128)) + b"\0", ("UTF-8",)),
        ("t.csv", "a,y\né,1\n".encode("latin-1"), ("UTF-8",)),
        ("t.csv", "a,y\ne,1\n".encode("utf-16"), ("UTF-8",)),
        ("t.csv", b"a,y\n1,2\n1,2,3\n", ("a row of 3 fields in line 3", "header has 2")),
        ("t.csv.gz", gzip.compress(b"a,y\n1,2\n1,2,3\n", mtime=0), ("a row of 3 fields in line 3",)),
        ("t.csv.gz", gzip.compress(b"a,y\n1,2\n" * 1000, mtime=0)[:40], ("t.csv.gz",)),
        ("t.csv", b'a,y\n"1,2\n3,4\n', ("cannot be read as .csv",)),
        ("t.parquet", b"a,y\n1,2\n", ("not a Parquet file", ".parquet")),
        ("t.parquet", b"PAR1 and then nothing", ("cannot be read",)),
        ("t.arrow", b"a,y\n1,2\n", ("not an Arrow file",)),
        ("t.arrow", b"ARROW1 and then nothing", ("cannot be read",)),
        ("t.npz", b"a,y\n1,2\n", ("not a NumPy archive",)),
        ("t.npz", b"PK\x03\x04 and then nothing", ("NumPy cannot read",)),
        ("t.csv", b"PAR1....", ("is a Parquet file", "Rename it to .parquet")),
        ("t.ndjson", b"hello\n", ("cannot be read",)),
        ("t.ndjson", b'[{"a": 1}, {"a": 2}]', ("cannot be read",)),
        ("t.csv", b"a,b,a,y\n1,2,3,4\n", ("duplicate column names: 'a'",)),
        ("t.csv", b"a, b,b ,y\n1,2,3,4\n", ("duplicate column names: 'b'",)),
        ("t.csv", b"y\n1\n2\n", ("only the target column 'y'", "separator")),
        ("t.csv", b"a,y\n1.0,2\n-inf,3\n", ("column 'a'", "-inf in row 2")),
        ("t.csv", b"a,y\n1.0,1e999\n2,3\n", ("column 'y'", "inf in row 1")),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, fragments):
    refused(csv_file(tmp_path, content, name), "y", *fragments)


@pytest.mark.parametrize(
    ("arrays", "fragment"),
    [
        ({"y": np.array([{}, {}], dtype=object)}, "Python objects"),
        ({"a": np.arange(3), "y": np.arange(4)}, "a (3,), y (4,)"),
        ({"X": np.zeros((3, 2)), "y": np.arange(4)}, "X (3, 2), y (4,)"),
        ({"X": np.float64(3), "y": np.arange(3)}, "X ()"),
        ({"X": np.zeros((3, 2)), "y": np.zeros((3, 2))}, "y (3, 2)"),
        ({"a": np.float64(3), "y": np.arange(3)}, "a ()"),
        ({"a": np.zeros(2, complex), "y": np.arange(2)}, "a (2,)"),
        ({"a": np.array([1, np.inf]), "y": np.arange(2)}, "inf in row 2"),
        ({}, "no array"),
    ],
)
def test_arrays_that_are_no_table_are_refused(tmp_path, arrays, fragment):
    np.savez(tmp_path / "t.npz", **arrays)
    refused(tmp_path / "t.npz", "y", fragment)


def test_target_must_be_a_column(tmp_path):
    path = csv_file(tmp_path, "size,price\n1,2\n")
    assert refused(path, "prise", "'prise'", "Did you mean 'price'?").argument == "target"
    refused(path, None, "'size', 'price'", "--target")
    refused("iris", "species", "not a column")


@pytest.mark.parametrize(
    ("source", "name"),
    [("in/House prices.csv.gz", "House_prices"), ("a.b.parquet", "a.b"), ("digits", "digits"), ("???.csv", "table")],
)
def test_run_names_are_fit_for_folders(source, name):
    assert run_name(source) == name


@pytest.mark.parametrize("write_data", TARGETS, ids=lambda function: function.__name__)
def test_real_data(tmp_path, write_data):
    table = read_table(write_data(tmp_path), TARGETS[write_data])
    assert table.name == write_data.__name__
    assert 100 < table.frame.height < 10_000
    assert table.frame[table.target].n_unique() > 1
