"""XGBoost grows the same trees with a pair as with its own objective, and what goes with one fits."""

import numpy as np
import pytest

import costlayer as cl
from boosting_data import CLASSES, LOGITS, TARGETS, WEIGHT, N, X
from costlayer.boosting import objective
from costlayer.errors import InvalidValue

xgb = pytest.importorskip("xgboost")

TREES = {"max_depth": 4, "eta": 0.3, "nthread": 1}
# the pair, its parameters, the built-in objective, its targets, and what else has to be said
BUILT_IN = [
    ("sigmoid+cross_entropy", {}, {"objective": "binary:logistic"}, "yes_or_no"),
    ("sigmoid+cross_entropy", {}, {"objective": "reg:logistic"}, "share"),
    ("softmax+cross_entropy", {}, {"objective": "multi:softprob", "num_class": CLASSES}, "class"),
    ("identity+mse", {}, {"objective": "reg:squarederror"}, "number"),
    ("exp+poisson", {}, {"objective": "count:poisson"}, "count"),
    ("exp+gamma", {}, {"objective": "reg:gamma"}, "positive"),
    ("exp+tweedie", {"power": 1.5}, {"objective": "reg:tweedie"}, "count"),
    ("exp+tweedie", {"power": 1.2}, {"objective": "reg:tweedie", "tweedie_variance_power": 1.2}, "count"),
    ("identity+hinge", {}, {"objective": "binary:hinge"}, "yes_or_no"),
]


def made(name, **parameters):
    pair = cl.pair(name, **parameters)
    return objective(pair, "xgboost", classes=CLASSES if pair.row else None)


def data(y, start=None, weight=WEIGHT):
    return xgb.DMatrix(X, TARGETS[y], weight=weight, base_margin=start)


def same_trees(a, b, tolerance=1e-5):
    """The same features and thresholds in every node, and leaves that differ by rounding."""
    a, b = a.trees_to_dataframe(), b.trees_to_dataframe()
    assert a.Feature.tolist() == b.Feature.tolist()
    np.testing.assert_array_equal(a.Split, b.Split)
    leaf = a.Feature == "Leaf"
    assert leaf.sum() > 100
    np.testing.assert_allclose(a.Gain[leaf], b.Gain[leaf], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "parameters", "theirs", "y"), BUILT_IN)
@pytest.mark.parametrize("weighted", [True, False])
def test_grows_the_trees_of_the_built_in_objective(name, parameters, theirs, y, weighted):
    ours = made(name, **parameters)
    start = ours.margin(LOGITS if ours.classes else 0.1, N)
    weight = WEIGHT if weighted else None
    a = xgb.train({**TREES, **theirs}, data(y, start, weight), 20)
    b = xgb.train({**TREES, **ours.params()}, data(y, start, weight), 20, obj=ours)
    same_trees(a, b)
    if y == "class":  # a mix-up of classes would show here
        probabilities = a.predict(data(y, start))
        np.testing.assert_allclose(ours.predict(ours.scores(b, data(y, start))), probabilities, atol=1e-5)


def test_without_the_scale_the_squared_error_takes_twice_the_regularisation():
    ours = objective("identity+mse", "xgboost", scale=1.0)
    a = xgb.train({**TREES, "objective": "reg:squarederror", "base_score": 0.0}, data("number"), 10)
    twice = {"lambda": 2.0, "min_child_weight": 2.0, **ours.params(0.0)}
    same_trees(a, xgb.train({**TREES, **twice}, data("number"), 10, obj=ours))


@pytest.mark.filterwarnings("ignore:softmax.gce starves")
@pytest.mark.parametrize("name", ["softmax+gce", "softmax+focal", "class_scores+crammer_singer", "conditional+corn"])
def test_several_scores_start_from_the_base_score_and_keep_it(name):
    ours = made(name)
    start = ours.start(TARGETS["class"], WEIGHT)
    booster = xgb.train({**TREES, **ours.params(start)}, data("class"), 10, obj=ours)
    one = booster.predict(xgb.DMatrix(X), output_margin=True, iteration_range=(0, 10))
    assert one.shape == (N, ours.width)
    margin = xgb.train({**TREES, **ours.params()}, data("class", ours.margin(start, N)), 10, obj=ours)
    other = margin.predict(data("class", ours.margin(start, N)), output_margin=True)
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    before = cl.value(ours.pair, np.tile(start, (N, 1)), TARGETS["class"], WEIGHT, reduction="weighted_mean")
    after = cl.value(ours.pair, one, TARGETS["class"], WEIGHT, reduction="weighted_mean")
    assert after < 0.8 * before


def test_several_targets_of_one_score_each():
    ours = made("identity+huber")
    y = np.stack([TARGETS["number"], -TARGETS["number"]], axis=1)
    both = xgb.train({**TREES, **ours.params(0.0)}, xgb.DMatrix(X, y), 5, obj=ours).predict(xgb.DMatrix(X))
    one = xgb.train({**TREES, **ours.params(0.0)}, xgb.DMatrix(X, y[:, 0]), 5, obj=ours).predict(xgb.DMatrix(X))
    np.testing.assert_allclose(both[:, 0], one, rtol=1e-6)


