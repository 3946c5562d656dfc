"""Costs written for whole rows: sparse probabilities, multiclass hinges and classes in order, at their edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

import accuracy
import costlayer as cl
import truth
from costlayer.catalogue import build
from costlayer.errors import InvalidType, InvalidValue
from costlayer.evaluate import evaluate
from covering import PAIRS
from truth import mp

WRITTEN = [pair for pair in PAIRS if pair.written]
SPARSE = [build(f"{name}+fenchel_young", {}) for name in ("sparsemax", "entmax15")]
HINGES = [build(f"class_scores+{name}", {}) for name in ("crammer_singer", "weston_watkins")]
every_written = pytest.mark.parametrize("pair", WRITTEN, ids=str)
every_sparse = pytest.mark.parametrize("pair", SPARSE, ids=str)


def everything(pair, z, y, **options):
    return evaluate(pair, z, y, **{"reduction": "none", "curvature": True, **options})


def example(pair, shape=(6, 4), dtype=np.float64, seed=3):
    random = np.random.default_rng(seed)
    z = random.normal(size=shape).astype(dtype) * 2
    z = -np.sort(-z, axis=1) if pair.activation.thresholds else z
    return z, random.integers(0, shape[1] + pair.activation.thresholds, shape[:1] + shape[2:])


# Digits


@every_sparse
@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(st.integers(-(2**21), 2**21), min_size=2, max_size=7),
    scale=st.sampled_from([2.0**-24, 2.0**-19, 2.0**-30]),
    near=st.sampled_from([0.0, 2.0**-30, -(2.0**-45), 2.0**-50]),
    label=st.integers(0, 1),
)
def test_shares_and_costs_keep_their_digits_at_and_near_the_threshold(pair, row, scale, near, label):
    z = np.array([x * scale for x in row])
    with mp.workdps(60):  # as nearly at the threshold of the others as the type can say, or by `near` beside it
        factor = {"sparsemax": 1, "entmax15": 2}[pair.activation.name]
        z[0] = float(factor * truth.THRESHOLDS[pair.activation.name]([mp.mpf(x) for x in z[1:]])) + near
        scores, goal = [mp.mpf(float(x)) for x in z], [mp.mpf(j == label) for j in range(len(z))]
        v, right = truth.predict(pair, scores), truth.composed(pair, scores, goal)
        found = everything(pair, z[None], np.array([label]))
        for got, share, slope, own in zip(cl.predict(pair, z[None])[0], v, found.delta[0], goal, strict=True):
            least = mp.mpf(2) ** -52  # a share as small has only the second digits of the threshold
            truth.close(got, share, share + least, np.float64, ulps=4, what=f"v at {z}")
            truth.close(slope, share - own, abs(share - own) + least, np.float64, ulps=8, what=f"δ at {z}")
        truth.close(found.value[0], right, right, np.float64, ulps=12, what=f"value at {z}")


@every_sparse
def test_many_classes(pair, dtype):
    """As long as any row, and no slower for it: the shares are those of a sort, and add up to 1."""
    z = np.random.default_rng(0).normal(size=(3, 50_000)).astype(dtype) * 0.01
    v = cl.predict(pair, z)
    assert v.sum(axis=1, dtype=np.float64) == pytest.approx([1.0] * 3, abs=1e-5 if dtype == np.float32 else 1e-13)
    exact = np.sort(z[0].astype(np.float64))[::-1]
    ranks = np.arange(1, len(exact) + 1)
    if pair.activation.name == "sparsemax":
        kept = (1 + ranks * exact > exact.cumsum()).sum()
        shares = np.maximum(z[0] - (exact[:kept].sum() - 1) / kept, 0)
    else:
        mean, square = exact.cumsum() / 2 / ranks, (exact**2).cumsum() / 4 / ranks
        each = mean - np.sqrt(np.maximum(1 / ranks - (square - mean**2), 0))
        shares = np.maximum(z[0] / 2 - each[(each <= exact / 2).sum() - 1], 0) ** 2
    np.testing.assert_allclose(v[0], shares, atol=1e-6 if dtype == np.float32 else 1e-12)


@every_sparse
def test_a_perfect_prediction_costs_exactly_nothing(pair):
    ahead = {"sparsemax": 1.0, "entmax15": 2.0}[pair.activation.name]
    found = everything(pair, np.array([[ahead, 0.0, 0.0], [7.0, 0.0, -3.0]]), np.array([0, 0]))
    assert found.value.tolist() == [0.0, 0.0]
    assert not found.delta.any()
    shares = np.array([[0.5, 0.25, 0.25]])
    found = everything(pair, pair.closed.least(shares, 1), shares)
    assert abs(found.value[0]) < 1e-30
    assert np.abs(found.delta).max() < 1e-15


# Kinks, ties, and what is masked


def test_where_scores_are_equal():
    crammer, weston = HINGES
    found = everything(crammer, np.zeros((3, 3)), np.arange(3))
    assert found.value.tolist() == [1.0, 1.0, 1.0]
    assert found.delta.tolist() == [[-1, 1, 0], [1, -1, 0], [1, 0, -1]]  # the first of the best of the others
    found = everything(weston, np.zeros((1, 3)), np.array([1]))
    assert (found.value.tolist(), found.delta.tolist()) == ([2.0], [[1, -2, 1]])
    for pair in SPARSE:
        assert cl.predict(pair, np.full((1, 4), 3.5)).tolist() == [[0.25] * 4]


def test_at_the_margin_there_is_no_slope():
    for pair in HINGES:
        found = everything(pair, np.array([[2.0, 1.0, -5.0]]), np.array([0]))
        assert (found.value.tolist(), found.delta.tolist()) == ([0.0], [[0, 0, 0]])
        wide = everything(build(pair.name, {"margin": 2.5}), np.array([[2.0, 1.0, -5.0]]), np.array([0]))
        assert (wide.value.tolist(), wide.delta.tolist()) == ([1.5], [[-1, 1, 0]])


def test_a_hinge_keeps_the_digits_of_a_difference():
    """margin + z_j − z_t of numbers that nearly cancel, where each step would round."""
    z = np.array([[1.0 + 2.0**-52, 2.0**-54]])
    for pair in HINGES:
        assert cl.value(pair, np.array([[1.0, 2.0**-54]]), np.array([0])) == 2.0**-54
        assert cl.value(pair, z, np.array([0])) == 0.0


@pytest.mark.parametrize("pair", [*SPARSE, *HINGES], ids=str)
def test_a_masked_class_has_no_share_and_does_no_harm(pair, dtype):
    """A score of −∞ is as if the class were not there."""
    z = np.array([[1.0, -np.inf, 0.5, 0.25], [0.25, 1.5, -np.inf, -np.inf]], dtype)
    found = everything(pair, z, np.array([0, 1]))
    for i, (kept, own) in enumerate((([0, 2, 3], 0), ([0, 1], 1))):
        alone = everything(pair, z[i : i + 1, kept], np.array([own]))
        assert found.value[i] == alone.value[0]
        for name in ("delta", "curvature"):
            whole = getattr(found, name)[i]
            assert np.isfinite(whole).all()
            assert whole[kept].tolist() == getattr(alone, name)[0].tolist()
            assert not np.delete(whole, kept).any()
    missed = everything(pair, z, np.array([1, 2]))
    assert np.isposinf(missed.value).all()
    assert not np.isnan(missed.delta).any()


# Shapes, weights, and what is left out


@every_written
def test_classes_lie_along_axis_1_in_any_memory(pair, dtype):
    z, y = example(pair, (3, 4, 5), dtype)
    found = everything(pair, np.asfortranarray(z), y)
    flat = everything(pair, np.ascontiguousarray(z.transpose(0, 2, 1)).reshape(15, 4), y.reshape(15))
    assert accuracy.same(found.value.reshape(15), flat.value)
    for name in ("delta", "curvature"):
        assert accuracy.same(getattr(found, name).transpose(0, 2, 1).reshape(15, 4), getattr(flat, name))
    one = everything(pair, z[0, :, 0], y[0, 0])
    assert (one.value.shape, one.delta.shape) == ((), (4,))
    assert one.value == found.value[0, 0]
    assert accuracy.same(cl.predict(pair, z)[0, :, 0], cl.predict(pair, z[0, :, 0]))


@every_written
def test_weights_and_ignored_examples(pair):
    z, y = example(pair)
    classes = 4 + pair.activation.thresholds
    each = everything(pair, z, y)
    by_class, weight = np.linspace(0.5, 2.0, classes), np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0])
    y_ignored, z_bad = y.copy(), z.copy()
    y_ignored[2], z_bad[1] = -100, np.nan  # of weight 0, and so of no harm
    kept = np.arange(6) != 2
    found = evaluate(pair, z_bad, y_ignored, weight, class_weight=by_class, ignore_index=-100)
    both = weight * by_class[y] * kept
    count = (by_class[y] * kept).sum()
    assert found.value == pytest.approx((each.value * both).sum() / count, rel=1e-14)
    np.testing.assert_allclose(found.delta, each.delta * (both / count)[:, None], rtol=1e-14, atol=1e-16)
    with pytest.raises(InvalidValue, match=rf"^y\[2\]: got class -100; .* 0 to {classes - 1}"):
        evaluate(pair, z, y_ignored)
    with pytest.raises(InvalidValue, match=rf"class_weight: .*expected {classes} finite numbers"):
        evaluate(pair, z, y, class_weight=np.ones(classes + 1))
    with pytest.raises(InvalidValue, match="pos_weight"):
        evaluate(pair, z, y, pos_weight=2.0)


@every_sparse
def test_probabilities_and_smoothed_classes(pair):
    z, y = example(pair)
    smooth = evaluate(pair, z, y, label_smoothing=0.2)
    shares = 0.8 * np.eye(4)[y] + 0.05
    soft = evaluate(pair, z, shares)
    assert smooth.value == pytest.approx(soft.value, rel=1e-14)
    np.testing.assert_allclose(smooth.delta, soft.delta, atol=1e-16)
    np.testing.assert_allclose(soft.delta, (cl.predict(pair, z) - shares) / 6, atol=1e-15)
    one_hot = everything(pair, z, np.eye(4)[y])
    np.testing.assert_allclose(one_hot.value, everything(pair, z, y).value, rtol=1e-12)
    with pytest.raises(InvalidValue, match=r"^y\[0\]: got probabilities that add up to 0\.5"):
        evaluate(pair, z, 0.5 * shares)
    with pytest.raises(InvalidValue, match=r"^y\[0, 1\]: got -1"):
        evaluate(pair, z, np.array([[1.0, -1.0, 0.5, 0.5]] * 6))


@pytest.mark.parametrize("pair", [pair for pair in WRITTEN if pair.cost.labels_only], ids=str)
def test_what_knows_only_the_true_class_takes_no_shares(pair):
    z, y = example(pair)
    with pytest.raises(InvalidValue, match=r"^y: got floats; expected integers"):
        evaluate(pair, z, np.full(z.shape, 0.25))
    with pytest.raises(InvalidValue, match=r"^label_smoothing: got 0\.1 for"):
        evaluate(pair, z, y, label_smoothing=0.1)
    with pytest.raises(InvalidType, match=r"^y: got bool"):
        evaluate(pair, z, y > 0)


@every_written
def test_too_few_scores_are_refused(pair):
    few = 0 if pair.activation.thresholds else 1
    with pytest.raises(InvalidValue, match=r"^z: got shape \(3, \d\).*K ≥ 2"):
        cl.value(pair, np.zeros((3, few)), np.zeros(3, int))
    if pair.activation.thresholds:  # two classes: a yes-or-no question
        z, y = np.array([[0.5], [-2.0]]), np.array([1, 0])
        assert cl.value(pair, z, y) == cl.value("sigmoid+cross_entropy", z[:, 0], y)


def test_any_number_of_threads_gives_the_same_bits():
    z, y = example(SPARSE[0], (70_000, 7), np.float32)
    found = [evaluate(SPARSE[0], z, y, threads=threads) for threads in (1, 2, 3)]
    for other in found[1:]:
        assert accuracy.same(found[0].value, other.value)
        assert accuracy.same(found[0].delta, other.delta)


# Classes in order

LOGIT = build("ordinal+cumulative_logit", {})


def test_scores_that_do_not_fall_beside_the_true_class_are_refused():
    z = np.array([[2.0, 1.0, 1.0], [2.0, 3.0, 0.0]])
    assert np.isfinite(everything(LOGIT, z, np.array([0, 2])).value).all()  # only those beside it matter
    for y, z_above, z_here in (([2, 2], 1, 1), ([1, 1], 2, 3)):
        with pytest.raises(
            InvalidValue, match=rf"^y\[\d\]: got class {y[0]}, .* {z_above} and {z_here}; .*OrdinalScores"
        ):
            evaluate(LOGIT, z, np.array(y))
    weight = np.array([0.0, 1.0])
    assert np.isfinite(evaluate(LOGIT, z, np.array([2, 0]), weight).value)
    assert np.isfinite(evaluate(LOGIT, z, np.array([-1, 0]), ignore_index=-1).value)
    assert np.isnan(evaluate(LOGIT, np.array([[np.nan, 0.0, 1.0]]), np.array([2])).value)


def test_probabilities_of_classes_in_order_add_up():
    """e^−ℓ over all classes is 1, and each is what the predictions differ by."""
    z = -np.sort(-np.random.default_rng(1).normal(size=(5, 6)) * 3, axis=1)
    for name in ("ordinal+cumulative_logit", "conditional+corn"):
        p = np.exp(-np.stack([everything(build(name, {}), z, np.full(5, t)).value for t in range(7)], axis=1))
        v = np.concatenate([np.ones((5, 1)), cl.predict(build(name, {}), z), np.zeros((5, 1))], axis=1)
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)
        np.testing.assert_allclose(p, v[:, :-1] - v[:, 1:], rtol=1e-9)


@pytest.mark.parametrize("gap", [2.0**-40, 1e-3, 0.69, 0.71, 30.0, 700.0])
def test_thresholds_that_nearly_meet(gap):
    """P = σ(a) − σ(b) has lost its digits in the usual form."""
    a, b = 3.0 + gap, 3.0
    found = everything(LOGIT, np.array([[a, b]]), np.array([1]))
    with mp.workdps(400):

        def exact(x, y):
            return -mp.log(1 / (1 + mp.exp(-x)) - 1 / (1 + mp.exp(-y)))

        right = exact(mp.mpf(a), mp.mpf(b))
        slope = mp.diff(exact, (mp.mpf(a), mp.mpf(b)), (1, 0))
        truth.close(found.value[0], right, right, np.float64)
        truth.close(found.delta[0, 0], slope, slope, np.float64)


# The constant score with the least cost

LABELS = {
    "4-3-2": np.array([0, 0, 0, 0, 1, 1, 1, 2, 2]),
    "2-2-1-2": np.array([1, 1, 0, 0, 3, 3, 2]),
    "1-8": np.array([0, 1, 1, 1, 1, 1, 1, 1, 1]),
    "16-9-5-1": np.repeat([2, 0, 3, 1], [16, 9, 5, 1]),
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("weighted", [False, True])
@every_written
def test_no_scores_of_a_row_cost_less(pair, y, weighted):
    weight = 0.5 + np.arange(len(y)) % 3 if weighted else np.ones(len(y))
    z = cl.constant(pair, y, weight)
    assert z.shape == (y.max() + 1 - pair.activation.thresholds,)

    def cost(z):
        try:
            return float(cl.value(pair, np.tile(z, (len(y), 1)), y, weight, "weighted_mean"))
        except InvalidValue:  # scores that do not fall
            return 1e3

    if pair in HINGES:
        best = least_of_hinges(pair, np.bincount(y, weight) / weight.sum())
    else:
        options = {"maxiter": 800, "xatol": 1e-6, "fatol": 1e-12}
        best = minimize(cost, z, method="Nelder-Mead", options=options).fun
    assert cost(z) <= best + 1e-8


def least_of_hinges(pair, share):
    """The least expected cost, by linear programming: variables are the scores, and what is paid for each class."""
    k, rows, bounds = len(share), [], []
    each = pair == HINGES[1]  # weston_watkins pays for each of the others
    pays = [(t, j) for t in range(k) for j in range(k) if j != t] if each else [(t, 0) for t in range(k)]
    for t in range(k):
        for j in range(k):
            if j != t:  # margin + z_j − z_t ≤ what is paid
                row = np.zeros(k + len(pays))
                row[j], row[t], row[k + pays.index((t, j if each else 0))] = 1.0, -1.0, -1.0
                rows.append(row)
                bounds.append(-1.0)
    prices = np.concatenate([np.zeros(k), [share[t] for t, _ in pays]])
    return linprog(prices, np.array(rows), bounds, bounds=[(None, None)] * k + [(0, None)] * len(pays)).fun


def test_the_least_of_many_classes_is_found_by_the_rule():
    random = np.random.default_rng(4)
    for classes in (2, 3, 5, 8, 12):
        for pair in HINGES:
            share = random.dirichlet(np.ones(classes) * random.choice([0.2, 1.0, 5.0]))
            z = pair.closed.least(share, 100, 1.0)
            found = share @ everything(pair, np.tile(z, (classes, 1)), np.arange(classes)).value
            assert found == pytest.approx(least_of_hinges(pair, share), abs=1e-9)
            assert pair.closed.least(share, 100, 2.5).tolist() == (2.5 * z).tolist()


def test_constants_of_sparse_pairs_predict_the_shares():
    y = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5]])
    for pair in SPARSE:
        z = cl.constant(pair, y, np.array([1.0, 0.0, 3.0]))
        np.testing.assert_allclose(cl.predict(pair, z), (y[0] + 3 * y[2]) / 4, rtol=1e-14)
        never = cl.constant(pair, np.array([0, 0, 2]), classes=4)
        assert np.isfinite(never).all()
        np.testing.assert_allclose(cl.predict(pair, never), [2 / 3, 0, 1 / 3, 0], atol=1e-15)


# What goes with what


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("softmax+crammer_singer", "class_scores+crammer_singer"),
        ("identity+weston_watkins", "class_scores+weston_watkins"),
        ("identity+corn", "conditional+corn"),
        ("ordinal+corn", "conditional+corn"),
        ("sigmoid+coral", "ordinal+coral"),
        ("softmax+cumulative_logit", "ordinal+cumulative_logit"),
        ("identity+fenchel_young", "sparsemax+fenchel_young or entmax15+fenchel_young"),
        ("sparsemax+cross_entropy", "sparsemax+fenchel_young"),
        ("entmax15+mse", "entmax15+fenchel_young"),
        ("class_scores+hinge", "class_scores+crammer_singer or class_scores+weston_watkins"),
        ("ordinal+cross_entropy", "ordinal+cumulative_logit or ordinal+coral"),
        ("conditional+cross_entropy", "conditional+corn"),
    ],
)
def test_what_does_not_go_together_says_what_to_use(name, instead):
    with pytest.raises(InvalidValue) as caught:
        build(name, {})
    assert f"Use {instead}" in caught.value.fix
    assert name in caught.value.got


def test_the_fenchel_young_loss_of_softmax_is_kl():
    assert build("softmax+fenchel_young", {}) == build("softmax+kl", {})
