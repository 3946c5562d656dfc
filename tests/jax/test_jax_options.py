"""What pairs are in JAX beside their formulas: options, transformations, 16 bits, what is left out, and errors."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

import costlayer as cl
from costlayer.catalogue import build
from costlayer.errors import InvalidType, InvalidValue, UnsupportedDerivative
from costlayer.evaluate import evaluate
from costlayer.jax import predict, value

NAN, INF = np.nan, np.inf
Z = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -2.0], [-1.5, 0.0, 1.0], [4.0, 4.5, -4.0]], np.float32)
LABELS = np.array([0, 2, 1, 1])
SHARES = np.array([[1.0, 0.0, 0.0], [0.25, 0.25, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]], np.float32)
YES = np.array([[1.0, 0.0, 0.25], [0.0, 1.0, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]], np.float32)
WEIGHT = np.array([1.0, 0.0, 2.5, 0.5], np.float32)
SIGMOID, SOFTMAX = "sigmoid+cross_entropy", "softmax+cross_entropy"

ROWS = [
    {},
    {"weight": WEIGHT},
    {"class_weight": np.array([1.0, 0.0, 3.0], np.float32)},
    {"class_weight": np.array([1.0, 0.5, 3.0], np.float32), "label_smoothing": 0.1},
    {"ignore_index": 2},
    {"ignore_index": 1, "weight": WEIGHT, "class_weight": np.array([1.0, 0.5, 3.0], np.float32)},
    {"label_smoothing": 0.2},
    {"class_weight": np.array([1.0, 0.5, 3.0], np.float32), "weight": np.array([1.0, 0.25, 2.5, 0.5], np.float32)},
]
POINTS = [
    {"pos_weight": np.array([2.0, 0.0, 0.5], np.float32)},
    {"class_weight": np.array([0.25, 3.0], np.float32)},
    {"label_smoothing": 0.2, "weight": WEIGHT},
    {"ignore_index": 0},
]
CASES = [
    *((SOFTMAX, LABELS, each) for each in ROWS),
    *((SOFTMAX, SHARES, each) for each in (ROWS[0], ROWS[1], ROWS[2], ROWS[6])),
    *((pair, LABELS, each) for pair in ("softmax+focal", "softmax+js") for each in ROWS[1:3]),
    *((SIGMOID, YES, each) for each in POINTS),
    ("sigmoid+focal", YES, POINTS[0]),
]


@pytest.mark.parametrize(("pair", "y", "options"), CASES)
def test_options_mean_what_they_mean_to_the_numpy_front(pair, y, options):
    z = jnp.asarray(Z)
    for reduction in ("mean", "none", "weighted_mean"):
        expected = evaluate(build(pair, {}), Z, y, reduction=reduction, **options)
        found, back = jax.vjp(lambda z, how=reduction: value(build(pair, {}), z, y, reduction=how, **options), z)
        np.testing.assert_allclose(found, expected.value, 1e-5, 1e-7)
        np.testing.assert_allclose(back(jnp.ones_like(found))[0], expected.delta, 1e-4, 1e-7)


@pytest.mark.parametrize(
    ("pair", "z", "y"),
    [
        (SOFTMAX, np.sin(np.arange(24.0)).reshape(2, 3, 4), np.arange(8).reshape(2, 4) % 3),
        ("sparsemax+fenchel_young", np.sin(np.arange(24.0)).reshape(2, 3, 4), np.arange(8).reshape(2, 4) % 3),
        (
            "softmax+focal",
            np.sin(np.arange(24.0)).reshape(2, 3, 4),
            np.moveaxis(SHARES.reshape(2, 2, 3), 2, 1)[..., [0, 1, 1, 0]],
        ),
        ("identity_exp+gaussian", np.sin(np.arange(16.0)).reshape(2, 2, 4), np.cos(np.arange(8.0)).reshape(2, 4)),
    ],
)
def test_classes_and_scores_of_a_target_lie_along_the_second_axis(pair, z, y):
    z = np.float32(z)
    expected = evaluate(cl.pair(pair), z, y, reduction="none")
    found, back = jax.vjp(lambda z: value(pair, z, y, reduction="none"), jnp.asarray(z))
    np.testing.assert_allclose(found, expected.value, 1e-5, 1e-7)
    np.testing.assert_allclose(back(jnp.ones_like(found))[0], expected.delta, 1e-4, 1e-6)
    np.testing.assert_allclose(predict(pair, z), cl.predict(pair, z), 1e-5, 1e-7)


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize(
    ("pair", "options"),
    [
        (SOFTMAX, {"ignore_index": -100}),
        ("softmax+mse", {"class_weight": np.arange(1.0, 301.0)}),
        ("ordinal+coral", {}),
    ],
)
def test_labels_of_narrow_integers_are_those_of_wide_ones(pair, options, kind):
    """Neither the place of a class, nor their number, nor an index that is to be ignored is narrowed to their type."""
    z = np.float32(np.cos(np.arange(900.0)).reshape(3, 300))[:, : 300 - build(pair, {}).activation.thresholds]
    y = np.array([4, 65, 100])  # with uint8 −100 would be class 156
    expected = evaluate(build(pair, {}), z, y, **options)
    found, delta = jax.value_and_grad(partial(value, build(pair, {}), y=y.astype(kind), **options))(jnp.asarray(z))
    np.testing.assert_allclose(found, expected.value, 1e-5)
    np.testing.assert_allclose(delta, expected.delta, 1e-4, 1e-7)


@pytest.mark.parametrize(
    ("pair", "y"),
    [
        ("exp+poisson", np.array([0, 2, 5])),
        ("identity+mse", np.array([True, False, True])),
        (SIGMOID, np.array([0, 1, 1], np.uint8)),
        ("identity+hinge", np.array([0, 1, 1], np.uint8)),
        ("identity+hinge", np.array([-1.0, 1.0, 1.0])),
        ("identity+hinge", np.array([0.0, 1.0, 1.0])),
    ],
)
def test_targets_may_be_integers_and_no_0(pair, y):
    z = Z[0]
    expected = evaluate(cl.pair(pair), z, np.where(y == 0, -1.0, y) if pair == "identity+hinge" else np.float32(y))
    for way in (lambda f: f, jax.jit):
        found, delta = way(jax.value_and_grad(lambda z, y: value(pair, z, y)))(z, y)
        np.testing.assert_allclose(found, expected.value, 1e-6)
        np.testing.assert_allclose(delta, expected.delta, 1e-6)


def test_lists_may_hold_what_is_traced_and_labels_four_bits():
    found = jax.jit(lambda w: value(SIGMOID, Z[0, :2], [1.0, 0.0], [w, 1.0]))(2.0)
    np.testing.assert_allclose(found, value(SIGMOID, Z[0, :2], [1.0, 0.0], [2.0, 1.0]), 1e-6)
    assert value(SOFTMAX, Z[:2], jnp.array([0, 1], jnp.uint4)) == value(SOFTMAX, Z[:2], np.array([0, 1]))


def test_rules_of_promotion_are_those_of_the_function():
    with jax.numpy_dtype_promotion("strict"):
        for pair, z, y, options in (
            (SOFTMAX, Z, LABELS.astype(np.int8), {"weight": WEIGHT}),
            ("ordinal+coral", Z, LABELS.astype(np.uint8), {}),
            (SIGMOID, Z, YES, {"class_weight": np.array([1, 2])}),
            ("identity_exp+gaussian", Z[:, :2], YES[:, 0], {}),
        ):
            half = jnp.asarray(Z if z is Z else z, jnp.bfloat16)
            assert np.isfinite(jax.value_and_grad(partial(value, pair, y=y, **options))(half)[0])
            assert predict(pair, half).dtype == half.dtype


def test_a_mean_of_nothing_is_the_choice_it_says():
    nothing = partial(value, SOFTMAX, Z, np.full(4, 2), ignore_index=2)
    assert nothing() == 0.0
    assert np.isnan(nothing(empty="nan"))
    with pytest.raises(InvalidValue, match="'error'"):
        nothing(empty="error")


# ----------------------------------------------------------------------------------------------------- left out


@pytest.mark.parametrize("bad", [-INF, INF, NAN])
@pytest.mark.parametrize(
    ("pair", "y", "options"),
    [
        (SOFTMAX, [0, -1, 1, 1], {"ignore_index": -1}),
        (SOFTMAX, LABELS, {"weight": np.array([1.0, 0.0, 1.0, 1.0])}),
        (SOFTMAX, SHARES, {"weight": np.array([1.0, 0.0, 1.0, 1.0])}),
        ("softmax+focal", [0, -1, 1, 1], {"ignore_index": -1}),
        ("softmax+mse", LABELS, {"weight": np.array([True, False, True, True])}),
        ("entmax15+fenchel_young", [0, -1, 1, 1], {"ignore_index": -1}),
        (SIGMOID, YES, {"weight": np.array([1.0, 0.0, 1.0, 1.0])}),
        ("exp+poisson", YES, {"weight": np.array([1.0, 0.0, 1.0, 1.0])}),
        ("identity+huber", YES, {"weight": np.array([1.0, 0.0, 1.0, 1.0])}),
    ],
)
def test_what_is_left_out_reaches_nothing_in_either_mode(pair, y, options, bad):
    """Scores of −∞ under a mask, the case in which losses give NaN gradients in one mode or the other."""
    pair, y = build(pair, {}), jnp.asarray(y)
    z = jnp.asarray(Z).at[1].set(bad)
    kept = np.array([0, 2, 3])
    ours = partial(value, pair, y=y, reduction="sum", **options)
    whole, delta = jax.jit(jax.value_and_grad(ours))(z)
    alone = partial(value, pair, y=y[kept], reduction="sum")
    expected, slopes = jax.value_and_grad(alone)(z[kept])
    np.testing.assert_allclose(whole, expected, 1e-6)
    np.testing.assert_allclose(delta[kept], slopes, 1e-5, 1e-7)
    np.testing.assert_array_equal(delta[1], 0.0)
    _, along = jax.jvp(ours, (z,), (jnp.ones_like(z),))
    np.testing.assert_allclose(along, slopes.sum(), 1e-4, 1e-6)
    curved = jax.jvp(jax.grad(ours), (z,), (jnp.ones_like(z),))[1]
    assert np.isfinite(curved).all()


def test_a_target_beyond_the_type_of_the_scores_is_none(x64):
    with pytest.raises(InvalidValue, match=r"y\[0\]: got inf"):
        value("identity+mse", Z[0, :2], np.array([1e300, 0.0]))


def test_a_label_of_weight_0_need_be_no_class():
    assert value(SOFTMAX, Z, np.array([0, 9, 1, 1]), WEIGHT) == value(SOFTMAX, Z, LABELS, WEIGHT)


@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_a_class_that_a_mask_rules_out_costs_nothing(mode):
    z = jnp.array([[-INF, 1.0, 2.0]])
    found = mode(partial(value, SOFTMAX, y=jnp.array([1]), reduction="sum"))(z)
    p = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(found, [[0.0, -p, p]], 1e-6)


# ---------------------------------------------------------------------------------------------- transformations


@pytest.mark.parametrize(
    ("pair", "y"), [(SOFTMAX, LABELS), ("softmax+focal", LABELS), (SIGMOID, YES), ("identity_exp+gaussian", YES[:, 0])]
)
def test_every_transformation_gives_the_same(pair, y):
    z = jnp.asarray(Z[:, :2] if cl.pair(pair).two else Z)
    total = partial(value, pair, y=y, reduction="sum")
    expected = jax.grad(total)(z)
    same = partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-6)
    each = jax.vmap(jax.grad(lambda z, y: value(pair, z[None], y[None], reduction="sum")))(z, jnp.asarray(y))
    same(each, expected)
    for way in (jax.jacfwd, jax.jacrev, lambda f: jax.jit(jax.grad(f)), lambda f: jax.grad(jax.checkpoint(f))):
        same(way(total)(z), expected)
    hessian = jax.jit(jax.hessian(total))(z)
    for forms in (jax.jacfwd(jax.jacfwd(total)), jax.jacrev(jax.jacrev(total)), jax.jacrev(jax.jacfwd(total))):
        same(jax.jit(forms)(z), hessian, atol=1e-5)
    move = jnp.cos(jnp.arange(z.size, dtype=z.dtype)).reshape(z.shape)
    same(jax.jvp(total, (z,), (move,))[1], (expected * move).sum(), atol=1e-5)
    same(jax.jvp(jax.grad(total), (z,), (move,))[1], jnp.tensordot(hessian, move, z.ndim), atol=1e-5)


def test_a_scan_descends_as_a_loop_does():
    def step(z, _):
        return z - jax.grad(partial(value, SOFTMAX, y=LABELS))(z), value(SOFTMAX, z, LABELS)

    last, costs = jax.lax.scan(step, jnp.asarray(Z), length=4)
    z = jnp.asarray(Z)
    for cost in costs:
        z, now = step(z, None)
        np.testing.assert_allclose(cost, now, 1e-6)
    np.testing.assert_allclose(last, z, 1e-5)
    assert costs[-1] < costs[0]


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_what_comes_from_above_multiplies_the_gradient(reduction):
    scale = jnp.array([1.0, -2.0, 0.0, 3.0])
    found = jax.grad(lambda z: (value(SOFTMAX, z, LABELS, reduction=reduction) * scale).sum())(jnp.asarray(Z))
    rows = np.asarray(scale)[:, None] if reduction == "none" else scale.sum() / 4
    np.testing.assert_allclose(found, cl.value_and_delta(SOFTMAX, Z, LABELS, reduction="none")[1] * rows, 1e-5, 1e-7)


# ------------------------------------------------------------------------------------------- derivatives beyond


def focal_of_yes(z):
    p, q = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z))
    return -(q**2) * mp.log(p) / 4


TRUTHS = {
    SIGMOID: (lambda z: mp.log(1 + mp.exp(-z)), 1.0),
    "exp+poisson": (lambda z: mp.exp(z) - 3 * z, 3.0),
    "identity+huber": (lambda z: (z - 1) ** 2 / 2 if abs(z - 1) <= 1 else abs(z - 1) - mp.mpf(1) / 2, 1.0),
    "sigmoid+focal": (focal_of_yes, 1.0),
}
SCORES = np.array([0.3125, -2.5, 7.0, -7.0, 40.0, -40.0, 80.0, -80.0, 700.0, -700.0, 1e30, -1e30])


def derivatives(f, z, order):
    """By differences, with as many digits as they lose."""
    with mp.workdps(1000):
        return float(mp.diff(f, mp.mpf(z), order, h=mp.mpf("1e-60")))


@pytest.mark.parametrize(("pair", "order"), [*((pair, 3) for pair in TRUTHS), (SIGMOID, 4), ("exp+poisson", 4)])
def test_higher_derivatives_are_right_at_extremes_too(pair, order, dtype):
    f, y = TRUTHS[pair]

    def ours(z):
        return value(pair, z, jnp.asarray(y, dtype))

    for _ in range(order):
        ours = jax.grad(ours)
    found = np.asarray(jax.jit(jax.vmap(ours))(jnp.asarray(SCORES, dtype)))
    limits, largest = np.finfo(dtype), float(np.finfo(dtype).max)
    for z, got in zip(SCORES, found, strict=True):
        if abs(z) > 1e4:
            assert got == (INF if pair == "exp+poisson" and z > 0 else 0.0)
            continue
        right = derivatives(f, z, order)
        if abs(right) > largest:
            assert got == INF
        else:
            room = 100 * limits.eps * max(abs(right), 0.1 if abs(z) < 3 else 0.0) + 1e4 * limits.tiny
            assert abs(got - right) <= room, (z, got, right)


@pytest.mark.parametrize("z", [(0.25, -1.0, 0.5), (30.0, 0.0, -2.0), (-2.0, 60.0, 0.0), (300.0, -300.0, 0.0)])
def test_third_derivatives_of_rows_are_right(z, x64):
    def slopes(order):
        found = partial(value, SOFTMAX, y=jnp.array(0))
        for _ in range(order):
            found = jax.jacfwd(found)
        return np.asarray(jax.jit(found)(jnp.array(z)))

    with mp.workdps(400):
        odds = [mp.exp(mp.mpf(each) - max(z)) for each in z]
        p = [each / mp.fsum(odds) for each in odds]
        third = np.zeros((3, 3, 3))
        for i, j, k in np.ndindex(3, 3, 3):
            turn = [(i == a) - p[a] for a in range(3)]
            # ∂³ logsumexp = p_i ((δ_ij − p_j)(δ_ik − p_k) − p_j (δ_jk − p_k))
            third[i, j, k] = p[i] * (turn[j] * ((i == k) - p[k]) - p[j] * ((j == k) - p[k]))
    np.testing.assert_allclose(slopes(3), third, 1e-9, 1e-12 * abs(third).max())
    assert np.isfinite(slopes(4)).all()


@pytest.mark.parametrize(
    ("pair", "f"),
    [("tanh+mse", lambda z: (mp.tanh(z) - 1) ** 2), ("elu+mse", lambda z: (mp.expm1(min(z, 0)) - 1) ** 2)],
)
def test_third_derivatives_of_compositions_are_right(pair, f, x64):
    z = np.array([-2.5, -0.5, -1e-3])
    found = jax.vmap(jax.grad(jax.grad(jax.grad(lambda z: value(build(pair, {}), z, 1.0)))))(z)
    np.testing.assert_allclose(found, [derivatives(f, each, 3) for each in z], 1e-10)


def test_third_derivatives_by_two_scores_are_right(x64):
    """Of z₁ + ½ r² exp(−2 z₁), with r = y − z₀: by hand."""
    z, y = np.array([0.5, -0.25]), 2.0
    third = np.asarray(jax.jacfwd(jax.hessian(lambda z: value("identity_exp+gaussian", z[None], np.array([y]))))(z))
    r, e = y - z[0], np.exp(-2 * z[1])
    expected = {0: 0.0, 1: -2 * e, 2: -4 * r * e, 3: -4 * r * r * e}  # by how often it is by z₁
    for place in np.ndindex(2, 2, 2):
        assert third[place] == pytest.approx(expected[sum(place)], rel=1e-12, abs=1e-12), place


@pytest.mark.parametrize(
    "pair", {each.activation.name: each for each in cl.pairs() if not each.row and not each.two}.values(), ids=str
)
def test_predictions_have_derivatives(pair, x64):
    z = np.array([-3.0, -0.75, 0.25, 2.0])
    gain, bend = (jax.vmap(way(lambda z: predict(pair, z)))(z) for way in (jax.grad, lambda f: jax.grad(jax.grad(f))))
    step = 1e-4
    above, here, below = (cl.predict(pair, z + by) for by in (step, 0.0, -step))
    np.testing.assert_allclose(gain, (above - below) / (2 * step), 1e-7, 1e-7)
    np.testing.assert_allclose(bend, (above - 2 * here + below) / step**2, 1e-5, 1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_gradients_at_every_gamma(gamma):
    """Where 1 − p is 0, a power below 1 has an infinite slope."""
    z = np.array([-200.0, -1.0, 0.0, 20.0, 200.0], np.float32)
    for pair, scores, y in (
        (cl.pair("sigmoid+focal", gamma=gamma), z, np.ones_like(z)),
        (cl.pair("softmax+focal", gamma=gamma), np.stack([z, np.zeros_like(z)], 1), np.zeros(5, int)),
    ):
        ours = partial(value, pair, y=y, reduction="sum")
        expected = cl.value_and_delta(pair, scores, y, reduction="sum")[1]
        np.testing.assert_allclose(jax.jit(jax.grad(ours))(scores), expected, 1e-4, 1e-37)
        curved = jax.jit(lambda z, ours=ours: jax.jvp(jax.grad(ours), (z,), (jnp.ones_like(z),))[1])
        assert np.isfinite(curved(scores)).all()


# ------------------------------------------------------------------------------------------------------- 16 bits


@pytest.mark.parametrize("half", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize(("pair", "y"), [(SOFTMAX, LABELS), (SIGMOID, YES), ("exp+poisson", YES)])
def test_16_bits_are_computed_in_float32(pair, y, half):
    z = jnp.asarray(Z, half)
    found, delta = jax.value_and_grad(partial(value, pair, y=y))(z)
    expected, slopes = jax.value_and_grad(partial(value, pair, y=y))(z.astype(jnp.float32))
    assert (found.dtype, delta.dtype, predict(pair, z).dtype) == (jnp.float32, half, half)
    assert found == expected
    np.testing.assert_array_equal(delta, slopes.astype(half))


def test_a_bfloat16_loss_does_not_sit_on_a_grid():
    """A bfloat16 number near 50 moves in steps of a quarter."""
    z = jnp.linspace(49.0, 51.0, 64, dtype=jnp.float32).astype(jnp.bfloat16)
    found = value(SIGMOID, z, jnp.zeros(64), reduction="none")
    total = value(SIGMOID, z, jnp.zeros(64))
    assert total.dtype == jnp.float32
    np.testing.assert_allclose(total, np.asarray(z, np.float64).mean(), 1e-6)
    assert len(np.unique(found)) == len(np.unique(np.asarray(z, np.float32)))


# ------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (InvalidValue, r"y: got shape \(4, 1\) .* never broadcast", lambda: value(SIGMOID, Z[:, 0], YES[:, :1])),
        (InvalidValue, r"y\[2\]: got class 3; expected a class from 0 to 2", lambda: value(SOFTMAX, Z, [0, 1, 3, 0])),
        (InvalidValue, r"y\[1\]: got class -1.*ignore_index=-1", lambda: value(SOFTMAX, Z, [0, -1, 1, 0])),
        (
            InvalidValue,
            r"y\[0, 1\]: got 2.0; expected a target in \[0, 1\]",
            lambda: value(SIGMOID, Z, YES * 0 + [[1, 2, 0]]),
        ),
        (InvalidValue, r"y\[1\]: got -1", lambda: value("exp+poisson", Z[0], np.array([0.0, -1.0, 2.0]))),
        (InvalidValue, r"y\[0\].*adds? up to 1", lambda: value(SOFTMAX, Z, YES)),
        (
            InvalidValue,
            "as probabilities do.*applies its own softmax",
            lambda: value(SOFTMAX, predict(SOFTMAX, Z), LABELS),
        ),
        (InvalidValue, r"y\[1\]: got class 4294967297", lambda: value(SOFTMAX, Z[:2], np.array([0, 2**32 + 1]))),
        (InvalidValue, r"y\[1\]: got class 7", lambda: jax.jit(lambda z: value(SOFTMAX, z, np.array([0, 7])))(Z[:2])),
        (InvalidValue, r"weight\[0\]: got 1e\+39", lambda: value(SOFTMAX, Z[:2], LABELS[:2], np.array([1e39, 1.0]))),
        (InvalidType, "y: got an array of complex128", lambda: value(SIGMOID, Z[0, :1], np.array([1j]))),
        (InvalidType, "weight: got an array of <U1", lambda: value(SOFTMAX, Z[:1], LABELS[:1], np.array(["a"]))),
        (InvalidType, "z: got an array of int32", lambda: value(SIGMOID, np.arange(3, dtype=np.int32), np.ones(3))),
        (InvalidValue, r"weight\[1\]: got -1.0", lambda: value(SOFTMAX, Z, LABELS, np.array([1.0, -1.0, 1.0, 1.0]))),
        (InvalidValue, "pos_weight", lambda: value(SOFTMAX, Z, LABELS, pos_weight=2.0)),
        (InvalidValue, "class_weight: got shape", lambda: value(SOFTMAX, Z, LABELS, class_weight=np.ones(2))),
        (InvalidValue, "ordinal", lambda: value("ordinal+coral", Z, SHARES)),
        (InvalidValue, "K ≥ 2 classes", lambda: value(SOFTMAX, Z[:, :1], LABELS)),
        (InvalidValue, "two scores per target", lambda: value("identity_exp+gaussian", Z, LABELS * 1.0)),
        (InvalidValue, "known activation", lambda: value("sofmax+cross_entropy", Z, LABELS)),
    ],
)
def test_wrong_uses_are_refused_and_say_what_to_do(error, match, call):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    "pair", [SOFTMAX, "softmax+focal", "softmax+mse", "class_scores+crammer_singer", "ordinal+coral"]
)
def test_a_wrong_label_gives_nan_in_a_compiled_function(pair):
    pair, labels, fine = build(pair, {}), np.array([0, 2, 9, 1]), np.array([0, 1, 3])

    @jax.jit
    def run(z, y):
        each, back = jax.vjp(lambda z: value(pair, z, y, reduction="none"), z)
        return value(pair, z, y), each, back(jnp.ones_like(each))[0]

    total, each, delta = run(jnp.asarray(Z), labels)
    assert np.isnan(total)
    np.testing.assert_array_equal(np.isnan(each), labels == 9)
    assert np.isnan(delta[2]).any()
    assert np.isfinite(delta[fine]).all()
    assert np.isfinite(run(jnp.asarray(Z), np.minimum(labels, 2))[0])


def test_a_wrong_target_gives_nan_in_a_compiled_function():
    beyond = np.add(YES, [0.0, 0.0, 0.5])
    found = jax.jit(lambda z, y: value(SIGMOID, z, y, reduction="none"))(jnp.asarray(Z), beyond)
    np.testing.assert_array_equal(np.isnan(found), (beyond) > 1)


@pytest.mark.parametrize("by", ["y", "weight"])
def test_other_derivatives_are_refused_rather_than_0(by):
    given = {"y": jnp.asarray(YES), "weight": jnp.ones(4)}

    def ours(moved):
        return value(SIGMOID, Z, **{**given, by: moved})

    for way in (jax.grad, jax.jacfwd):
        with pytest.raises(UnsupportedDerivative, match="stop_gradient"):
            way(ours)(given[by])
    assert (
        jax.grad(lambda z: value(SIGMOID, z, jax.lax.stop_gradient(jax.nn.sigmoid(z))))(jnp.asarray(Z)).shape == Z.shape
    )


def test_probabilities_in_a_batch_of_one_or_of_certainties_are_scores_too():
    """Rows of 0 and 1 are scores of somebody's, and so are two that happen to add up."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(value(SOFTMAX, np.eye(3, dtype=np.float32), np.arange(3)))
        assert np.isfinite(value(SOFTMAX, np.array([[0.25, 0.75]], np.float32), np.array([0])))
