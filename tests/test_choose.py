"""What `choose` sees in a target, what it advises, and what it refuses."""

import doctest
import json
import math
import subprocess
import sys
import warnings
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import datasets

import costlayer as cl
from costlayer.choose import KINDS, Advice, choose
from costlayer.errors import InvalidType, InvalidValue

RNG = np.random.default_rng(0)
N = 2000


def repeated(*counts, first=0):
    return np.repeat(np.arange(first, first + len(counts)), counts)


COVERTYPE = repeated(2118, 2833, 357, 27, 95, 173, 205, first=1)
WINE_QUALITY = repeated(10, 53, 681, 638, 199, 18, first=3)

TARGETS = {
    # real data
    "digits": (datasets.load_digits().target, "classes", "softmax+cross_entropy"),
    "breast_cancer": (datasets.load_breast_cancer().target, "binary", "sigmoid+cross_entropy"),
    "wine": (datasets.load_wine().target, "classes", "softmax+cross_entropy"),
    "iris": (datasets.load_iris().target, "classes", "softmax+cross_entropy"),
    "diabetes": (datasets.load_diabetes().target, "real", "identity+mse"),
    "covertype, as shares": (COVERTYPE, "classes", "softmax+cross_entropy"),
    "wine quality, as shares": (WINE_QUALITY, "real", "identity+mse"),
    # two values
    "truth values": (RNG.random(N) < 0.3, "binary", "sigmoid+cross_entropy"),
    "truth values with gaps": ([True, None, False, True], "binary", "sigmoid+cross_entropy"),
    "-1 and 1": (RNG.choice([-1, 1], N), "binary", "sigmoid+cross_entropy"),
    "two texts": (["no", "yes", "no"], "binary", "sigmoid+cross_entropy"),
    "labels": ((RNG.random((N, 5)) < 0.3).astype(int), "binary", "sigmoid+cross_entropy"),
    "labels as truth values": (RNG.random((N, 5)) < 0.3, "binary", "sigmoid+cross_entropy"),
    "two one-hot columns": (np.eye(2)[RNG.integers(0, 2, N)], "binary", "sigmoid+cross_entropy"),
    # classes
    "texts": (["a", "b", "c", "a"], "classes", "softmax+cross_entropy"),
    "bytes": (np.array([b"a", b"b", b"c"]), "classes", "softmax+cross_entropy"),
    "uneven classes": (repeated(900, 20, 80), "classes", "softmax+cross_entropy"),
    "stars": (RNG.choice([1, 2, 3, 4, 5], N, p=[0.1, 0.1, 0.2, 0.3, 0.3]), "classes", "softmax+cross_entropy"),
    "a hundred even classes": (np.tile(np.arange(100), 20), "classes", "softmax+cross_entropy"),
    "one-hot": (np.eye(4)[RNG.integers(0, 4, N)], "classes", "softmax+cross_entropy"),
    "probabilities by class": (RNG.dirichlet(np.ones(3), N), "classes", "softmax+cross_entropy"),
    "two rows for each class": ([0, 1, 2, 2, 1, 0], "classes", "softmax+cross_entropy"),
    # counts
    "fewer rows than labels need": ([0, 1, 2, 3, 4, 5, 2], "count", "exp+poisson"),
    "rare events": (RNG.poisson(0.5, N), "count", "exp+poisson"),
    "goals": (RNG.poisson(2.7, N), "count", "exp+poisson"),
    "large counts": (RNG.poisson(100, N), "count", "exp+poisson"),
    "overdispersed counts": (RNG.negative_binomial(1, 0.1, N), "count", "exp+poisson"),
    "many zeros": (np.where(RNG.random(N) < 0.5, 0, RNG.poisson(5, N)), "count", "exp+poisson"),
    "counts as reals, some missing": (np.where(RNG.random(N) < 0.1, np.nan, RNG.poisson(3, N)), "count", "exp+poisson"),
    "a table of counts": (RNG.poisson(3, (N, 2)), "count", "exp+poisson"),
    # positive
    "gamma": (RNG.gamma(2, 3, N), "positive", "exp+gamma"),
    "log-normal": (RNG.lognormal(0, 1, N), "positive", "exp+gamma"),
    "rounded prices": (np.round(RNG.lognormal(12, 0.5, N), -2), "positive", "exp+gamma"),
    "donations in tens": (np.round(RNG.lognormal(4, 1.2, N), -1) + 10, "positive", "exp+gamma"),
    "rain": (np.where(RNG.random(N) < 0.4, 0, RNG.gamma(1, 5, N)), "positive", "exp+poisson"),
    "a table of amounts": (RNG.gamma(2, 3, (N, 2)), "positive", "exp+gamma"),
    # fractions
    "beta": (RNG.beta(2, 3, N), "fraction", "sigmoid+cross_entropy"),
    "fractions with both ends": (np.r_[0.0, 1.0, RNG.beta(0.5, 0.5, N)], "fraction", "sigmoid+cross_entropy"),
    "a table of fractions": (RNG.random((N, 2)), "fraction", "sigmoid+cross_entropy"),
    # reals
    "normal": (RNG.normal(0, 1, N), "real", "identity+mse"),
    "uniform": (RNG.uniform(-3, 8, N), "real", "identity+mse"),
    "positive but symmetric": (RNG.normal(100, 5, N), "real", "identity+mse"),
    "skewed but far from 0": (1000 + RNG.exponential(1, N), "real", "identity+mse"),
    "skewed to both sides of 0": (RNG.exponential(1, N) - 1, "real", "identity+mse"),
    "whole temperatures": (np.round(RNG.normal(0, 4, N)), "real", "identity+mse"),
    "a table of reals": (RNG.normal(0, 1, (N, 3)), "real", "identity+mse"),
    "heavy tails": (RNG.standard_t(2, N), "real", "identity+huber"),
    "one mistake among many": (np.r_[RNG.normal(100, 5, N), 1e6], "real", "identity+huber"),
}


