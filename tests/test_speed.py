"""docs/speed.md says what benchmarks/results hold, and the benchmarks keep what they measured."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


def load(path):
    spec = importlib.util.spec_from_file_location(f"loaded_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def speed():
    return load(ROOT / "docs" / "speed_page.py")


@pytest.fixture
def measure(monkeypatch, tmp_path):
    module = load(BENCHMARKS / "_measure.py")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)  # the handlers are the test runner's
    return module


def test_page_is_what_the_results_make_now(speed):
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert text == speed.page(speed.results()), "docs/speed.md is stale: run `make docs`"


def test_figures_are_of_these_results(speed):
    image = pytest.importorskip("PIL.Image")
    found = speed.results()
    for name in speed.FIGURES.keys() & found.keys():
        with image.open(ROOT / "docs" / "figures" / f"{name}.png") as figure:
            assert figure.text["Comment"] == speed.digest(found[name]), f"{name}.png is stale: run `make docs`"


CASES = [
    {"pair": "a+b", "size": 100, "seconds": {"ours": 2.0, "eager": 1.0, "compile": None}},
    {"pair": "a+b", "size": 1000, "seconds": {"ours": 2.0, "eager": 8.0, "compile": 3.0}},
    {"pair": "a+b", "size": 10000, "seconds": {"ours": 2.0, "eager": 4.0, "compile": 3.0}},
]


def test_sentences_say_what_the_numbers_say(speed):
    assert speed.span(CASES, "eager", "ours") == "0.500 to 4.00"
    assert speed.faster_from(CASES, "eager") == "faster than torch eager from 1,000 scores on"
    assert speed.faster_from(CASES[1:], "eager") == "faster than torch eager at every size"
    assert speed.faster_from(CASES[:1], "eager") == "not faster than torch eager at the largest size"
    lost = speed.slower({"growth": {"cases": CASES}})
    assert lost.startswith("In 1 of the 5 comparisons")
    assert "growth, than torch eager: a+b 100 (2.00 times as long)" in lost
    assert "none of the 4" in speed.slower({"growth": {"cases": CASES[1:]}})


def test_a_missed_bound_is_listed(speed, measure):
    results = measure.Results("demo", "Demo")
    assert results.bound("case", "what", 1.5, 1.8) == "1.50 (≤ 1.8: met)"
    assert "missed" in results.bound("case", "what", 1.5, 1.8, least=True)
    assert results.bound("case", "what", None, 1.8) == "—"
    said = speed.bounds({"demo": {"bounds": results.bounds}})
    assert said.startswith("1 of 2 bounds are met")
    assert "- case, what: 1.50; at least 1.8 was set" in said
    assert speed.bounds({"demo": {"bounds": results.bounds[:1]}}) == "All 1 bounds are met."


def test_page_of_partial_results_says_so(speed):
    found = {name: kept for name, kept in speed.results().items() if name != "pairs"}
    assert "Not measured yet: `costlayer bench pairs`" in speed.page(found)
    kept = {"day": "2026-01-01", "machine": "a machine", "whole": False}
    assert "cases are missing: pairs" in speed.machine({"pairs": kept})
    assert "missing" not in speed.machine({"pairs": kept | {"whole": True}})


def test_medians_of_what_is_to_be_had(measure):
    counts = {"a": 0, "b": 0}

    def run(name):
        counts[name] += 1
        time.sleep(0.002 if name == "a" else 0.004)

    seconds = measure.interleaved({"a": lambda: run("a"), "none": None, "b": lambda: run("b")}, runs=3)
    assert seconds["none"] is None
    assert 0.002 <= seconds["a"] < seconds["b"]
    assert list(seconds) == ["a", "none", "b"]
    assert counts["b"] >= 3


def test_a_wrong_gradient_is_not_timed(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(BENCHMARKS)
    steps = load(BENCHMARKS / "_speed.py")
    z, y = steps.data("softmax+cross_entropy", (5, 3))
    loss = torch.nn.functional.cross_entropy
    right, wrong = (lambda: steps.step(loss, z, y)), (lambda: steps.step(lambda z, y: -loss(z, y), z, y))
    steps.agree({"ours": right, "eager": right, "compile": None}, z)
    with pytest.raises(ArithmeticError, match="eager give gradients that differ"):
        steps.agree({"ours": right, "eager": wrong}, z)


def test_every_loss_class_can_be_timed(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(BENCHMARKS)
    drop_in = load(BENCHMARKS / "drop_in.py")
    assert {"CrossEntropyLoss", "BCEWithLogitsLoss", "GaussianNLLLoss", "MultiLabelMarginLoss"} <= {*drop_in.NAMES}
    for name in drop_in.NAMES:  # which also sees that the gradients agree
        steps = drop_in.contestants(name, (6, 5) if name in drop_in.OF_ROWS else (30,))
        assert list(steps) == ["ours", "eager"]


@pytest.fixture
def linear(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = load(BENCHMARKS / "linear.py")
    monkeypatch.setattr(module, "set_threads", lambda _: None)  # the threads too are the test runner's
    monkeypatch.setattr(module.tempfile, "mkdtemp", lambda: tmp_path)
    monkeypatch.setattr(module._measure, "RESULTS", tmp_path)
    monkeypatch.setattr(module._measure.signal, "signal", lambda *_: None)
    return module


def test_the_last_linear_map_is_timed_in_parts(linear):
    linear.main(["--quick", "--only", "threshold", "profile", "--what", "time"])
    found = linear.kept()
    assert found.keys() == {"threshold", "profile, float32", "profile, bfloat16"}
    assert found["threshold"]["seconds"].keys() == {"floor", "parts", "ours", "eager"}
    assert found["threshold"]["seconds"]["parts"] <= found["threshold"]["seconds"]["floor"]
    seconds = found["profile, float32"]["seconds"]
    assert min(seconds.values()) > 0.0
    assert seconds.keys() == {"step", "products", "δ", "additions", "the rest"}


def test_the_memory_of_a_last_linear_map_is_that_of_a_process(linear):
    case = linear.Case(linear.ROWS, (8, 256, 16384), "float32")
    found = linear.alone(case)["mebibytes"]
    assert found.keys() == {"ours", "eager"}
    for mebibytes in found.values():
        assert 16.0 <= mebibytes < 100.0  # the gradient of W, and not much else


def test_ways_to_a_last_linear_map_agree(linear):
    from _linear import data, step

    cases = [case.smaller(256) for case in linear.COMPARED.values() if case.type == "float32"]
    for case in cases:
        x, w, y = data(case)
        gradients = []
        for name, make in linear.ways(case).items():
            if name in ("ours", "eager", "chunked"):
                step(make(), x, w, y)
                gradients.append((x.grad, w.grad))
        for others in gradients[1:]:
            for ours, theirs in zip(gradients[0], others, strict=True):
                # the threshold leaves out as much for each class, and an input has few here
                allowed = 0.1 if case.kind == "sure" else 1e-5
                assert (ours - theirs).abs().max() <= allowed * theirs.abs().max()


LINEAR = [
    {
        "case": "float32",
        "pair": "a+b",
        "shape": [1024, 256, 1024],
        "dtype": "float32",
        "seconds": {"floor": 1.0, "ours": 2.0, "eager": 6.0, "cut": 4.0, "liger": None},
        "mebibytes": {"ours": 3.0, "eager": 9.0},
    },
    *(
        {
            "case": f"N = {n}",
            "pair": "a+b",
            "shape": [n, 2, 3],
            "seconds": {"ours": n * 1e-3, "eager": n * 3e-3},
            "mebibytes": {"ours": n / 2, "eager": n},
        }
        for n in (1, 8)
    ),
]


def test_the_reading_of_the_last_linear_map(speed):
    first, grown = speed.linear_reading(LINEAR).split("\n\n")
    assert "takes 2.00 times as long as its three products. torch eager takes 3.00 times" in first
    assert "the fastest of the others, cut-cross-entropy, 2.00 times" in first
    assert "3.00 MiB for it, of which 2.00 are the gradients; torch eager 9.00." in first
    assert grown.startswith("From N = 1 to N = 8 a step of costlayer grows from 1.00 to 8.00 ms and from 0.500 to 4.00")
    assert "torch eager from 3.00 to 24.0 ms" in grown


def test_the_reading_of_loss_classes_counts_what_is_faster(speed):
    cases = [{"case": size, "seconds": {"ours": 1.0, "eager": eager}} for size, eager in DROP_IN]
    small, large = speed.drop_in_reading(cases).split("\n\n")
    assert small.startswith("On small arrays 1 of 3 classes take less time than torch's, 1 more,")
    assert large.startswith("On large arrays 2 of 3 classes take less time than torch's, 0 more,")


DROP_IN = [("small", 2.0), ("small", 1.0), ("small", 0.5), ("large", 3.0), ("large", 1.2), ("large", 1.05)]


def test_what_is_missing_is_said(capsys):
    steps = load(BENCHMARKS / "_speed.py")
    assert steps.attempt("Optax", lambda: importlib.import_module("no_such_library")) is None
    assert "Optax is left out: ModuleNotFoundError" in capsys.readouterr().err
    assert steps.attempt("Optax", lambda: 3) == 3


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_results_are_kept(tmp_path, way):
    script = f"""
