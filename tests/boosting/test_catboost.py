"""CatBoost grows the same trees with a pair as with its own objective, and what goes with one fits."""

import json

import numpy as np
import pytest

import costlayer as cl
from boosting_data import CLASSES, LOGITS, TARGETS, WEIGHT, N, X
from costlayer.boosting import objective
from costlayer.errors import InvalidValue

cb = pytest.importorskip("catboost")

# what is random, or differs by default between a custom objective and a built-in one, is said
TREES = {
    "iterations": 15,
    "depth": 4,
    "learning_rate": 0.3,
    "thread_count": 1,
    "random_strength": 0,
    "bootstrap_type": "No",
    "boosting_type": "Plain",
    "leaf_estimation_iterations": 1,
    "leaf_estimation_backtracking": "No",
    "allow_writing_files": False,
    "verbose": False,
}
NEWTON, GRADIENT = "Newton", "Gradient"
BUILT_IN = [
    ("sigmoid+cross_entropy", {}, "Logloss", "yes_or_no", NEWTON),
    ("sigmoid+cross_entropy", {}, "CrossEntropy", "share", NEWTON),
    ("softmax+cross_entropy", {}, "MultiClass", "class", NEWTON),
    ("softmax+cross_entropy", {}, "MultiClass", "class", GRADIENT),
    ("identity+mse", {}, "RMSE", "number", NEWTON),
    ("identity+huber", {"delta": 2.0}, "Huber:delta=2", "number", GRADIENT),
    ("identity+log_cosh", {}, "LogCosh", "number", NEWTON),
    ("identity+expectile", {"expectile": 0.75}, "Expectile:alpha=0.75", "number", NEWTON),
    ("identity+quantile", {"quantile": 0.75}, "Quantile:alpha=0.75", "number", GRADIENT),
    ("exp+poisson", {}, "Poisson", "count", NEWTON),
    ("exp+tweedie", {"power": 1.2}, "Tweedie:variance_power=1.2", "count", NEWTON),
]


def made(name, **parameters):
    pair = cl.pair(name, **parameters)
    return objective(pair, "catboost", classes=CLASSES if pair.row else None)


def data(y, start=None, weight=WEIGHT):
    return cb.Pool(X, TARGETS[y], weight=weight, baseline=start)


def trees(model, path):
    model.save_model(str(path), format="json")
    return json.loads(path.read_text(encoding="utf-8"))["oblivious_trees"]


@pytest.mark.parametrize(("name", "parameters", "theirs", "y", "leaves"), BUILT_IN)
@pytest.mark.parametrize("weighted", [True, False])
def test_grows_the_trees_of_the_built_in_objective(name, parameters, theirs, y, leaves, weighted, tmp_path):
    ours = made(name, **parameters)
    start = ours.margin(LOGITS if ours.classes else 0.1, N)
    weight = WEIGHT if weighted else None
    how = {**TREES, "leaf_estimation_method": leaves}
    a = cb.CatBoost({**how, "loss_function": theirs}).fit(data(y, start, weight))
    b = cb.CatBoost({**how, **ours.params()}).fit(data(y, start, weight))
    a, b = trees(a, tmp_path / "a.json"), trees(b, tmp_path / "b.json")
    assert len(a) == len(b) == TREES["iterations"]
    for one, other in zip(a, b, strict=True):
        assert one["splits"] == other["splits"]
        np.testing.assert_allclose(one["leaf_values"], other["leaf_values"], rtol=1e-9, atol=1e-12)


def test_several_steps_in_a_leaf(tmp_path):
    how = {**TREES, "leaf_estimation_method": "Newton", "leaf_estimation_iterations": 5}
    a = cb.CatBoost({**how, "loss_function": "Logloss"}).fit(data("yes_or_no"))
    b = cb.CatBoost({**how, **made("sigmoid+cross_entropy").params()}).fit(data("yes_or_no"))
    for one, other in zip(trees(a, tmp_path / "a.json"), trees(b, tmp_path / "b.json"), strict=True):
        np.testing.assert_allclose(one["leaf_values"], other["leaf_values"], rtol=1e-9, atol=1e-12)


def test_half_the_absolute_error_is_the_librarys(tmp_path):
    how = {**TREES, "leaf_estimation_method": "Gradient"}
    ours = objective("identity+mae", "catboost", scale=0.5)
    a = cb.CatBoost({**how, "loss_function": "MAE", "boost_from_average": False}).fit(data("number"))
    b = cb.CatBoost({**how, **ours.params()}).fit(data("number"))
    assert [t["splits"] for t in trees(a, tmp_path / "a")] == [t["splits"] for t in trees(b, tmp_path / "b")]


