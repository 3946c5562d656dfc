"""The study end to end on real data: what it writes, and that a stopped one goes on as if it had not been."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch

from costlayer.errors import InvalidValue
from costlayer.study.folder import RunFolder
from costlayer.study.measure import HIGHER_IS_BETTER
from costlayer.study.run import Listener, study
from costlayer.study.train import Settings
from costlayer.study.verdict import compared, verdict

SMALL = Settings(hidden=(8,), epochs=3, seeds=2, batch_size=32, search_epochs=1)
COMMAND = ["study", "wine", "--hidden", "8", "--epochs", "24", "--seeds", "2", "--patience", "24", "--batch-size", "16"]
COMMAND += ["--pairs", "softmax+mse,sigmoid+mse"]
LONG = Settings(hidden=(8,), epochs=24, seeds=2, patience=24, batch_size=16)


def untimed(records):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    return study("iris", settings=SMALL, runs=tmp_path_factory.mktemp("runs"))


def test_the_folder_holds_what_is_promised(iris):
    assert sorted(path.name for path in iris.folder.iterdir()) == [
        "config.json",
        "network.safetensors",
        "preparation.skops",
        "report.html",
        "results.jsonl",
    ]
    assert iris.report == iris.folder / "report.html"
    page = iris.report.read_text(encoding="utf-8")
    assert all(pair in page for pair in iris.config["pairs"])
    assert f"{iris.verdict['ranking'][0]['mean']:.4g}" in page


def test_config(iris):
    config = json.loads((iris.folder / "config.json").read_text(encoding="utf-8"))
    data = config["data"]
    assert (data["rows"], data["features"], data["kind"]) == (150, 4, "classes")
    assert data["classes"] == ["setosa", "versicolor", "virginica"]
    assert sum(data["split"].values()) == 150
    assert config["pairs"][0] == config["advice"]["pair"] == "softmax+cross_entropy"
    assert {"softmax+mse", "sigmoid+mse", "sigmoid+cross_entropy"} < set(config["pairs"])
    assert config["settings"]["hidden"] == [8]
    assert config["versions"]["torch"] == torch.__version__
    curve = config["formulas"]["sigmoid+mse"]["curve"]
    z, v, gain = (np.array(curve[name]) for name in ("z", "v", "gain"))
    np.testing.assert_allclose(v, 1 / (1 + np.exp(-z)), rtol=1e-12)
    np.testing.assert_allclose(gain, v * (1 - v), rtol=1e-6, atol=1e-12)
    assert config["formulas"]["softmax+mse"]["curve"] == curve  # along how far a score is ahead of the others


def test_records(iris):
    records = [json.loads(line) for line in (iris.folder / "results.jsonl").read_text().splitlines()]
    assert records == iris.records
    count = {kind: sum(r["record"] == kind for r in records) for kind in ("epoch", "snapshot", "final", "verdict")}
    assert count == {"epoch": 4 * 2 * (3 + 1), "snapshot": 4 * 2 * 3, "final": 4 * 2, "verdict": 1}
    rates = [r for r in records if r["record"] == "rate"]
    assert all(sum(r["pair"] == pair for r in rates) >= 3 for pair in iris.config["pairs"])
    for epoch in (r for r in records if r["record"] == "epoch"):
        assert set(epoch["metrics"]) == set(list(HIGHER_IS_BETTER)[:6])
        assert len(epoch["gradient_norm"]) == 2
        assert 0 <= epoch["starved"] <= 1
        assert epoch["seconds"] > 0
    for shot in (r for r in records if r["record"] == "snapshot"):
        outputs = iris.config["data"]["split"]["validation"] * 3
        assert sum(shot["scores"]["counts"]) == sum(shot["error"]["count"]) == outputs
    for final in (r for r in records if r["record"] == "final"):
        confusion = np.array(final["confusion"])
        assert confusion.sum() == iris.config["data"]["split"]["test"]
        assert final["metrics"]["accuracy"] == confusion.trace() / confusion.sum()
        assert final["stopped"] in ("early", "epochs")
        assert final["residuals"] is None
        # the rate is the one that the search found best
        own = {r["learning_rate"]: r["score"] for r in rates if r["pair"] == final["pair"]}
        assert own[final["learning_rate"]] == min(score for score in own.values() if score is not None)


def test_a_study_repeats_itself(iris, tmp_path):
    again = study("iris", settings=SMALL, runs=tmp_path)
    assert untimed(again.records) == untimed(iris.records)
    assert (again.folder / "network.safetensors").read_bytes() == (iris.folder / "network.safetensors").read_bytes()


def test_numbers_two_columns_and_missing_targets(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    price = [None] * 5 + (np.exp(x[5:, 0]) * 100).tolist()
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "price": price}).write_csv(tmp_path / "houses.csv")
    notes = []
    listener = Listener()
    listener.note = notes.append
    outcome = study(tmp_path / "houses.csv", "price", settings=SMALL, runs=tmp_path / "runs", listener=listener)
    assert outcome.config["data"]["rows_without_target"] == 5
    assert any("5 rows" in note for note in notes)
    assert outcome.verdict["metric"] in ("rmse", "mae")
    finals = [r for r in outcome.records if r["record"] == "final"]
    assert all(set(final["metrics"]) == set(list(HIGHER_IS_BETTER)[6:]) for final in finals)
    assert len(finals[0]["residuals"]["predicted"]) == outcome.config["data"]["split"]["test"]
    regions = next(final["regions"] for final in finals if final["seed"] == 0)
    assert (regions["x"]["name"], regions["y"]["name"]) == ("a", "b")
    assert np.array(regions["prediction"]).shape == (60, 60)
    assert all(final["regions"] is None for final in finals if final["seed"])
    rmse = finals[0]["metrics"]["rmse"]
    assert np.sqrt(np.mean(np.square(finals[0]["residuals"]["residual"]))) == pytest.approx(rmse, rel=1e-6)


# --- stopping and going on -----------------------------------------------------------------------------------


def start(folder, **more):
    command = [sys.executable, "-m", "costlayer", *COMMAND, "--runs", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def wine(folder, **more):
    """What COMMAND does, in this process."""
    return study("wine", settings=LONG, pairs=["softmax+mse", "sigmoid+mse"], runs=folder, **more)


def wait_for(running, folder, wanted):
    """Until so many lines stand in results.jsonl."""
    results, end = folder / "wine" / "results.jsonl", time.monotonic() + 120
    while not results.exists() or results.read_bytes().count(b"\n") < wanted:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return untimed(wine(tmp_path_factory.mktemp("unbroken")).records)


def test_a_killed_run_goes_on_to_the_same_result(unbroken, tmp_path):
    killed = start(tmp_path)
    wait_for(killed, tmp_path, 24)
    killed.kill()
    killed.communicate()
    folder = RunFolder(tmp_path / "wine")
    assert 24 <= len(folder.read_results()) < len(unbroken)
    with folder.results_file.open("ab") as file:
        file.write(b'{"record": "epo')  # a line that was being written
    assert untimed(wine(tmp_path, resume=True).records) == unbroken
    assert untimed(folder.read_results()) == unbroken


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_a_report_and_goes_on(unbroken, tmp_path, number, code):
    running = start(tmp_path)
    wait_for(running, tmp_path, 24)
    running.send_signal(number)
    out, err = running.communicate(timeout=120)
    assert running.returncode == code
    assert "Report:" in out
    assert f"costlayer {' '.join(COMMAND)} --runs {tmp_path} --resume" in err
    assert "Traceback" not in err
    folder = RunFolder(tmp_path / "wine")
    records = folder.read_results()
    assert records[-1]["record"] == "verdict"
    assert "interrupted" in {r["stopped"] for r in records if r["record"] == "final"}
    assert "interrupted" in (tmp_path / "wine" / "report.html").read_text(encoding="utf-8").lower()
    assert folder.network_file.exists()
    if number == signal.SIGINT:  # what is kept does not depend on the signal
        assert untimed(wine(tmp_path, resume=True).records) == unbroken
        assert not folder.checkpoint.exists()


class _StopAt(Listener):
    def __init__(self, at):
        self.left = at

    def record(self, record):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("at", [1, 20, 45])
def test_stopped_anywhere_and_resumed_is_the_same(iris, tmp_path, at):
    stopped = study("iris", settings=SMALL, runs=tmp_path, listener=_StopAt(at))
    assert stopped.interrupted == signal.SIGINT
    assert stopped.report.exists()
    resumed = study("iris", settings=SMALL, runs=tmp_path, resume=True)
    assert untimed(resumed.records) == untimed(iris.records)
    assert (resumed.folder / "network.safetensors").read_bytes() == (iris.folder / "network.safetensors").read_bytes()


def test_resuming_a_finished_run_only_reports_again(iris):
    before = (iris.folder / "results.jsonl").read_bytes()
    iris.report.unlink()
    again = study("iris", settings=SMALL, runs=iris.folder.parent, resume=True)
    assert again.verdict == iris.verdict
    assert again.report.exists()
    assert (iris.folder / "results.jsonl").read_bytes() == before


# --- refusals ------------------------------------------------------------------------------------------------


def test_a_folder_that_exists_is_left_alone(iris, tmp_path):
    with pytest.raises(InvalidValue, match="--overwrite"):
        study("iris", settings=SMALL, runs=iris.folder.parent)
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "thesis.txt").write_text("ten years")
    with pytest.raises(InvalidValue, match="holds no run"):
        study("iris", settings=SMALL, runs=tmp_path, overwrite=True)
    assert (tmp_path / "iris" / "thesis.txt").read_text() == "ten years"


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"settings": Settings(hidden=(9,), epochs=3, seeds=2, batch_size=32, search_epochs=1)}, "hidden 9"),
        ({"pairs": ["softmax+mse"]}, "pairs softmax"),
        ({"source": "wine", "name": "iris"}, "other data"),
    ],
)
def test_resuming_with_something_else_is_refused(iris, change, hint):
    asked = {"source": "iris", "settings": SMALL, "runs": iris.folder.parent, "resume": True, **change}
    with pytest.raises(InvalidValue, match=hint):
        study(**asked)


@pytest.mark.parametrize("file", ["config.json", "results.jsonl", "checkpoint/state.pt"])
def test_a_damaged_folder_is_refused(tmp_path, file):
    stopped = study("iris", settings=SMALL, runs=tmp_path, listener=_StopAt(20))
    path = stopped.folder / file
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InvalidValue, match="missing or damaged"):
        study("iris", settings=SMALL, runs=tmp_path, resume=True)


def test_nothing_is_made_when_the_study_is_refused(tmp_path):
    for asked in ({"pairs": ["exp+poisson"]}, {"kind": "real"}, {"target": "species"}, {"pairs": ["sofmax+mse"]}):
        with pytest.raises(InvalidValue):
            study("iris", settings=SMALL, runs=tmp_path / "runs", **asked)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InvalidValue, match="place that can be written"):
        study("iris", settings=SMALL, runs=tmp_path / "runs")


def test_a_full_disk(unbroken, tmp_path):
    """Files may not grow beyond 30 kB: writing fails in the middle of the study, as on a full disk."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    running = start(tmp_path, preexec_fn=limit, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    _, err = running.communicate(timeout=120)
    assert running.returncode == 2
    assert "on writing" in err
    assert "Traceback" not in err
    assert not list((tmp_path / "wine").glob("**/*.part"))
    assert untimed(wine(tmp_path, resume=True).records) == unbroken


