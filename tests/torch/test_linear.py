"""The last linear map inside the layer: against the plain composition, in every shape, type, option and order."""

import copy
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import costlayer.torch as ct
from costlayer import catalogue
from costlayer.errors import CostLayerError, InvalidType, InvalidValue, UnsupportedDerivative
from costlayer.torch import CostLayer, LinearCostLayer, contrastive_cost, fused, linear_cost, siglip_cost
from covering import every_pair, targets

pytestmark = [
    pytest.mark.filterwarnings("ignore::costlayer.errors.SaturationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),  # torch's own, on its first forward mode
]
DOUBLE = torch.float64
TYPES = [DOUBLE, torch.float32, torch.bfloat16, torch.float16]
ORDER = "softmax+cross_entropy"
LINEAR = getattr(nn, "LinearCrossEntropyLoss", None)
needs_torchs = pytest.mark.skipif(LINEAR is None, reason="torch 2.13 and newer have it")


def head(n=33, width=7, classes=123, dtype=DOUBLE, seed=0):
    """x, W and a bias that require a gradient."""
    random = torch.Generator().manual_seed(seed)
    shapes = (n, width), (classes, width), (classes,)
    return [torch.randn(shape, generator=random, dtype=DOUBLE).to(dtype).requires_grad_() for shape in shapes]


def labels(n=33, classes=123, seed=1):
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


def plain(x, w, b, y, pair=ORDER, weight=None, **options):
    """What a user writes: the scores, whole, and the layer."""
    layer = pair if isinstance(pair, CostLayer) else CostLayer(pair, **options)
    z = F.linear(x, w, b)
    return layer(z.view(len(z), 2, -1) if layer.pair.two else z, y, weight)


def gradients(loss, of, up=None):
    return torch.autograd.grad(loss, of, up)


def agree(ours, theirs, tolerance=1e-12):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def both(given, y, pair=ORDER, weight=None, rows=None, tolerance=1e-12, **options):
    """The same value and gradients as the composition has."""
    ours = linear_cost(*given[:2], y, pair, given[2], weight, rows=rows, **options)
    theirs = plain(*given, y, pair, weight, **options).reshape(ours.shape)
    up = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3), dtype=ours.dtype)
    agree([ours, *gradients(ours, given, up)], [theirs, *gradients(theirs, given, up)], tolerance)
    return ours


# ------------------------------------------------------------------------------------------------ every pair


@every_pair
@pytest.mark.parametrize(("reduction", "rows"), [("mean", None), ("none", 10)])
def test_every_pair_as_its_composition(pair, reduction, rows):
    name, outputs = str(pair), 6
    given = head(classes=outputs)
    if pair.activation.thresholds:  # the scores must fall from class to class
        given[1], given[2] = torch.zeros(outputs, 7, dtype=DOUBLE), torch.arange(outputs, 0, -1.0, dtype=DOUBLE)
        given = [each.detach().requires_grad_() for each in given]
    u = torch.rand(33, outputs // 2 if pair.two else outputs, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    y = labels(classes=outputs) if pair.row else targets(pair, u)
    both(given, y, name, rows=rows, reduction=reduction, tolerance=1e-10)


@pytest.mark.parametrize("rows", [None, 1, 10])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "weighted_mean"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ignore_index": 5, "class_weight": torch.rand(123, dtype=DOUBLE)},
        {"label_smoothing": 0.1, "class_weight": torch.rand(123, dtype=DOUBLE), "ignore_index": 5},
        {"z_loss": 0.1, "softcap": 5.0, "temperature": 2.0, "logit_adjustment": torch.randn(123, dtype=DOUBLE)},
        {"pair": "softmax+focal", "gamma": 1.5},
        {"weight": torch.rand(33, dtype=DOUBLE).round(decimals=1)},
        {"weight": torch.rand(33, dtype=DOUBLE) < 0.5, "z_loss": 0.1, "ignore_index": 5, "label_smoothing": 0.1},
    ],
    ids=["plain", "classes", "smooth", "scores", "focal", "weight", "mask"],
)
def test_options_of_rows(options, reduction, rows):
    y = labels()
    y[:3] = 5
    both(head(), y, rows=rows, reduction=reduction, **options)


@pytest.mark.parametrize("rows", [None, 10])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ignore_index": -1, "class_weight": torch.tensor([1.0, 3.0])},
        {"label_smoothing": 0.1, "pos_weight": torch.rand(3000)},
        {"pos_weight": torch.tensor(2.0), "weight": torch.rand(33)},
        {"weight": torch.rand(33, 3000).round(decimals=1)},
    ],
    ids=["plain", "classes", "smooth", "row weight", "weight"],
)
def test_options_of_single_scores_in_several_blocks(options, reduction, rows):
    y = torch.rand(33, 3000, generator=torch.Generator().manual_seed(1), dtype=DOUBLE).round()
    if "ignore_index" in options:
        y[::3, ::2] = -1
    both(head(classes=3000), y, "sigmoid+cross_entropy", rows=rows, reduction=reduction, **options)


def test_probabilities_as_targets():
    y = torch.softmax(torch.randn(33, 123, dtype=DOUBLE), 1)
    for options in ({}, {"label_smoothing": 0.1, "class_weight": torch.rand(123)}, {"reduction": "none"}):
        both(head(), y, rows=10, **options)
        both(head(), y, "softmax+kl", **{k: v for k, v in options.items() if k == "reduction"})


