"""The NumPy front: arrays in, arrays out, as torch would reduce them."""

import re
import sys

import numpy as np
import pytest

import accuracy
import costlayer as cl
import truth
from costlayer.catalogue import build
from costlayer.engines import kernels
from costlayer.errors import CostLayerError, InvalidType, InvalidValue

Z = np.array([0.5, -1.5, 2.0, 0.125])
Y = np.array([1.0, 0.0, 0.5, 0.0])
ROWS = np.array([[0.5, -1.0, 2.0], [0.0, 0.25, -0.5], [1.0, 3.0, 0.0], [-2.0, 0.0, 1.0]])
LABELS = np.array([2, 0, 1, 1])
SHARES = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5], [0.0, 0.5, 0.5]])
CE, BCE = "softmax+cross_entropy", "sigmoid+cross_entropy"
SOME = [BCE, CE, "softmax+mse", "softmax+binary_cross_entropy", "identity+hinge", "tanh+huber"]


def example(pair, dtype=np.float64):
    """Scores and targets that any pair takes."""
    if pair.row:
        return ROWS.astype(dtype), LABELS
    y = {True: np.array([1.0, -1.0, 1.0, -1.0]), False: np.array([0.75, 0.25, 0.5, 1.0])}[pair.target.ends_only]
    return Z.astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("name", SOME)
