"""What alters the scores of classes, against mpmath: the options written out, and central differences of that."""

import numpy as np
import pytest
from mpmath import mp

import costlayer as cl
import truth
from costlayer.engines import cpu
from costlayer.errors import InvalidValue
from costlayer.evaluate import evaluate

CE = cl.pair("softmax+cross_entropy")
PRIORS = (0.5, 0.25, 0.125, 0.125)
ADJUSTMENT = np.log(PRIORS) * 1.5
OPTIONS = {
    "temperature": {"temperature": 0.75},
    "softcap": {"softcap": 4.0},
    "logit_adjustment": {"logit_adjustment": ADJUSTMENT},
    "z_loss": {"z_loss": 0.125},
    "all": {"temperature": 1.75, "softcap": 4.0, "logit_adjustment": ADJUSTMENT, "z_loss": 0.125},
}
ROWS = ((1.0, -2.0, 0.5, 0.0), (0.0, 30.0, -2.0, 3.0), (17.0, 0.0, 0.0, -60.0), (-3.0, -2.0, -5.5, -300.0))


@pytest.fixture(params=OPTIONS)
def options(request):
    return OPTIONS[request.param]


def altered(z, temperature=1.0, softcap=None, logit_adjustment=(0.0,) * 4, z_loss=0.0):
    """The scores that the cost sees, and what is added to it."""
    if softcap:
        z = [softcap * mp.tanh(score / softcap) for score in z]
    s = [score / mp.mpf(temperature) + mp.mpf(float(a)) for score, a in zip(z, logit_adjustment, strict=True)]
    return s, z_loss * mp.log(mp.fsum(mp.exp(score) for score in s)) ** 2


def true_row(pair, z, y, options):
    """Value, δ and curvature."""
    with mp.workdps(400):
        y, z = [mp.mpf(goal) for goal in y], [mp.mpf(score) for score in z]

        def along(j):
            def value(score):
                s, beside = altered([*z[:j], score, *z[j + 1 :]], **options)
                return truth.composed(pair, s, y) + beside

            return truth.differences(value, z[j])

        found = [along(j) for j in range(len(z))]
        return tuple(np.array([truth.rounded(each[k], np.float64) for each in found]) for k in range(3))


@pytest.mark.parametrize("name", ["softmax+cross_entropy", "softmax+mse"])
def test_value_delta_and_curvature(name, options, dtype):
    pair = cl.catalogue.build(name, {})
    z = np.array(ROWS, dtype)
    few = 4 * np.finfo(dtype).eps
    for targets in (np.array([1, 1, 0, 3]), np.array([[0.25, 0.25, 0.375, 0.125]] * 4, dtype)):
        found = evaluate(pair, z, targets, reduction="none", curvature=True, **options)
        for i, row in enumerate(z):
            goal = targets[i] if targets.ndim > 1 else np.eye(4)[targets[i]]
            value, delta, curvature = true_row(pair, tuple(map(float, row)), tuple(map(float, goal)), options)
            # what is added up is rounded in float64, at the size of its largest term
            size = 64 * np.finfo(np.float64).eps * (1.0 + abs(row).max())
            np.testing.assert_allclose(found.value[i], value[0], rtol=few, atol=size)
            np.testing.assert_allclose(found.delta[i], delta, rtol=few, atol=size)
            np.testing.assert_allclose(found.curvature[i], curvature, rtol=few, atol=size)


def test_a_sure_class_keeps_its_digits():
    """A margin of 40 at temperature ½: p − 1 would be nothing."""
    _, delta = cl.value_and_delta("softmax+cross_entropy", np.array([[20.0, 0.0]]), np.array([0]), temperature=0.5)
    np.testing.assert_allclose(delta, [[-2 * np.exp(-40.0), 2 * np.exp(-40.0)]], rtol=1e-15)
    _, delta = cl.value_and_delta("softmax+cross_entropy", np.array([[300.0, 0.0]]), np.array([1]), softcap=10.0)
    gain = 4 * np.exp(-60.0)  # of tanh(30), where 1 − tanh² is nothing
    np.testing.assert_allclose(delta, [[gain / (1 + np.exp(-10.0)), -1 / (1 + np.exp(-10.0))]], rtol=1e-14)


