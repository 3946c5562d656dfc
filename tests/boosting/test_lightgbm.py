"""LightGBM grows the same trees with a pair as with its own objective, and what goes with one fits."""

import pickle

import numpy as np
import pytest

import costlayer as cl
from boosting_data import CLASSES, LOGITS, TARGETS, WEIGHT, N, X
from costlayer.boosting import objective
from costlayer.errors import InvalidValue

lgb = pytest.importorskip("lightgbm")

TREES = {"num_leaves": 15, "learning_rate": 0.3, "num_threads": 1, "verbosity": -1, "min_data_in_leaf": 5}
BUILT_IN = [
    ("sigmoid+cross_entropy", {}, {"objective": "binary"}, "yes_or_no"),
    ("sigmoid+cross_entropy", {}, {"objective": "cross_entropy"}, "share"),
    ("softmax+cross_entropy", {}, {"objective": "multiclass", "num_class": CLASSES}, "class"),
    ("identity+mse", {}, {"objective": "regression"}, "number"),
    ("identity+huber", {"delta": 0.9}, {"objective": "huber"}, "number"),
    ("identity+huber", {"delta": 2.0}, {"objective": "huber", "alpha": 2.0}, "number"),
    ("exp+poisson", {}, {"objective": "poisson"}, "count"),
    ("exp+gamma", {}, {"objective": "gamma"}, "positive"),
    ("exp+tweedie", {"power": 1.5}, {"objective": "tweedie"}, "count"),
    ("exp+tweedie", {"power": 1.2}, {"objective": "tweedie", "tweedie_variance_power": 1.2}, "count"),
]


def made(name, **parameters):
    pair = cl.pair(name, **parameters)
    return objective(pair, "lightgbm", classes=CLASSES if pair.row else None)


def data(y, start=None, weight=WEIGHT):
    return lgb.Dataset(X, TARGETS[y], weight=weight, init_score=start)


def same_trees(a, b, leaves=True):
    a, b = a.trees_to_dataframe(), b.trees_to_dataframe()
    assert a.split_feature.fillna("").tolist() == b.split_feature.fillna("").tolist()
    np.testing.assert_array_equal(a.threshold, b.threshold)
    assert len(a) > 100
    if leaves:
        np.testing.assert_allclose(a.value, b.value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "parameters", "theirs", "y"), BUILT_IN)
@pytest.mark.parametrize("weighted", [True, False])
def test_grows_the_trees_of_the_built_in_objective(name, parameters, theirs, y, weighted):
    ours = made(name, **parameters)
    start = ours.margin(LOGITS if ours.classes else 0.1, N)
    weight = WEIGHT if weighted else None
    a = lgb.train({**TREES, **theirs}, data(y, start, weight), 20)
    b = lgb.train({**TREES, **ours.params()}, data(y, start, weight), 20)
    same_trees(a, b)
    if y == "class":  # a mix-up of classes would show here
        expected = a.predict(X, raw_score=True) + LOGITS
        np.testing.assert_allclose(ours.scores(ours.with_start(b, LOGITS), X), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "parameters", "theirs"), [
    ("identity+mae", {}, {"objective": "regression_l1"}),
    ("identity+quantile", {"quantile": 0.75}, {"objective": "quantile", "alpha": 0.75}),
])  # fmt: skip
def test_the_first_tree_of_costs_whose_leaves_the_library_sets_anew(name, parameters, theirs):
    """LightGBM replaces their leaves by quantiles of what is left, which no custom objective can."""
    ours = made(name, **parameters)
    start = ours.margin(0.0, N)
    how = {**TREES, "num_leaves": 127, "min_data_in_leaf": 1}
    a = lgb.train({**how, **theirs}, data("number", start), 1)
    same_trees(a, lgb.train({**how, **ours.params()}, data("number", start), 1), leaves=False)


@pytest.mark.parametrize(("name", "theirs", "y"), [
    ("sigmoid+cross_entropy", {"objective": "binary"}, "yes_or_no"),
    ("identity+mse", {"objective": "regression"}, "number"),
    ("exp+poisson", {"objective": "poisson"}, "count"),
    ("softmax+cross_entropy", {"objective": "multiclass", "num_class": CLASSES}, "class"),
])  # fmt: skip
def test_the_start_is_that_of_the_built_in_objective_and_stays_in_the_model(name, theirs, y):
    ours = made(name)
    start = ours.start(TARGETS[y].astype(float), WEIGHT)
    built_in = lgb.train({**TREES, **theirs}, data(y), 10)  # starts from the mean by itself
    model = lgb.train({**TREES, **ours.params()}, data(y, ours.margin(start, N)), 10)
    without = ours.scores(model, X)
    kept = ours.with_start(model, start)
    np.testing.assert_allclose(ours.scores(kept, X), without + start, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.scores(kept, X), built_in.predict(X, raw_score=True), atol=1e-4)
    again = lgb.Booster(model_str=kept.model_to_string())
    np.testing.assert_allclose(ours.predict(ours.scores(again, X)), built_in.predict(X), atol=1e-4)


