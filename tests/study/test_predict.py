"""A study's network applied to new rows."""

import json

import numpy as np
import polars as pl
import pytest

import costlayer as cl
from costlayer.errors import InvalidValue
from costlayer.study.predict import Predictor, predict
from costlayer.study.preparation import Preparation
from costlayer.study.run import study
from costlayer.study.table import read_table
from costlayer.study.train import Settings

SMALL = Settings(hidden=(8,), epochs=4, seeds=2, batch_size=32, search_epochs=1)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return study("iris", settings=SMALL, pairs=["sigmoid+cross_entropy"], runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("houses")
    rng = np.random.default_rng(3)
    size, town = rng.uniform(20, 200, 300), rng.choice(["Rome", "Oslo", "Bern"], 300)
    price = size * np.where(town == "Oslo", 9.0, 4.0) + rng.normal(0, 20, 300)
    pl.DataFrame({"size": size, "town": town, "price": price}).write_csv(folder / "houses.csv")
    settings = Settings(hidden=(8,), epochs=20, seeds=1, batch_size=32)
    return study(folder / "houses.csv", "price", kind="real", settings=settings, runs=folder / "runs")


def test_classes_come_with_names_and_probabilities(classes, tmp_path):
    frame = read_table("iris").frame
    frame.drop("target").write_csv(tmp_path / "new.csv")
    found = predict(classes.folder, tmp_path / "new.csv", tmp_path / "out.csv")
    assert found.columns == [
        "prediction",
        "probability of setosa",
        "probability of versicolor",
        "probability of virginica",
    ]
    p = found.drop("prediction").to_numpy()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-9)
    names = np.array(classes.config["data"]["classes"])
    assert found["prediction"].to_list() == names[p.argmax(axis=1)].tolist()
    assert pl.read_csv(tmp_path / "out.csv")["prediction"].to_list() == found["prediction"].to_list()
    # the test rows give the figures that the study recorded for its best seed
    final = [r for r in classes.records if r["record"] == "final"]
    said = found["prediction"].to_numpy() == frame["target"].to_numpy()
    assert any(abs(said.mean() - f["metrics"]["accuracy"]) < 0.1 for f in final)


def test_predictions_are_those_of_the_network_the_study_kept(classes):
    frame = read_table("iris").frame
    predictor = Predictor(classes.folder)
    features = Preparation.load(classes.folder / "preparation.skops").features(frame)
    weights = {name: value.numpy() for name, value in predictor.estimator.network_.state_dict().items()}
    hidden = np.maximum(features @ weights["0.weight"].T + weights["0.bias"], 0)
    z = hidden @ weights["2.weight"].T + weights["2.bias"]
    v = cl.predict("sigmoid+cross_entropy", z.astype(np.float64))
    np.testing.assert_allclose(
        predictor(frame).drop("prediction").to_numpy(), v / v.sum(axis=1, keepdims=True), rtol=1e-4
    )


def test_values_are_in_the_targets_own_units(houses, tmp_path):
    new = pl.DataFrame({"town": ["Oslo", "Rome"], "size": [100.0, 100.0]})
    new.write_ndjson(tmp_path / "new.ndjson")
    found = predict(houses.folder, tmp_path / "new.ndjson", tmp_path / "out.parquet")
    np.testing.assert_allclose(found["prediction"].to_numpy(), [900, 400], rtol=0.25)
    assert pl.read_parquet(tmp_path / "out.parquet").equals(found)


def test_unknown_categories_and_unused_columns_are_told(houses, tmp_path):
    pl.DataFrame({"size": [50.0], "town": ["Lima"], "agent": ["Kim"]}).write_csv(tmp_path / "new.csv")
    notes = []
    found = predict(houses.folder, tmp_path / "new.csv", tmp_path / "out.csv", notes.append)
    assert np.isfinite(found["prediction"].to_numpy()).all()
    assert any("'town'" in note and "'Lima'" in note for note in notes)
    assert any("'agent'" in note for note in notes)


def test_a_missing_column_is_named_and_nothing_written(houses, tmp_path):
    pl.DataFrame({"sise": [50.0], "town": ["Rome"]}).write_csv(tmp_path / "new.csv")
    with pytest.raises(InvalidValue, match=r"'size'.*'sise'"):
        predict(houses.folder, tmp_path / "new.csv", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_without_a_file_the_predictions_go_to_standard_output(houses, tmp_path, capsys):
    pl.DataFrame({"size": [50.0], "town": ["Rome"]}).write_csv(tmp_path / "new.csv")
    found = predict(houses.folder, tmp_path / "new.csv")
    head, value = capsys.readouterr().out.split()
    assert head == "prediction"
    assert float(value) == found["prediction"][0]


def test_places_that_cannot_be_written(houses, tmp_path):
    new = tmp_path / "new.csv"
    pl.DataFrame({"size": [50.0], "town": ["Rome"]}).write_csv(new)
    before = new.read_bytes()
    for out, hint in (
        (new, "the table itself"),
        (tmp_path, "ends in"),
        (tmp_path / "no" / "out.csv", "written to"),
        (tmp_path / "out.xls", "ends in"),
    ):
        with pytest.raises(InvalidValue, match=hint):
            predict(houses.folder, new, out)
    assert new.read_bytes() == before


@pytest.mark.parametrize("file", ["network.safetensors", "preparation.skops"])
def test_a_damaged_run_is_refused(houses, tmp_path, file):
    folder = tmp_path / "run"
    folder.mkdir()
    for path in houses.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / file).write_bytes((folder / file).read_bytes()[:100])
    pl.DataFrame({"size": [50.0], "town": ["Rome"]}).write_csv(tmp_path / "new.csv")
    with pytest.raises(InvalidValue, match="damaged"):
        predict(folder, tmp_path / "new.csv")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    pl.DataFrame({"size": [50.0]}).write_csv(tmp_path / "new.csv")
    with pytest.raises(InvalidValue, match="does not exist"):
        predict(tmp_path / "none", tmp_path / "new.csv")
    (tmp_path / "config.json").write_text(json.dumps({"pairs": []}))
    with pytest.raises(InvalidValue, match="damaged"):
        predict(tmp_path, tmp_path / "new.csv")