def test_numbers_worked_by_hand():
    """Scores (2 ln 3, 0) at T = 2 are odds of 3 to 1, with the prior 1 : 3 even; logsumexp of (ln 3, 0) is ln 4."""
    z, y = np.array([[2 * np.log(3.0), 0.0]]), np.array([0])
    np.testing.assert_allclose(cl.value("softmax+cross_entropy", z, y, temperature=2.0), np.log(4 / 3))
    even = cl.value("softmax+cross_entropy", z, y, temperature=2.0, logit_adjustment=np.log([0.25, 0.75]))
    np.testing.assert_allclose(even, np.log(2.0))
    beside = cl.value("softmax+cross_entropy", z / 2, y, z_loss=0.5)
    np.testing.assert_allclose(beside, np.log(4 / 3) + 0.5 * np.log(4.0) ** 2)
    capped = cl.value("softmax+cross_entropy", np.array([[1e9, 0.0]]), y, softcap=np.log(3.0))
    np.testing.assert_allclose(capped, np.log(4 / 3))


def test_predictions_know_softcap_and_temperature():
    z = np.array([[2 * np.log(3.0), 0.0], [1e9, 0.0]], np.float32)
    np.testing.assert_allclose(cl.predict(CE, z, temperature=2.0)[0], [0.75, 0.25], rtol=1e-7)
    np.testing.assert_allclose(cl.predict(CE, z, softcap=np.log(9.0), temperature=2.0)[1], [0.75, 0.25], rtol=1e-7)
    assert cl.predict(CE, z, temperature=2.0).dtype == np.float32


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "weighted_mean"])
def test_parts_weights_and_shapes(reduction, options, monkeypatch):
    """Worked out in parts of any size, with every weight, it is what examples by themselves add up to."""
    random = np.random.default_rng(0)
    z, y = random.normal(size=(7, 4, 3)) * 3, random.integers(4, size=(7, 3))
    weight, by_class = random.uniform(size=(7, 3)), np.array([1.0, 0.5, 2.0, 0.0])
    given = {"reduction": reduction, "class_weight": by_class, "ignore_index": 1, "curvature": True, **options}
    whole = evaluate(CE, z, y, weight, **given)
    monkeypatch.setattr(cpu, "BLOCK", 8)
    parts = evaluate(CE, z, y, weight, **given)
    each = evaluate(CE, z, y, reduction="none", curvature=True, **options)
    scale = np.where(y == 1, 0.0, weight * by_class[y])
    total = {"mean": by_class[y][y != 1].sum(), "weighted_mean": scale.sum()}.get(reduction, 1.0)
    value = each.value * scale
    for found in (whole, parts):
        np.testing.assert_allclose(found.value, value if reduction == "none" else value.sum() / total, rtol=1e-14)
        for got, own in ((found.delta, each.delta), (found.curvature, each.curvature)):
            np.testing.assert_allclose(got, own * scale[:, None] / total, rtol=1e-12, atol=1e-16)


def test_what_is_left_out_and_what_is_infinite_does_no_harm(options):
    z = np.array([[np.nan, 1, 2, 3], [-np.inf, 1, 2, 0], [0, 1, np.inf, 2], [1, 2, 3, np.nan]])
    y = np.array([-100, 1, 2, 0])
    found = evaluate(CE, z, y, np.array([1, 1, 1, 0]), ignore_index=-100, reduction="none", curvature=True, **options)
    assert found.value[0] == found.value[3] == 0.0
    for array in (found.delta, found.curvature):
        assert not array[[0, 3]].any()
        assert array[1, 0] == 0.0
        assert not np.isnan(array).any()
    assert np.isfinite(found.value[1])
    if "z_loss" in options and "softcap" not in options:
        assert found.value[2] == np.inf
    nan = evaluate(CE, np.array([[np.nan, 1, 2, 3]]), np.array([1]), **options)
    assert np.isnan(nan.value)
    assert np.isnan(nan.delta).all()


def test_a_class_of_no_share_is_never_predicted_in_training():
    shares = np.array([0.5, 0.5, 0.0])
    with np.errstate(divide="ignore"):
        adjustment = np.log(shares)
    value, delta = cl.value_and_delta(CE, np.zeros((1, 3)), np.array([0]), logit_adjustment=adjustment)
    np.testing.assert_allclose(value, np.log(2.0))
    assert delta.tolist() == [[-0.5, 0.5, 0.0]]


