"""The example of boosting: labels are drawn by lot as it says, and the gain that its text and the page speak of."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightgbm")
pytest.importorskip("xgboost")


@pytest.fixture(scope="module")
def example():
    path = Path(__file__).parents[2] / "examples" / "boosting.py"
    spec = importlib.util.spec_from_file_location("boosting_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_labels_for_training_are_drawn_by_lot(example):
    _, right, _, y_test = example.data(0.0, 3)
    x, wrong, x_test, also = example.data(0.4, 3)
    assert len(x) == len(wrong)
    assert len(x_test) == len(also)
    np.testing.assert_array_equal(y_test, also)
    assert (right != wrong).mean() == pytest.approx(0.4 * 0.9, abs=0.04)  # one in ten is drawn as it was


@pytest.mark.filterwarnings("ignore:softmax.gce starves")
@pytest.mark.parametrize(("library", "rounds"), [("lightgbm", 60)])
def test_is_right_more_often_than_the_built_in_objective(example, library, rounds):
    found = example.compare(library, 0.4, 2, rounds)
    assert (found["softmax+gce"] > found["built in"] + 0.01).all()