@pytest.fixture(params=TARGETS, scope="module")
def case(request):
    return TARGETS[request.param]


def named(advice):
    return [advice.pair, *(name for name, _ in (*advice.alternatives, *advice.avoid))]


def test_kind_and_pair(case):
    y, kind, pair = case
    advice = choose(y)
    assert (advice.kind, advice.pair) == (kind, pair)


def test_names_only_pairs_of_the_catalogue_once_each(case):
    names = named(choose(case[0]))
    assert set(names) <= {str(pair) for pair in cl.pairs()}
    assert len(names) == len(set(names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.errors.SaturationWarning)  # that is why some are named: to be avoided
        assert [str(cl.pair(name)) for name in names] == names


@pytest.mark.parametrize("name", [name for name, case in TARGETS.items() if case[1] not in ("binary", "classes")])
def test_the_advised_pair_takes_the_target_as_it_is(name):
    y, pair = np.asarray(TARGETS[name][0]), TARGETS[name][2]
    domain = cl.pair(pair).cost.target
    assert all(value in domain for value in np.unique(y[~np.isnan(y)]).tolist())


def test_record_is_plain_json(case):
    record = choose(case[0]).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == ["pair", "kind", "reasons", "alternatives", "avoid", "seen"]


def test_prints_the_pair_first_then_why_when_and_what_not(case):
    advice = choose(case[0])
    lines = str(advice).splitlines()
    assert lines[0].split()[0] == advice.pair
    heads = [lines.index(head) for head in ("Why", "Prefer instead", "Avoid")]
    assert heads == sorted(heads)
    assert max(map(len, lines)) <= 100
    words = " ".join(str(advice).split())
    for text in (*advice.reasons, *(text for _, text in (*advice.alternatives, *advice.avoid))):
        assert text in words
        assert text.endswith(".")
        assert "nan" not in text.split()
        assert "inf" not in text.split()


# --- the figures --------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_values():
    y = np.r_[RNG.gamma(2, 3, 501), 0.0, np.nan]
    seen, kept = choose(y).seen, y[:-1]
    assert (seen["rows"], seen["missing"], seen["distinct"]) == (502, 1, 502)
    assert (seen["min"], seen["max"], seen["zeros"]) == (0, kept.max(), 1 / 502)
    assert seen["mean"] == pytest.approx(kept.mean())
    assert seen["median"] == pytest.approx(np.median(kept))
    assert seen["std"] == pytest.approx(kept.std())
    assert seen["skew"] == pytest.approx(np.mean(((kept - kept.mean()) / kept.std()) ** 3))
    assert seen["variance_over_mean"] == pytest.approx(kept.var() / kept.mean())
    assert seen["robust_std"] == pytest.approx(1.4826 * np.median(np.abs(kept - np.median(kept))))


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1.0, 1e5, 1e300])
def test_reals_are_judged_alike_in_any_unit(scale):
    y = np.r_[RNG.normal(0, 1, 300), 80.0]
    advice = choose(y * scale)
    assert advice.pair == "identity+huber"
    assert advice.seen["delta"] == pytest.approx(choose(y).seen["delta"] * scale)
    assert advice.seen["delta_standardised"] == pytest.approx(choose(y).seen["delta_standardised"])