def test_leading_axes_and_one_output():
    x, w, b = head(24, classes=1)
    y = torch.randn(2, 3, 4, dtype=DOUBLE)
    ours = linear_cost(x.view(2, 3, 4, 7), w, y, "identity+huber", b, reduction="none")
    agree([ours], [plain(x, w, b, y.view(24, 1), "identity+huber", reduction="none").view(2, 3, 4)])
    x, w, b = head(24)
    y = labels(24).view(2, 3, 4)
    weight = torch.rand(2, 3, dtype=DOUBLE)
    ours = linear_cost(x.view(2, 3, 4, 7), w, y, bias=b, weight=weight, reduction="none")
    theirs = plain(x, w, b, y.flatten(), weight=weight.unsqueeze(-1).expand(2, 3, 4).flatten(), reduction="none")
    agree([ours], [theirs.view(2, 3, 4)])


def test_shift_pairs_each_example_with_the_next_target():
    x, w, _ = head(24)
    x, y, weight = x.view(2, 12, 7), labels(24).view(2, 12), torch.rand(2, 12, dtype=DOUBLE)
    ours = linear_cost(x, w, y, weight=weight, shift=True, reduction="none")
    theirs = linear_cost(x[:, :-1], w, y[:, 1:], weight=weight[:, 1:], reduction="none")
    assert ours.shape == (2, 11)
    assert torch.equal(ours, theirs)
    with pytest.raises(InvalidValue, match="shift"):
        linear_cost(x[0, 0], w, y[0, 0], shift=True)


# ------------------------------------------------------------------------------------------------ sparse targets


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
@pytest.mark.parametrize("kind", ["coo", "csr", "lists", "tensors"])
@pytest.mark.parametrize("rows", [None, 10])
def test_sparse_targets_are_the_same_as_dense(kind, rows):
    dense = (torch.rand(33, 3000, generator=torch.Generator().manual_seed(1)) < 0.01).double()
    dense[3] = 0
    y = {
        "coo": dense.to_sparse_coo,
        "csr": dense.to_sparse_csr,
        "lists": lambda: [row.nonzero().flatten().tolist() for row in dense],
        "tensors": lambda: [row.nonzero().flatten() for row in dense],
    }[kind]()
    x, w, b = given = head(classes=3000)
    for options in ({}, {"label_smoothing": 0.1}, {"reduction": "none"}, {"pair": "sigmoid+focal"}):
        options = {"pair": "sigmoid+cross_entropy", **options}
        ours = linear_cost(x, w, y, bias=b, rows=rows, **options)
        theirs = plain(*given, dense, **options)
        agree([ours, *gradients(ours.sum(), given)], [theirs, *gradients(theirs.sum(), given)])
    shifted = linear_cost(x, w, y, "sigmoid+cross_entropy", shift=True, reduction="none")
    assert torch.equal(shifted, linear_cost(x[:-1], w, dense[1:], "sigmoid+cross_entropy", reduction="none"))


def test_wrong_sparse_targets():
    x, w, _ = head()
    with pytest.raises(InvalidType, match=r"y\[0\]: got torch.float32; expected whole numbers"):
        linear_cost(x, w, [[0.0, 1.0]] * 33, "sigmoid+cross_entropy")
    with pytest.raises(InvalidValue, match=r"y\[1\]\[1\]: got 123; expected an index from 0 to 122"):
        linear_cost(x, w, [[1], [2, 123], *[[]] * 31], "sigmoid+cross_entropy")
    with pytest.raises(InvalidValue, match="32"):
        linear_cost(x, w, [[]] * 32, "sigmoid+cross_entropy")
    with pytest.raises(InvalidType, match="indices of yeses"):
        linear_cost(x, w, [[1]] * 33)
    y = torch.zeros(33, 123)
    y[2, 122] = 2
    with pytest.raises(InvalidValue, match=r"y\[2, 122\]: got 2.0"):
        linear_cost(x, w, y.to_sparse(), "sigmoid+cross_entropy")


# ------------------------------------------------------------------------------------------------ two towers


@pytest.mark.parametrize("symmetric", [True, False])
def test_contrastive_cost_as_written_out(symmetric):
    a, b, _ = head(9, 5, 9)
    log_scale = torch.tensor(1.5, dtype=DOUBLE, requires_grad=True)
    z, t = log_scale.exp() * a @ b.T, torch.arange(9)
    theirs = (F.cross_entropy(z, t) + F.cross_entropy(z.T, t)) / 2 if symmetric else F.cross_entropy(z, t)
    ours = contrastive_cost(a, b, log_scale.exp(), symmetric=symmetric)
    of = (a, b, log_scale)
    agree([ours, *gradients(ours, of)], [theirs, *gradients(theirs, of)])


def test_siglip_cost_as_written_out():
    a, b, _ = head(9, 5, 9)
    scale, bias = (torch.tensor(each, dtype=DOUBLE, requires_grad=True) for each in (4.0, -3.0))
    z = scale * a @ b.T + bias
    theirs = -F.logsigmoid(z * (2 * torch.eye(9, dtype=DOUBLE) - 1)).sum() / 9
    ours = siglip_cost(a, b, scale, bias)
    of = (a, b, scale, bias)
    agree([ours, *gradients(ours, of)], [theirs, *gradients(theirs, of)])
    with pytest.raises(InvalidValue, match="b: got shape"):
        siglip_cost(a, b[:8])


