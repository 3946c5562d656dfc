"""No result is further from the exact one than docs/accuracy.md says; the references are right; the page is not stale.

What is measured, and how, is in benchmarks/accuracy.py. Here a part of its points, and each worst one it has found.
"""
# ruff: noqa: E402 (the benchmarks are no package)

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp

import costlayer as cl
from costlayer.engines import reference
from covering import PAIRS, TWO_COVERING

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import _bitwise
import _exact
import _exhaustive
import _extended
import _limits
import _pairs
import _rows
from _extended import Extended
from _implementations import HALVES, ours
from _ulp import FAR, FORMATS, off

FOUND = ROOT / "benchmarks" / "results" / "accuracy.json"
RESULTS = (
    json.loads(FOUND.read_text(encoding="utf-8"))
    if FOUND.exists()
    else {"pairs": {"float32": {}}, "scalar": {}, "limits": {}}
)
FEW = 25  # one in so many scores
COVERING = (*PAIRS, *TWO_COVERING)
ALL = [pair for pair in cl.pairs() if str(pair) in RESULTS["pairs"]["float32"]]
KNOWN = [pair for pair in COVERING if pair in ALL]
pytestmark = pytest.mark.skipif(not _extended.ENOUGH, reason="needs a long double of 64 bits or more")


def room(recorded: float) -> float:
    """What another machine's library may differ by."""
    return 1.05 * recorded + 0.25


def _load(name: str, file: Path):
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return _load("accuracy_page", ROOT / "docs" / "accuracy_page.py")


@pytest.fixture(scope="module")
def benchmark():
    return _load("benchmark_of_accuracy", ROOT / "benchmarks" / "accuracy.py")


@pytest.mark.skipif(not FOUND.exists(), reason="not measured yet: run `costlayer bench accuracy`")
def test_page_is_what_the_results_make(page):
    found = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    assert found == page.page(page.load()), "docs/accuracy.md is stale: run `costlayer bench accuracy`"
    assert "Not looked into" not in found, "say in CAUSES why a bound is missed there"
    assert page.FIGURE.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("pair", KNOWN, ids=str)
def test_limits_are_those_of_the_page(pair):
    assert _limits.measure(pair) == RESULTS["limits"][str(pair)]


def test_every_pair_was_measured_on_many_points():
    for kind, found in RESULTS["pairs"].items():
        few = {pair: entry["points"] for pair, entry in found.items() if entry["points"] < 1000}
        assert not few, f"{kind}: {few}"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["identity+mae", "sigmoid+cross_entropy"])
def test_bounds_are_kept(page, name, kind):
    bound, which = page.BOUNDS[kind]
    found = _pairs.Sample(cl.pair(name), kind, thin=FEW).measure()
    assert found.pop("points") > 1000
    for quantity, entry in found.items():
        assert entry[which] <= bound, (quantity, entry)
        assert entry.get("ends", 0.0) <= bound, (quantity, entry)


@pytest.mark.parametrize(
    ("name", "z", "y"),
    [
        ("probit+cross_entropy", 2.5e154, 0.75),  # z² is beyond the largest number
        ("sigmoid+asymmetric", -0.1955835549269367, 0.0),  # (v − clip)⁴ makes four of one unit of v
    ],
)
def test_a_value_keeps_its_digits(name, z, y):
    found = _pairs.Sample(cl.pair(name), "float64", points=[(z, y)]).measure(by_reference)
    assert found["value"]["raw"] <= 4.0


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("pair", KNOWN, ids=str)
def test_a_part_of_the_points_is_no_worse_than_the_page_says(page, pair, kind):
    few = _rows.measure(pair, kind, thin=90) if _pairs.several(pair) else _pairs.Sample(pair, kind, thin=FEW).measure()
    for quantity, recorded in RESULTS["pairs"][kind][str(pair)].items():
        if quantity != "points":
            assert few[quantity]["raw"] <= room(recorded["raw"]), (quantity, few[quantity])
            if recorded["raw"] < FAR:
                # the worst was looked for among the largest raw errors; elsewhere the bound holds
                most = max(mixed_room(recorded), page.BOUNDS[kind][0])
                assert few[quantity]["mixed"] <= most, (quantity, few[quantity])


def mixed_room(recorded: dict) -> float:
    return max(room(recorded["mixed"]), 0.6)  # half a unit is what the type itself rounds


