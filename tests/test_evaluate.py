"""Weights, ignored targets, smoothing and reductions together, against torch in every combination."""

import itertools
import tracemalloc

import numpy as np
import pytest

from costlayer.catalogue import build
from costlayer.engines import cpu
from costlayer.errors import InvalidType, InvalidValue
from costlayer.evaluate import evaluate

torch = pytest.importorskip("torch")
CE = build("softmax+cross_entropy", {})
BCE = build("sigmoid+cross_entropy", {})
RANDOM = np.random.default_rng(3)
COMBINATIONS = list(
    itertools.product(
        ("mean", "sum", "none"), (False, True), (0.0, 0.1), ((6, 4), (3, 4, 5), (2, 4, 3, 2)), (False, True)
    )
)


@pytest.mark.parametrize("target", ["class index", "probabilities"])
@pytest.mark.parametrize(("reduction", "weighted", "smoothing", "shape", "ignored"), COMBINATIONS)
def test_cross_entropy_agrees_with_torch(target, reduction, weighted, smoothing, shape, ignored):
    if ignored and target == "probabilities":
        return
    random = np.random.default_rng(7)
    z = random.normal(size=shape)
    class_weight = np.array([0.5, 2.0, 0.0, 1.25]) if weighted else None
    if target == "class index":
        y = random.integers(0, 4, (shape[0], *shape[2:]))
        if ignored:
            y[0], y.flat[-1] = -100, -100
    else:
        y = random.random(shape)
        y /= y.sum(axis=1, keepdims=True)
    scores = torch.tensor(z, requires_grad=True)
    value = torch.nn.functional.cross_entropy(
        scores,
        torch.tensor(y),
        weight=None if class_weight is None else torch.tensor(class_weight),
        label_smoothing=smoothing,
        reduction=reduction,
    )
    value.sum().backward()
    found = evaluate(
        CE,
        z,
        y,
        reduction=reduction,
        class_weight=class_weight,
        label_smoothing=smoothing,
        ignore_index=-100 if ignored else None,
    )
    np.testing.assert_allclose(found.value, value.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.delta, scores.grad.numpy(), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("name", ["softmax+mse", "softmax+binary_cross_entropy", "softmax+cross_entropy"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_class_index_is_its_probabilities(name, smoothing):
    """With smoothing and class weights too: index t is the row that is 1 at t."""
    pair = build(name, {})
    z, y = RANDOM.normal(size=(8, 3)), RANDOM.integers(0, 3, 8)
    weight = np.array([0.5, 1.0, 2.0])[y]
    by_index = evaluate(pair, z, y, label_smoothing=smoothing, reduction="sum", curvature=True)
    by_row = evaluate(pair, z, np.eye(3)[y], label_smoothing=smoothing, reduction="sum", curvature=True)
    for what in ("value", "delta", "curvature"):
        np.testing.assert_allclose(getattr(by_index, what), getattr(by_row, what), rtol=1e-12, atol=1e-15)
    if not smoothing:
        weighted = evaluate(pair, z, y, class_weight=[0.5, 1.0, 2.0])
        by_weight = evaluate(pair, z, y, weight, reduction="weighted_mean")
        np.testing.assert_allclose(weighted.value, by_weight.value, rtol=1e-12)
        np.testing.assert_allclose(weighted.delta, by_weight.delta, rtol=1e-12)


def test_smoothing_of_yes_or_no_targets():
    """(1 − ε) y + ε/2, for all that follows: value, δ and curvature."""
    z, y = RANDOM.normal(size=9), np.array([0.0, 1.0, 0.25] * 3)
    smooth = evaluate(BCE, z, y, label_smoothing=0.1, curvature=True)
    by_hand = evaluate(BCE, z, 0.9 * y + 0.05, curvature=True)
    np.testing.assert_allclose(smooth.value, by_hand.value, rtol=1e-15)
    np.testing.assert_allclose(smooth.delta, by_hand.delta, rtol=1e-13)


def test_class_weights_of_yes_or_no_targets():
    z, y, ignored = RANDOM.normal(size=6), np.array([0, 1, 1, 0, 1, -1]), -1
    found = evaluate(BCE, z, y, class_weight=[0.5, 2.0], ignore_index=ignored)
    weights = np.array([0.5, 2.0, 2.0, 0.5, 2.0])
    each = evaluate(BCE, z[:5], y[:5], reduction="none")
    assert found.value == pytest.approx((each.value * weights).sum() / weights.sum(), rel=1e-14)
    assert found.denominator == weights.sum()
    np.testing.assert_allclose(found.delta, [*(each.delta * weights / weights.sum()), 0.0], rtol=1e-14)


@pytest.mark.parametrize("class_weight", [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]])
@pytest.mark.parametrize("wrong", [-1.0, 2.0, np.nan])
def test_class_weights_hide_no_wrong_target(class_weight, wrong):
    """A weight that is read off a wrong target must not turn to 0 and skip it."""
    with pytest.raises(InvalidValue, match=r"^y\[1\]"):
        evaluate(BCE, np.zeros(2), np.array([1.0, wrong]), class_weight=class_weight)


def test_ignored_examples_can_do_no_harm():
    z, y = RANDOM.normal(size=(4, 3)), np.array([0, -100, 2, 1])
    z[1] = [np.nan, -np.inf, np.inf]
    found = evaluate(CE, z, y, ignore_index=-100, curvature=True)
    kept = evaluate(CE, z[[0, 2, 3]], y[[0, 2, 3]], curvature=True)
    assert found.value == kept.value
    assert found.delta[1].tolist() == found.curvature[1].tolist() == [0.0] * 3
    assert found.delta[[0, 2, 3]].tolist() == kept.delta.tolist()
    assert found.denominator == 3.0
    with_class = evaluate(CE, RANDOM.normal(size=(2, 3)), np.array([1, 2]), ignore_index=1)
    assert with_class.denominator == 1.0


def test_ignoring_and_weights_together():
    """`mean` divides by the examples that are not ignored, weights or not; `weighted_mean` by all their weights."""
    z, y, weight = RANDOM.normal(size=(4, 3)), np.array([0, -100, 2, 1]), np.array([1.0, 7.0, 0.0, 3.0])
    each = evaluate(CE, z, y, ignore_index=-100, reduction="none").value
    assert evaluate(CE, z, y, weight, ignore_index=-100).value == pytest.approx((each * weight).sum() / 3, rel=1e-14)
    found = evaluate(CE, z, y, weight, ignore_index=-100, reduction="weighted_mean")
    assert found.value == pytest.approx((each * weight).sum() / 4, rel=1e-14)
    assert found.denominator == 4.0


@pytest.mark.parametrize("empty", ["zero", "nan", "error"])
def test_the_mean_of_no_examples_is_a_choice(empty):
    z, y = np.full((2, 3), np.nan), np.array([-100, -100])
    if empty == "error":
        with pytest.raises(InvalidValue, match="all of them ignored"):
            evaluate(CE, z, y, ignore_index=-100, empty=empty)
        return
    found = evaluate(CE, z, y, ignore_index=-100, empty=empty)
    assert np.isnan(found.value) if empty == "nan" else found.value == 0.0
    assert found.delta.tolist() == [[0.0] * 3] * 2
    assert found.denominator == 0.0


def test_sums_and_counts_can_be_had_apart():
    """The mean over two batches is that of the whole, from sums and denominators."""
    z, y = RANDOM.normal(size=(7, 3)), np.array([0, 1, 2, -100, 1, 1, 0])
    whole = evaluate(CE, z, y, ignore_index=-100)
    parts = [evaluate(CE, z[s], y[s], ignore_index=-100, reduction="mean") for s in (slice(0, 3), slice(3, 7))]
    total = sum(part.value * part.denominator for part in parts)
    assert total / sum(part.denominator for part in parts) == pytest.approx(whole.value, rel=1e-14)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0, np.nan])
