"""Metrics against scikit-learn, and starvation against a count by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

import costlayer as cl
from costlayer.catalogue import read_pair
from costlayer.sklearn.encoding import Encoding
from costlayer.study import measure


def encoding(pair, kind, y, classes=0):
    return Encoding.fit(pair, kind, y, y, classes)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_metrics_of_many_classes_are_scikit_learns(rng):
    y = rng.integers(0, 5, 400)
    z = rng.normal(size=(400, 5)) + 1.5 * np.eye(5)[y]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    found = measure.metrics(encoding("softmax+cross_entropy", "classes", y, 5), y, p)
    said = p.argmax(axis=1)
    assert found["accuracy"] == sk.accuracy_score(y, said)
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, said, average="macro"), rel=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, p), rel=1e-12)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(y, p), rel=1e-12)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), rel=1e-12)


def test_metrics_of_two_classes_are_scikit_learns(rng):
    y = rng.integers(0, 2, 300)
    v = 1 / (1 + np.exp(-(rng.normal(size=(300, 1)).round(1) + y[:, None])))  # rounded: some scores tie
    found = measure.metrics(encoding("sigmoid+cross_entropy", "binary", y, 2), y, v)
    said = (v[:, 0] > 0.5).astype(int)
    assert found["accuracy"] == sk.accuracy_score(y, said)
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, said, average="macro"), rel=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, v[:, 0]), rel=1e-12)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(y, v[:, 0]), rel=1e-12)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y, v[:, 0]), rel=1e-12)


def test_metrics_of_numbers_are_scikit_learns_in_the_targets_own_units(rng):
    y = rng.poisson(40.0, 200).astype(float)
    encoded = encoding("exp+poisson", "count", y)
    predicted = y * rng.uniform(0.8, 1.2, 200) + 0.1
    found = measure.metrics(encoded, y, (predicted / y.mean())[:, None])
    assert found["r2"] == pytest.approx(sk.r2_score(y, predicted), rel=1e-9)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, predicted), rel=1e-9)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y, predicted), rel=1e-9)
    assert found["poisson_deviance"] == pytest.approx(sk.mean_poisson_deviance(y, predicted), rel=1e-9)


def test_what_is_undefined_is_null():
    y = np.array([0, 0, 1, 1])
    hinge = measure.metrics(encoding("identity+hinge", "binary", y, 2), y, np.array([[-3.0], [0.2], [0.1], [5.0]]))
    assert (hinge["log_loss"], hinge["brier"], hinge["ece"]) == (None, None, None)
    assert (hinge["accuracy"], hinge["auc"]) == (0.75, 0.75)
    numbers = np.array([1.0, 2.0])
    standard = encoding("identity+mse", "real", numbers)
    assert measure.metrics(standard, numbers, np.array([[-9.0], [1.0]]))["poisson_deviance"] is None
    assert set(measure.metrics(standard, numbers, np.array([[np.nan], [1.0]])).values()) == {None}
    one = np.array([2, 2, 2])
    assert measure.metrics(encoding("softmax+mse", "classes", one, 3), one, np.full((3, 3), 1 / 3))["auc"] is None


def test_expected_calibration_error_by_hand():
    # two bins: sure .95 and right 3 times of 4; sure .65 and right once of 2
    y = np.array([1, 1, 1, 0, 1, 0])
    v = np.array([[0.95], [0.95], [0.95], [0.95], [0.65], [0.65]])
    encoded = encoding("sigmoid+cross_entropy", "binary", y, 2)
    assert measure.metrics(encoded, y, v)["ece"] == pytest.approx(4 / 6 * 0.20 + 2 / 6 * 0.15)
    found = measure.calibration(encoded, y, v)
    assert found is not None
    assert found["count"] == [2, 4]
    assert found["observed"] == [0.5, 0.75]
    assert found["predicted"] == pytest.approx([0.65, 0.95])


def test_confusion_has_truth_in_rows():
    y = np.array([0, 0, 1, 2])
    v = np.eye(3)[[0, 2, 1, 2]]
    assert measure.confusion(encoding("softmax+mse", "classes", y, 3), y, v).tolist() == [
        [1, 0, 1],
        [0, 1, 0],
        [0, 0, 1],
    ]


def test_starved_counted_by_hand():
    y = np.array([0, 0, 0, 1, 1])
    z = np.array([[9.0], [2.0], [-9.0], [-9.0], [9.0]], dtype=np.float32)
    # at z = 9 and target 0 the output is wrong by .9999 and 2·v·(1 − v) = .00025 of it comes back: starved.
    # at z = 2 it is wrong by .88 and .21 comes back. At -9 and target 1 it is starved again.
    for pair, share in (("sigmoid+mse", 2 / 5), ("sigmoid+cross_entropy", 0.0)):
        encoded = encoding(pair, "binary", y, 2)
        layer = read_pair(pair)
        _, delta = cl.value_and_delta(layer, z, encoded.wanted(y), reduction="none")
        assert measure.starved(encoded, y, cl.predict(layer, z), delta) == pytest.approx((share, 3 / 5))


def test_a_score_beyond_the_margin_is_not_wrong():
    y = np.array([1, 0])
    encoded = encoding("identity+hinge", "binary", y, 2)
    assert encoded.error(np.array([[7.0], [7.0]]), y).tolist() == [[0.0], [2.0]]
    assert measure.starved(encoded, y, np.array([[7.0], [-7.0]]), np.zeros((2, 1))) == (0.0, 0.0)


def test_snapshot_bins_by_hand():
    y = np.array([0, 0, 1])
    v = np.array([[0.01], [0.51], [0.98]])
    delta = np.array([[0.1], [0.3], [-0.4]])
    found = measure.snapshot(encoding("sigmoid+mse", "binary", y, 2), y, np.array([[-4.0], [0.0], [4.0]]), v, delta)
    assert sum(found["scores"]["counts"]) == 3
    assert (found["scores"]["edges"][0], found["scores"]["edges"][-1]) == (-4.0, 4.0)
    error = found["error"]
    assert (error["count"][0], error["count"][10]) == (2, 1)
    assert error["delta"][0] == pytest.approx(0.25)
    assert error["gain"][10] == pytest.approx(0.3 / 0.51)
    assert error["delta"][5] is None
    assert error["edges"][10] == 0.5


def test_the_log_odds_of_a_softmax_keep_their_digits():
    """By hand: two scores are ahead of each other by their difference; of three equal ones each is behind by ln 2."""
    found = measure.log_odds(np.array([[80.0, 0.0], [0.0, 3.0]], np.float32))
    np.testing.assert_allclose(found, [[80.0, -80.0], [-3.0, 3.0]], rtol=1e-15)
    np.testing.assert_allclose(measure.log_odds(np.full((1, 3), 7.0)), -np.log(2), rtol=1e-14)


def test_the_lead_of_a_score_is_over_the_best_of_the_others():
    z = np.array([[3.0, 1.0, 2.5], [0.0, 0.0, -1.0]], np.float32)
    assert measure.lead(z).tolist() == [[0.5, -2.0, -0.5], [0.0, 0.0, -1.0]]
    encoded = encoding("sparsemax+fenchel_young", "classes", np.array([0, 1]), 3)
    found = measure.snapshot(encoded, np.array([0, 1]), z, cl.predict("sparsemax+fenchel_young", z), z)
    assert (found["scores"]["edges"][0], found["scores"]["edges"][-1]) == (-2.0, 0.5)
