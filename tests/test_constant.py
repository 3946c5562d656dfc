"""The constant score with the least cost, against a search that knows nothing but the mean value."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import costlayer as cl
from costlayer.catalogue import build
from costlayer.errors import InvalidValue
from covering import TWO_COVERING

RANDOM = np.random.default_rng(11)
WEIGHTS = np.array([1.0, 0.0, 3.0, 0.5, 2.0, 1.0, 1.0, 0.25, 0.25])


def targets(pair):
    """Targets such that the best score is finite."""
    if pair.target.ends_only:
        return [np.array([1.0, -1, 1, 1, -1, 1, 1, -1, 1])]
    if pair.target.low == 0.0:
        y = np.array([0.5, 0.25, 0.9, 0.1, 0.75, 0.3, 1.0, 0.05, 0.6])
        return [y] if pair.target.high == 1.0 else [y, 8 * y, np.array([1.0, 2, 2, 3, 1, 9, 2, 4, 40])]
    low = max(pair.range.low, -2.0)
    high = min(pair.range.high, 3.0)
    inside = low + (high - low) * np.array([0.5, 0.25, 0.9, 0.1, 0.75, 0.3, 0.8, 0.05, 0.6])
    return [inside, np.r_[inside[:-1], 1.5 * high]]


def mean(pair, z, y, weight):
    return float(cl.value(pair, np.full(y.shape, z), y, weight, "weighted_mean"))


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
def test_no_score_costs_less(pointwise_pair, weight):
    pair = pointwise_pair
    for y in targets(pair):
        z = cl.constant(pair, y, weight)
        assert np.isfinite(z)
        if pair.name == "tanh+hinge":  # its best score is infinite; this one is half a count inside
            assert abs(z) == pytest.approx(np.arctanh(1 - 1 / (1 + np.count_nonzero(y if weight is None else weight))))
            continue
        found = mean(pair, z, y, weight)
        grid = np.r_[np.linspace(-12, 12, 61), z + np.array([-1e-3, 1e-3, -0.1, 0.1])]
        assert found <= least(lambda z, y=y: mean(pair, z, y, weight), grid) + 1e-9 * (1 + abs(found))


def least(function, grid):
    """The least value near the best point of a grid."""
    start = min(grid, key=function)
    return min(minimize_scalar(function, bounds=(start - 0.5, start + 0.5), method="bounded").fun, function(start))


def two_cost(pair, z, y, weight=None):
    return float(cl.value(pair, np.tile(z, (len(y), 1)), y, weight, "weighted_mean"))


SPREAD = [
    np.array([-2.0, 0.5, 0.25, 0.9, 0.1, 3.0, 0.3, 0.8, 0.05]),
    np.array([1.0, 2, 2, 3, 1, 9, 2, 4, 40]) * 1e3,
    np.r_[np.linspace(-1, 1, 6), np.linspace(49, 51, 3)],  # two valleys
]
FRACTIONS = [np.array([0.5, 0.25, 0.9, 0.1, 0.75, 0.3, 0.8, 0.05, 0.6]), np.linspace(0.25, 0.26, 9)]
FRACTIONS += [np.array([1e-9, 1e-6, 1e-12, 0.999, 1e-3, 0.5, 1e-15, 1e-7, 0.9999])]


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("pair", TWO_COVERING, ids=str)
def test_no_two_scores_cost_less(pair, weight):
    """Than those a search finds that starts at the answer, or from the moments."""
    for y in SPREAD if pair.cost.of_error else FRACTIONS:
        z = cl.constant(pair, y, weight)
        assert z.shape == (2,)
        starts = [z, [y.mean(), np.log(y.std())], [np.median(y), 0.0]] if pair.cost.of_error else [z, [0.0, 0.0]]
        options = {"maxiter": 500, "xatol": 1e-6, "fatol": 1e-10}
        found = [
            minimize(lambda s, y=y: two_cost(pair, s, y, weight), start, method="Nelder-Mead", options=options)
            for start in starts
        ]
        assert two_cost(pair, z, y, weight) <= min(each.fun for each in found) + 1e-7


@pytest.mark.parametrize("value", [0.0, 0.25, 7.0, -1e6])
@pytest.mark.parametrize("pair", TWO_COVERING, ids=str)
def test_two_scores_of_targets_that_are_all_alike_are_finite(pair, value):
    """And of all but one: a likelihood would be infinite with the scale at 0."""
    if value not in pair.target:
        return
    for y in (np.full(9, value), np.r_[np.full(9, value), 0.5]):
        z = cl.constant(pair, y)
        v, s = cl.predict(pair, z)
        assert np.isfinite(z).all()
        middle = v if pair.cost.of_error else v / (v + s)
        assert abs(middle - value) <= 0.11 * np.ptp(y) + 1e-9
        assert s > 0.01 * (np.ptp(y) or abs(value) or 1.0)


def test_two_scores_for_each_column():
    y = np.stack([SPREAD[0], SPREAD[1]], axis=1)
    z = cl.constant("identity_exp+student_t", y, WEIGHTS)
    assert z.shape == (2, 2)
    for k in range(2):
        assert z[:, k].tolist() == cl.constant("identity_exp+student_t", y[:, k], WEIGHTS).tolist()
    with pytest.raises(InvalidValue, match=r"^y\[1\]: got 1.0"):
        cl.constant("exp_exp+beta", np.array([0.5, 1.0]))


@pytest.mark.parametrize("y", [[0.9] * 5, [0.1] * 5, [0.5, 0.55], [0, 0, 0, 1]], ids=str)
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("sigmoid+focal", {}),
        ("sigmoid+focal", {"gamma": 5.0, "alpha": 0.01}),
        ("sigmoid+asymmetric", {"clip": 0.3}),
    ],
)
def test_where_yes_and_no_count_differently_the_best_score_may_lie_beyond_every_target(name, given, y):
    pair, y = build(name, given), np.array(y, float)
    found, grid = mean(pair, cl.constant(pair, y), y, None), np.linspace(-6, 6, 121)
    assert found <= least(lambda z: mean(pair, z, y, None), grid) + 1e-9


def test_all_yes_or_all_no_counts_half_a_time_under_these_too():
    for pair in (build("sigmoid+focal", {}), build("sigmoid+asymmetric", {})):
        assert cl.constant(pair, np.zeros(9)) == pytest.approx(np.log(0.05 / 0.95))
        assert cl.constant(pair, np.ones(9)) == pytest.approx(np.log(0.95 / 0.05))


def rows_cost(pair, z, y, weight):
    return float(cl.value(pair, np.tile(z, (len(y), 1)), y, weight, "weighted_mean"))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("softmax+mse", {}),
        ("softmax+mae", {}),
        ("softmax+huber", {}),
        ("softmax+huber", {"delta": 0.2}),
        ("softmax+huber", {"delta": 0.45}),
        ("softmax+cross_entropy", {}),
        ("softmax+focal", {}),
        ("softmax+poly1", {}),
        ("softmax+js", {}),
        ("softmax+binary_cross_entropy", {}),
    ],
)
@pytest.mark.parametrize(
    "y",
    [
        np.array([0, 0, 0, 0, 1, 1, 1, 2, 2]),
        np.array([0] * 8 + [1] * 7 + [2] * 5),
        np.array([0, 0, 0, 1, 2]),
        np.array([1, 1, 0, 0, 3, 3, 2]),
        np.array([0, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
    ids=["4-3-2", "8-7-5", "3-1-1", "2-2-1-2", "1-8"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_no_scores_of_a_row_cost_less(name, parameters, y, weighted):
    pair = build(name, parameters)
    weight = 0.5 + np.arange(len(y)) % 3 if weighted else None
    z = cl.constant(pair, y, weight)
    assert z.shape == (y.max() + 1,)
    assert np.isfinite(z).all()
    found = rows_cost(pair, z, y, weight)
    best = min(
        minimize(
            lambda s: rows_cost(pair, s, y, weight),
            start,
            method="Nelder-Mead",
            options={"maxiter": 600, "xatol": 1e-5, "fatol": 1e-9},
        ).fun
        for start in (z, np.zeros(len(z)))
    )
    # A class that is best left out altogether keeps half an example's worth of probability, (1/2)/(n + 1), and the cost
    # of a row, 2 (1 - p) under mae, grows by at most twice what all of them keep.
    sharp = pair.cost.name in ("mae", "huber")
    assert found <= best + ((len(z) - 1) / (len(y) + 1) if sharp and np.exp(z).min() < 0.75 / len(y) else 1e-6)


def test_constants_of_rows_by_probabilities():
    y = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5]])
    for name in ("softmax+cross_entropy", "softmax+mse", "softmax+binary_cross_entropy"):
        z = cl.constant(build(name, {}), y)
        np.testing.assert_allclose(np.exp(z), y.mean(axis=0), rtol=1e-14)
        weighted = cl.constant(build(name, {}), y, np.array([1.0, 0.0, 3.0]))
        np.testing.assert_allclose(np.exp(weighted), (y[0] + 3 * y[2]) / 4, rtol=1e-14)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1e6, -1e6])
def test_targets_that_are_all_alike_give_a_finite_score(pair, value):
    """All zero, all one, all far outside of what the activation reaches: half a time counted in."""
    y = np.full(9, value)
    if pair.row:
        if value in (0.0, 1.0):
            z = cl.constant(pair, y.astype(int), classes=3)
            between = pair.activation.thresholds
            assert z.shape == (3 - between,)
            assert np.isfinite(z).all()
            assert np.sign(z[0]) == 2 * value - 1 if between else z[int(value)] == z.max()
        return
    if value not in pair.target:
        with pytest.raises(InvalidValue, match=r"^y\[0\]"):
            cl.constant(pair, y)
        return
    z = cl.constant(pair, y)
    assert np.isfinite(z)
    v = float(cl.predict(pair, np.array([z]))[0])
    nearest = min(max(value, pair.range.low), pair.range.high)
    if pair.target.ends_only:  # on the right side, where it may be farther than the target
        assert 0.0 <= v * value <= np.log(2 * 9) + 1e-9
        return
    assert abs(v - nearest) <= 0.11 + 1e-9 * abs(nearest)


def test_the_score_of_a_class_that_never_occurs():
    """Nine noes: as if a yes had come up half a time, 0.5 / 10."""
    assert cl.constant("sigmoid+cross_entropy", np.zeros(9)) == pytest.approx(np.log(0.05 / 0.95))
    assert cl.constant("sigmoid+cross_entropy", np.ones(9)) == pytest.approx(np.log(0.95 / 0.05))
    z = cl.constant("softmax+cross_entropy", np.zeros(9, int), classes=2)
    assert np.exp(z) == pytest.approx(np.array([1.0, 0.05]) / 1.05)


def test_shapes_and_weights():
    y = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert cl.constant("sigmoid+cross_entropy", y).tolist() == [0.0, 0.0]
    weight = np.array([1.0, 1.0, 2.0, 0.0])
    by_column = cl.constant("sigmoid+cross_entropy", y, weight)
    assert by_column == pytest.approx([np.log(3 / 1), 0.0])
    assert by_column[0] == cl.constant("sigmoid+cross_entropy", y[:, 0], weight)
    assert cl.constant("identity+mae", np.array([1.0, 2.0, 9.0]), [1.0, 1.0, 5.0]) == pytest.approx(9.0)
    assert cl.constant("identity+mse", [1, 2, 3]) == 2.0
    assert cl.constant("softmax+cross_entropy", [0, 1], classes=4).shape == (4,)


def test_an_example_of_weight_zero_counts_for_nothing():
    y, weight = np.array([1.0, 2.0, np.nan]), np.array([1.0, 1.0, 0.0])
    for name in ("identity+mse", "identity+mae", "exp+poisson"):
        assert cl.constant(name, y, weight) == pytest.approx(float(cl.constant(name, y[:2])))
    assert (
        cl.constant("softmax+cross_entropy", np.array([0, 1, -5]), weight).tolist()
        == cl.constant("softmax+cross_entropy", np.array([0, 1])).tolist()
    )


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("sigmoid+cross_entropy", np.array([0.0, 1.5]), r"^y\[1\]: got 1.5"),
        ("identity+mse", np.array([np.nan]), r"^y\[0\]: got nan"),
        ("identity+mse", np.zeros(0), r"^y: got shape \(0,\)"),
        ("identity+mse", 3.0, r"^y: got shape \(\)"),
        ("identity+mse", np.zeros((2, 2, 2)), r"^y: got shape"),
        ("identity+mse", np.array(["a"]), r"^y: got an array of"),
        ("softmax+cross_entropy", np.array([0, -1]), r"^y\[1\]: got class -1"),
        ("softmax+cross_entropy", np.array([0.0, 1.0]), r"^y: got"),
        ("softmax+cross_entropy", np.array([[0.5, np.nan]]), r"^y\[0, 1\]"),
        ("softmax+cross_entropy", np.array([[0.5, 7.0]]), r"^y\[0"),
        ("softmax+mae", np.array([[0.5, 0.5]]), r"^y: got"),
        ("identity+hinge", np.array([1.0, 0.0]), r"^y\[1\]: got 0.0"),
    ],
)
def test_targets_that_do_not_fit_are_refused(name, y, message):
    with pytest.raises((InvalidValue, TypeError), match=message):
        cl.constant(build(name, {}), y)


def test_classes_and_weights_that_do_not_fit_are_refused():
    with pytest.raises(InvalidValue, match=r"^y\[1\]: got class 2; expected a class from 0 to 1"):
        cl.constant("softmax+cross_entropy", np.array([0, 2]), classes=2)
    with pytest.raises(InvalidValue, match=r"^weight: got weights that add up to 0"):
        cl.constant("identity+mse", np.array([0.0, 2.0]), np.zeros(2))
    with pytest.raises(InvalidValue, match=r"^weight: got shape \(3,\)"):
        cl.constant("identity+mse", np.array([0.0, 2.0]), np.ones(3))
