"""The command line as its users meet it: answers, and errors that say what to do."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import costlayer as cl
from costlayer.cli.commands import app

runner = CliRunner()


def run(*arguments, code=0):
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Good and bad tables."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    good = pl.DataFrame({"size": rng.normal(size=60), "price": rng.normal(size=60), "town": ["Rome", "Oslo"] * 30})
    good.write_csv(folder / "good.csv")
    good.with_columns(price=pl.lit(3.0)).write_csv(folder / "same.csv")
    good.with_columns(price=pl.lit(None)).write_csv(folder / "untold.csv")
    good.with_columns(size=pl.lit(None), town=pl.lit(None)).write_csv(folder / "hollow.csv")
    good.with_columns(size=pl.lit(float("inf"))).write_csv(folder / "infinite.csv")
    good.with_columns(name=pl.Series([f"n{row}" for row in range(60)])).write_csv(folder / "names.csv")
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("size,price\n")
    (folder / "twice.csv").write_text("size,size,price\n1,2,3\n2,3,4\n")
    (folder / "noise.parquet").write_bytes(b"no table at all")
    (folder / "ragged.csv").write_text('a,b\n1,2\n"3\n')
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


BAD = [
    (("missing.csv", "-t", "price"), "does not exist"),
    (("", "-t", "price"), "folder"),
    (("picture.png", "-t", "price"), "CSV"),
    (("noise.parquet", "-t", "price"), "noise.parquet"),
    (("empty.csv", "-t", "price"), "empty"),
    (("header.csv", "-t", "price"), "no rows"),
    (("twice.csv", "-t", "price"), "duplicate"),
    (("infinite.csv", "-t", "price"), "inf"),
    (("good.csv",), "--target"),
    (("good.csv", "-t", "prise"), "'price'"),
    (("same.csv", "-t", "price"), "column 'price'"),
    (("untold.csv", "-t", "price"), "column 'price'"),
    (("names.csv", "-t", "name"), "name"),
]
BAD_STUDY = [
    (("hollow.csv", "-t", "price"), "every value is missing"),
    (("good.csv", "-t", "price", "--pairs", "softmax+cross_entropy"), "Use identity+mse"),
    (("good.csv", "-t", "town", "--pairs", "exp+poisson"), "Use sigmoid+cross_entropy"),
    (("good.csv", "-t", "price", "--pairs", "identity+huberr"), "huber"),
    (("good.csv", "-t", "price", "--pairs", "identity+huber:dleta=1"), "delta"),
    (("good.csv", "-t", "price", "--pairs", "identity+huber:delta=-1"), "delta"),
    (("good.csv", "-t", "price", "--pairs", "identity"), "activation+cost"),
    (("good.csv", "-t", "price", "--pairs", ","), "at least one"),
    (("good.csv", "-t", "price", "--kind", "reel"), "real"),
    (("good.csv", "-t", "price", "--hidden", "8,x"), "--hidden"),
    (("good.csv", "-t", "price", "--hidden", "-3"), "at least 1"),
    (("good.csv", "-t", "price", "--epochs", "0"), "at least 1"),
    (("good.csv", "-t", "price", "--optimizer", "adom"), "'adam'"),
    (("good.csv", "-t", "price", "--activation", "rleu"), "'relu'"),
    (("good.csv", "-t", "price", "--name", "../up"), "folder name"),
    (("good.csv", "-t", "price", "--resume"), "does not exist"),
    (("good.csv", "-t", "price", "--accelerator", "warp"), "accelerator"),
]


def refused(tables, command, arguments, hint, *more):
    data, *options = arguments
    result = run(command, tables / data, *options, *more, code=2)
    assert hint in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize(("arguments", "hint"), BAD)
def test_choose_refuses(tables, arguments, hint):
    refused(tables, "choose", arguments, hint)


@pytest.mark.parametrize(("arguments", "hint"), BAD + BAD_STUDY)
def test_study_refuses_and_writes_nothing(tables, tmp_path, arguments, hint):
    refused(tables, "study", arguments, hint, "--runs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["study", "--epoch", "3"], "--epochs"),
        (["study", "--epochs", "many"], "valid integer"),
        (["stduy"], "study"),
        (["explain", "sigmoid+msee"], "mse"),
        (["predict", "nowhere", "new.csv"], "does not exist"),
        (["explain"], "PAIR"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest(arguments, hint):
    result = run(*arguments, code=2)
    assert hint in result.stderr
    assert "Traceback" not in result.output


def test_a_study_from_start_to_predictions(tables, tmp_path):
    options = ["--runs", tmp_path, "--epochs", "2", "--seeds", "1", "--hidden", "4", "--name", "first"]
    said = run("study", tables / "good.csv", "-t", "price", "--kind", "real", *options).stdout
    assert "identity+mse" in said
    assert "Report:" in said
    assert (tmp_path / "first" / "report.html").exists()
    run("study", tables / "good.csv", "-t", "price", "--kind", "real", *options, code=2)
    run("study", tables / "good.csv", "-t", "price", "--kind", "real", *options, "--overwrite")
    again = run("study", tables / "good.csv", "-t", "price", "--kind", "real", *options, "--resume")
    assert "finished already" in again.stdout
    by_name = run("study", "--resume", "--runs", tmp_path, "--name", "first")  # the rest is as it was
    assert "finished already" in by_name.stdout
    other = run("study", "--resume", "--runs", tmp_path, "--name", "first", "--epochs", "3", code=2)
    assert "epochs 3" in other.stderr
    out = tmp_path / "out.csv"
    done = run("predict", tmp_path / "first", tables / "good.csv", "-o", out)
    assert done.stdout == ""
    assert pl.read_csv(out).shape == (60, 1)
    assert run("predict", tmp_path / "first", tables / "good.csv").stdout == out.read_text()


def test_choose_names_a_pair(tables):
    assert run("choose", tables / "good.csv", "-t", "town").stdout.startswith("sigmoid+cross_entropy")
    assert "exp+poisson" in run("choose", "diabetes", "--kind", "count").stdout


def test_explain_and_pairs(tmp_path):
    listed = run("pairs").stdout
    assert all(f"{pair} " in listed for pair in cl.pairs())  # whole names, to be copied
    assert "delta = 2" in run("explain", "identity+huber:delta=2").stdout
    assert "0.9933" in run("explain", "sigmoid+mse").stdout
    run("explain", "sigmoid+mse", "--html", tmp_path / "pair.html", "--png", tmp_path / "pair.png")
    assert "<html" in (tmp_path / "pair.html").read_text(encoding="utf-8")
    assert (tmp_path / "pair.png").read_bytes().startswith(b"\x89PNG")
    assert "written to" in run("explain", "sigmoid+mse", "--png", tmp_path / "no" / "pair.png", code=2).stderr


def test_help_shows_examples_and_version():
    assert "costlayer study houses.csv --target price" in run("study", "--help").stdout
    assert run("--version").stdout.startswith("costlayer 0.")
    for command in ("choose", "explain", "pairs", "predict", "bench"):
        assert command in run("--help").stdout
        run(command, "--help")


def test_bench_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "checkout" in run("bench", code=2).stderr


def test_a_missing_extra_names_what_to_install():
    """As on a machine where only the core is installed."""
    program = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.partition('.')[0] == {package!r}: raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "sys.argv = ['costlayer', 'study', 'iris']\n"
        "from costlayer.cli import main\n"
        "main()\n"
    )
    for package in ("typer", "torch"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(package=package)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "pip install 'costlayer[" in done.stderr
        assert "Traceback" not in done.stderr