# ------------------------------------------------------------------------------------------------ types and shapes


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("rows", [None, 7])
@pytest.mark.parametrize(
    ("n", "width", "classes"), [(33, 7, 123), (252, 123, 507), (1, 16, 50), (40, 1, 9), (40, 16, 2), (5, 2500, 70)]
)
@pytest.mark.parametrize("pair", [ORDER, "sigmoid+cross_entropy"])
def test_error_is_at_most_that_of_the_composition(pair, n, width, classes, dtype, rows):
    given = head(n, width, classes, dtype)
    with torch.no_grad():
        given[1] /= width**0.5
    y = labels(n, classes) if pair == ORDER else (torch.rand(n, classes) < 0.1).to(dtype)
    exact = [each.detach().double().requires_grad_() for each in given]
    truth = plain(*exact, y if pair == ORDER else y.double(), pair)
    found, usual = (
        [loss, *gradients(loss, given)]
        for loss in (linear_cost(*given[:2], y, pair, given[2], rows=rows), plain(*given, y, pair))
    )
    for one, other, true in zip(found, usual, [truth, *gradients(truth, exact)], strict=True):
        assert one.shape == other.shape
        scale = true.abs().max()
        error, theirs = ((each.double() - true).abs().max() / scale for each in (one, other))
        assert error <= theirs + (2 if dtype.itemsize == 2 else 16) * torch.finfo(dtype).eps, (error, theirs)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_no_stride_matters(dtype):
    x, w, b = (each.detach() for each in head(32, 16, 40, dtype))
    y = labels(32, 40)

    def found(x, w, b, y):
        x, w, b = (each.detach().requires_grad_() for each in (x, w, b))
        loss = linear_cost(x, w, y, bias=b)
        return [loss, *gradients(loss, (x, w, b))]

    usual = found(x, w, b, y)
    wide = torch.zeros(64, 32, dtype=dtype)
    wide[::2, ::2] = x
    tall = torch.zeros(40, 48, dtype=dtype)
    tall[:, 8:24] = w
    for other in (
        (x.T.contiguous().T, w, b, y),
        (x, w.T.contiguous().T, b, y),
        (wide[::2, ::2], tall[:, 8:24], b.repeat_interleave(2)[::2], y.repeat_interleave(2)[::2]),
    ):
        for one, each in zip(found(*other), usual, strict=True):
            torch.testing.assert_close(one, each)
    flat = found(x[:1].expand(32, 16), w[:, :1].expand(40, 16), b[:1].expand(40), y[:1].expand(32))
    for one, each in zip(flat, found(x[:1].repeat(32, 1), w[:, :1].repeat(1, 16), b[:1].repeat(40), y[:1].repeat(32))):  # noqa: B905
        torch.testing.assert_close(one, each)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("n", "width", "classes"), [(33, 7, 3000), (300, 64, 2500), (1, 5000, 100), (64, 3, 9000)])
def test_the_same_bits_with_any_number_of_threads(n, width, classes, dtype):
    given, y, before = head(n, width, classes, dtype), labels(n, classes), torch.get_num_threads()
    sparse = torch.zeros(n, classes).scatter(1, y[:, None], 1.0).to_sparse()
    found = []
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            losses = [
                linear_cost(*given[:2], y, bias=given[2]),
                linear_cost(*given[:2], y, bias=given[2], rows=13, threshold=1e-3),
                linear_cost(*given[:2], sparse, "sigmoid+cross_entropy", given[2]),
            ]
            found.append([part for loss in losses for part in (loss, *gradients(loss, given))])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


def test_loss_of_bfloat16_however_many_parts():
    """torch's own adds its loss up in bfloat16: 4.0 here."""
    random = torch.Generator().manual_seed(0)
    x, w = (torch.randn(size, 8, generator=random).bfloat16() for size in (8192, 4096))
    y = labels(8192, 4096)
    truth = F.cross_entropy(x.double() @ w.double().T, y).item()
    for rows in (None, 1000, 64):
        assert linear_cost(x, w, y, rows=rows).item() == pytest.approx(truth, rel=1e-3)
        assert linear_cost(x, w, y, rows=rows).dtype is torch.float32


def test_sure_rows_keep_their_loss_and_gradient():
    """Where softmax has become sure, p − 1 would be nothing."""
    x = torch.eye(4, requires_grad=True)
    w = (40.0 * torch.eye(4)).requires_grad_()
    loss = linear_cost(x, w, torch.arange(4))
    truth = 3 * torch.exp(torch.tensor(-40.0, dtype=DOUBLE))
    assert loss.item() == pytest.approx(truth.item(), rel=1e-6)
    assert gradients(loss, w)[0][0, 0].item() == pytest.approx(-truth.item() / 4, rel=1e-6)
    assert not F.cross_entropy(x @ w.T, torch.arange(4)).item()


# ------------------------------------------------------------------------------------------------ threshold