def test_delta_is_in_units_of_y_and_survives_standardising():
    y = np.r_[RNG.normal(0, 2, 5000), [1e4]]
    seen = choose(y).seen
    assert seen["delta"] == pytest.approx(1.345 * 2, rel=0.05)
    assert choose((y - y.mean()) / y.std()).seen["delta"] == pytest.approx(seen["delta_standardised"])
    assert (seen["outliers"], seen["outlier_weight"] > 0.99) == (1, True)


def test_digits_say_why_they_are_classes():
    reason = choose(datasets.load_digits().target).reasons[0]
    assert reason == (
        "10 distinct whole numbers from 0 to 9, each in about a tenth of the rows: taken as classes; "
        "if they are counts, use exp+poisson (kind='count')."
    )


def test_imbalance_names_what_accuracy_hides():
    text = " ".join(choose(repeated(970, 30)).reasons)
    assert "Always answering 0 is right in 97% of the rows, which accuracy hides" in text
    assert "up to 32.33 times" in text
    assert "accuracy hides" not in " ".join(choose(repeated(500, 500)).reasons)


YES_RARE, NO_RARE = repeated(970, 30), repeated(30, 970)
LABELS = np.repeat([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]], [30, 30, 20, 17, 3], axis=0)


@pytest.mark.parametrize(
    ("y", "offered"),
    [
        (repeated(500, 500), []),
        (repeated(890, 110), []),
        (YES_RARE, ["sigmoid+focal", "cloglog+cross_entropy"]),
        (NO_RARE, ["sigmoid+focal"]),  # the logarithm of a rate is asked for where few rows have an event
        (["no"] * 97 + ["yes"] * 3, ["sigmoid+focal", "cloglog+cross_entropy"]),
        (np.eye(2)[YES_RARE], ["sigmoid+focal", "cloglog+cross_entropy"]),
        (LABELS, ["sigmoid+focal", "sigmoid+asymmetric", "cloglog+cross_entropy"]),
        (1 - LABELS, ["sigmoid+focal", "sigmoid+asymmetric"]),
        (LABELS[:, :2], []),
        (np.c_[LABELS[:, :2], np.zeros(len(LABELS))], []),  # a column that never changes is not rare
    ],
    ids=["even", "a ninth", "rare", "rare no", "text", "one-hot", "labels", "rare noes", "even labels", "constant"],
)
def test_rare_answers_bring_up_what_is_used_for_them(y, offered):
    advice = choose(y)
    assert advice.pair == "sigmoid+cross_entropy"
    rest = dict(advice.alternatives)
    assert [name for name in rest if name != "identity+hinge"] == offered
    if offered:
        assert "3.0% of the rows" in rest["sigmoid+focal"]


def test_rare_classes_are_named():
    text = " ".join(choose(["a"] * 500 + ["b"] * 400 + ["c"] * 3).reasons)
    assert "1 class has fewer than 10 rows (c)" in text


def test_zeros_are_held_against_poisson():
    text = " ".join(choose(np.where(RNG.random(N) < 0.5, 0, RNG.poisson(5, N))).reasons)
    assert "more zeros than one mean explains" in text
    assert "more zeros" not in " ".join(choose(RNG.poisson(2, N)).reasons)