import sys, time
sys.path.insert(0, {str(BENCHMARKS)!r})
import _measure
from pathlib import Path
_measure.RESULTS = Path({str(tmp_path)!r})
with _measure.Results("demo", "Demo", total=2) as results:
    rows = results.table(["case"])
    results.begin("first")
    rows.append(["measured"])
    results.cases.append({{"case": "first"}})
    results.begin("second")
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        assert running.stderr is not None
        while b"second" not in running.stderr.readline():
            assert running.poll() is None
        time.sleep(0.1)
        running.send_signal(way)
        assert running.wait() == 130
    text = (tmp_path / "demo.md").read_text(encoding="utf-8")
    assert "Interrupted" in text
    assert "| measured |" in text
    assert '"whole": false' in (tmp_path / "demo.json").read_text(encoding="utf-8")


def test_nothing_does_not_replace_something(measure, tmp_path):
    with measure.Results("demo", "Demo") as results:
        results.table(["case"]).append(["measured"])
    again = measure.Results("demo", "Demo")
    again.table(["case"])
    with pytest.raises(SystemExit):
        again.__exit__(KeyboardInterrupt)
    assert "| measured |" in (tmp_path / "demo.md").read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path):
    """A checkout with two benchmarks, of which the first fails."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "breaks.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "benchmarks" / "works.py").write_text("print('measured', flush=True)\n")
    (tmp_path / "benchmarks" / "_shared.py").write_text("raise AssertionError\n")
    return tmp_path


def bench(folder, *names, **options):
    paths = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "costlayer", "bench", *names]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes, **options)


def run_bench(folder, *names):
    with bench(folder, *names) as running:
        out, err = running.communicate()
    return running.returncode, out, err


def test_bench_goes_on_after_a_failure_and_says_so(checkout):
    code, out, err = run_bench(checkout)
    assert "measured" in out
    assert re.search(r"Failed: breaks\.$", err, re.M)
    assert code == 1
    assert run_bench(checkout, "works")[0] == 0


def test_bench_knows_every_name_before_it_runs_one(checkout):
    code, out, err = run_bench(checkout, "works", "work")
    assert code == 2
    assert "measured" not in out
    assert "works" in err


def test_ctrl_c_waits_for_what_a_benchmark_keeps(checkout):
    script = """
import time
from pathlib import Path
try:
    print("begun", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    Path("kept").touch()
"""
    (checkout / "benchmarks" / "slow.py").write_text(script)
    with bench(checkout, "slow", "works", start_new_session=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        out, err = running.communicate()
    assert (checkout / "kept").exists()
    assert running.returncode == 130
    assert "Interrupted" in err
    assert "measured" not in out