@pytest.mark.parametrize("threshold", [1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("rows", [None, 50])
def test_threshold_errs_by_no_more_than_it_says(threshold, rows):
    x, w, b = given = head(200, 64, 3000, torch.float64)
    y = labels(200, 3000)
    with torch.no_grad():  # sure of the right class, as a trained model is of most
        x.copy_(0.5 * w[y] + 0.3 * x)
    usual, few = (linear_cost(x, w, y, bias=b, reduction="sum", threshold=each, rows=rows) for each in (0.0, threshold))
    assert torch.equal(usual, few)
    (dx, dw, db), (fx, fw, fb) = gradients(usual, given), gradients(few, given)
    assert torch.equal(db, fb)  # nothing is left out of that
    p = torch.softmax(F.linear(x, w, b), 1).detach()
    left = (p <= threshold) & (torch.arange(3000) != y[:, None])
    assert ((dx - fx).abs().amax(1) <= threshold * left.double() @ w.abs().amax(1) + 1e-12).all()
    assert (dw - fw).abs().max() <= threshold * x.abs().sum(0).max()
    assert not torch.equal(dx, fx)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("also", [(), ("loss",), ("entropy",)])
def test_threshold_goes_by_probabilities_whatever_comes_from_above(reduction, also):
    x, w, b = given = head(200, 64, 3000, DOUBLE)
    y = labels(200, 3000)
    with torch.no_grad():
        x.copy_(0.5 * w[y] + 0.3 * x)
    one, other = (linear_cost(x, w, y, bias=b, reduction=reduction, threshold=each, also=also) for each in (1e-12, 0.0))
    one, other = (each[0].sum() + each[1][also[0]].sum() if also else each.sum() for each in (one, other))
    assert one.requires_grad
    for few, whole in zip(gradients(one, given), gradients(other, given), strict=True):
        torch.testing.assert_close(few, whole, rtol=1e-6, atol=1e-9)
        assert few.any()


def test_threshold_in_a_narrow_gap_and_with_weights():
    x, w, b = head(20, 4, 9)
    y, weight = labels(20, 9), torch.rand(20, dtype=DOUBLE)
    usual = gradients(linear_cost(x, w, y, bias=b, weight=weight), (x, w, b))
    agree(gradients(linear_cost(x, w, y, bias=b, weight=weight, threshold=1e-300), (x, w, b)), usual)


# ------------------------------------------------------------------------------------------------ derivatives


def test_targets_written_over_before_the_scores_are_made_again():
    x, w, _ = head()
    y = labels()
    loss = linear_cost(x, w, y, reduction="none").sum()
    y.zero_()
    with pytest.raises(UnsupportedDerivative, match="written over"):
        loss.backward()
    y = labels()
    loss = linear_cost(x, w, y)  # its gradients are there already
    y.zero_()
    loss.backward()


def test_only_the_gradients_that_are_needed(monkeypatch):
    """flash-linear-attention, pull request 1253: a frozen head still paid for its gradient."""
    made = []
    original = fused.product
    monkeypatch.setattr(fused, "product", lambda *given: made.append(given[0].shape) or original(*given))
    for needed in ((True, True), (True, False), (False, True), (False, False)):
        x, w, _ = (each.detach().requires_grad_(need) for each, need in zip(head(), (*needed, False), strict=True))
        made.clear()
        loss = linear_cost(x, w, labels())
        if any(needed):
            loss.backward()
        assert len(made) == 1 + sum(needed)
        assert [each.grad is not None for each in (x, w)] == list(needed)
    x, w, _ = head()
    with torch.no_grad():
        made.clear()
        linear_cost(x, w, labels())
        assert len(made) == 1


def test_inputs_are_never_written_to():
    """Liger 272, 343: a gradient over the logits corrupts whoever else uses them."""
    x, w, b = head(dtype=torch.float32)
    before = [each.detach().clone() for each in (x, w, b)]
    loss = linear_cost(x, w, labels(), bias=b)
    loss.backward(retain_graph=True)
    x.grad.zero_(), w.grad.zero_()
    (3 * loss).backward()
    for each, old in zip((x, w, b), before, strict=True):
        assert torch.equal(each, old)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_backward_twice_and_factors(dtype):
    given, y = head(dtype=dtype), labels()
    once = gradients(linear_cost(*given[:2], y, bias=given[2]), given)
    loss = linear_cost(*given[:2], y, bias=given[2])
    first = gradients_kept = torch.autograd.grad(loss, given, retain_graph=True)
    for each in gradients_kept:
        each.zero_()  # whoever has them may write to them
    second = torch.autograd.grad(3 * loss, given, retain_graph=True)
    third = torch.autograd.grad(loss, given)
    agree(third, once)
    agree(second, [3 * each for each in once], 1e-2 if dtype.itemsize == 2 else 1e-6)
    assert not any(each.any() for each in first)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, given)


@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32, torch.bfloat16], ids=str)
def test_upstream_gradients_of_each_example(dtype):
    """Liger 968, 678, 488 and TransformerEngine 2734: wrong gradients from "none", or from upstream of stride 0."""
    given, y = head(dtype=dtype), labels()
    loss = linear_cost(*given[:2], y, bias=given[2], reduction="none", rows=10)
    other = plain(*(each.double() for each in given), y, reduction="none")
    wide = torch.randn(66, dtype=loss.dtype)
    for up in (torch.tensor(2.0).to(loss.dtype).expand(33), wide[::2], wide.flip(0)[:33]):
        ours = torch.autograd.grad(loss, given, up, retain_graph=True)
        theirs = torch.autograd.grad(other, given, up.double(), retain_graph=True)
        agree(ours, [each.to(dtype) for each in theirs], {2: 5e-2, 4: 1e-5, 8: 1e-12}[dtype.itemsize])