def test_least_cost_of_fractions_is_their_entropy():
    y = np.array([0.0, 1.0, 0.5, 0.25])
    entropy = (math.log(2) - 0.25 * math.log(0.25) - 0.75 * math.log(0.75)) / 4
    assert choose(y).seen["least_cost"] == pytest.approx(entropy)
    z = np.log(y[2:] / (1 - y[2:]))
    assert choose(y[2:], kind="fraction").seen["least_cost"] == pytest.approx(
        float(cl.value("sigmoid+cross_entropy", z, y[2:]))
    )


def test_figures_in_the_warnings_are_right():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.errors.SaturationWarning)
        softmax, sigmoid, tanh = (cl.pair(name) for name in ("softmax+mse", "sigmoid+mse", "tanh+mse"))
    z = np.array([[10.0, 0.0, 0.0]])
    p = np.exp(z[0]) / np.exp(z[0]).sum()
    assert f"{1 - p[1]:.4f}" == "1.0000"
    d = 2 * (p - [0, 1, 0])
    assert f"{abs(p[1] * (d[1] - p @ d)):.5f}" == "0.00018"
    _, delta = cl.value_and_delta(softmax, z, np.array([1]), reduction="sum")
    assert abs(delta[0, 1]) == pytest.approx(0.00018, rel=0.02)
    _, delta = cl.value_and_delta(sigmoid, np.array([5.0]), np.array([0.0]))
    assert delta[0] == pytest.approx(2 * 0.9933 * 0.00665, rel=1e-3)
    _, delta = cl.value_and_delta(tanh, np.array([5.0]), np.array([-1.0]))
    assert delta[0] == pytest.approx(2 * 2 * 0.00018, rel=0.02)


# --- what it reads ------------------------------------------------------------------------------------------

READERS = {
    "list": list,
    "tuple": tuple,
    "objects": lambda y: np.array(y, dtype=object),
    "column": lambda y: np.array(y)[:, None],
    "polars": pl.Series,
    "masked": lambda y: np.ma.array(y, mask=[False] * len(y)),
    "read only": lambda y: np.frombuffer(np.array(y).tobytes(), np.array(y).dtype),
    "strided": lambda y: np.repeat(np.array(y), 2)[::2],
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    "y", [[0, 1, 1, 0], [0.5, 1.25, -7.0, 2.0], ["a", "b", "c", "a"], [True, False, True, True]], ids=str
)
def test_the_container_changes_nothing(read, y):
    assert choose(read(y)) == choose(np.array(y))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_tensors(dtype):
    y = [0.5, 1.25, -7.0, 2.0]  # exact in every type
    assert choose(torch.tensor(y, dtype=dtype, requires_grad=True)) == choose(y)


@pytest.mark.parametrize(
    "y",
    [
        [0.5, None, -1.5, 2.0],
        [0.5, float("nan"), -1.5, 2.0],
        [Decimal("0.5"), None, Decimal("-1.5"), 2],
        [Decimal("0.5"), Decimal("nan"), Decimal("-1.5"), 2],
        np.array([0.5, np.nan, -1.5, 2.0], np.float32),
        np.ma.array([0.5, 9.0, -1.5, 2.0], mask=[0, 1, 0, 0]),
        pl.Series([0.5, None, -1.5, 2.0]),
    ],
    ids=lambda y: type(y).__name__,
)
def test_missing_numbers_are_counted_and_left_out(y):
    advice = choose(y)
    assert (advice.seen["rows"], advice.seen["missing"], advice.kind) == (3, 1, "real")
    assert advice.seen["mean"] == pytest.approx(1 / 3)
    assert advice.reasons[-1] == "1 of 4 rows have no target (25%); they are left out."


@pytest.mark.parametrize(
    "y",
    [["a", None, "b"], ["a", float("nan"), "b"], np.array(["a", np.nan, "b"], object), pl.Series(["a", None, "b"])],
    ids=lambda y: type(y).__name__,
)
def test_missing_texts_are_counted_and_left_out(y):
    seen = choose(y).seen
    assert (seen["rows"], seen["missing"], seen["class_counts"]) == (2, 1, [["a", 1], ["b", 1]])