@pytest.mark.filterwarnings("ignore:softmax.js starves")
@pytest.mark.parametrize("name", ["softmax+js", "class_scores+crammer_singer", "ordinal+coral"])
def test_several_scores(name):
    ours = made(name)
    y = TARGETS["class"]
    start = ours.start(y)
    train = lgb.Dataset(X, y, init_score=ours.margin(start, N))
    model = ours.with_start(lgb.train({**TREES, **ours.params()}, train, 10), start)
    scores = ours.scores(model, X)
    assert scores.shape == (N, ours.width)
    assert cl.value(ours.pair, scores, y) < 0.8 * cl.value(ours.pair, np.tile(start, (N, 1)), y)


@pytest.mark.parametrize(("name", "theirs", "named", "y"), [
    ("sigmoid+cross_entropy", {"objective": "binary"}, "binary_logloss", "yes_or_no"),
    ("softmax+cross_entropy", {"objective": "multiclass", "num_class": CLASSES}, "multi_logloss", "class"),
    ("identity+mse", {"objective": "regression"}, "l2", "number"),
])  # fmt: skip
def test_metric_is_that_of_the_library_and_stops_early(name, theirs, named, y):
    ours, found, expected = made(name), {}, {}
    start = ours.margin(LOGITS if ours.classes else 0.0, N)

    def sets():
        train = data(y, start)
        return train, [train, lgb.Dataset(X, np.roll(TARGETS[y], 1), init_score=start, reference=train)]

    train, evals = sets()
    calls = [lgb.early_stopping(2, verbose=False), lgb.record_evaluation(found)]
    model = lgb.train({**TREES, **ours.params()}, train, 10, valid_sets=evals, feval=ours.metric, callbacks=calls)
    train, evals = sets()
    lgb.train(
        {**TREES, **theirs, "metric": named}, train, 10, valid_sets=evals, callbacks=[lgb.record_evaluation(expected)]
    )
    assert model.best_iteration < 5
    for part in ("training", "valid_1"):
        assert list(found[part]) == [name]
        mean = found[part][name]
        np.testing.assert_allclose(mean, expected[part][named][: len(mean)], rtol=1e-5)


def test_scikit_learn_interface():
    y = TARGETS["class"]
    ours = made("softmax+cross_entropy")
    how = {"n_estimators": 10, "n_jobs": 1, "verbosity": -1}
    model = lgb.LGBMClassifier(**how, **ours.params())
    start = ours.margin(LOGITS, N)
    model.fit(
        X,
        y,
        sample_weight=WEIGHT,
        init_score=start,
        eval_X=(X,),
        eval_y=(y,),
        eval_init_score=[start],
        eval_metric=ours.metric,
    )
    trained = lgb.train({"num_threads": 1, "verbosity": -1, **ours.params()}, data("class", start), 10)
    ours.with_start(model, LOGITS)
    np.testing.assert_allclose(ours.scores(model, X), ours.scores(trained, X) + LOGITS, rtol=1e-6, atol=1e-6)
    (means,) = model.evals_result_.values()
    assert means["softmax+cross_entropy"][-1] == pytest.approx(cl.value(ours.pair, ours.scores(model, X), y))
    built_in = lgb.LGBMClassifier(**how).fit(X, y, sample_weight=WEIGHT, init_score=start)
    np.testing.assert_allclose(
        ours.predict(ours.scores(model, X)), ours.predict(built_in.predict(X, raw_score=True) + LOGITS), atol=1e-5
    )
    regressor = lgb.LGBMRegressor(**how, **made("identity+log_cosh").params()).fit(X, TARGETS["number"])
    assert pickle.loads(pickle.dumps(regressor)).get_params()["objective"] == made("identity+log_cosh")


def test_trees_that_are_constant_take_the_start_too():
    ours = made("softmax+focal")
    model = lgb.train({**TREES, "min_gain_to_split": 1e9, **ours.params()}, data("class", ours.margin(LOGITS, N)), 1)
    assert model.trees_to_dataframe().left_child.isna().all()
    np.testing.assert_allclose(ours.scores(ours.with_start(model, LOGITS), X[:2]), [LOGITS, LOGITS], atol=1e-6)


def test_linear_trees_cannot_keep_the_start():
    ours = made("identity+mse")
    model = lgb.train({**TREES, "linear_tree": True, **ours.params()}, lgb.Dataset(X, TARGETS["number"]), 1)
    with pytest.raises(InvalidValue, match="linear trees"):
        ours.with_start(model, 1.0)


def test_a_missing_number_of_classes_is_said_in_its_own_terms():
    ours = made("softmax+focal")
    with pytest.raises(InvalidValue, match=r"preds: got shape \(600,\); expected scores of shape \(N, 4\).*params\(\)"):
        lgb.train({**TREES, "objective": ours}, data("class"), 1)


@pytest.mark.parametrize(("name", "y", "said"), [
    ("softmax+focal", TARGETS["class"] + 1, r"label\[\d+\]: got class 4; expected a class from 0 to 3"),
    ("sigmoid+focal", TARGETS["class"], r"label\[\d+\]: got [23].0; expected a target in \[0, 1\]"),
])  # fmt: skip
def test_labels_out_of_range_are_said_in_its_own_terms(name, y, said):
    with pytest.raises(InvalidValue, match=said):
        lgb.train({**TREES, **made(name).params()}, lgb.Dataset(X, y), 1)