# --- the verdict ---------------------------------------------------------------------------------------------


def final(pair, seed, value, stopped="early", metric="accuracy"):
    return {"record": "final", "pair": pair, "seed": seed, "metrics": {metric: value}, "stopped": stopped}


def epochs(pair, seed, values):
    return [
        {
            "record": "epoch",
            "pair": pair,
            "seed": seed,
            "epoch": epoch,
            "metrics": {"accuracy": value},
            "wrong": 0.1,
            "starved": 0.05 if pair == "b+y" else 0.0,
        }
        for epoch, value in enumerate(values)
    ]


def test_the_verdict_by_hand():
    records = [
        *epochs("a+x", 0, [0.1, 0.5, 0.9]),
        *epochs("b+y", 0, [0.1, 0.2, 0.3, 0.83]),
        *epochs("a+x", 1, [0.1, 0.9, 0.9]),
        *epochs("b+y", 1, [0.1, 0.2, 0.2, 0.2]),
        final("a+x", 0, 0.91),
        final("b+y", 0, 0.80),
        final("a+x", 1, 0.93),
        final("b+y", 1, 0.84),
    ]
    found = verdict(records, ["b+y", "a+x"], "b+y", "accuracy")
    assert found["winner"] == "a+x"
    assert found["difference"] == pytest.approx(0.10)
    assert [entry["values"] for entry in found["ranking"]] == [[0.91, 0.93], [0.80, 0.84]]
    assert found["ranking"][1]["spread"] == pytest.approx(0.02 * 2**0.5)
    assert found["larger_than_spread"]
    # half of the seeds of b+y never came to .82; those of a+x were there after 1.8 and after .9 epochs
    assert found["speed"] == {"level": pytest.approx(0.82), "epochs": {"b+y": None, "a+x": pytest.approx(1.35)}}
    assert found["starved"] == {"b+y": pytest.approx(0.5), "a+x": 0.0}
    assert found["remark"] == (
        "Starved, of the outputs wrong by more than half: b+y 50%; a+x none. "
        "Epochs to a validation accuracy of 0.82: b+y never, a+x 1.4."
    )
    assert found["sentence"] == (
        "a+x won: a test accuracy of 0.92 over 2 seeds, 0.1 above b+y (0.82). That is larger than the spread between "
        "seeds (0.028). `choose` named b+y, which came second, 0.1 behind."
    )


