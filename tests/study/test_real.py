"""Real data that is not bundled, from the file to the predictions, as a user would go."""

import json

import numpy as np
import polars as pl
import pytest
import study_data
from typer.testing import CliRunner

from costlayer.cli.commands import app
from costlayer.study.table import read_features


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("make", "target", "kind", "advised"),
    [
        (study_data.penguins, "body_mass_g", "real", "identity+mse"),
        (study_data.modules, "functions", "count", "exp+poisson"),
        (study_data.characters, "category", "classes", "softmax+cross_entropy"),
        (study_data.titanic, "survived", "binary", "sigmoid+cross_entropy"),
    ],
)
def test_from_choose_to_predict(tmp_path, make, target, kind, advised):
    table = make(tmp_path)
    assert advised in run("choose", table, "-t", target)
    said = run(
        *("study", table, "-t", target, "--runs", tmp_path / "runs", "--name", "run"),
        *("--epochs", 2, "--seeds", 1, "--hidden", 16, "--pairs", f"{advised},identity+mse"),
    )
    assert "Report:" in said
    config = json.loads((tmp_path / "runs" / "run" / "config.json").read_text(encoding="utf-8"))
    assert (config["data"]["kind"], config["advice"]["pair"]) == (kind, advised)
    new = read_features(table).head(50)
    new.drop(target).write_ndjson(tmp_path / "new.ndjson")
    run("predict", tmp_path / "runs" / "run", tmp_path / "new.ndjson", "-o", tmp_path / "out.parquet")
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.height == new.height
    if config["data"]["classes"]:
        assert set(found["prediction"]) <= set(config["data"]["classes"])
    else:
        assert np.isfinite(found["prediction"].to_numpy()).all()
        assert np.corrcoef(found["prediction"], new[target].fill_null(strategy="mean"))[0, 1] > 0.3
