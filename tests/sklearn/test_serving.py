"""An estimator as a torch module predicts what the estimator does, also in ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from costlayer.errors import InvalidValue
from costlayer.sklearn import CostLayerClassifier, CostLayerRegressor

CASES = {
    "softmax": (CostLayerClassifier, "auto", lambda x, y: y),
    "two classes": (CostLayerClassifier, "auto", lambda x, y: y == 1),
    "two classes, from -1 to 1": (CostLayerClassifier, "tanh+mse", lambda x, y: y == 0),
    "an output for each class": (CostLayerClassifier, "sigmoid+mse", lambda x, y: y),
    "labels": (CostLayerClassifier, "auto", lambda x, y: np.stack([y == 0, y < 2], axis=1).astype(int)),
    "numbers": (CostLayerRegressor, "identity+huber", lambda x, y: 1e3 * x[:, 0] + 7.0),
    "counts": (CostLayerRegressor, "exp+poisson", lambda x, y: np.round(50.0 * x[:, 0])),
    "columns of numbers": (CostLayerRegressor, "identity+mse", lambda x, y: x[:, :2] * (5.0, 7e4)),
}


def _fitted(case, precision="32-true"):
    """An estimator, its features, and what it predicts."""
    kind, pair, target = CASES[case]
    x, y = load_iris(return_X_y=True)
    x = x.astype(np.float64 if precision == "64-true" else np.float32)
    estimator = kind(pair, max_iter=3, random_state=0, precision=precision).fit(x, target(x, y))
    return estimator, x, _predicted(estimator, x)


def _predicted(estimator, x):
    return estimator.predict_proba(x) if isinstance(estimator, CostLayerClassifier) else estimator.predict(x)


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
@pytest.mark.parametrize("case", CASES)
def test_the_module_predicts_what_the_estimator_does(case, precision):
    estimator, x, truth = _fitted(case, precision)
    found = estimator.predictor()(torch.from_numpy(x)).numpy()
    assert found.shape == truth.shape
    np.testing.assert_array_equal(found, truth.astype(x.dtype))  # rounded once


# what torch's exporter does by a name that torch has given up
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")
@pytest.mark.parametrize("case", ["two classes", "an output for each class", "numbers", "columns of numbers"])
def test_onnx_runtime_predicts_what_the_estimator_does(case):
    estimator, x, truth = _fitted(case)
    program = torch.onnx.export(
        estimator.predictor(), (torch.from_numpy(x[:2]),), dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )  # fmt: skip
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (given,) = session.get_inputs()
    (found,) = session.run(None, {given.name: x})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, truth, rtol=2e-5)  # products of matrices round otherwise


def test_classes_that_are_all_unlikely_are_equally_likely():
    estimator, x, _ = _fitted("an output for each class", "64-true")
    with torch.no_grad():
        estimator.network_[-1].bias.fill_(-1e4)
    found = estimator.predictor()(torch.from_numpy(x))
    np.testing.assert_array_equal(found, _predicted(estimator, x))
    np.testing.assert_array_equal(found, np.full(found.shape, 1 / 3))


def test_what_cannot_be_served_is_refused():
    with pytest.raises(NotFittedError):
        CostLayerRegressor().predictor()
    x, y = load_iris(return_X_y=True)
    with pytest.raises(InvalidValue, match=r"identity\+hinge.*none is a probability"):
        CostLayerClassifier("identity+hinge", max_iter=1).fit(x, y == 0).predictor()