def test_the_verdict_counts_lower_as_better_for_errors():
    records = [final("a+x", 0, 3.0, metric="rmse"), final("b+y", 0, 2.0, metric="rmse")]
    found = verdict(records, ["a+x", "b+y"], "b+y", "rmse")
    assert (found["winner"], found["difference"], found["larger_than_spread"]) == ("b+y", 1.0, False)
    assert "below a+x" in found["sentence"]
    assert "One seed cannot show" in found["sentence"]
    assert "the pair that `choose` named" in found["sentence"]


def test_the_verdict_compares_only_seeds_that_all_pairs_finished():
    records = [final("a+x", 0, 0.8), final("b+y", 0, 0.7), final("a+x", 1, 0.1, stopped="interrupted")]
    found = verdict(records, ["a+x", "b+y"], "a+x", "accuracy")
    assert [entry["values"] for entry in found["ranking"]] == [[0.8], [0.7]]
    partial = verdict(records[2:], ["a+x", "b+y"], "a+x", "accuracy")
    assert partial["sentence"].startswith("The study was interrupted before")
    assert verdict([], ["a+x"], "a+x", "accuracy") is None


def test_a_difference_within_the_spread_is_no_win():
    records = [final("a+x", 0, 0.8), final("b+y", 0, 0.7), final("a+x", 1, 0.6), final("b+y", 1, 0.69)]
    found = verdict(records, ["a+x", "b+y"], "a+x", "accuracy")
    assert not found["larger_than_spread"]
    assert "no clear winner" in found["sentence"]


