"""What a pair gives to the trees of any library: gradients, positive curvatures, a start, and errors."""

import copy
import pickle
import subprocess
import sys
from math import exp

import numpy as np
import pytest

import costlayer as cl
from boosting_data import CLASSES, TARGETS, WEIGHT
from costlayer.boosting import OBJECTIVES, objective
from costlayer.errors import InvalidType, InvalidValue, MissingExtra

LIBRARIES = list(OBJECTIVES)
for name in LIBRARIES:
    pytest.importorskip(name)
every_library = pytest.mark.parametrize("library", LIBRARIES)
Z = np.linspace(-3.0, 3.0, 7)


def difference(pair, z, y, step=1e-5):
    """The derivatives of the sum of the costs by each score, by differences."""
    first, second = np.empty_like(z), np.empty_like(z)
    for i in np.ndindex(z.shape):
        at = [cl.value(pair, z + move * step * (np.arange(z.size).reshape(z.shape) == np.ravel_multi_index(i, z.shape)),
                       y, reduction="sum") for move in (-1, 0, 1)]  # fmt: skip
        first[i], second[i] = (at[2] - at[0]) / (2 * step), (at[2] - 2 * at[1] + at[0]) / step**2
    return first, second


@pytest.mark.parametrize(("name", "y"), [
    ("sigmoid+focal", np.array([0, 1, 1, 0, 1, 0, 1.0])),
    ("identity+expectile", np.zeros(7) + 0.3),
    ("exp+negative_binomial", np.arange(7.0)),
    ("cloglog+cross_entropy", np.array([0, 1, 1, 0, 1, 0, 1.0])),
])  # fmt: skip
@every_library
def test_gradients_of_one_score(library, name, y):
    ours = objective(name, library)
    gradient, curvature = ours.gradients(Z, y, None)
    first, second = difference(ours.pair, Z, y)
    np.testing.assert_allclose(gradient, first, atol=1e-6)
    positive = second > 1e-3
    np.testing.assert_allclose(curvature[positive], second[positive], rtol=1e-3)
    assert (curvature > 0).all()


@every_library
def test_gradients_of_several_scores_in_their_order(library):
    ours = objective("softmax+focal", library, classes=3)
    z, y = np.array([[0.3, -1.0, 2.0], [0.0, 0.5, -0.5]]), np.array([0.0, 2.0])
    gradient, curvature = ours.gradients(z, y, np.array([1.0, 3.0]))
    first, second = difference(ours.pair, z, y.astype(int))
    np.testing.assert_allclose(gradient, first * [[1], [3]], atol=1e-6)
    positive = second > 1e-3
    assert positive.sum() >= 4
    expected = (second * [[1], [3]] * ours.damping)[positive]
    np.testing.assert_allclose(curvature[positive], expected, rtol=1e-3)


def test_scores_stay_in_their_type():
    for real in (np.float32, np.float64):
        found = objective("sigmoid+focal", "xgboost").gradients(Z.astype(real), np.ones(7), np.ones(7, np.float32))
        assert [array.dtype for array in found] == [real, real]


@pytest.mark.parametrize(("name", "z", "expected"), [
    ("identity+mae", [-2.0, 0.0, 5.0], [1.0, 1e-16, 1.0]),  # no gradient at 0 either
    ("identity+huber", [-2.0, 0.5, 5.0], [1.0, 1.0, 1.0]),
    ("identity+hinge", [-2.0, 0.5, 5.0], [1e-16, 1.0, 1.0]),  # of −1
    ("identity+cauchy", [-9.0, 0.0, 9.0], [1.0, 1.0, 1.0]),  # beyond its scale it curves downwards
    ("identity+tukey", [-9.0, 0.0, 3.0], [1e-16, 1.0, 1.0]),  # and does not see what is very far
])  # fmt: skip
@every_library
def test_a_gradient_without_curvature_counts_as_one(library, name, z, expected):
    y = np.full(3, -1.0 if name == "identity+hinge" else 0.0)
    np.testing.assert_allclose(objective(name, library).gradients(np.array(z), y, None)[1], expected)
    given = objective(name, library, flat=0.25, floor=1e-3).gradients(np.array(z), y, np.full(3, 2.0))[1]
    wanted = [2.0 * c if c == 1.0 and cl.curvature(name, [at], [goal])[0] > 0 else 0.5 if c == 1.0 else 1e-3
              for c, at, goal in zip(expected, z, y, strict=True)]  # fmt: skip
    np.testing.assert_allclose(given, wanted)