def test_one_pass_gives_what_each_call_gives(name, dtype):
    pair = build(name, {})
    z, y = example(pair, dtype)
    value, delta = cl.value_and_delta(pair, z, y)
    assert accuracy.same(cl.value(pair, z, y), value)
    assert type(value) is np.float64
    assert delta.shape == z.shape
    assert delta.dtype == dtype
    assert cl.curvature(pair, z, y).shape == z.shape
    assert cl.predict(pair, z).dtype == dtype
    assert cl.value(pair, z, y, reduction="none").dtype == dtype


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "weighted_mean"])
def test_delta_is_the_gradient_of_what_is_returned(name, reduction):
    """By central differences in float64, weights included; for "none" of the sum."""
    pair = build(name, {})
    z, y = example(pair)
    weight = np.array([1.0, 0.5, 2.0, 0.25])
    h = 1e-6

    def total(scores):
        return cl.value(pair, scores, y, weight, reduction).sum()

    _, delta = cl.value_and_delta(pair, z, y, weight, reduction)
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = h
        assert delta[index] == pytest.approx((total(z + step) - total(z - step)) / (2 * h), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", [BCE, CE])
def test_reductions_and_weights(name):
    pair = build(name, {})
    z, y = (ROWS, LABELS) if pair.row else (Z, Y)
    weight = np.array([1.0, 0.5, 0.0, 2.0])
    each, slopes = cl.value_and_delta(name, z, y, reduction="none")
    per = weight[:, None] if pair.row else weight
    for reduction, divisor in (("none", 1.0), ("sum", 1.0), ("mean", 4.0), ("weighted_mean", 3.5)):
        value, delta = cl.value_and_delta(name, z, y, weight, reduction)
        expected = each * weight if reduction == "none" else (each * weight).sum() / divisor
        np.testing.assert_allclose(value, expected, rtol=1e-15)
        np.testing.assert_allclose(delta, slopes * per / divisor, rtol=4e-16)
        bend = cl.curvature(name, z, y, weight, reduction)
        np.testing.assert_allclose(bend, cl.curvature(name, z, y) * per / divisor, rtol=4e-16)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_example_of_weight_zero_can_do_no_harm(bad):
    weight = np.array([1.0, 0.0, 1.0, 1.0])
    z, y = Z.copy(), Y.copy()
    z[1] = bad
    for target in (0.0, np.nan, 7.0):
        y[1] = target
        value, delta = cl.value_and_delta(BCE, z, y, weight)
        assert (np.isfinite(value), delta[1]) == (True, 0.0)
        assert cl.curvature(BCE, z, y, weight)[1] == 0.0
        assert cl.value(BCE, z, y, weight, "none")[1] == 0.0
    rows = ROWS.copy()
    rows[1] = bad
    for labels in (LABELS, np.array([2, 99, 1, 1])):
        value, delta = cl.value_and_delta(CE, rows, labels, weight)
        assert np.isfinite(value)
        assert delta[1].tolist() == [0.0, 0.0, 0.0]
        assert cl.value(CE, rows, labels, weight, "none")[1] == 0.0
    shares = SHARES.copy()
    shares[1] = bad
    assert np.isfinite(cl.value_and_delta(build("softmax+mse", {}), rows, shares, weight)[1]).all()


def test_a_weight_may_stand_for_all_that_follows_its_axes():
    z, y = np.arange(12.0).reshape(2, 3, 2) / 7, np.ones((2, 3, 2))
    for weight in (np.array([2.0, 0.5]), np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(2, 3, 2), 3.0):
        full = np.asarray(weight).reshape(np.shape(weight) + (1,) * (3 - np.ndim(weight))) * np.ones(z.shape)
        assert accuracy.same(cl.value(BCE, z, y, weight, "none"), cl.value(BCE, z, y, full, "none"))
    for weight in (np.ones(3), np.ones((2, 2)), np.ones((2, 3, 1)), np.ones((1, 2, 3, 2))):
        with pytest.raises(InvalidValue, match=r"^weight: got shape"):
            cl.value(BCE, z, y, weight)


@pytest.mark.parametrize("weight", [[1.0, -0.5, 1, 1], [1.0, np.nan, 1, 1], [1.0, np.inf, 1, 1]])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(InvalidValue, match=r"^weight\[1\]: got"):
        cl.value(BCE, Z, Y, weight)
    with pytest.raises(InvalidType, match=r"^weight: got"):
        cl.value(BCE, Z, Y, ["a"] * 4)


# Shapes and types


@pytest.mark.parametrize(
    ("name", "z", "y"),
    [
        (BCE, Z, Y[:, None]),
        (BCE, Z[:, None], Y),
        (BCE, Z, 1.0),
        (BCE, Z, Y[:3]),
        (CE, ROWS, LABELS[:, None]),
        (CE, ROWS, LABELS[:3]),
        (CE, ROWS, LABELS.astype(float)),
        (CE, ROWS, (SHARES > 0.4).astype(int)),
        (CE, ROWS, SHARES[:, :2]),
        (CE, ROWS[:, 0], LABELS),
    ],
)
def test_shapes_that_differ_are_refused_and_never_broadcast(name, z, y):
    with pytest.raises(InvalidValue, match=r"^y: got .*shape \(.*scores of shape"):
        cl.value(name, z, y)


@pytest.mark.parametrize("z", [3.0, np.ones((4, 1)), np.ones((4, 0))])
def test_a_softmax_needs_two_classes(z):
    for call in (lambda: cl.value(CE, z, np.zeros(4, int)), lambda: cl.predict(CE, z)):
        with pytest.raises(InvalidValue, match=r"^z: got shape .* K ≥ 2"):
            call()


def test_shapes():
    assert cl.value_and_delta(BCE, 0.0, 1.0)[0] == pytest.approx(np.log(2))
    assert cl.value_and_delta(BCE, 0.0, 1.0)[1].shape == ()
    z, y = np.ones((2, 3, 4)), np.zeros((2, 3, 4))
    assert cl.value_and_delta(BCE, z, y)[1].shape == (2, 3, 4)
    assert cl.value(CE, ROWS[0], LABELS[0], reduction="none").shape == ()
    assert cl.value(CE, np.ones((2, 3, 4, 5)), np.zeros((2, 4, 5), int), reduction="none").shape == (2, 4, 5)
    assert cl.predict(CE, np.ones((2, 5, 4)))[0, 0, 0] == 0.2
    one = cl.value_and_delta(CE, ROWS[0], LABELS[0])
    whole = cl.value_and_delta(CE, ROWS[:1], LABELS[:1])
    assert accuracy.same(one[1], whole[1][0])


@pytest.mark.parametrize("kind", [np.float16, np.int32, np.int8, np.uint8, bool])
def test_small_types_are_computed_in_larger_ones(kind):
    z, y = np.array([1, 0, 1, 1]).astype(kind), np.array([1, 0, 0, 1]).astype(kind)
    wide = np.float32 if kind == np.float16 else np.float64
    value, delta = cl.value_and_delta(BCE, z, y)
    assert delta.dtype == wide
    assert accuracy.same(value, cl.value(BCE, z.astype(wide), y.astype(wide)))


@pytest.mark.parametrize("z", [np.array(["a"]), np.array([None]), np.array([1j]), np.array([1], np.longdouble)])
def test_other_types_of_scores_are_refused(z):
    with pytest.raises(InvalidType, match=r"^z: got an array of"):
        cl.value(BCE, z, np.zeros(1))
    with pytest.raises(InvalidType, match=r"^z: got an array of"):
        cl.predict(BCE, z)


@pytest.mark.parametrize("y", [np.array(["a"] * 4), np.array([None] * 4), np.array([1j] * 4)])
def test_other_types_of_targets_are_refused(y):
    for name, z in ((BCE, Z), (CE, ROWS)):
        with pytest.raises(InvalidType, match=r"^y: got"):
            cl.value(name, z, y)


def test_a_list_of_unequal_rows_is_refused():
    with pytest.raises(CostLayerError):
        cl.value(CE, [[1.0, 2.0], [1.0]], [0, 1])


def test_targets_of_another_float_type():
    assert cl.value(BCE, Z.astype(np.float32), Y) == cl.value(BCE, Z.astype(np.float32), Y.astype(np.float32))
    with pytest.raises(InvalidValue, match=r"^y\[0\]"):
        cl.value("identity+mse", np.zeros(1, np.float32), np.array([1e39]))


def layouts(array):
    """The same numbers, laid out in every way that memory knows."""
    yield "Fortran", np.asfortranarray(array)
    yield "every other", np.repeat(array, 2, axis=0)[::2]
    yield "reversed", array[::-1].copy()[::-1]
    yield "reversed columns", array[..., ::-1].copy()[..., ::-1]
    yield "transposed", array.T.copy().T
    frozen = array.copy()
    frozen.flags.writeable = False
    yield "read only", frozen
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    raw[...] = array
    yield "unaligned", raw


@pytest.mark.parametrize("name", [BCE, CE, "softmax+mse"])
def test_strides_change_nothing(name, dtype):
    pair = build(name, {})
    z = np.random.default_rng(1).normal(size=(6, 5)).astype(dtype)
    y = np.arange(6) % 5 if pair.row else (z > 0).astype(dtype)
    value, delta = cl.value_and_delta(pair, z, y, reduction="none")
    v = cl.predict(pair, z)
    for (layout, scores), (_, targets) in zip(layouts(z), layouts(y), strict=True):
        before = scores.copy()
        found = cl.value_and_delta(pair, scores, targets, reduction="none")
        assert accuracy.same(found[0], value), layout
        assert accuracy.same(found[1], delta), layout
        assert accuracy.same(cl.predict(pair, scores), v), layout
        assert accuracy.same(scores, before)


def test_stride_zero(dtype):
    z, y = np.broadcast_to(dtype(0.5), (3, 4)), np.broadcast_to(dtype(1.0), (3, 4))
    assert accuracy.same(cl.value_and_delta(BCE, z, y)[1], cl.value_and_delta(BCE, z.copy(), y.copy())[1])
    rows, weight = np.broadcast_to(ROWS[0].astype(dtype), (4, 3)), np.broadcast_to(2.0, (4,))
    found, copied = (
        cl.value_and_delta(CE, rows, LABELS, weight),
        cl.value_and_delta(CE, rows.copy(), LABELS, weight.copy()),
    )
    assert accuracy.same(found[1], copied[1])


def test_classes_may_stand_in_the_middle():
    rows = np.moveaxis(np.stack([ROWS, 2 * ROWS]), -1, 1)  # (2, 3, 4): classes along axis 1
    labels = np.stack([LABELS, LABELS[::-1]])
    value, delta = cl.value_and_delta(CE, rows, labels, reduction="none")
    for i in range(2):
        expected = cl.value_and_delta(CE, rows[i].T, labels[i], reduction="none")
        assert accuracy.same(value[i], expected[0])
        assert accuracy.same(delta[i].T, expected[1])
    bad = labels.copy()
    bad[1, 2] = 3
    with pytest.raises(InvalidValue, match=r"^y\[1, 2\]: got class 3; expected a class from 0 to 2"):
        cl.value(CE, rows, bad)


def test_nothing_at_all():
    for name, z, y in ((BCE, np.ones(0), np.ones(0)), (CE, np.ones((0, 3)), np.zeros(0, int))):
        for reduction, expected in (("sum", 0.0), ("none", [])):
            value, delta = cl.value_and_delta(name, z, y, reduction=reduction)
            assert value.tolist() == expected
            assert delta.shape == z.shape
        with pytest.raises(InvalidValue, match=r"^y: got no examples"):
            cl.value(name, z, y)
        assert cl.predict(name, z).shape == z.shape
    with pytest.raises(InvalidValue, match="ignored or of weight 0"):
        cl.value(BCE, Z, Y, np.zeros(4), "weighted_mean")


@pytest.mark.parametrize("reduction", ["average", "Mean", "", None, 1])
def test_an_unknown_reduction_is_refused(reduction):
    with pytest.raises(InvalidValue, match=r"^reduction: got .*mean, sum, none"):
        cl.value(BCE, Z, Y, reduction=reduction)


# Targets


@pytest.mark.parametrize(
    ("name", "targets", "index", "expected"),
    [
        (BCE, [0.0, 1.5, -1.0, 0.0], 1, "a target in [0, 1]"),
        (BCE, [0.0, 1.0, np.nan, 2.0], 2, "a target in [0, 1]"),
        ("identity+hinge", [1.0, -1.0, 0.0, 0.5], 3, "a target in {−1, 1}"),
        ("exp+poisson", [0.0, 3.0, -1.0, 0.0], 2, "a target in [0, ∞)"),
        ("exp+gamma", [0.0, 3.0, 1.0, 1.0], 0, "a target in (0, ∞)"),
        ("identity+mse", [0.0, np.inf, 0.0, 0.0], 1, "a target in (−∞, ∞)"),
    ],
)
def test_a_target_out_of_its_interval_is_refused_by_index_and_value(name, targets, index, expected):
    message = re.escape(f"y[{index}]: got {targets[index]}; expected {expected} for {name}")
    with pytest.raises(InvalidValue, match="^" + message):
        cl.value(name, Z, np.array(targets))
    if name == BCE:
        with pytest.raises(InvalidValue, match=r"^y\[0, 1\]"):
            cl.value(name, Z.reshape(2, 2), np.array([[0.0, 7.0], [1.0, 9.0]]))


def test_a_class_that_is_not_there_is_refused():
    with pytest.raises(InvalidValue, match=r"^y\[1\]: got class 3; expected a class from 0 to 2"):
        cl.value(CE, ROWS, np.array([0, 3, 4, 0]))
    with pytest.raises(InvalidValue, match=r"^y\[2\]: got class -100; .*ignore_index=-100"):
        cl.value(CE, ROWS, np.array([0, 1, -100, 0]))
    with pytest.raises(InvalidValue, match=r"^y\[0\]: got class 18446744073709551615"):
        cl.value(CE, ROWS, np.array([2**64 - 1, 0, 0, 0], np.uint64))


def test_probabilities_are_checked():
    for j, wrong in ((0, -0.1), (2, 1.5), (1, np.nan)):
        shares = SHARES.copy()
        shares[2, j] = wrong
        with pytest.raises(InvalidValue, match=rf"^y\[2, {j}\]: got {wrong}; expected a probability"):
            cl.value(CE, ROWS, shares)
    with pytest.raises(InvalidValue, match=r"^y\[0\]: got probabilities that add up to 2"):
        cl.value(CE, ROWS, np.array([[0.5, 0.75, 0.75], *SHARES[1:]]))
    found = cl.value(CE, ROWS.astype(np.float32), SHARES.astype(np.float16))
    assert found == pytest.approx(float(cl.value(CE, ROWS, SHARES)), rel=1e-3)


def test_targets_are_not_altered_by_a_refusal():
    z, y = Z.copy(), np.array([0.0, 1.0, 7.0, 0.0])
    with pytest.raises(InvalidValue):
        cl.value(BCE, z, y)
    assert y.tolist() == [0.0, 1.0, 7.0, 0.0]
    assert z.tolist() == Z.tolist()


def test_a_pair_and_its_name_are_one():
    assert cl.value(cl.pair("identity+huber", delta=0.5), Z, Y) == cl.value("identity+huber", Z, Y) * 0 + np.mean(
        [truth.formula("where(abs(e) <= 0.5, e*e/2, 0.5*(abs(e) - 0.25))", e=e) for e in (Z - Y).tolist()]
    )


@pytest.mark.parametrize("name", ["identity+mse", CE])
def test_examples_are_counted_in_64_bits(name):
    """The compiled loops, far beyond 2³² examples of a stride of nothing."""
    pair = build(name, {})
    cl.value(pair, *example(pair))
    (module,) = (
        found
        for title, found in sys.modules.items()
        if title.startswith(f"costlayer_kernels_{name.replace('+', '_')}_float64")
    )
    many, start = 2**33, 2**32 + 1
    none = (None, None, None, start, start + 3, ())
    for wrong in (False, True):
        if pair.row:
            label = np.broadcast_to(np.int64(7 if wrong else 0), many)
            total, bad = module.margin_rows(np.broadcast_to(np.zeros(2), (many, 2)), label, None, 1.0, *none)
            expected = 3 * np.log(2)
        else:
            y = np.broadcast_to(np.nan if wrong else 2.0, many)
            total, bad = module.pointwise(
                np.broadcast_to(0.0, many), y, None, 1.0, -9.0, 9.0, False, *none, np.empty(kernels.SPAN)
            )
            expected = 12.0
        assert bad == (start if wrong else -1)
        assert wrong or total == pytest.approx(expected)


# Against torch


def torch_values(compute, z):
    torch = pytest.importorskip("torch")
    scores = torch.tensor(z, requires_grad=True)
    value = compute(torch, scores)
    value.sum().backward()
    return value.detach().numpy(), scores.grad.numpy()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("name", "compute"),
    [
        (
            "sigmoid+cross_entropy",
            lambda t, z, y, r: t.nn.functional.binary_cross_entropy_with_logits(z, y, reduction=r),
        ),
        ("identity+mse", lambda t, z, y, r: t.nn.functional.mse_loss(z, y, reduction=r)),
        ("identity+mae", lambda t, z, y, r: t.nn.functional.l1_loss(z, y, reduction=r)),
        ("identity+huber", lambda t, z, y, r: t.nn.functional.huber_loss(z, y, reduction=r)),
        ("exp+poisson", lambda t, z, y, r: t.nn.functional.poisson_nll_loss(z, y, log_input=True, reduction=r)),
        ("sigmoid+mse", lambda t, z, y, r: t.nn.functional.mse_loss(t.sigmoid(z), y, reduction=r)),
        ("tanh+huber", lambda t, z, y, r: t.nn.functional.huber_loss(t.tanh(z), y, reduction=r)),
        ("softplus+mae", lambda t, z, y, r: t.nn.functional.l1_loss(t.nn.functional.softplus(z), y, reduction=r)),
    ],
)
def test_pointwise_pairs_agree_with_torch(name, compute, reduction):
    random = np.random.default_rng(2)
    z, y = random.normal(size=(5, 7)) * 2, random.random((5, 7))
    value, delta = torch_values(lambda t, scores: compute(t, scores, t.tensor(y), reduction), z)
    found = cl.value_and_delta(build(name, {}), z, y, reduction=reduction)
    np.testing.assert_allclose(found[0], value, rtol=1e-12)
    np.testing.assert_allclose(found[1], delta, rtol=1e-12, atol=1e-15)