def by_reference(pair, kind, z, y):
    """Plain Python's results: what a pair of a composition that is tested elsewhere is not compiled for."""
    terms = reference.bind(pair).terms
    found = zip(*(terms(np.float64(a), np.float64(b), *pair.values) for a, b in zip(z, y, strict=True)), strict=True)
    return tuple(np.array(column).astype(_pairs.numbers(kind)) for column in found)


@pytest.mark.parametrize(
    ("pair", "kind"),
    [
        pytest.param(pair, kind, id=f"{pair}-{kind}")
        for pair in ALL
        for kind in FORMATS
        if pair in COVERING or not (_pairs.several(pair) or kind in HALVES)
    ],
)
def test_the_worst_points_are_no_worse_than_the_page_says(pair, kind):
    """Both figures, where each was largest, by the engine; the second, which no word's last bit decides, also of
    pointwise pairs that are not compiled elsewhere, by the reference."""
    recorded = {q: entry for q, entry in RESULTS["pairs"][kind][str(pair)].items() if q != "points"}
    points = [entry[at] for entry in recorded.values() for at in ("at", "mixed_at") if entry[at]]
    run = ours if pair in COVERING else by_reference
    found = (
        _rows.measure(pair, kind, run, points=points)
        if _pairs.several(pair)
        else _pairs.Sample(pair, kind, points=points).measure(run)
    )
    for quantity, entry in recorded.items():
        if pair in COVERING:
            assert found[quantity]["raw"] <= room(entry["raw"]), quantity
        if entry["mixed_at"]:
            assert found[quantity]["mixed"] <= mixed_room(entry), quantity


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_the_references_agree_with_the_printed_formulas_to_1000_digits(pair):
    found = _pairs.disagreement(pair, thin=20 if pair.row else 7)  # a row takes a second
    if found is None:
        pytest.skip("the reference of this pair is its printed formula")
    assert found < 0.02


def test_a_pair_without_formulas_of_its_own_is_measured_by_the_printed_one(monkeypatch):
    pair = cl.pair("exp+poisson")
    at = [(0.5, 1.0), (-3.0, 7.0), (1.0, 2.71875)]
    own = _pairs.Sample(pair, "float32", points=at).exact
    monkeypatch.setattr(_exact, "knows", lambda pair: False)
    for a, b in zip(own, _pairs.Sample(pair, "float32", points=at).exact, strict=True):
        assert np.all(abs((a - b).high) <= 1e-30 * abs(a.high))
    monkeypatch.setattr(_pairs, "MANY", 40)
    points = _pairs.Sample(pair, "float32", thin=FEW)
    assert len(points.z) > 200
    assert abs(points.z).max() < 700
    assert _pairs.disagreement(pair) is None


def test_results_say_of_which_run_each_entry_is(page, benchmark):
    def measured(day, worst, inputs, kernel="a", pairs=("identity+mse", "sigmoid+mse")):
        run = {"day": day, "machine": f"machine of {day}", "versions": {}, "thin": 1, "fewer": 5}
        names = dict.fromkeys(pairs, day)
        return {
            "run": run,
            "usual": 10.0,
            "measured": list(pairs),
            "pairs": {"float32": names},
            "limits": names,
            **{section: {} for section in ("others", "bitwise", "classes", "words", "reference", "curves")},
            "scalar": {"exp": {"worst": worst, "inputs": inputs, "kernel": kernel}} if inputs else {},
        }

    first = benchmark.merged({}, measured("day 1", 1.5, 1 << 32), False)
    second = benchmark.merged(first, measured("day 2", 0, 0, pairs=["sigmoid+mse"]), True)
    assert second["pairs"]["float32"] == second["limits"] == {"identity+mse": "day 1", "sigmoid+mse": "day 2"}
    assert [run["day"] for run in second["runs"]] == ["day 1", "day 2"]
    assert second["made"]["pairs float32"] == second["made"]["limits"] == {"identity+mse": 0, "sigmoid+mse": 1}
    assert second["made"]["scalar"] == {"exp": 0}
    told = page.provenance(second)
    assert [row[:2] for row in told] == [["day 1", "machine of day 1"], ["day 2", "machine of day 2"]]
    assert "every pair: float32 1 of 2; one score, float32: 1 of 1" in told[0][2]
    assert page.when(second, page.part_of("accuracy_float32")) == "day 1, day 2, 2 machines, in 2 runs"
    assert page.when(second, page.part_of("accuracy_scalar")) == "day 1, machine of day 1"

    third = benchmark.merged(second, measured("day 3", 1.4, 1000, "b"), False)
    assert third["scalar"]["exp"] == {
        **first["scalar"]["exp"],
        "since": {"kernel": "b", "worst": 1.4, "inputs": 1000},
    }
    assert "since then b: 1.40 in 1,000 numbers" in page.kernel(third["scalar"]["exp"])
    assert [run["day"] for run in third["runs"]] == ["day 1", "day 3"]
    fourth = benchmark.merged(third, measured("day 4", 1.6, 1000, "b"), False)
    assert fourth["scalar"]["exp"]["worst"] == 1.6
    assert [run["day"] for run in fourth["runs"]] == ["day 4"]