def test_micro_batches_add_up_to_the_whole():
    x, w, b = given = head()
    y = labels()
    y[2] = -100
    layer = CostLayer(ORDER, reduction="sum", ignore_index=-100)
    whole = gradients(linear_cost(x, w, y, bias=b, ignore_index=-100), given)
    for part in (slice(0, 5), slice(5, 33)):
        (linear_cost(x[part], w, y[part], layer, b) / 32).backward()
    agree([each.grad for each in given], whole)


def test_tied_weights_and_a_low_rank_change():
    x, w, _ = head()
    tokens, y = labels(seed=5), labels()
    both_ways = [cost(F.embedding(tokens, w) + x, w, y) for cost in (linear_cost, lambda x, w, y: plain(x, w, None, y))]
    agree(*(gradients(loss, (x, w)) for loss in both_ways))
    down, up = (torch.randn(shape, dtype=DOUBLE, requires_grad=True) for shape in ((3, 7), (123, 3)))
    frozen = w.detach()
    ours = linear_cost(x, frozen, y, low_rank=(down, up, 0.5))
    theirs = plain(x, frozen + 0.5 * up @ down, None, y)
    of = (x, down, up)
    agree([ours, *gradients(ours, of)], [theirs, *gradients(theirs, of)])
    with pytest.raises(InvalidValue, match="low_rank"):
        linear_cost(x, w, y, low_rank=(up, down, 1.0))


@pytest.mark.parametrize("rows", [None, 10])
@pytest.mark.parametrize("options", [{}, {"temperature": 2.0, "softcap": 4.0}, {"reduction": "sum", "ignore_index": 5}])
def test_what_else_may_be_asked_for(options, rows):
    given, y = head(), labels()
    y[3] = 5
    z = F.linear(*given)
    z = torch.tanh(z / 4) * 4 / 2 if "softcap" in options else z
    log_p = torch.log_softmax(z, 1)
    theirs = {
        "loss": F.cross_entropy(z, y, reduction="none", ignore_index=options.get("ignore_index", -100)),
        "logsumexp": torch.logsumexp(z, 1),
        "entropy": -(log_p.exp() * log_p).sum(1),
    }
    loss, also = linear_cost(
        *given[:2], y, bias=given[2], also=("accuracy", "entropy", "loss", "logsumexp"), rows=rows, **options
    )
    assert [*also] == ["accuracy", "entropy", "loss", "logsumexp"]
    kept = y != options.get("ignore_index", -100)
    assert also["accuracy"].item() == pytest.approx((z.argmax(1) == y)[kept].double().mean().item())
    agree([also[name] for name in theirs], theirs.values())
    usual = plain(*given, y, **options)
    up = torch.randn(33, dtype=DOUBLE)
    total = 2 * loss + sum((up * each).sum() for name, each in also.items() if name != "accuracy")
    agree(gradients(total, given), gradients(2 * usual + sum((up * each).sum() for each in theirs.values()), given))
    _, also = linear_cost(*given[:2], y, also=("entropy",))
    assert gradients(also["entropy"].sum(), given[0])[0].any()
    loss, also = linear_cost(*given[:2], y, also=("accuracy",))
    assert not also["accuracy"].requires_grad
    assert gradients(loss, given[0])[0].any()


@pytest.mark.parametrize("pair", [ORDER, "sigmoid+cross_entropy", "identity+mse"])
def test_second_derivatives_and_transforms(pair):
    x, w, b = given = head(5, 3, 4)
    y = labels(5, 4) if pair == ORDER else torch.rand(5, 4, dtype=DOUBLE)
    for options in ({}, {"reduction": "none"}):
        cost = lambda x, w, b: linear_cost(x, w, y, pair, b, **options)  # noqa: B023, E731
        assert torch.autograd.gradcheck(cost, given)
        assert torch.autograd.gradgradcheck(cost, given)
    one = lambda x: linear_cost(x, w.detach(), y, pair, b.detach())  # noqa: E731
    usual = gradients(one(x), x)[0]
    agree([torch.func.grad(one)(x.detach())], [usual])
    direction = torch.randn_like(x)
    _, along = torch.func.jvp(one, (x.detach(),), (direction,))
    agree([along], [(usual * direction).sum()])
    assert along.abs() > 1e-6  # torch's own says 0


def test_gradients_by_targets_or_weights_are_refused():
    x, w, _ = head()
    with pytest.raises(UnsupportedDerivative, match="weight"):
        linear_cost(x, w, labels(), weight=torch.ones(33, dtype=DOUBLE, requires_grad=True))
    with pytest.raises(UnsupportedDerivative, match="y"):
        linear_cost(x, w, torch.full((33, 123), 0.1, requires_grad=True), "sigmoid+cross_entropy")


def test_autocast_multiplies_in_bfloat16_and_keeps_the_gradients_types():
    x, w, b = given = head(dtype=torch.float32)
    y = labels()
    exact = gradients(linear_cost(x, w, y, bias=b), given)
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cost(x, w, y, bias=b)
        usual = F.cross_entropy(F.linear(x, w, b), y)
    assert loss.dtype is torch.float32
    ours, theirs = gradients(loss, given), gradients(usual, given)
    for one, other, true in zip(ours, theirs, exact, strict=True):
        assert one.dtype is torch.float32
        assert (one - true).abs().max() <= (other - true).abs().max() + 1e-3
        assert not torch.equal(one, true)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(reentrant):
    given, y = head(), labels()
    usual = gradients(linear_cost(*given[:2], y, bias=given[2]), given)
    loss = checkpoint(lambda x, w, b: linear_cost(x, w, y, bias=b), *given, use_reentrant=reentrant)
    loss.backward()
    agree([each.grad for each in given], usual)


