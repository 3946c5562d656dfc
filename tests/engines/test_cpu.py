"""The compiled engine: as right as the reference, the same for any threads and strides, cached and never stale."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import accuracy
import costlayer as cl
import truth
from costlayer.catalogue import build
from costlayer.engines import cpu
from costlayer.errors import InvalidValue
from costlayer.evaluate import evaluate, predict_and_gain
from covering import PAIRS, TWO_COVERING

SIZE = 5 * cpu.BLOCK + 13


def everything(pair, z, y, **options):
    return evaluate(pair, z, y, reduction="none", curvature=True, **options)


def test_pointwise_pairs_are_right_to_a_few_units_in_the_last_place(pointwise_pair, dtype):
    pair = pointwise_pair
    z, y = map(np.array, zip(*accuracy.points(pair), strict=True))
    found = everything(pair, z.astype(dtype), y.astype(dtype))
    for row in zip(z.tolist(), y.tolist(), found.value, found.delta, found.curvature, strict=True):
        accuracy.check_pointwise(pair, row[0], row[1], row[2:], dtype)


@pytest.mark.parametrize("given", ["class index", "probabilities"])
def test_row_pairs_are_right_to_a_few_units_in_the_last_place(row_pair, dtype, given):
    if row_pair.cost.labels_only and given == "probabilities":
        return
    for z, goals in truth.rows(row_pair):
        goals = [y for y in goals if given == "probabilities" or max(y) == 1.0]
        y = np.array(goals, dtype)
        found = everything(row_pair, np.array([z] * len(goals), dtype), y if given == "probabilities" else y.argmax(1))
        for i, goal in enumerate(goals):
            answer = found.value[i], found.delta[i], found.curvature[i]
            accuracy.check_row(row_pair, z, goal, *answer, dtype)


def test_predictions_are_right_to_a_few_units_in_the_last_place(pair, dtype):
    with truth.mp.workdps(truth.DIGITS):
        if pair.row:
            for z, _ in truth.rows(pair):
                expected = truth.predict(pair, [truth.mp.mpf(score) for score in z])
                for got, right in zip(cl.predict(pair, np.array([z], dtype))[0], expected, strict=True):
                    truth.close(got, right, right, dtype, ulps=4, what=f"z = {z}")
            return
        z = np.array(truth.SCORES, dtype)
        v, gain = predict_and_gain(pair, z)
        for score, prediction, slope in zip(z.tolist(), v, gain, strict=True):
            expected = truth.differences(lambda x: truth.predict(pair, x), truth.mp.mpf(score))
            truth.close(prediction, expected[0], expected[0], dtype, ulps=4, what=f"v at {score}")
            size = truth.steep(pair, score) * expected[1]
            truth.close(slope, expected[1], size, dtype, ulps=8, what=f"gain at {score}")


def limit(pair, y, sign):
    """What value, δ and curvature tend to as z → ±∞: seen at 1e15 and 1e28, whether they grow, fall or stay."""
    with truth.mp.workdps(120):

        def at(size):
            z = truth.mp.mpf(sign) * truth.mp.mpf(size)
            program = truth_program(pair)
            return program.terms(z, truth.mp.mpf(y), *(truth.mp.mpf(x) for x in pair.values))

        limits = []
        for near, far in zip(at("1e15"), at("1e28"), strict=True):
            if abs(far) > 1.5 * abs(near):
                limits.append(float(truth.mp.sign(far)) * np.inf)
            else:
                limits.append(0.0 if abs(far) < abs(near) / 1.5 else float(far))
        return limits


def truth_program(pair):
    from costlayer.engines import reference

    def bounded(word, low, high):
        """exp(exp(1e28)) has no room in any memory."""
        function = truth.WORDS[word]
        return lambda x: truth.mp.mpf(low) if x < -1e40 else truth.mp.mpf(high) if x > 1e40 else function(x)

    ends = {"exp": (0, np.inf), "expm1": (-1, np.inf), "tanh": (-1, 1)}
    return reference.bind(pair, truth.WORDS | {word: bounded(word, *limits) for word, limits in ends.items()})


@pytest.mark.parametrize("sign", [-1, 1])
def test_an_infinite_score_gives_the_limit(pointwise_pair, dtype, sign):
    pair = pointwise_pair
    y = np.array([y for y in truth.targets(pair) if y or pair.name != "exp+mse"], dtype)
    found = everything(pair, np.full(y.size, sign * np.inf, dtype), y)
    for i, goal in enumerate(y.tolist()):
        expected = limit(pair, goal, sign)
        got = [float(found.value[i]), float(found.delta[i]), float(found.curvature[i])]
        assert got == pytest.approx(expected, rel=1e-6), f"y = {goal}"


def test_infinite_scores_of_a_row_give_the_limit(row_pair, dtype):
    """One score far above the rest, or far below: the same as a margin of 1e30."""
    wide, between = dtype(1e30), row_pair.activation.thresholds
    falling = np.array([0.75, 0.5, 0.25] if between else [0, 0, 0], dtype)
    for pattern in (
        ([1, 0, 0], [0, 0, -1], [1, 0, -1]) if between else ([1, 0, 0], [-1, 0, 0], [1, 0, -1], [-1, -1, 0], [1, 1, 0])
    ):
        pattern = np.array([pattern] * (3 + between), dtype)
        near = everything(row_pair, np.where(pattern == 0, falling, pattern * wide), np.arange(3 + between))
        with np.errstate(invalid="ignore"):
            z = np.where(pattern == 0, falling, pattern * dtype(np.inf))
            at = everything(row_pair, z, np.arange(3 + between))
        value = np.where(near.value > 1e20, np.inf, near.value)
        np.testing.assert_allclose(at.value, value, rtol=1e-6)
        np.testing.assert_allclose(at.delta, near.delta, rtol=1e-6)
        np.testing.assert_allclose(at.curvature, near.curvature, rtol=1e-6)


def test_nan_gives_nan(pair, dtype):
    if pair.row:
        for j in range(3):
            z = np.array([[0.5, -1.0, 2.0]], dtype)
            z[0, j] = np.nan
            for label in range(3):
                found = everything(pair, z, np.array([label]))
                assert np.isnan(found.value).all()
                assert np.isnan(found.delta).all()
                assert np.isnan(found.curvature).all()
        return
    y = np.array(truth.targets(pair), dtype)
    found = everything(pair, np.full(y.size, np.nan, dtype), y)
    assert np.isnan(found.value).all()
    assert np.isnan(found.delta).all()
    assert np.isnan(found.curvature).all()


def big(pair, dtype, size=SIZE):
    random = np.random.default_rng(5)
    if pair.row:
        z = random.normal(size=(size // 7, 7)).astype(dtype)
        return z, random.integers(0, 7, size // 7)
    z = random.normal(size=size).astype(dtype)
    y = {0.0: np.abs(random.normal(size=size)) + 0.1, -1.0: np.sign(z)}.get(pair.target.low, random.normal(size=size))
    return z, (random.random(size) if pair.target.high == 1.0 and not pair.target.ends_only else y).astype(dtype)


SOME = ["sigmoid+cross_entropy", "identity+huber", "softmax+cross_entropy", "softmax+mse"]


@pytest.mark.parametrize("name", SOME)
def test_any_number_of_threads_gives_the_same_bits(name, dtype):
    pair = build(name, {})
    z, y = big(pair, dtype)
    found = [evaluate(pair, z, y, threads=threads) for threads in (1, 2, 3)]
    for other in found[1:]:
        assert accuracy.same(found[0].value, other.value)
        assert accuracy.same(found[0].delta, other.delta)


@pytest.mark.parametrize("name", SOME)
def test_the_sum_is_kept_in_float64(name):
    pair = build(name, {})
    z, y = big(pair, np.float32)
    values = evaluate(pair, z, y, reduction="none").value
    # each of the values is rounded to float32, which the sum of rows is not; a sum in float32 would be off by 1e-6
    assert evaluate(pair, z, y, reduction="sum").value == pytest.approx(values.sum(dtype=np.float64), rel=2e-9)


@pytest.mark.parametrize("name", SOME)
def test_results_do_not_depend_on_where_an_example_stands(name, dtype):
    pair = build(name, {})
    z, y = big(pair, dtype, 700)
    whole = evaluate(pair, z, y, reduction="none")
    turned = evaluate(pair, z[::-1], y[::-1], reduction="none")
    assert accuracy.same(turned.value, whole.value[::-1])
    assert accuracy.same(turned.delta, whole.delta[::-1])
    for start in (1, 3, 5):
        part = evaluate(pair, z[start : start + 9], y[start : start + 9], reduction="none")
        assert accuracy.same(part.delta, whole.delta[start : start + 9])


@pytest.mark.parametrize("name", SOME)
def test_the_first_wrong_target_of_any_block_is_found(name):
    pair = build(name, {})
    z, y = big(pair, np.float32)
    wrong = [y.size - 3, y.size // 2 + 1]
    y = y.copy()
    y[wrong] = 99 if pair.row else np.nan
    with pytest.raises(InvalidValue, match=rf"y\[{min(wrong)}\]"):
        evaluate(pair, z, y, threads=3)


def test_the_margin_loop_equals_the_general_one(dtype):
    """softmax+cross_entropy by class index goes by the margin; the same goals as probabilities go by every share."""
    pair = build("softmax+cross_entropy", {})
    z, y = big(pair, dtype, 7 * 300)
    by_margin, general = everything(pair, 5 * z, y), everything(pair, 5 * z, np.eye(7, dtype=dtype)[y])
    for name in ("value", "delta", "curvature"):
        np.testing.assert_allclose(
            getattr(by_margin, name), getattr(general, name), rtol=64 * np.finfo(dtype).eps, atol=0
        )


def test_parameters_reach_the_kernels_without_another_compilation(dtype):
    z, y = np.array([3.0, -0.25], dtype), np.zeros(2, dtype)
    for delta in (0.125, 1.0, 2.0):
        found = everything(cl.pair("identity+huber", delta=delta), z, y)
        assert found.delta.tolist() == [delta, max(-delta, -0.25)]
    with_slope = everything(build("leaky_relu+mae", {"slope": 0.25}), np.array([-8.0], dtype), np.zeros(1, dtype))
    assert (with_slope.value.tolist(), with_slope.delta.tolist()) == ([2.0], [-0.25])
    assert cpu.text(cl.pair("identity+huber", delta=0.5), "float32") == cpu.text(cl.pair("identity+huber"), "float32")


@pytest.mark.parametrize("name", SOME)
def test_inputs_are_never_written_to_and_may_be_read_only(name):
    pair = build(name, {})
    z, y = big(pair, np.float64, 70)
    before = z.tobytes(), y.tobytes()
    z.flags.writeable = y.flags.writeable = False
    everything(pair, z, y)
    cl.predict(pair, z)
    assert (z.tobytes(), y.tobytes()) == before


# The cache on disk

SCRIPT = """
import sys, numpy as np
from costlayer.catalogue import build
from costlayer.errors import InvalidValue
from costlayer.evaluate import evaluate
found = evaluate(build("identity+mse", {}), np.array([1.0, 3.0]), np.array([1.0, 1.0]))
assert (float(found.value), found.delta.tolist()) == (2.0, [0.0, 2.0])
kept = [module for name, module in sys.modules.items() if name.startswith("costlayer_kernels")]
print(sum(kept[0].pointwise.stats.cache_hits.values()) if kept else -1)
"""


def run(cache, script=SCRIPT, **environment):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", script],
        env={**os.environ, "COSTLAYER_CACHE": str(cache), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def snapshot(folder: Path):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    assert finished(run(tmp_path)) == "0"
    before = snapshot(tmp_path)
    assert any(path.suffix == ".nbc" for path in before)
    assert finished(run(tmp_path)) == "1"
    assert snapshot(tmp_path) == before


def test_two_processes_may_start_on_an_empty_cache_at_once(tmp_path):
    for process in [run(tmp_path), run(tmp_path)]:
        finished(process)
    sources = [path.name for path in (tmp_path / "kernels").glob("*.py")]
    assert len(sources) == 1
    assert sources[0].startswith("identity_mse_float64_")
    assert finished(run(tmp_path)) == "1"


@pytest.mark.parametrize("kind", ["a file", "nowhere"])
def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, kind):
    folder = tmp_path / "taken"
    folder.write_text("")
    quiet = "import warnings; warnings.simplefilter('ignore')\n" + SCRIPT
    assert finished(run(folder if kind == "a file" else "/proc/none", quiet)) == "0"
    assert folder.read_text() == ""


def test_a_changed_formula_is_never_served_stale(tmp_path):
    """The same cache, the same pair, other sources: a process gets what its own formulas say."""
    package = tmp_path / "costlayer"
    shutil.copytree(Path(cl.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    script = (
        "import numpy as np, costlayer as cl; print(float(cl.value('identity+mae', np.array([5.0]), np.array([2.0]))))"
    )

    def answer():
        return finished(run(tmp_path / "cache", script, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1"))

    assert answer() == "3.0"
    formula = package / "costs" / "mae.py"
    formula.write_text(formula.read_text().replace("return absolute(error)", "return 7.0 * absolute(error)"))
    assert answer() == "21.0"


def test_a_changed_formula_is_another_file():
    """The name is a hash of the text of every formula and loop, of the element type and of the compiler's version."""
    pairs = (*PAIRS, *TWO_COVERING)
    texts = {cpu.text(pair, "float32") for pair in pairs} | {cpu.text(PAIRS[0], "float64")}
    assert len(texts) == len(pairs) + 1
    import numba

    for text in texts:
        assert numba.__version__ in text
        assert any(f"def {loop}(" in text for loop in ("pointwise", "softmax_rows", "two_scores", "written_rows"))


