"""The cost that CONTRIBUTING.md adds, taken from the page as it stands: every pair it forms keeps every digit."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp

import accuracy
import truth
from costlayer.activations import ACTIVATIONS
from costlayer.engines import reference
from costlayer.evaluate import evaluate
from costlayer.pair import Cost, Pair

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
SCORES = [z for z in truth.SCORES if abs(z) in (1, 3, 17, 100, 800) or 0 < z < 1e-6]


@pytest.fixture(scope="module")
def cost(tmp_path_factory):
    """Step 1 of the page: the block of code under the name of its file."""
    text = PAGE.read_text(encoding="utf-8")
    name = re.search(r"`src/costlayer/costs/(\w+)\.py`", text)
    block = re.search(r"^( *)```python\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    assert name
    assert block
    path = tmp_path_factory.mktemp("costs") / f"{name[1]}.py"
    path.write_text(re.sub(f"^{block[1]}", "", block[2], flags=re.MULTILINE), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name[1], path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (cost,) = [found for found in vars(module).values() if isinstance(found, Cost)]
    assert cost.name == name[1]
    return cost


@pytest.fixture(params=["identity", "sigmoid", "exp", "softmax"])
def pair(cost, request):
    return Pair(ACTIVATIONS[request.param], cost)


def points(pair):
    return [(z, y) for y in truth.targets(pair) for z in SCORES if truth.smooth(pair, z, y)]


def numbers(values):
    return tuple(mp.mpf(value) for value in values)


def assert_same(got, expected, where):
    same = abs(got - expected) <= mp.mpf("1e-100") * abs(expected) + mp.mpf("1e-110")
    assert same, f"{where}: {mp.nstr(got, 20)}, expected {mp.nstr(expected, 20)}"


def test_the_program_gives_the_printed_formula_and_its_derivatives(pair):
    program = reference.bind(pair, truth.WORDS)
    with mp.workdps(truth.DIGITS):
        if not pair.row:
            for z, y in points(pair):
                found, expected = program.terms(*numbers((z, y, *pair.values))), truth.pointwise(pair, z, y)
                for what, got, right in zip(("value", "δ", "curvature"), found, expected, strict=True):
                    assert_same(got, right, f"{what} at z = {z}, y = {y}")
            return
        one, zero = mp.mpf(1), mp.mpf(0)
        for z in truth.ROWS[:5]:
            y = truth.row_targets(len(z))[0]
            scores, goals = np.array([numbers(z)]), np.array([numbers(y)])
            value, delta, curvature = np.empty(1, object), np.empty_like(scores), np.empty_like(scores)
            outputs = value, delta, curvature, 0, 1, numbers(pair.values)
            program.softmax_rows(scores, None, goals, one, zero, None, None, one, zero, one, *outputs)
            found, expected = (value[0], *delta[0], *curvature[0]), truth.row(pair, z, y)
            for got, right in zip(found, (expected[0], *expected[1], *expected[2]), strict=True):
                assert_same(got, right, f"z = {z}, y = {y}")


def test_the_printed_derivative_is_that_of_the_printed_formula(pair):
    with mp.workdps(truth.DIGITS):
        if not pair.row:
            for z, y in points(pair):
                names = {"z": mp.mpf(z), "v": truth.predict(pair, mp.mpf(z)), "y": mp.mpf(y), **truth.given(pair)}
                value, delta, _ = truth.pointwise(pair, z, y)
                assert_same(truth.formula(pair._formula(), **names), value, f"value at z = {z}, y = {y}")
                assert_same(truth.formula(pair._derivative(), **names), delta, f"δ at z = {z}, y = {y}")
            return
        for z in truth.ROWS[:5]:
            y, v = truth.row_targets(len(z))[0], truth.predict(pair, list(numbers(z)))
            value, slopes, _ = truth.row(pair, z, y)
            names = {"z": numbers(z), "v": v, "y": numbers(y), "K": len(z), **truth.given(pair)}
            assert_same(truth.formula(pair._formula(), **names), value, f"value at z = {z}, y = {y}")
            for j, slope in enumerate(slopes):
                assert_same(truth.formula(pair._derivative(), j=j, **names), slope, f"δ_{j} at z = {z}, y = {y}")


def test_the_compiled_engine_keeps_its_digits(pair, dtype):
    if not pair.row:
        z, y = map(np.array, zip(*points(pair), strict=True))
        found = evaluate(pair, z.astype(dtype), y.astype(dtype), reduction="none", curvature=True)
        for row in zip(z.tolist(), y.tolist(), found.value, found.delta, found.curvature, strict=True):
            accuracy.check_pointwise(pair, row[0], row[1], row[2:], dtype)
        return
    for z in truth.ROWS[:5]:
        y = truth.row_targets(len(z))[0]
        found = evaluate(pair, np.array([z], dtype), np.array([y], dtype), reduction="none", curvature=True)
        accuracy.check_row(pair, z, y, found.value[0], found.delta[0], found.curvature[0], dtype)