@pytest.mark.parametrize(("name", "theirs", "named", "y"), [
    ("sigmoid+cross_entropy", {"objective": "binary:logistic"}, "logloss", "yes_or_no"),
    ("softmax+cross_entropy", {"objective": "multi:softprob", "num_class": CLASSES}, "mlogloss", "class"),
    ("identity+mse", {"objective": "reg:squarederror"}, "rmse", "number"),
])  # fmt: skip
def test_metric_is_that_of_the_library_and_stops_early(name, theirs, named, y):
    ours, found, expected = made(name), {}, {}
    start = ours.margin(LOGITS if ours.classes else 0.0, N)
    train = data(y, start)
    wrong = xgb.DMatrix(X, np.roll(TARGETS[y], 1), base_margin=start)  # gets worse at once
    stop = xgb.callback.EarlyStopping(rounds=2)
    evals = [(train, "train"), (wrong, "wrong")]
    how = {"num_boost_round": 10, "evals": evals, "verbose_eval": False}
    booster = xgb.train(
        {**TREES, **ours.params()},
        train,
        obj=ours,
        custom_metric=ours.metric,
        evals_result=found,
        callbacks=[stop],
        **how,
    )
    xgb.train({**TREES, **theirs, "eval_metric": named}, train, evals_result=expected, **how)
    assert booster.best_iteration < 5
    for part in ("train", "wrong"):
        assert list(found[part]) == [name]
        mean = np.array(found[part][name])
        theirs_ = np.array(expected[part][named][: len(mean)])
        np.testing.assert_allclose(mean, theirs_**2 if named == "rmse" else theirs_, rtol=1e-5)


def test_scikit_learn_interface():
    y = TARGETS["class"]
    ours = made("softmax+cross_entropy")
    model = xgb.XGBClassifier(n_estimators=10, n_jobs=1, objective=ours, eval_metric=ours.metric, **ours.params(LOGITS))
    model.fit(X, y, sample_weight=WEIGHT, eval_set=[(X, y)], verbose=False)
    same = xgb.train({"max_depth": 6, **ours.params(LOGITS)}, data("class"), 10, obj=ours)
    np.testing.assert_allclose(ours.scores(model, X), ours.scores(same, xgb.DMatrix(X)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.predict(ours.scores(model, X)), model.predict_proba(X), rtol=1e-5)
    (means,) = model.evals_result().values()
    assert means["softmax+cross_entropy"][-1] == pytest.approx(cl.value(ours.pair, ours.scores(model, X), y), rel=1e-5)
    poisson = made("exp+poisson")
    start = poisson.start(TARGETS["count"])
    regressor = xgb.XGBRegressor(n_estimators=5, n_jobs=1, objective=poisson, **poisson.params(start)).fit(
        X, TARGETS["count"]
    )
    mean = poisson.predict(poisson.scores(regressor, X)).mean()
    assert mean == pytest.approx(TARGETS["count"].mean(), rel=0.1)
    with pytest.raises(InvalidValue, match=r"probabilities do.*scores\(model, x\)"):
        ours.predict(model.predict_proba(X))


def test_a_classifier_reads_its_base_score_as_a_probability():
    ours = made("sigmoid+focal")
    start, y = ours.start(TARGETS["yes_or_no"]), TARGETS["yes_or_no"]
    how = {"n_estimators": 5, "n_jobs": 1, "max_depth": 4, "objective": ours}
    model = xgb.XGBClassifier(**how, **ours.params(), base_score=float(ours.predict(start))).fit(X, y)
    regressor = xgb.XGBRegressor(**how, **ours.params(start)).fit(X, y)
    np.testing.assert_allclose(ours.scores(model, X), ours.scores(regressor, X), rtol=1e-5, atol=1e-6)


def test_a_missing_number_of_classes_is_said_in_its_own_terms():
    ours = made("softmax+focal")
    with pytest.raises(InvalidValue, match=r"preds: got shape \(600,\); expected scores of shape \(N, 4\).*params\(\)"):
        xgb.train(TREES, data("class"), 1, obj=ours)


@pytest.mark.parametrize(("name", "y", "said"), [
    ("softmax+focal", TARGETS["class"] + 1, r"label\[\d+\]: got class 4; expected a class from 0 to 3"),
    ("softmax+focal", TARGETS["class"] + 0.5, r"label\[0\]: got \d.5; expected a class from 0 to 3"),
    ("sigmoid+focal", TARGETS["class"], r"label\[\d+\]: got [23].0; expected a target in \[0, 1\]"),
    ("exp+poisson", TARGETS["number"], r"label\[\d+\]: got -[\d.]+; expected a target in \[0, ∞\)"),
])  # fmt: skip
def test_labels_out_of_range_are_said_in_its_own_terms(name, y, said):
    ours = made(name)
    with pytest.raises(InvalidValue, match=said):
        xgb.train({**TREES, **ours.params()}, xgb.DMatrix(X, y), 1, obj=ours)