def test_smoothing_out_of_its_interval_is_refused(smoothing):
    with pytest.raises(InvalidValue, match=r"^label_smoothing: got"):
        evaluate(CE, np.zeros((1, 2)), np.array([0]), label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", ["0.1", None, [0.1]])
def test_smoothing_of_another_type_is_refused(smoothing):
    with pytest.raises((InvalidType, InvalidValue), match=r"^label_smoothing: got"):
        evaluate(CE, np.zeros((1, 2)), np.array([0]), label_smoothing=smoothing)


@pytest.mark.parametrize(
    "given", [[1.0], [1.0, 2.0, 3.0], [1.0, -1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 1.0]], "ab"]
)
def test_class_weights_that_do_not_fit_are_refused(given):
    for pair, z, y in ((CE, np.zeros((1, 2)), np.array([0])), (BCE, np.zeros(1), np.zeros(1))):
        with pytest.raises(InvalidValue, match=r"^class_weight: got"):
            evaluate(pair, z, y, class_weight=given)


def test_what_makes_no_sense_is_refused():
    z, y = np.zeros(2), np.ones(2)
    rows, shares = np.zeros((2, 2)), np.full((2, 2), 0.5)
    for name, argument, given in (
        ("identity+mse", "class_weight", {"class_weight": [1.0, 1.0]}),
        ("identity+mse", "label_smoothing", {"label_smoothing": 0.1}),
        ("exp+poisson", "label_smoothing", {"label_smoothing": 0.1}),
        ("identity+mse", "empty", {"empty": "maybe"}),
    ):
        with pytest.raises(InvalidValue, match=rf"^{argument}: got"):
            evaluate(build(name, {}), z, y, **given)
    with pytest.raises(InvalidValue, match=r"^ignore_index: got"):
        evaluate(CE, rows, shares, ignore_index=0)
    with pytest.raises(InvalidValue, match=r"^class_weight: got"):
        evaluate(build("softmax+mse", {}), rows, shares, class_weight=[1.0, 1.0])