def test_an_error_of_a_known_size_is_counted_as_such():
    exact = Extended(np.array([1.0, 1.0, 3e-45, 0.0, 1e40, 2.0**127]))
    found = np.array([1.0 + 2**-23, 1.0 - 2**-24, 0.0, np.nan, np.inf, np.inf], np.float32)
    assert off(found, exact, FORMATS["float32"]).tolist() == pytest.approx([1.0, 0.5, 2.14, np.inf, 0.0, 2**23], 1e-2)


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sqrt", "atan"])
def test_extended_functions_have_115_bits(name):
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=20), random.uniform(-700, 700, 20), 10 ** random.uniform(-300, 300, 20)])
    x = x[abs(x) < 4000] if name.startswith("exp") else abs(x)
    x = np.minimum(x, 1.0) if name == "atan" else x
    found = getattr(_extended, name)(Extended(x))
    with mp.workdps(80):
        for k, z in enumerate(x):
            right = getattr(mp, name)(mp.mpf(float(z)))
            assert abs(_pairs.to_mpmath(found[k]) - right) <= mp.ldexp(abs(right), -115)


@pytest.mark.parametrize("function", _exhaustive.functions(), ids=lambda function: function.name)
def test_functions_of_one_score(function):
    recorded, random = RESULTS["scalar"].get(function.name), np.random.default_rng(1)
    assert _exhaustive.check(function, random, 20) < 1e-6, "the reference"
    found = _exhaustive.sampled(function, random, 8)
    if recorded is None:
        assert found["worst"] <= 4.0, found
        return
    assert found["worst"] <= room(recorded["worst"]), found
    at = np.array([recorded["at"]], np.float32).view(np.uint32)[0]
    assert _exhaustive.chunk(function, int(at), 1)[0] <= room(recorded["worst"])


def test_an_exhaustive_run_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("COSTLAYER_CACHE", str(tmp_path))
    monkeypatch.setattr(_exhaustive, "ALL", 1 << 14)
    monkeypatch.setattr(_exhaustive, "CHUNK", 1 << 12)
    whole = [function for function in _exhaustive.functions() if function.name == "predict: sigmoid"]
    monkeypatch.setattr(_exhaustive, "functions", lambda: whole)

    def stop(done, of, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _exhaustive.run(stop)
    state = _exhaustive.State()
    assert 2 <= len(state.of(whole[0])) < 4  # of four
    assert state.result(whole[0]) is None
    seen = []
    _exhaustive.run(lambda done, of, name: seen.append((done, of)))
    assert seen[-1] == (4, 4)
    assert len(seen) < 3
    assert _exhaustive.State().result(whole[0])["worst"] < 4
    assert _exhaustive.State().result(replace(whole[0], kernel="another")) is None


@pytest.mark.skipif(not FOUND.exists(), reason="not measured yet: run `costlayer bench accuracy`")
@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("which", _rows.KINDS)
def test_softmax_cross_entropy_by_classes(kind, which):
    pair = cl.pair("softmax+cross_entropy")
    found = _rows.by_classes(pair, kind, ours, (2, 10, 1000), (which,))
    for case, entry in found.items():
        for part, recorded in RESULTS["classes"][kind]["costlayer"][case].items():
            assert entry[part] <= room(recorded), (case, part)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "pair", [cl.pair(name) for name in ("sigmoid+cross_entropy", "softmax+cross_entropy", "exp+poisson")], ids=str
)
def test_results_are_the_same_bit_for_bit(pair, kind):
    found = _bitwise.measure(pair, kind, (1 << 16) + 1037)
    assert found == dict.fromkeys(_bitwise.WAYS, True)