@pytest.mark.filterwarnings("ignore:softmax.js starves")
@pytest.mark.parametrize(
    "name", ["identity+mse", "exp+poisson", "softmax+cross_entropy", "softmax+js", "softmax+binary_cross_entropy"]
)
def test_the_start_stays_in_the_model(name, tmp_path):
    ours = made(name)
    y = {"identity+mse": "number", "exp+poisson": "count"}.get(name, "class")
    start = ours.start(TARGETS[y], WEIGHT)
    model = cb.CatBoost({**TREES, **ours.params()}).fit(data(y, ours.margin(start, N)))
    without = ours.scores(model, X)
    ours.with_start(model, start)
    np.testing.assert_allclose(ours.scores(model, X), without + start, rtol=1e-9, atol=1e-9)
    model.save_model(str(tmp_path / "model"))
    again = cb.CatBoost().load_model(str(tmp_path / "model"))
    np.testing.assert_allclose(ours.scores(again, X), without + start, rtol=1e-9, atol=1e-9)
    tiled = np.broadcast_to(start, ours.scores(model, X).shape)
    assert cl.value(ours.pair, ours.scores(model, X), TARGETS[y]) < 0.8 * cl.value(ours.pair, tiled, TARGETS[y])


@pytest.mark.parametrize(("name", "theirs", "y"), [
    ("sigmoid+cross_entropy", "Logloss", "yes_or_no"),
    ("softmax+cross_entropy", "MultiClass", "class"),
    ("identity+mse", "RMSE", "number"),
])  # fmt: skip
def test_metric_is_that_of_the_library_and_stops_early(name, theirs, y):
    ours = made(name)
    start = ours.margin(LOGITS if ours.classes else 0.0, N)
    wrong = cb.Pool(X, np.roll(TARGETS[y], 1), baseline=start)  # gets worse at once
    how = {**TREES, "leaf_estimation_method": "Newton", "metric_period": 1}
    model = cb.CatBoost({**how, **ours.params()})
    model.fit(data(y, start), eval_set=wrong, early_stopping_rounds=2)
    assert model.tree_count_ <= 5
    built_in = cb.CatBoost({**how, "loss_function": theirs}).fit(data(y, start), eval_set=wrong)
    (mean,), (expected,) = (m.get_evals_result()["validation"].values() for m in (model, built_in))
    expected = np.array(expected[: len(mean)])
    np.testing.assert_allclose(mean, expected**2 if theirs == "RMSE" else expected, rtol=1e-5)


def test_scikit_learn_interface():
    ours = made("sigmoid+cross_entropy")
    how = {**TREES, "leaf_estimation_method": "Newton"}
    model = cb.CatBoostClassifier(**how, **ours.params()).fit(X, TARGETS["yes_or_no"], sample_weight=WEIGHT)
    built_in = cb.CatBoostClassifier(**how).fit(X, TARGETS["yes_or_no"], sample_weight=WEIGHT)
    np.testing.assert_allclose(ours.predict(ours.scores(model, X)), built_in.predict_proba(X)[:, 1], rtol=1e-9)
    with pytest.raises(InvalidValue, match="add up to 1"):
        ours.predict(model.predict_proba(X))
    ours = made("softmax+focal")
    model = cb.CatBoostClassifier(**how, **ours.params()).fit(X, TARGETS["class"])
    np.testing.assert_allclose(ours.predict(ours.scores(model, X)), model.predict_proba(X), rtol=1e-6)
    assert (model.predict(X)[:, 0] == TARGETS["class"]).mean() > 0.7


@pytest.mark.parametrize(("name", "y", "said"), [
    ("sigmoid+focal", TARGETS["class"], r"target\[\d+\]: got [23].0; expected a target in \[0, 1\]"),
    ("exp+poisson", TARGETS["number"], r"target\[\d+\]: got -[\d.]+; expected a target in \[0, ∞\)"),
])  # fmt: skip
def test_targets_out_of_range_are_said_in_its_own_terms(name, y, said):
    with pytest.raises(cb.CatBoostError, match=said):
        cb.CatBoost({**TREES, **made(name).params()}).fit(X, y)


def test_copies_are_the_same():
    import copy

    from sklearn.base import clone

    found = objective("softmax+focal", "catboost", classes=3)
    assert copy.deepcopy(found) is found
    model = cb.CatBoostClassifier(**found.params())
    assert clone(model).get_params()["loss_function"] is found


def test_a_curvature_of_nothing_is_lifted_to_the_floor():
    found = objective("sigmoid+cross_entropy", "catboost", floor=1e-3)
    z, y = np.array([0.0, 40.0]), np.array([1.0, 1.0])
    np.testing.assert_allclose(found.calc_ders_range(z, y, None)[:, 1], [-0.25, -1e-3], rtol=1e-12)


def test_damping_is_of_the_curvature_by_the_margin():
    """Of two classes there is nothing else."""
    z, damped = np.array([0.3, -0.4]), objective("softmax+cross_entropy", "catboost", classes=2, damping=3.0)
    slope, hessian = damped.calc_ders_multi(z, 1.0, 0.5)
    one_slope, one = objective("softmax+cross_entropy", "catboost", classes=2).calc_ders_multi(z, 1.0, 0.5)
    assert slope == one_slope
    np.testing.assert_allclose(hessian, 3.0 * np.array(one), rtol=1e-12)
    p = 1.0 / (1.0 + np.exp(-0.7))
    np.testing.assert_allclose(one, -0.5 * p * (1 - p) * np.array([[1, -1], [-1, 1]]), rtol=1e-12)