def test_missing_entries_of_a_table():
    advice = choose([[1.5, None], [2.5, -3.5], [0.1, 0.2]])
    assert (advice.seen["rows"], advice.seen["missing"], advice.seen["columns"]) == (2, 1, 2)
    assert "1 of 6 entries of the target are missing (17%)" in advice.reasons[-1]
    assert choose([[1, None, 0], [None, 0, 1]]).kind == "binary"


def test_empty_text_is_pointed_out():
    assert "1 row holds an empty text" in choose(["a", "", "b"]).reasons[0]


def test_nothing_is_written_to():
    y = RNG.normal(size=(50, 2))
    before = y.copy()
    choose(y, y)
    assert np.array_equal(y, before)


@pytest.mark.parametrize(
    ("y", "pair"),
    [
        (RNG.integers(0, 10, 1_000_000), "softmax+cross_entropy"),
        (RNG.normal(size=1_000_000), "identity+mse"),
        (np.array(["setosa", "versicolor", "virginica"])[RNG.integers(0, 3, 1_000_000)], "softmax+cross_entropy"),
    ],
    ids=["ints", "floats", "texts"],
)
def test_a_million_rows(y, pair):
    advice = choose(y)
    assert (advice.pair, advice.seen["rows"]) == (pair, 1_000_000)


def test_a_spread_is_offered_where_it_can_be_had():
    """Two scores per target: for measurements, for those with outliers, and for fractions that are never 0 or 1."""
    normal, fractions = RNG.normal(size=N), RNG.beta(2, 5, N)
    for y, pair in (
        (normal, "identity_exp+gaussian"),
        (np.r_[normal, 1e3], "identity_exp+student_t"),
        (fractions, "exp_exp+beta"),
    ):
        assert [name for name, _ in choose(y).alternatives if cl.pair(name).two] == [pair]
        cl.value(pair, np.zeros((len(y), 2)), y)
    assert not any(cl.pair(name).two for name, _ in choose(np.r_[fractions, 1.0]).alternatives)


# --- features -----------------------------------------------------------------------------------------------


def test_constant_features_are_named():
    x, y = datasets.load_digits(return_X_y=True)
    advice = choose(y, x)
    assert advice.seen["features"] == {"columns": 64, "constant": ["0", "32", "39"]}
    assert "3 of 64 feature columns never change (0, 32, 39)" in " ".join(advice.reasons)
    assert "The smallest class (8) has 174 rows for 61 features that change, 2.852 a feature" in advice.reasons[-1]


def test_data_frames_keep_their_names():
    x = pl.DataFrame({"size": [1.0, 2.0, 3.0], "town": ["a", "a", "a"], "note": [None, "x", None]})
    assert choose([1.5, 2.5, -3.0], x).seen["features"] == {"columns": 3, "constant": ["town"]}


def test_a_late_change_is_a_change():
    x = np.zeros((3000, 1))
    x[-1] = 1
    assert choose(np.arange(3000) % 2, x).seen["features"]["constant"] == []


# --- saying what it is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "kind", "found", "pair"),
    [
        (datasets.load_digits().target, "count", "count", "exp+poisson"),
        (datasets.load_digits().target, "real", "real", "identity+mse"),
        (RNG.poisson(3, N), "classes", "classes", "softmax+cross_entropy"),
        (datasets.load_diabetes().target, "count", "count", "exp+poisson"),
        (datasets.load_diabetes().target, "positive", "positive", "exp+gamma"),
        ([0, 1, 1], "fraction", "fraction", "sigmoid+cross_entropy"),
        ([0, 1, 1], "classes", "binary", "sigmoid+cross_entropy"),
        (RNG.beta(2, 2, N), "real", "real", "identity+mse"),
        (np.eye(3), "binary", "binary", "sigmoid+cross_entropy"),
        (np.eye(2), "classes", "classes", "softmax+cross_entropy"),
        (np.eye(3), "real", "real", "identity+mse"),
    ],
)
def test_kind_can_be_said(y, kind, found, pair):
    advice = choose(y, kind=kind)
    assert (advice.kind, advice.pair, advice.seen["kind_given"]) == (found, pair, True)
    json.dumps(advice.record(), allow_nan=False)
    assert set(named(advice)) <= {str(pair) for pair in cl.pairs()}