COMPILED = [
    {"label_smoothing": 0.1},
    {"bias": False, "ignore_index": 5},
    {"shift": True, "reduction": "sum"},
    {"dtype": torch.bfloat16},
    {"dtype": torch.float16},
    {"pair": "sigmoid+cross_entropy"},
    {"reduction": "none"},
]


@pytest.mark.parametrize("options", COMPILED, ids=str)
def test_compiled(options):
    torch.manual_seed(0)
    layer = LinearCostLayer(7, 123, **options)
    x, y, weight = torch.randn(33, 7, dtype=layer.weight.dtype), labels(), torch.rand(33).round(decimals=1)
    y = torch.rand(33, 123) if "pair" in options else y
    of = [x.requires_grad_(), *layer.parameters()]
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    tolerance = 1e-2 if x.dtype.itemsize == 2 else 1e-5
    for given in ((x, y), (x, y, weight)):
        found, usual = compiled(*given), layer(*given)
        agree([found, *gradients(3 * found.sum(), of)], [usual, *gradients(3 * usual.sum(), of)], tolerance)
    frozen = layer.requires_grad_(False)
    assert gradients(compiled(x, y).sum(), x)[0].any()
    with torch.no_grad():
        agree([compiled(x, y)], [frozen(x, y)], tolerance)


def test_compiled_graphs_hold_no_scores_and_look_at_targets():
    layer, x = LinearCostLayer(7, 123), torch.randn(33, 7)
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    with torch.autocast("cpu", torch.bfloat16):
        agree([compiled(x, labels())], [layer(x, labels())])
    (graph,) = graphs
    assert "costlayer.linear_cost" in graph.code
    assert "linear(" not in graph.code.replace("linear_cost", "")
    with pytest.raises(InvalidValue, match=r"y\[0\]: got class 1000"):
        compiled(x, torch.full((33,), 1000))
    z = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(compiled(z, labels()), z, create_graph=True)
    with pytest.raises(UnsupportedDerivative):
        torch.autograd.grad(slope.sum(), z)
    other = copy.deepcopy(layer)
    del layer, compiled
    torch._dynamo.reset()
    agree([torch.compile(other, fullgraph=True, backend="eager")(x, labels())], [other(x, labels())])


@needs_torchs
@pytest.mark.parametrize("places", [(), (2,)])
def test_torchs_name_compiled(places):
    module = ct.LinearCrossEntropyLoss(7, 9, out_features=places, bias=True, weight=torch.rand(9))
    x, y = torch.randn(5, 7, requires_grad=True), torch.randint(9, (5, *places))
    usual = [module(x, y), *gradients(module(x, y), (x, module.linear.weight))]
    torch._dynamo.reset()
    found = torch.compile(module, fullgraph=True, backend="aot_eager")(x, y)
    agree([found, *gradients(found, (x, module.linear.weight))], usual, 1e-6)


# ------------------------------------------------------------------------------------------------ the module


def test_module():
    layer, y = LinearCostLayer(7, 123, "softmax+focal", gamma=1.5, ignore_index=5), labels()
    x = torch.randn(33, 7)
    assert "in_features=7, outputs=123" in repr(layer)
    assert "softmax+focal" in repr(layer)
    agree([layer(x, y)], [CostLayer("softmax+focal", gamma=1.5, ignore_index=5)(layer.scores(x), y)], 1e-6)
    agree([layer.predict(x)], [torch.softmax(layer.scores(x), 1)], 1e-6)
    linear = nn.Linear(7, 123)
    layer.load_state_dict(linear.state_dict())
    assert torch.equal(layer.scores(x), linear(x))
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert torch.equal(other(x, y), layer(x, y))
    assert LinearCostLayer(7, 123, bias=False).bias is None
    torch.manual_seed(0)
    layer.reset_parameters()
    torch.manual_seed(0)
    assert torch.equal(nn.Linear(7, 123).weight, layer.weight)