def test_the_metric_that_is_compared():
    assert compared("classes", "softmax+cross_entropy", 0.3) == "accuracy"
    assert compared("binary", "sigmoid+cross_entropy", 0.95) == "macro_f1"
    assert compared("real", "identity+huber", 0.0) == "mae"
    assert compared("count", "exp+poisson", 0.0) == "rmse"


def test_a_run_that_another_process_is_writing_is_left_alone(tmp_path):
    folder = RunFolder(tmp_path / "iris")
    with folder.alone(), pytest.raises(InvalidValue, match="another costlayer is writing"):
        study("iris", runs=tmp_path, settings=Settings(hidden=(), epochs=1, seeds=1))
    assert not folder.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_difference_that_few_test_rows_cannot_show_is_no_win():
    """18 against 17 right of 20 are 0.05 apart; the standard error is √(0.9 · 0.1 / 20) = 0.067."""
    records = []
    for pair, right in (("a+x", 18), ("b+y", 17)):
        for seed in (0, 1):
            confusion = [[right, 20 - right], [0, 0]]
            final = {"record": "final", "pair": pair, "seed": seed, "stopped": "epochs", "confusion": confusion}
            records.append(final | {"metrics": {"accuracy": right / 20}})
    found = verdict(records, ["a+x", "b+y"], "a+x", "accuracy")
    assert found["chance"] == pytest.approx((0.9 * 0.1 / 20) ** 0.5)
    assert "but not than chance in so few test rows" in found["sentence"]