@pytest.mark.parametrize(
    ("y", "kind", "text"),
    [
        ([0, 1, 2], "binary", "3 distinct values"),
        ([-1, 1, 2], "count", "numbers down to -1"),
        ([0.5, 1, 2], "count", "such as 0.5"),
        ([-0.5, 1, 2], "positive", "numbers down to -0.5"),
        ([0.5, 1, 2], "fraction", "Divide by the largest"),
        (["a", "b"], "real", "Convert it"),
        (RNG.normal(size=N), "classes", "2,000 distinct numbers"),
        (RNG.normal(size=(N, 2)), "classes", "a table that looks real"),
        ([1, 2, 3], "cuont", "Did you mean 'count'"),
        ([1, 2, 3], 3, "one of binary, classes"),
    ],
)
def test_a_kind_that_does_not_fit_is_refused(y, kind, text):
    with pytest.raises(InvalidValue, match=text):
        choose(y, kind=kind)


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "text"),
    [
        ([], "no values"),
        (np.empty((0, 3)), "no values"),
        ([None, None], "all missing"),
        ([float("nan")] * 3, "all missing"),
        (np.full((2, 2), np.nan), "all missing"),
        ([3, 3, 3], "one single value, 3"),
        ([3, None, 3], "one single value, 3"),
        (["a", "a"], "one single value, a"),
        ([True, True], "one single value, True"),
        ([1.0, np.inf, -np.inf], "2 infinite numbers, the first at row 1"),
        ([[1.0, 2.0], [3.0, np.inf]], "the first at row 1"),
        (np.zeros((2, 2, 2)), r"3 axes.*y\.reshape\(len\(y\), -1\)"),
        (5, "a single int"),
        (None, "a single NoneType"),
        ("text", "a single str"),
        ([[1, 2], [3]], "rows of different lengths"),
        ([["a", "b"], ["b", "a"]], "a table of text"),
        ([1, 2, "n/a", None], "numbers mixed with text"),
        ([str(i / 7) for i in range(30)], "written as text"),
        ([f"name {i}" for i in range(30)], "a different text in each of 30 rows"),
        ([10**400, 1, 2], "beyond 1e308"),
    ],
)
def test_bad_targets_are_refused(y, text):
    with pytest.raises(InvalidValue, match=text) as caught:
        choose(y)
    assert caught.value.argument == "y"


@pytest.mark.parametrize(
    "y",
    [
        np.array(["2024-01-01", "2024-02-01"], "datetime64[D]"),
        [1j, 2j],
        np.array([[1], {}], dtype=object),
        pl.Series([[1], [2, 3]]),
    ],
    ids=["dates", "complex", "nested", "lists"],
)
def test_targets_of_no_use_are_refused(y):
    with pytest.raises(InvalidType):
        choose(y)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.zeros((3, 2)), "x: got 3 rows; expected 4 rows"),
        (pl.DataFrame({"a": [1, 2, 3]}), "x: got 3 rows; expected 4 rows"),
        (np.zeros((4, 2, 2)), "x: got 3 axes"),
        ([], "x: got no values"),
    ],
)
def test_features_that_do_not_match_are_refused(x, text):
    with pytest.raises(InvalidValue, match=text):
        choose([0, 1, None, 1], x)


def test_advice_is_frozen_and_hashable():
    advice = choose([0, 1])
    with pytest.raises(AttributeError):
        advice.pair = "identity+mse"  # pyright: ignore
    assert isinstance(advice, Advice)
    assert advice in {advice}
    assert advice.kind in KINDS


def test_the_example_in_the_docstring_runs():
    assert doctest.testmod(sys.modules["costlayer.choose"]) == (0, 3)


def test_choosing_loads_numpy_only():
    code = "import sys, costlayer.choose; print([m for m in ('torch', 'polars', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