def with_pos_weight(z, y, pos_weight, weight=None, smoothing=0.0, reduction="mean"):
    """torch's value and gradient; its smoothing of yes-or-no targets is done by hand."""
    scores = torch.tensor(z, requires_grad=True)
    value = torch.nn.functional.binary_cross_entropy_with_logits(
        scores,
        torch.tensor((1 - smoothing) * y + smoothing / 2),
        None if weight is None else torch.tensor(weight),
        pos_weight=torch.as_tensor(pos_weight),
        reduction=reduction,
    )
    value.sum().backward()
    return value.detach().numpy(), scores.grad.numpy()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("form", ["number", "zero", "large", "per score", "per row and score"])
def test_pos_weight_is_torchs(form, soft, weighted, smoothing, reduction):
    random = np.random.default_rng(11)
    z = 3 * random.normal(size=(5, 3))
    y = random.random(z.shape) if soft else (random.random(z.shape) < 0.4) * 1.0
    pos_weight = {
        "number": np.float64(2.5),
        "zero": np.float64(0.0),
        "large": np.float64(1e6),
        "per score": np.array([0.0, 1.0, 7.5]),
        "per row and score": random.random(z.shape) * 4,
    }[form]
    weight = np.array([1.0, 0.0, 3.0, 0.5, 2.0]) if weighted else None
    own = None if weight is None else np.repeat(weight[:, None], 3, 1)
    value, gradient = with_pos_weight(z, y, pos_weight, own, smoothing, reduction)
    options = {"reduction": reduction, "label_smoothing": smoothing, "pos_weight": pos_weight}
    found = evaluate(BCE, z, y, weight, curvature=True, **options)
    np.testing.assert_allclose(found.value, value, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.delta, gradient, rtol=1e-10, atol=1e-12)
    step = 1e-5
    moved = [evaluate(BCE, z + shift, y, weight, **options).delta for shift in (step, -step)]
    np.testing.assert_allclose(found.curvature, (moved[0] - moved[1]) / (2 * step), rtol=1e-4, atol=1e-9 * value.max())


def test_pos_weight_keeps_the_type_of_the_scores_and_its_digits():
    z, y = np.array([63.8, -40.0, 3.0], np.float32), np.array([1.0, 0.0, 1.0], np.float32)
    found = evaluate(BCE, z, y, pos_weight=np.float64(3.0), reduction="sum")
    assert found.delta.dtype == np.float32
    right = [-3 * np.exp(-63.8), np.exp(-40.0), -3 / (1 + np.exp(3.0))]
    np.testing.assert_allclose(found.delta, right, rtol=3e-6)


def test_pos_weight_and_what_is_left_out():
    """Ignored examples and those of weight 0 do no harm; a mean divides by the same as without."""
    z, y = np.array([0.5, np.nan, -1.0, np.inf]), np.array([1.0, -1.0, 0.0, 1.0])
    options = {"ignore_index": -1, "pos_weight": 4.0}
    found = evaluate(BCE, z, y, np.array([1.0, 1.0, 2.0, 0.0]), **options)
    alone = evaluate(BCE, z[[0, 2]], y[[0, 2]], np.array([4.0, 2.0]), reduction="sum")
    assert found.denominator == 3.0
    assert found.value == pytest.approx(alone.value / 3)
    assert found.delta.tolist() == pytest.approx([alone.delta[0] / 3, 0.0, alone.delta[1] / 3, 0.0])
    assert evaluate(BCE, z, y, np.array([1.0, 1.0, 2.0, 0.0]), reduction="weighted_mean", **options).denominator == 3.0