def test_a_smoothed_or_soft_target_of_weighted_classes_has_its_z_loss_once():
    """Each term has the weight of its class, the z-loss that of the example's."""
    z, y, by_class = np.array([[1.0, -2.0, 0.5]]), np.array([2]), np.array([1.0, 3.0, 2.0])
    plain = {"reduction": "sum", "class_weight": by_class}
    log = np.log(np.exp(z).sum())
    for smoothing in (0.0, 0.2):
        given = {**plain, "label_smoothing": smoothing}
        added = evaluate(CE, z, y, z_loss=0.5, **given).value - evaluate(CE, z, y, **given).value
        np.testing.assert_allclose(added, 2.0 * 0.5 * log**2)
    soft = np.array([[0.25, 0.5, 0.25]])
    added = evaluate(CE, z, soft, z_loss=0.5, **plain).value - evaluate(CE, z, soft, **plain).value
    np.testing.assert_allclose(added, 0.5 * log**2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"temperature": 0.0}, "temperature: got 0.0; expected a number in (0, ∞)"),
        ({"temperature": True}, "temperature: got True"),
        ({"temperature": np.inf}, "temperature: got inf"),
        ({"softcap": -1.0}, "softcap: got -1.0; expected a number in (0, ∞)"),
        ({"z_loss": -0.1}, "z_loss: got -0.1; expected a number in [0, ∞)"),
        ({"z_loss": "much"}, "z_loss: got 'much'"),
        ({"logit_adjustment": [0.1, 0.2]}, "logit_adjustment: got shape (2,); expected 4 numbers, one per class"),
        ({"logit_adjustment": [0.1, np.nan, 0, 0]}, "expected one number below infinity per class"),
        ({"logit_adjustment": 0.5}, "logit_adjustment: got 0.5"),
        ({"logit_adjustment": PRIORS}, "Give the logarithms of the shares"),
    ],
)
def test_what_is_no_option_is_refused(given, expected):
    with pytest.raises(InvalidValue) as caught:
        cl.value(CE, np.zeros((1, 4)), np.array([0]), **given)
    assert expected in str(caught.value)


@pytest.mark.parametrize("option", ["temperature", "softcap", "logit_adjustment", "z_loss"])
def test_only_the_scores_of_classes_have_them(option):
    with pytest.raises(InvalidValue, match=rf"^{option}: got one for sigmoid\+cross_entropy; .*behind softmax"):
        cl.value("sigmoid+cross_entropy", np.zeros(2), np.zeros(2), **OPTIONS[option])
    plain = {"temperature": 1.0, "softcap": None, "logit_adjustment": None, "z_loss": 0}
    assert cl.value("sigmoid+cross_entropy", np.zeros(2), np.zeros(2), **plain) == np.log(2.0)


def test_the_constant_scores_are_those_before_the_alteration():
    y = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(cl.constant(CE, y, temperature=2.0), 2.0 * np.log([0.75, 0.25]))
    np.testing.assert_allclose(cl.constant(CE, y, logit_adjustment=np.log([0.75, 0.25])), [0.0, 0.0], atol=1e-15)
    z = cl.constant(CE, y, softcap=4.0, temperature=2.0, logit_adjustment=[0.5, -0.25, -np.inf], z_loss=0.5)
    log = np.log(np.array([3 / 4, 1 / 4, 0.1]) / 1.1)  # a class that never occurs counts half a time of five
    np.testing.assert_allclose(4.0 * np.tanh(z[:2] / 4.0) / 2.0, log[:2] + np.array([-0.5, 0.25]))
    assert z[2] == 0.0
    with pytest.raises(InvalidValue, match=r"^softcap: got 1; expected one above 1\.386"):
        cl.constant(CE, y, softcap=1.0)
    with pytest.raises(InvalidValue, match="3 numbers, one per class"):
        cl.constant(CE, y, classes=3, logit_adjustment=[0.5, -0.25])
    with pytest.raises(InvalidValue, match=r"^temperature: got one for"):
        cl.constant("identity+mse", np.array([1.0]), temperature=2.0)


def test_a_wrong_target_is_named_in_whatever_part_it_is(monkeypatch):
    monkeypatch.setattr(cpu, "BLOCK", 6)
    with pytest.raises(InvalidValue, match=r"^y\[4\]: got class 3"):
        cl.value(CE, np.zeros((5, 3)), np.array([0, 1, 2, 0, 3]), temperature=2.0)