def test_module_learns():
    torch.manual_seed(0)
    layer, x = LinearCostLayer(7, 5), torch.randn(200, 7)
    y = (x @ torch.randn(7, 5)).argmax(1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss, also = layer(x, y, also=("accuracy",))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
    assert also["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("pair", "outputs", "y"),
    [
        (ORDER, 4, labels(33, 4)),
        ("sigmoid+cross_entropy", 4, (torch.rand(33, 4) < 0.3).float()),
        ("sigmoid+cross_entropy", 4, [[k % 4, (k + k // 7) % 4] for k in range(33)]),
        ("identity+mse", 1, torch.randn(33)),
        ("identity_exp+gaussian", 6, torch.randn(33, 3)),
        ("identity_exp+gaussian", 2, torch.randn(33)),
    ],
)
def test_constant_starts_at_the_best_bias(pair, outputs, y):
    layer = LinearCostLayer(7, outputs, pair)
    with torch.no_grad():
        layer.weight.zero_()
    start = layer.constant(y)
    assert torch.equal(start, layer.bias)
    best = layer(torch.zeros(33, 7), y)
    for k in range(outputs):  # the gradient is 0 there
        with torch.no_grad():
            layer.bias[k] += 0.05
            assert layer(torch.zeros(33, 7), y) > best
            layer.bias[k] -= 0.05


def test_constant_needs_a_bias():
    with pytest.raises(InvalidValue, match="bias"):
        LinearCostLayer(7, 4, bias=False).constant(labels(33, 4))


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (lambda x, w, b, y: linear_cost(x, w[:, :6], y), InvalidValue, r"W: got shape \(123, 6\) for x of shape"),
        (lambda x, w, b, y: linear_cost(x, w[0], y), InvalidValue, "W: got shape"),
        (lambda x, w, b, y: linear_cost(x, w, y, bias=b[:5]), InvalidValue, r"bias: got shape \(5,\)"),
        (lambda x, w, b, y: linear_cost(x.float(), w, y), InvalidType, "W: got torch.float64 for x of torch.float32"),
        (lambda x, w, b, y: linear_cost(x.long(), w, y), InvalidType, "x: got a tensor of torch.int64"),
        (lambda x, w, b, y: linear_cost(x.detach().numpy(), w, y), InvalidType, "x: got ndarray"),
        (lambda x, w, b, y: linear_cost(x, w, y[:5]), InvalidValue, r"y: got shape \(5,\)"),
        (lambda x, w, b, y: linear_cost(x, w, y.double()), InvalidValue, "Class indices must be integers"),
        (lambda x, w, b, y: linear_cost(x, w, y, "sigmoid+cross_entropy"), InvalidValue, "lists of the indices"),
        (lambda x, w, b, y: linear_cost(x, w, y, weight=torch.ones(34)), InvalidValue, "weight: got shape"),
        (lambda x, w, b, y: linear_cost(x, w, y, weight=y * 0.0 - 1), InvalidValue, r"weight\[0\]: got -1.0"),
        (lambda x, w, b, y: linear_cost(x, w, y, also=("margin",)), InvalidValue, "also: got 'margin'"),
        (lambda x, w, b, y: linear_cost(x, w, y, also=("loss", "loss")), InvalidValue, "each name once"),
        (lambda x, w, b, y: linear_cost(x, w, y, bias=[0.0] * 123), InvalidType, "bias: got list"),
        (lambda x, w, b, y: linear_cost(x, w, y, low_rank=([1], [2], 1.0)), InvalidType, "low_rank: got A of list"),
        (lambda x, w, b, y: linear_cost(x, w, y, threshold=1.0), InvalidValue, "threshold: got 1.0"),
        (lambda x, w, b, y: linear_cost(x, w, y, rows=0), InvalidValue, "rows: got 0"),
        (lambda x, w, b, y: linear_cost(x, w, y, CostLayer(ORDER), reduction="sum"), InvalidType, "options"),
        (lambda x, w, b, y: linear_cost(x, w, y, "identity_exp+gaussian"), InvalidValue, "an even number"),
        (lambda x, w, b, y: linear_cost(x, w, y, class_weight=torch.ones(5)), InvalidValue, "class_weight"),
        (lambda x, w, b, y: LinearCostLayer(0, 5), InvalidValue, "in_features: got 0"),
    ],
)
def test_refused(given, error, said):
    with pytest.raises(error, match=said) as caught:
        given(*head(), labels())
    assert isinstance(caught.value, CostLayerError)


@pytest.mark.parametrize("rows", [None, 1, 2])
def test_the_first_wrong_class_is_named_by_its_place(rows):
    x, w, _ = head(6)
    y = torch.tensor([[0, 1, 2], [3, -7, 500]])
    with pytest.raises(InvalidValue, match=r"y\[1, 1\]: got class -7; expected a class from 0 to 122"):
        linear_cost(x.view(2, 3, 7), w, y, rows=rows)
    with pytest.raises(InvalidValue, match=r"y\[1, 2\]: got class 500"):
        linear_cost(x.view(2, 3, 7), w, y, ignore_index=-7, rows=rows)
    weight = torch.ones(2, 3)
    weight[1, 1:] = 0
    assert linear_cost(x.view(2, 3, 7), w, y, weight=weight, rows=rows).isfinite()
    soft = torch.full((6, 123), 1 / 123, dtype=DOUBLE)
    soft[4, 100] = 2
    with pytest.raises(InvalidValue, match=r"y\[1, 1, 100\]: got 2.0"):
        linear_cost(x.view(2, 3, 7), w, soft.view(2, 3, 123), rows=rows)
    x, w, _ = head(6, classes=3000)
    yes = torch.zeros(6, 3000, dtype=DOUBLE)
    yes[4, 2900] = -1
    with pytest.raises(InvalidValue, match=r"y\[4, 2900\]: got -1.0"):
        linear_cost(x, w, yes, "sigmoid+cross_entropy", rows=rows)


def test_no_examples():
    x, w, b = head(0)
    y = labels(0)
    loss = linear_cost(x, w, y, bias=b)
    assert loss.item() == 0.0
    assert not any(each.any() for each in gradients(loss, (x, w, b)))
    assert linear_cost(x, w, y, reduction="none").shape == (0,)
    assert linear_cost(x, w, y, reduction="sum").item() == 0.0
    assert linear_cost(x, w, y, empty="nan").isnan()
    with pytest.raises(InvalidValue, match="no examples"):
        linear_cost(x, w, y, empty="error")
    x, w, _ = head(4)
    ignored = torch.full((4,), -100)
    loss = linear_cost(x, w, ignored, ignore_index=-100)
    assert loss.item() == 0.0
    assert not gradients(loss, w)[0].any()
    assert linear_cost(x, w, ignored, ignore_index=-100, empty="nan").isnan()


def test_what_is_no_number():
    """Rows that are left out can do no harm, and in the others NaN comes out."""
    x, w, _ = head(4, dtype=torch.float32)
    with torch.no_grad():
        x[1] = torch.nan
    y = torch.tensor([0, -100, 2, 3])
    loss = linear_cost(x, w, y, ignore_index=-100)
    loss.backward()
    assert loss.isfinite()
    assert w.grad.isfinite().all()
    assert not x.grad[1].any()
    assert linear_cost(x, w, labels(4)).isnan()
    with torch.no_grad():
        x[1] = 0.0
        w[3] = torch.nan
    assert linear_cost(x, w, y, ignore_index=-100).isnan()


@pytest.mark.parametrize("pair", [ORDER, "sigmoid+cross_entropy", "identity+mse"])
@pytest.mark.parametrize("value", [torch.inf, -torch.inf])
def test_infinite_weights_do_what_they_do_in_the_composition(pair, value):
    x, w, b = given = head(6, 4, 9)
    with torch.no_grad():
        x[1, 2] = 0.0  # 0 · ∞ is no number
        w[3, 2] = value
    y = labels(6, 9) if pair == ORDER else torch.rand(6, 9, dtype=DOUBLE)
    found = linear_cost(x, w, y, pair, b, reduction="none")
    usual = plain(x, w, b, y, pair, reduction="none")
    agree_or_nan = {"rtol": 1e-12, "atol": 1e-12, "equal_nan": True}
    torch.testing.assert_close(found, usual, **agree_or_nan)
    ours, theirs = (gradients(loss.nansum(), given) for loss in (found, usual))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **agree_or_nan)


# ------------------------------------------------------------------------------------------------ torch's name


@needs_torchs
@pytest.mark.parametrize("places", [(), (4,), (2, 3)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"bias": True, "label_smoothing": 0.1, "weight": torch.rand(9)}], ids=["plain", "options"]
)
def test_torchs_linear_cross_entropy(places, reduction, soft, options):
    given = {"out_features": places, "reduction": reduction, **options}
    torchs, ours = LINEAR(7, 9, **given), ct.LinearCrossEntropyLoss(7, 9, **given)
    assert isinstance(ours, LINEAR)
    ours.load_state_dict(torchs.state_dict())
    x, y = torch.randn(5, 7), torch.randint(9, (5, *places))
    y[0] = -100
    if soft:
        y = torch.randn(5, 9, *places).softmax(1)
    found = []
    for module in (ours, torchs):
        z = x.clone().requires_grad_()
        loss = module(z, y)
        loss.sum().backward()
        found.append([loss, z.grad, *(each.grad for each in module.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@needs_torchs
def test_torchs_linear_cross_entropy_of_one_example_chunks_and_errors():
    x, w = torch.randn(7), torch.randn(9, 7)
    ours, torchs = ct.functional.linear_cross_entropy, F.linear_cross_entropy
    torch.testing.assert_close(ours(x, w, torch.tensor(3)), torchs(x, w, torch.tensor(3)))
    chunks = nn.LinearCrossEntropyOptions(batch_chunk_size=2)
    x, y = torch.randn(5, 7), torch.randint(9, (5,))
    torch.testing.assert_close(ours(x, w, y, options=chunks), torchs(x, w, y))
    x, w = x.bfloat16(), w.bfloat16()
    assert ours(x, w, y).dtype is torch.bfloat16
    for bad in ((x, w[:, :6], y), (x, w, y[:4]), (x, w, torch.full((5,), 9))):
        messages = []
        for each in (ours, torchs):
            with pytest.raises((RuntimeError, IndexError, ValueError)) as caught:
                each(*bad)
            messages.append((caught.type, str(caught.value)))
        assert messages[0] == messages[1]


# ------------------------------------------------------------------------------------------------ memory

MEMORY = """
import torch
from pathlib import Path
from costlayer.torch import linear_cost

def high_water():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

def grown(x, w, y, **options):
    x, w = x.requires_grad_(), w.requires_grad_()
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water()
    linear_cost(x, w, y, **options).backward()
    return high_water() - before
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no high-water mark to read")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("pair", [ORDER, "sigmoid+cross_entropy"])
def test_takes_the_gradients_and_48_mebibytes(pair, dtype):
    """Scores of 400 MiB (200 in bfloat16) are never there at once."""
    n, width, classes = 2048, 64, 50_000
    targets = "torch.randint(classes, (n,))" if pair == ORDER else "[[i] for i in range(n)]"
    script = f"""
def run(n, classes):
    x, w = torch.randn(n, {width}).to(torch.{dtype}), torch.randn(classes, {width}).to(torch.{dtype})
    return grown(x, w, {targets}, pair={pair!r})
run(16, 3000)  # what is compiled, and what libraries keep
print(run({n}, {classes}))
"""
    done = subprocess.run([sys.executable, "-c", MEMORY + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    gradients = (n + classes) * width * (4 + (2 if dtype == "bfloat16" else 0))
    assert int(done.stdout) < gradients + (48 << 20)


def test_every_cost_of_the_catalogue_is_taken():
    """No pair is refused by the linear layer."""
    assert all(LinearCostLayer(3, 4, str(pair)) for pair in catalogue.pairs())