@pytest.mark.parametrize(
    "name", ["probit+cross_entropy", "cloglog+cross_entropy", "sigmoid+focal", "sigmoid+asymmetric"]
)
def test_pos_weight_counts_a_yes_so_often_under_every_yes_or_no_cost(name):
    pair, z, y = build(name, {}), np.array([-2.0, -0.5, 0.5, 2.0]), np.array([0.0, 1.0, 0.25, 1.0])
    found = evaluate(pair, z, y, pos_weight=3.0, reduction="none", curvature=True)
    no, yes = (evaluate(pair, z, np.full(4, goal), reduction="none", curvature=True) for goal in (0.0, 1.0))
    for what in ("value", "delta", "curvature"):
        right = 3.0 * y * getattr(yes, what) + (1 - y) * getattr(no, what)
        np.testing.assert_allclose(getattr(found, what), right, rtol=1e-12, atol=1e-15)


def test_costs_said_to_be_of_yes_or_no_are(pointwise_pair):
    """y times the cost of a yes and 1 − y times that of a no: what pos_weight may weigh."""
    if not pointwise_pair.cost.yes_or_no:
        with pytest.raises(InvalidValue, match=r"^pos_weight: got one for"):
            evaluate(pointwise_pair, np.zeros(1), np.ones(1), pos_weight=2.0)
        return
    z = np.linspace(-3.0, 3.0, 7)
    no, half, yes = (evaluate(pointwise_pair, z, np.full(7, y), reduction="none").value for y in (0.0, 0.25, 1.0))
    np.testing.assert_allclose(half, 0.75 * no + 0.25 * yes, rtol=1e-12)


@pytest.mark.parametrize("given", [-1.0, np.nan, np.inf, [1.0, 2.0], [[1.0], [2.0], [3.0]], "many"])
def test_a_pos_weight_that_does_not_fit_is_refused(given):
    with pytest.raises((InvalidValue, InvalidType), match=r"^pos_weight: got"):
        evaluate(BCE, np.zeros((2, 3)), np.zeros((2, 3)), pos_weight=given)


def test_a_pos_weight_of_a_row_pair_is_refused_with_what_to_use():
    with pytest.raises(InvalidValue, match=r"^pos_weight: got one for softmax\+cross_entropy.*class_weight"):
        evaluate(CE, np.zeros((1, 2)), np.array([0]), pos_weight=2.0)


@pytest.mark.parametrize("name", ["identity+mse", "exp+gamma"])
def test_an_ignored_number_of_a_pointwise_pair(name):
    found = evaluate(build(name, {}), np.array([1.0, np.nan]), np.array([2.0, -999.0]), ignore_index=-999)
    assert found.denominator == 1.0
    assert found.delta[1] == 0.0
    assert np.isfinite(found.value)


# A part of the examples at a time


YES_OR_NO = {"class_weight": [0.5, 2.0], "label_smoothing": 0.1, "pos_weight": 3.0, "ignore_index": 1}
CLASSES = {"class_weight": [0.5, 1.0, 2.0], "label_smoothing": 0.1, "ignore_index": 1}
OPTIONS = [
    *(("sigmoid+cross_entropy", given) for given in ({}, *({k: v} for k, v in YES_OR_NO.items()), YES_OR_NO)),
    *(("softmax+cross_entropy", given) for given in ({}, *({k: v} for k, v in CLASSES.items()), CLASSES)),
    ("softmax+cross_entropy", {"temperature": 2.0, **CLASSES}),
    ("softmax+mse", {"class_weight": [0.5, 1.0, 2.0]}),
    ("identity+hinge", {"ignore_index": -1}),
    ("identity_softplus+gaussian", {"ignore_index": 1}),
    ("sparsemax+fenchel_young", CLASSES),
    ("conditional+corn", {"ignore_index": 1}),
]


def some(pair, shape, random):
    """Scores of examples of a shape, and targets: 0, 1 and 2, or classes."""
    width = 3 - pair.activation.thresholds if pair.row else 2
    z = random.normal(size=(shape[0], width, *shape[1:]) if pair.row or pair.two else shape)
    return z, random.integers(3 if pair.row else 2, size=shape)