def test_without_the_compiler_it_is_said_what_to_do(monkeypatch):
    import numba

    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(InvalidValue, match=r"NUMBA_DISABLE_JIT.*Unset it"):
        cpu._found.__wrapped__(build("identity+mse", {}), "float64", False)


@pytest.mark.parametrize(
    ("system", "environment", "expected"),
    [
        ("linux", {"COSTLAYER_CACHE": "/x"}, "/x"),
        ("linux", {"XDG_CACHE_HOME": "/y"}, "/y/costlayer"),
        ("linux", {}, "~/.cache/costlayer"),
        ("darwin", {}, "~/Library/Caches/costlayer"),
        ("win32", {"LOCALAPPDATA": "/z"}, "/z/costlayer"),
    ],
)
def test_the_cache_is_in_the_users_cache_folder(monkeypatch, system, environment, expected):
    for name in ("COSTLAYER_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert cpu.cache_folder() == Path(expected).expanduser()


def test_two_python_threads_may_use_it_at_once(tmp_path):
    """Cold: both ask for a module and a kernel that nobody has compiled."""
    script = """
import threading, numpy as np
from costlayer.catalogue import build
from costlayer.errors import InvalidValue
from costlayer.evaluate import evaluate
found, start = [], threading.Barrier(4)
def work():
    start.wait()
    for _ in range(5):
        found.append(evaluate(build("identity+mae", {}), np.arange(300000.0), np.zeros(300000), threads=2).value)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
assert found == [149999.5] * 20, found
print(len(found))
"""
    assert finished(run(tmp_path, script)) == "20"


def test_a_forked_child_has_threads_of_its_own(tmp_path):
    script = """
import os, numpy as np
from costlayer.catalogue import build
from costlayer.errors import InvalidValue
from costlayer.evaluate import evaluate
work = lambda: float(evaluate(build("identity+mse", {}), np.ones(400000), np.zeros(400000), threads=2).value)
assert work() == 1.0
child = os.fork()
if child == 0:
    os._exit(0 if work() == 1.0 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert finished(run(tmp_path, script)) == "0"


def test_a_damaged_kernel_file_is_written_again(tmp_path):
    finished(run(tmp_path))
    (source,) = (tmp_path / "kernels").glob("*.py")
    whole = source.read_text()
    source.write_text(whole[: len(whole) // 2])
    finished(run(tmp_path))
    assert source.read_text() == whole


@pytest.mark.parametrize("name", ["sigmoid+mse", "softmax+mse"])
def test_a_pair_of_ones_own_runs_by_its_own_formulas(name):
    """Pair, Activation and Cost are public: a cost that is in no catalogue is compiled from its own source."""
    from dataclasses import replace

    from own_cost import QUARTIC

    from costlayer.pair import Pair

    pair = Pair(build(name, {}).activation, QUARTIC)
    z, y = (np.array([[1.0, 0.5]]), np.array([0])) if pair.row else (np.array([1.0]), np.array([0.25]))
    v = cl.predict(pair, z)
    goal = np.array([[1.0, 0.0]]) if pair.row else y
    assert float(cl.value(pair, z, y)) == pytest.approx(float(((v - goal) ** 4).sum()))
    renamed = Pair(pair.activation, replace(QUARTIC, name="mse"))
    assert renamed != build(name, {})
    assert pickle.loads(pickle.dumps(renamed)) == copy.deepcopy(renamed) == renamed
    assert float(cl.value(renamed, z, y)) == pytest.approx(float(((v - goal) ** 4).sum()))