@every_library
def test_an_example_of_weight_0_may_be_anything(library):
    ours = objective("sigmoid+cross_entropy", library)
    gradient, curvature = ours.gradients(np.array([np.nan, 1.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert gradient[0] == 0.0
    assert curvature[0] == ours.floor


def test_scale_and_damping_are_those_of_the_libraries():
    found = {(library, name): (ours.scale, ours.damping) for library in LIBRARIES for name, classes in
             (("identity+mse", None), ("exp+poisson", None), ("softmax+cross_entropy", 5), ("softmax+mse", 5))
             for ours in [objective(cl.catalogue.build(name, {}), library, classes=classes)]}  # fmt: skip
    assert found == {
        ("xgboost", "identity+mse"): (0.5, 1.0),
        ("xgboost", "exp+poisson"): (1.0, pytest.approx(exp(0.7))),
        ("xgboost", "softmax+cross_entropy"): (1.0, 2.0),
        ("xgboost", "softmax+mse"): (1.0, 2.0),
        ("lightgbm", "identity+mse"): (0.5, 1.0),
        ("lightgbm", "exp+poisson"): (1.0, pytest.approx(exp(0.7))),
        ("lightgbm", "softmax+cross_entropy"): (1.0, 1.25),
        ("lightgbm", "softmax+mse"): (1.0, 1.25),
        ("catboost", "identity+mse"): (0.5, 1.0),
        ("catboost", "exp+poisson"): (1.0, 1.0),
        ("catboost", "softmax+cross_entropy"): (1.0, 1.0),
        ("catboost", "softmax+mse"): (1.0, 2.0),
    }


@pytest.mark.parametrize(("name", "parameters"), [("softmax+cross_entropy", {}), ("softmax+focal", {"gamma": 1.0})])
def test_catboost_is_given_the_whole_hessian_of_minus_the_cost(name, parameters):
    ours = objective(cl.pair(name, **parameters), "catboost", classes=4)
    z = np.array([1.0, -0.5, 0.2, 2.0])
    step = 1e-5

    def gradient(at):
        return np.array(ours.calc_ders_multi(at, 0.0, 1.5)[0])

    numerical = np.array([(gradient(z + step * e) - gradient(z - step * e)) / (2 * step) for e in np.eye(4)])
    np.testing.assert_allclose(ours.calc_ders_multi(z, 0.0, 1.5)[1], numerical, atol=1e-8)
    np.testing.assert_allclose(gradient(z), -1.5 * cl.value_and_delta(ours.pair, z[None], np.array([0]))[1][0])


@pytest.mark.filterwarnings("ignore:softmax.gce starves")
def test_catboost_is_given_a_hessian_that_curves_upwards():
    ours = objective("softmax+gce", "catboost", classes=3)
    hessian = -np.array(ours.calc_ders_multi(np.array([-2.0, 1.0, 0.0]), 0.0, 1.0)[1])
    assert cl.curvature(ours.pair, [[-2.0, 1.0, 0.0]], [0])[0, 0] < 0
    assert np.linalg.eigvalsh(hessian).min() > -1e-12
    assert hessian[0, 0] == 1.0


@every_library
def test_the_start_is_the_best_constant(library):
    ours = objective("softmax+cross_entropy", library, classes=CLASSES + 1)  # the last never occurs
    start = ours.start(TARGETS["class"].astype(float), WEIGHT)
    np.testing.assert_array_equal(start, cl.constant(ours.pair, TARGETS["class"], WEIGHT, classes=CLASSES + 1))
    assert ours.margin(start, 3).shape == (3, CLASSES + 1)
    np.testing.assert_array_equal(ours.margin(start, 3)[2], start)
    assert ours.margin(0.5, 3).tolist() == [0.5, 0.5, 0.5]


@every_library
def test_objectives_are_values(library):
    ours = objective("identity+huber", library, flat=0.5)
    assert copy.deepcopy(ours) == ours == pickle.loads(pickle.dumps(ours))
    assert pickle.loads(pickle.dumps(ours.metric)) == ours.metric
    assert hash(ours) == hash(copy.deepcopy(ours))


@pytest.mark.parametrize(("name", "scores", "said"), [
    ("softmax+focal", np.zeros(5), r"shape \(5,\); expected scores of shape \(N, 4\)"),
    ("softmax+focal", np.zeros((5, 3)), r"shape \(5, 3\); expected scores of shape \(N, 4\)"),
    ("softmax+focal", np.full((5, 4), 0.25), r"rows that add up to 1.*raw scores.*not predict_proba"),
    ("sigmoid+focal", np.full((5, 2), 0.5), r"rows that add up to 1.*raw scores.*not predict_proba"),
])  # fmt: skip
@every_library
def test_what_is_no_scores_is_refused(library, name, scores, said):
    ours = objective(name, library, classes=4 if name == "softmax+focal" else None)
    with pytest.raises(InvalidValue, match=said):
        ours.predict(scores)


@pytest.mark.parametrize(("name", "how", "error", "said"), [
    ("softmax+focal", {}, InvalidValue, "classes: got None; expected how many classes there are"),
    ("sigmoid+focal", {"classes": 2}, InvalidValue, "classes: got 2; expected None"),
    ("softmax+focal", {"classes": 1}, InvalidValue, "classes: got 1; expected a whole number of at least 2"),
    ("softmax+focal", {"classes": 2.0}, InvalidValue, "classes: got 2.0; expected a whole number"),
    ("identity_exp+gaussian", {}, InvalidValue, "a scale.*can express.*identity.quantile"),
    ("ordinal+cumulative_logit", {"classes": 4}, InvalidValue, "falling row.*Use conditional.corn"),
    ("identity+mse", {"floor": 0.0}, InvalidValue, r"floor: got 0.0; expected a number in \(0, ∞\)"),
    ("identity+mse", {"flat": -1.0}, InvalidValue, r"flat: got -1.0; expected a number in \[0, ∞\)"),
    ("identity+mse", {"scale": "1"}, InvalidType, "scale: got '1'; expected a number"),
    ("identity+mse", {"damping": float("nan")}, InvalidValue, "damping: got nan"),
])  # fmt: skip
@every_library
def test_what_cannot_be_expressed_is_refused(library, name, how, error, said):
    with pytest.raises(error, match=said):
        objective(name, library, **how)


def test_catboost_has_a_score_for_each_class():
    with pytest.raises(InvalidValue, match=r"K − 1 scores.*Use xgboost or lightgbm"):
        objective("conditional+corn", "catboost", classes=4)


def test_a_library_that_is_none():
    with pytest.raises(InvalidValue, match=r"library: got 'xgbost'.*Did you mean 'xgboost'"):
        objective("identity+mse", "xgbost")


@every_library
def test_a_library_that_is_not_installed(library, monkeypatch):
    monkeypatch.setattr("costlayer.boosting.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"{library}.*pip install 'costlayer\[boosting\]'"):
        objective("identity+mse", library)


def test_objectives_are_made_without_loading_a_library():
    script = (
        "import sys, costlayer.boosting as b; [b.objective('identity+mse', name) for name in b.OBJECTIVES];"
        "print([name for name in b.OBJECTIVES if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