@pytest.mark.parametrize("weighted", ["not at all", "each", "by the first axis", "all alike"])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_parts_give_what_all_at_once_give(name, options, weighted, monkeypatch):
    pair, random = build(name, {}), np.random.default_rng(5)
    z, y = some(pair, (7, 5), random)
    weight = {"each": random.integers(3, size=(7, 5)), "by the first axis": np.arange(7) % 3, "all alike": 1.5}
    given = {"weight": weight.get(weighted), "curvature": True, **options}
    for reduction in ("none", "mean", "weighted_mean"):
        whole = evaluate(pair, z, y, reduction=reduction, **given)
        with monkeypatch.context() as patch:
            patch.setattr(cpu, "BLOCK", 4)
            parts = evaluate(pair, z, y, reduction=reduction, **given)
        assert whole.denominator == pytest.approx(parts.denominator, rel=1e-15)
        for what in ("value", "delta", "curvature"):
            if (truth := getattr(whole, what)) is not None:
                np.testing.assert_allclose(getattr(parts, what), truth, rtol=1e-13, atol=0)


@pytest.mark.parametrize("pos_weight", [2.0, [1.0, 2.0, 3.0], [[1.0], [2.0]], np.arange(24.0).reshape(4, 2, 3)])
def test_pos_weights_of_any_axes_in_parts(pos_weight, monkeypatch):
    random = np.random.default_rng(6)
    z, y = random.normal(size=(4, 2, 3)), random.integers(2, size=(4, 2, 3))
    monkeypatch.setattr(cpu, "BLOCK", 5)
    found = evaluate(BCE, z, y, pos_weight=pos_weight, reduction="none").value
    plain = evaluate(BCE, z, y, reduction="none").value
    np.testing.assert_allclose(found, plain * np.where(y == 1, np.broadcast_to(pos_weight, z.shape), 1.0), rtol=1e-14)


@pytest.mark.parametrize(
    "name", ["sigmoid+cross_entropy", "softmax+cross_entropy", "softmax+mse", "sparsemax+fenchel_young"]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_first_wrong_target_is_named_whichever_part_it_is_in(name, weighted, monkeypatch):
    pair, random = build(name, {}), np.random.default_rng(5)
    z, y = some(pair, (7, 5), random)
    y[4, 2], y[5, 1] = 9, 8
    weight = np.ones((7, 5)) if weighted else None
    monkeypatch.setattr(cpu, "BLOCK", 4)
    for options in ({}, {"class_weight": np.zeros(3 if pair.row else 2), "reduction": "sum"}):
        with pytest.raises(InvalidValue, match=r"^y\[4, 2\]: got (class )?9"):
            evaluate(pair, z, y, weight, **options)
    if pair.row:
        shares = np.full(z.shape, 1 / 3)
        shares[4, :, 2] = shares[5, :, 1] = 0.9
        with pytest.raises(InvalidValue, match=r"^y\[4, 2\]: got probabilities that add up to 2.7"):
            evaluate(pair, z, shares, weight)


def taken(pair, z, y, weight=None, **options):
    """Bytes at the peak of a call, beside what it returns."""
    evaluate(pair, z[:2], y[:2], None if weight is None else weight[:2], **options)  # is compiled
    tracemalloc.start()
    try:
        found = evaluate(pair, z, y, weight, threads=1, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak - sum(np.size(array) * z.itemsize for array in (found.value, found.delta) if array is not None)


@pytest.mark.parametrize("weighted", [None, np.bool_, np.float64])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_options_take_a_few_mebibytes_however_many_examples(name, options, weighted):
    """A number for each score would take 16 MiB, for each row 5.3."""
    pair, width = build(name, {}), 1
    if pair.row or pair.two:
        width = 3 - pair.activation.thresholds if pair.row else 2
    z = np.zeros((1 << 22) // width * width, np.float32)
    z = z if width == 1 else z.reshape(-1, width)
    y = np.zeros(len(z), np.int32)
    weight = None if weighted is None else np.ones(len(z), weighted)
    for asked in ({}, {"delta": False}, {"delta": False, "reduction": "none"}):
        assert taken(pair, z, y, weight, **asked, **options) < 5 << 20


def test_probabilities_take_a_few_mebibytes():
    y = np.full((1 << 20, 4), 0.25)
    for options in ({}, {"label_smoothing": 0.1, "class_weight": np.ones(4)}):
        assert taken(CE, y.astype(np.float32), y, np.ones(len(y)), **options) < 5 << 20
