"""The torch front: every pair against torch's own operations, and against everything people do with a module."""

import copy
import gc
import io
import multiprocessing
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import costlayer as cl
from costlayer import catalogue
from costlayer.errors import CostLayerError, InvalidType, InvalidValue, SaturationWarning, UnsupportedDerivative
from costlayer.torch import CostLayer
from covering import PAIRS as COVERING
from covering import targets

pytestmark = [
    pytest.mark.filterwarnings("ignore::costlayer.errors.SaturationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),  # torch's own, on its first forward mode
]

PAIRS = [str(pair) for pair in COVERING]
FEW = ["identity+mse", "sigmoid+cross_entropy", "softmax+cross_entropy", "softmax+mse"]
DOUBLE = torch.float64

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "probit": torch.special.ndtr,
    "cloglog": lambda z: -torch.expm1(-z.exp()),
    "cauchit": lambda z: 0.5 + torch.atan(z) / torch.pi,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": lambda z: F.leaky_relu(z, 0.01),
    "elu": F.elu,
    "softplus": F.softplus,
    "exp": torch.exp,
    "softmax": lambda z: torch.softmax(z, min(1, z.ndim - 1)),
}
COSTS = {
    "mse": lambda v, y: F.mse_loss(v, y, reduction="none"),
    "mae": lambda v, y: F.l1_loss(v, y, reduction="none"),
    "huber": lambda v, y: F.huber_loss(v, y, reduction="none"),
    "hinge": lambda v, y: torch.clamp(1 - y * v, min=0),
    "poisson": lambda v, y: F.poisson_nll_loss(v, y, log_input=False, eps=0.0, reduction="none"),
    "gamma": lambda v, y: torch.log(v) + y / v,
    "binary_cross_entropy": lambda v, y: F.binary_cross_entropy(v, y, reduction="none"),
}
OWN = {
    "sigmoid+cross_entropy": lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
    "softmax+cross_entropy": lambda z, y: F.cross_entropy(z, y, reduction="none"),
    "exp+poisson": lambda z, y: F.poisson_nll_loss(z, y, reduction="none"),
    "probit+cross_entropy": lambda z, y: -y * torch.special.log_ndtr(z) - (1 - y) * torch.special.log_ndtr(-z),
    "cloglog+cross_entropy": lambda z, y: (1 - y) * z.exp() - y * torch.log(-torch.expm1(-z.exp())),
    "cauchit+cross_entropy": lambda z, y: F.binary_cross_entropy(ACTIVATIONS["cauchit"](z), y, reduction="none"),
}


TORCHS = [str(pair) for pair in COVERING if str(pair) in OWN or pair.cost.name in COSTS]  # what torch has


def by_torch(pair, z, y):
    """The cost of each example, by torch's own function where it has one, else composed of torch's operations."""
    if pair in OWN:
        return OWN[pair](z, y)
    activation, cost = pair.split("+")
    v = ACTIVATIONS[activation](z)
    if activation != "softmax":
        return COSTS[cost](v, y)
    if not y.is_floating_point():
        y = F.one_hot(y, z.shape[1]).movedim(-1, 1).to(z.dtype)
    return COSTS[cost](v, y).sum(1)


def example(pair, shape=(5, 4), dtype=DOUBLE, seed=0):
    """Scores that require a gradient, and targets of the pair's kind."""
    pair, random = catalogue.build(pair, {}), torch.Generator().manual_seed(seed)
    shape = (shape[0], 2, *shape[2:]) if pair.two else shape
    z = 2 * torch.randn(shape, generator=random, dtype=DOUBLE)
    if pair.activation.thresholds:  # the scores must fall from class to class
        z = z.sort(1, descending=True).values
    z = z.to(dtype).requires_grad_()
    if pair.row:
        return z, torch.randint(shape[1], (shape[0], *shape[2:]), generator=random)
    u = torch.rand((shape[0], *shape[2:]) if pair.two else shape, generator=random, dtype=DOUBLE)
    return z, targets(pair, u).to(dtype)


def probabilities(shape, dtype=DOUBLE, seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.softmax(torch.randn(shape, generator=random, dtype=dtype), 1)


def gradient(loss, z):
    return torch.autograd.grad(loss, z)[0]


def same(ours, theirs, tolerance=1e-12):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------------------------------------- every pair


@pytest.mark.parametrize("name", PAIRS)
def test_gradcheck(name):
    z, y = example(name, (3, 4))
    layer = CostLayer(name, reduction="none")
    assert torch.autograd.gradcheck(lambda z: layer(z, y), z)


# In float32 every activation and every cost once: the tests of the engine see every pair in both, and compiling takes
# a second for each.
ONCE = ["sigmoid+mse", "tanh+mae", "relu+huber", "elu+hinge", "leaky_relu+mse", "softplus+poisson", "exp+gamma"]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, torch.float64) for name in TORCHS]
    + [(name, torch.float32) for name in [*FEW, *ONCE, "softmax+binary_cross_entropy"]],
    ids=str,
)
def test_value_and_gradient_are_torchs(name, dtype):
    z, y = example(name, dtype=dtype)
    exact = z.detach().double().requires_grad_()  # what torch says in float64 of the same numbers
    truth = by_torch(name, exact, y.double() if y.is_floating_point() else y)
    upstream = torch.rand(truth.shape, dtype=dtype, generator=torch.Generator().manual_seed(2))
    layer = CostLayer(name, reduction="none")
    value = layer(z, y)
    value.backward(upstream)
    truth.backward(upstream.double())
    assert value.dtype == z.grad.dtype == dtype
    assert z.grad.shape == z.shape
    tolerance = 1e-12 if dtype == DOUBLE else 3e-6
    same(value.double(), truth.detach(), tolerance)
    same(z.grad.double(), exact.grad, tolerance)


@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "softmax+cross_entropy", "exp+poisson", "softmax+mse"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32(name, dtype):
    z, y = example(name, (64, 4), dtype)
    wide = z.detach().float().requires_grad_()
    layer = CostLayer(name)
    loss, truth = layer(z, y), layer(wide, y)
    loss.backward()
    truth.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == truth.item()
    assert z.grad.dtype == dtype
    assert torch.equal(z.grad, wide.grad.to(dtype))
    assert layer.predict(z).dtype == dtype
    assert torch.equal(layer.predict(z), layer.predict(wide).to(dtype))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_predict_and_its_gradient_are_torchs(activation):
    cost = {"softplus": "gamma", "exp": "gamma"}.get(activation, "mse")
    layer = CostLayer(f"{activation}+{cost}")
    z, _ = example(str(layer.pair), (3, 4, 2))
    upstream = torch.randn(z.shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(3))
    v, truth = layer.predict(z), ACTIVATIONS[activation](z)
    same(v, truth)
    same(torch.autograd.grad(v, z, upstream)[0], torch.autograd.grad(truth, z, upstream)[0])
    assert v.shape == z.shape
    assert torch.autograd.gradcheck(layer.predict, z)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "weighted_mean"])
def test_reductions(name, reduction):
    z, y = example(name)
    shape = (5,) if "softmax" in name else (5, 4)
    weight = torch.rand(shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(4)) + 0.1
    for given in (None, weight):
        each = by_torch(name, z, y) * (1 if given is None else given)
        total = each.numel() if given is None else given.sum()
        truth = {"mean": each.mean(), "sum": each.sum(), "none": each, "weighted_mean": each.sum() / total}[reduction]
        loss = CostLayer(name, reduction=reduction)(z, y, given)
        assert loss.shape == truth.shape
        same(loss, truth)
        same(gradient(loss.sum(), z), gradient(truth.sum(), z))


@pytest.mark.parametrize("given", ["leading axis", "number", "array", "whole numbers"])
def test_forms_of_a_weight(given):
    z, y = example("identity+mse")
    weight = torch.tensor([0.0, 1.0, 2.0, 0.0, 3.0])
    form = {"leading axis": weight, "number": 2.0, "array": weight.numpy(), "whole numbers": weight.long()}[given]
    full = torch.full((5,), 2.0) if given == "number" else weight
    truth = (F.mse_loss(z, y, reduction="none") * full[:, None]).sum()
    loss = CostLayer("identity+mse", reduction="sum")(z, y, form)
    same(loss, truth)
    same(gradient(loss, z), gradient(truth, z))


# --------------------------------------------------------------------------------- classes, as torch has them


@pytest.mark.parametrize("shape", [(6, 5), (4, 5, 3), (2, 5, 3, 2), (5,)], ids=str)
@pytest.mark.parametrize("kind", ["index", "probability"])
def test_shapes_of_cross_entropy(shape, kind):
    random = torch.Generator().manual_seed(5)
    z = torch.randn(shape, dtype=DOUBLE, generator=random, requires_grad=True)
    if kind == "index":
        y = torch.randint(5, (shape[0], *shape[2:]) if len(shape) > 1 else (), generator=random)
    else:
        y = torch.softmax(torch.randn(shape, dtype=DOUBLE, generator=random), min(1, len(shape) - 1))
    for reduction in ("mean", "sum", "none"):
        loss = CostLayer("softmax+cross_entropy", reduction=reduction)(z, y)
        truth = F.cross_entropy(z, y, reduction=reduction)
        assert loss.shape == truth.shape
        same(loss, truth)
        upstream = torch.rand(loss.shape, dtype=DOUBLE, generator=random)
        same(torch.autograd.grad(loss, z, upstream)[0], torch.autograd.grad(truth, z, upstream)[0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -100, 2])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5)], ids=str)
def test_class_indices_with_every_option(reduction, smoothing, weighted, ignored, shape):
    z, y = example("softmax+cross_entropy", shape)
    if ignored == -100:
        y[0] = -100
    class_weight = torch.tensor([0.5, 2.0, 0.0, 1.5], dtype=DOUBLE) if weighted else None
    layer = CostLayer(
        "softmax+cross_entropy",
        reduction=reduction,
        class_weight=class_weight,
        ignore_index=ignored,
        label_smoothing=smoothing,
    )
    theirs = {} if ignored is None else {"ignore_index": ignored}
    truth = F.cross_entropy(z, y, class_weight, reduction=reduction, label_smoothing=smoothing, **theirs)
    loss = layer(z, y)
    same(loss, truth)
    same(gradient(loss.sum(), z), gradient(truth.sum(), z))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_with_every_option(reduction, smoothing, weighted):
    z, _ = example("softmax+cross_entropy", (6, 4))
    y = probabilities((6, 4))
    class_weight = torch.tensor([0.5, 2.0, 0.0, 1.5], dtype=DOUBLE) if weighted else None
    layer = CostLayer(
        "softmax+cross_entropy", reduction=reduction, class_weight=class_weight, label_smoothing=smoothing
    )
    truth = F.cross_entropy(z, y, class_weight, reduction=reduction, label_smoothing=smoothing)
    loss = layer(z, y)
    same(loss, truth)
    same(gradient(loss.sum(), z), gradient(truth.sum(), z))


@pytest.mark.parametrize("name", [p for p in TORCHS if p.startswith("softmax")])
def test_a_row_pair_takes_probabilities(name):
    z, _ = example(name)
    y = probabilities((5, 4))
    loss = CostLayer(name, reduction="sum")(z, y)
    truth = -(y * torch.log_softmax(z, 1)).sum() if name == "softmax+cross_entropy" else by_torch(name, z, y).sum()
    same(loss, truth)
    same(gradient(loss, z), gradient(truth, z))


def test_yes_or_no_options():
    z, _ = example("sigmoid+cross_entropy", (8,))
    y = torch.tensor([0.0, 1, 1, 0, 1, -1, 0, 1], dtype=DOUBLE)
    kept = y != -1
    layer = CostLayer("sigmoid+cross_entropy", class_weight=torch.tensor([1.0, 3.0]), ignore_index=-1)
    weight = torch.where(y == 1, 3.0, 1.0)[kept].double()
    truth = F.binary_cross_entropy_with_logits(z[kept], y[kept], weight, reduction="sum") / weight.sum()
    same(layer(z, y), truth)
    same(gradient(layer(z, y), z), gradient(truth, z))
    smooth = CostLayer("sigmoid+cross_entropy", label_smoothing=0.1)
    truth = F.binary_cross_entropy_with_logits(z[kept], y[kept] * 0.9 + 0.05)
    same(smooth(z[kept], y[kept]), truth)


@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("form", ["number", "zero", "per score", "per row and score"])
@pytest.mark.parametrize("soft", [False, True])
def test_pos_weight_is_torchs_by_engine_and_by_operations(form, reduction, soft, dtype):
    z, y = example("sigmoid+cross_entropy", (5, 3), dtype)
    y = y if soft else y.round()
    if form == "per row and score":
        pos_weight = torch.linspace(0, 4, 15, dtype=DOUBLE).view(5, 3)
    else:
        pos_weight = {"number": 2.5, "zero": 0.0, "per score": torch.tensor([0.0, 1.0, 7.5])}[form]
    layer = CostLayer("sigmoid+cross_entropy", reduction=reduction, pos_weight=pos_weight)
    exact = z.detach().double().requires_grad_()
    truth = F.binary_cross_entropy_with_logits(
        exact, y.double(), pos_weight=torch.as_tensor(pos_weight).double(), reduction=reduction
    )
    upstream = torch.rand(truth.shape, generator=torch.Generator().manual_seed(4)).to(
        torch.float32 if dtype == torch.bfloat16 else dtype
    )
    right = torch.autograd.grad(truth, exact, upstream.double())[0]
    tolerance = {DOUBLE: 1e-12, torch.float32: 1e-6, torch.bfloat16: 0.01}[dtype]
    losses = [layer(z, y), layer._by_operations(z, y, None)]
    for loss in losses:
        same(loss.double(), truth, max(tolerance, 1e-12) if dtype != torch.bfloat16 else 1e-6)
        same(torch.autograd.grad(loss, z, upstream)[0].double(), right, tolerance)


@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "sigmoid+focal"])
def test_pos_weight_with_every_other_option(name):
    """Smoothing, class weights, ignored targets and weights of examples, by engine, operations and transforms."""
    z, y = example(name, (6, 2))
    y[0, 0], y[3, 1] = -1.0, -1.0
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5, 3.0, 1.0], dtype=DOUBLE)
    pos_weight = torch.tensor([3.0, 0.5], dtype=DOUBLE)
    for reduction in ("mean", "weighted_mean", "sum"):
        layer = CostLayer(
            name,
            reduction=reduction,
            pos_weight=pos_weight,
            class_weight=torch.tensor([0.5, 2.0], dtype=DOUBLE),
            label_smoothing=0.1,
            ignore_index=-1,
        )
        kept = y != -1
        goal = torch.where(kept, 0.9 * y + 0.05, 0.0)
        plain = CostLayer(name, reduction="none")
        no, yes = (plain(z, torch.full_like(z, end)) for end in (0.0, 1.0))
        by_class = torch.where(kept, 0.5 + 1.5 * y, 0.0)
        factor = by_class * weight[:, None]
        total = (factor * (pos_weight * goal * yes + (1 - goal) * no)).sum()
        truth = total / {"mean": by_class.sum(), "weighted_mean": factor.sum(), "sum": 1.0}[reduction]
        slope = gradient(truth, z)
        for loss in (layer(z, y, weight), layer._by_operations(z, y, weight)):
            same(loss, truth)
            same(gradient(loss, z), slope)
        same(torch.func.grad(lambda z, layer=layer: layer(z, y, weight))(z.detach()), slope)
        sums = layer.sum_and_count(z, y, weight) if reduction != "sum" else (truth, 1.0)
        same(sums[0] / sums[1], truth)


def test_pos_weight_without_the_engine():
    """Where only shapes are known; and elements of weight 0 do no harm."""
    layer = CostLayer("sigmoid+cross_entropy", pos_weight=2.0)
    assert layer.to("meta")(torch.empty(4, 3, device="meta"), torch.empty(4, 3, device="meta")).shape == ()
    layer = CostLayer("sigmoid+cross_entropy", pos_weight=torch.tensor([0.0, 2.0]), reduction="sum")
    z, y = torch.tensor([[torch.inf, 0.0]], dtype=DOUBLE), torch.tensor([[0.0, 1.0]], dtype=DOUBLE)
    assert layer(z, y).item() == layer._by_operations(z, y, None).item() == torch.inf  # a no, which still counts
    assert layer(z, y.fill_(1.0)).item() == pytest.approx(2 * np.log(2))


def test_a_pos_weight_that_does_not_fit_is_refused():
    for name in ("softmax+cross_entropy", "identity+mse", "exp+poisson"):
        with pytest.raises(InvalidValue, match=r"^pos_weight: got one for"):
            CostLayer(name, pos_weight=2.0)
    with pytest.raises(InvalidValue, match=r"^pos_weight: got -1"):
        CostLayer("sigmoid+cross_entropy", pos_weight=-1.0)
    with pytest.raises(UnsupportedDerivative, match=r"^pos_weight"):
        CostLayer("sigmoid+cross_entropy", pos_weight=torch.ones(2, requires_grad=True))
    with pytest.raises(InvalidValue, match=r"^pos_weight: got shape \(2,\)"):
        CostLayer("sigmoid+cross_entropy", pos_weight=torch.ones(2))(torch.zeros(4, 3), torch.zeros(4, 3))


@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "probit+cross_entropy", "sigmoid+asymmetric"])
@pytest.mark.parametrize("ignored", [None, -1])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_at_its_constant_a_layer_with_pos_weight_is_at_rest(name, ignored, smoothing):
    y = (torch.arange(9, dtype=DOUBLE) % 3 == 0).double()
    if ignored is not None:
        y[:2] = ignored
    options = {"ignore_index": ignored, "label_smoothing": smoothing}
    layer = CostLayer(name, pos_weight=5.0, **options)
    weight = torch.linspace(0.5, 2, 9, dtype=DOUBLE)
    for given in (None, weight):
        z = layer.constant(y, given).double().expand(9).clone().requires_grad_()
        layer(z, y, given).backward()
        assert z.grad.sum().abs() < 1e-6
    by_column = CostLayer(name, pos_weight=torch.tensor([5.0, 1.0]), **options)
    found = by_column.constant(torch.stack([y, y], 1), weight)
    same(found, torch.stack([layer.constant(y, weight), CostLayer(name, **options).constant(y, weight)]))


@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "softmax+cross_entropy", "softmax+mse"])
def test_weights_of_examples_and_of_classes_multiply(name):
    classes = 3 if name.startswith("softmax") else 2
    z, _ = example(name, (5, 3) if classes == 3 else (5,))
    y = torch.tensor([1, 0, 1, classes - 1, 0])
    weight, class_weight = torch.tensor([2.0, 1.0, 0.0, 3.0, 0.5]).double(), torch.tensor([1.0, 4.0, 3.0]).double()
    both = weight * class_weight[y]
    each = by_torch(name, z, y if classes == 3 else y.double()) * both
    truth = {"none": each, "sum": each.sum(), "mean": each.sum() / class_weight[y].sum()}
    for reduction, right in {**truth, "weighted_mean": each.sum() / both.sum()}.items():
        loss = CostLayer(name, reduction=reduction, class_weight=class_weight[:classes])(z, y, weight)
        same(loss, right)
        same(gradient(loss.sum(), z), torch.autograd.grad(right.sum(), z, retain_graph=True)[0])


def test_any_number_may_mark_what_is_ignored():
    z, y = torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE, requires_grad=True), torch.tensor([0.0, -1.0, 999.0]).double()
    loss = CostLayer("identity+mse", ignore_index=999)(z, y)
    same(loss, F.mse_loss(z[:2], y[:2]))
    assert gradient(loss, z).tolist() == [1.0, 3.0, 0.0]


def test_targets_may_be_of_any_numeric_type():
    z = torch.tensor([0.5, -1.0], requires_grad=True)
    layer = CostLayer("sigmoid+cross_entropy")
    truth = layer(z, torch.tensor([1.0, 0.0])).item()
    for y in (torch.tensor([True, False]), torch.tensor([1, 0]), np.array([1, 0], np.uint8), [1, 0]):
        assert layer(z, y).item() == truth
    rows = CostLayer("softmax+cross_entropy")
    scores = torch.randn(2, 3, requires_grad=True)
    for kind in (torch.int32, torch.uint8, torch.int16):
        assert rows(scores, torch.tensor([2, 1], dtype=kind)).item() == rows(scores, torch.tensor([2, 1])).item()


def test_cost_parameters_reach_the_formula():
    z, y = example("identity+huber")
    same(CostLayer("identity+huber", delta=0.3)(z, y), F.huber_loss(z, y, delta=0.3))
    same(CostLayer(cl.pair("identity+huber", delta=0.3))(z, y), F.huber_loss(z, y, delta=0.3))


# ------------------------------------------------------------------------------------------------- memory


LAYOUTS = {
    "transposed": lambda t: t.t().contiguous().t(),
    "every other": lambda t: torch.stack([t, t + 1], -1)[..., 0],
    "column slice": lambda t: torch.cat([t, t], 1)[:, : t.shape[1]],
    "offset": lambda t: torch.cat([t[:1], t])[1:],
    "expanded": lambda t: t[:1].expand(t.shape[0], -1),
    "one number": lambda t: t[:1, :1].expand(t.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FEW)
def test_any_stride(name, layout):
    z, y = example(name)
    strided = LAYOUTS[layout](z.detach()).requires_grad_()
    plain = strided.detach().contiguous().requires_grad_()
    if "softmax" not in name:
        y = LAYOUTS[layout](y)
    layer = CostLayer(name, reduction="none")
    weight = torch.tensor([2.0, 1.0, 0.5], dtype=DOUBLE)[:1].expand(5)
    ours, truth = layer(strided, y, weight), layer(plain, y.contiguous(), weight.contiguous())
    assert torch.equal(ours, truth)
    assert torch.equal(gradient(ours.sum(), strided), gradient(truth.sum(), plain))
    assert torch.equal(layer.predict(strided), layer.predict(plain))
    same(truth.detach(), 2 * by_torch(name, plain.detach(), y))


def test_strided_class_indices():
    z, y = example("softmax+cross_entropy", (4, 3, 6))
    strided = y.t().contiguous().t()
    layer = CostLayer("softmax+cross_entropy")
    assert not strided.is_contiguous()
    assert torch.equal(gradient(layer(z, strided), z), gradient(layer(z, y), z))


@pytest.mark.parametrize("name", FEW)
def test_inputs_are_never_written_to(name):
    z, y = example(name)
    weight = torch.rand(5, dtype=DOUBLE)
    given = [z, y, weight]
    before = [t.detach().clone() for t in given]
    layer = CostLayer(name, reduction="none")
    layer(z, y, weight).sum().backward()
    layer.predict(z).sum().backward()
    for tensor, was in zip(given, before, strict=True):
        assert torch.equal(tensor, was)
        assert tensor._version == 0


def test_read_only_targets():
    y = np.array([1.0, 0.0])
    y.flags.writeable = False
    z = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    CostLayer("sigmoid+cross_entropy", reduction="sum")(z, y).backward()
    assert z.grad.tolist() == [-0.5, 0.5]


def test_scores_may_change_after_the_forward_pass():
    z, y = example("softmax+cross_entropy")
    truth = gradient(F.cross_entropy(z, y), z)
    scores = z * 1.0
    loss = CostLayer("softmax+cross_entropy")(scores, y)
    with torch.no_grad():
        scores.zero_()
    same(gradient(loss, z), truth)


def test_nothing_but_the_gradient_is_kept():
    kept = []
    z, y = example("softmax+cross_entropy")
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        CostLayer("softmax+cross_entropy")(z, y)
    assert kept == [z.shape]


# ------------------------------------------------------------------------------------------ backward, again


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("times", [2, 3])
def test_backward_again_adds_the_same_gradient(name, times):
    z, y = example(name)
    once = gradient(CostLayer(name)(z, y), z)
    loss = CostLayer(name)(z, y)
    for k in range(times):
        loss.backward(retain_graph=k < times - 1)
    same(z.grad, times * once)


@pytest.mark.parametrize("predict", [False, True])
def test_a_gradient_may_be_written_to_between_two_backward_passes(predict):
    z = torch.tensor([0.3], dtype=DOUBLE, requires_grad=True)  # one score: what comes from above is exactly 1
    layer = CostLayer("sigmoid+cross_entropy", reduction="sum")
    result = layer.predict(z) if predict else layer(z, torch.ones(1, dtype=DOUBLE))
    result.backward(retain_graph=True)
    once = z.grad.clone()
    z.grad.zero_()
    result.backward(retain_graph=True)
    assert torch.equal(z.grad, once)
    z.grad.mul_(100)  # as gradient clipping does
    result.backward()
    same(z.grad, 101 * once)


def test_the_last_backward_hands_its_gradient_over_uncopied():
    z = torch.zeros(1000, requires_grad=True)
    loss = CostLayer("sigmoid+cross_entropy")(z, torch.ones(1000))
    held = loss.grad_fn.saved_tensors[0].data_ptr()
    loss.backward()
    assert z.grad.data_ptr() == held


def test_a_freed_graph_says_so():
    z, y = example("sigmoid+cross_entropy")
    loss = CostLayer("sigmoid+cross_entropy")(z, y)
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("name", FEW)
def test_outer_factors(name):
    z, y = example(name)
    layer = CostLayer(name)
    loss, once = layer(z, y), gradient(layer(z, y), z)
    same(gradient(3 * layer(z, y), z), 3 * once)
    same(gradient(layer(z, y) ** 2, z), 2 * loss.item() * once)
    same(gradient(-layer(z, y), z), -once)
    same(gradient(0 * layer(z, y), z), 0 * once)


def test_a_learnable_factor():
    z, y = example("sigmoid+cross_entropy")
    factor = torch.tensor(2.0, dtype=DOUBLE, requires_grad=True)
    loss = CostLayer("sigmoid+cross_entropy")(z, y)
    same(gradient(factor * loss, factor), loss.detach())


@pytest.mark.parametrize("name", FEW)
def test_scores_that_are_used_twice(name):
    w, y = example(name)
    layer = CostLayer(name)

    def total(cost):
        z = torch.sin(w) * 2  # not a leaf
        return cost(z) + 0.5 * cost(z) + z.square().sum()

    each = total(lambda z: layer(z, y)), total(lambda z: by_torch(name, z, y).mean())
    same(each[0], each[1])
    same(gradient(each[0], w), gradient(each[1], w))


def test_retained_gradient_and_hooks():
    w, y = example("softmax+cross_entropy")
    z = w * 1.0
    z.retain_grad()
    seen = []
    z.register_hook(lambda g: seen.append(g.clone()))
    CostLayer("softmax+cross_entropy")(z, y).backward()
    assert torch.equal(z.grad, w.grad)
    assert torch.equal(seen[0], w.grad)
    z.grad.zero_()
    assert w.grad.abs().sum() > 0


def test_checkpointing():
    z, y = example("softmax+cross_entropy")
    layer = CostLayer("softmax+cross_entropy")
    for reentrant in (True, False):
        loss = checkpoint(lambda z: layer(z * 2, y), z, use_reentrant=reentrant)
        z.grad = None
        loss.backward()
        same(z.grad, gradient(F.cross_entropy(z * 2, y), z))


def test_without_gradients():
    z, y = example("softmax+cross_entropy")
    layer = CostLayer("softmax+cross_entropy")
    truth = layer(z, y)
    assert truth.requires_grad
    with torch.no_grad():
        quiet, v = layer(z, y), layer.predict(z)
    with torch.inference_mode():
        inferred = layer(z * 1.0, y)
        layer.predict(z * 1.0)
    plain = layer(z.detach(), y)
    for loss in (quiet, inferred, plain):
        assert loss.item() == truth.item()
        assert not loss.requires_grad
    assert not v.requires_grad
    with torch.no_grad():  # no gradient is lost here, so none is missed
        assert CostLayer("identity+mse")(z, torch.ones_like(z).requires_grad_()).item() > 0


def test_no_gradient_is_worked_out_that_nobody_wants(monkeypatch):
    asked = []
    found, direct = CostLayer.evaluate, CostLayer._compute
    monkeypatch.setattr(CostLayer, "evaluate", lambda *given: asked.append(given[-1]) or found(*given))
    monkeypatch.setattr(CostLayer, "_compute", lambda *given: asked.append(given[3] is not None) or direct(*given))
    z, y = example("sigmoid+cross_entropy")
    for layer in (CostLayer("sigmoid+cross_entropy"), CostLayer("sigmoid+cross_entropy", reduction="none")):
        layer(z, y)
        layer(z.detach(), y)
        with torch.no_grad():
            layer(z, y)
    assert asked == [True, False, False] * 2


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean"])
@pytest.mark.parametrize(
    "options",
    [{}, {"ignore_index": -100}, {"ignore_index": -100, "class_weight": torch.tensor([0.5, 2.0, 1.0])}],
    ids=len,
)
def test_halves_with_options_are_float32_rounded_once(half, reduction, options):
    """Whichever way the engine takes them: as they are, by way of float32, or with δ made in the backward pass."""
    z, weight = (4 * torch.randn(6, 3, 5)).to(half), torch.tensor([1.0, 0.0, 3.0, 1.0, 0.25, 2.0])
    y = torch.randint(0, 3, (6, 5))
    if options:
        y[1:4, 2] = -100
    layer = CostLayer("softmax+cross_entropy", reduction=reduction, **options)
    given = (weight,) if reduction == "weighted_mean" else ()
    found = []
    for scores in (z.clone().requires_grad_(), z.float().requires_grad_()):
        loss = layer(scores, y, *given)
        assert loss.dtype is torch.float32
        loss.sum().backward()
        found.append((loss.detach(), scores.grad))
    assert found[0][1].dtype is half
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=0)
    torch.testing.assert_close(
        found[0][1].float(), found[1][1].to(half).float(), rtol=2 * torch.finfo(half).eps, atol=1e-7
    )


def test_a_mean_of_float16_keeps_gradients_that_mixed_precision_scales_up():
    z = torch.zeros(4096, 8, dtype=torch.float16)
    z[:, 0] = 6.0
    z.requires_grad_()
    y = torch.zeros(4096, dtype=torch.int64)
    loss = CostLayer("softmax+cross_entropy")(z, y)
    (scaled,) = torch.autograd.grad(loss * 65536.0, z, retain_graph=True)
    exact = z.detach().double().requires_grad_()
    F.cross_entropy(exact, y).backward()
    torch.testing.assert_close(scaled.double(), exact.grad * 65536.0, rtol=1e-3, atol=0)
    (again,) = torch.autograd.grad(loss * 65536.0, z, create_graph=True)
    torch.testing.assert_close(again, scaled, rtol=2e-3, atol=0)
    (second,) = torch.autograd.grad(again[:, 0].float().sum(), z)
    assert (second[:, 0] > 0).all()


def test_the_memory_of_a_large_gradient_is_used_again_only_when_nobody_holds_it():
    layer, z, y = CostLayer("identity+mse"), torch.ones(1 << 21, requires_grad=True), torch.zeros(1 << 21)

    def gradient_of(size):
        z.grad = None
        layer(z, y / size).backward()
        return z.grad

    kept = [gradient_of(1.0), gradient_of(1.0).numpy(), gradient_of(1.0)[:3], gradient_of(1.0)]
    for held in kept[:3]:
        assert held[0] == kept[3][0] != 0.0
    before = [held.copy() if isinstance(held, np.ndarray) else held.clone() for held in kept]
    y.fill_(-7.0)
    for _ in range(3):
        gradient_of(1.0)
    for held, as_it_was in zip(kept, before, strict=True):
        assert (held == as_it_was).all()
    kept.clear()
    held = None
    gc.collect()  # a gradient of an earlier test, found in a cycle meanwhile, would come back in between
    pointers = {gradient_of(1.0).data_ptr() for _ in range(4)}
    z, y = z.detach()[: 3 << 19].requires_grad_(), y[: 3 << 19]  # a smaller one lies there too
    pointers.add(gradient_of(1.0).data_ptr())
    assert len(pointers) == 1


# ----------------------------------------------------------------------- derivatives there are not, and are


def test_create_graph_alone_is_no_second_derivative():
    z, y = example("sigmoid+cross_entropy")
    layer = CostLayer("sigmoid+cross_entropy")
    (g,) = torch.autograd.grad(layer(z, y), z, create_graph=True)
    same(g.detach(), gradient(layer(z, y), z))
    # δ is linear in what comes from above, and that derivative is right
    factor = torch.tensor(2.0, dtype=DOUBLE, requires_grad=True)
    (g,) = torch.autograd.grad(factor * layer(z, y), z, create_graph=True)
    same(gradient(g.sum(), factor), gradient(layer(z, y), z).sum())


@pytest.mark.parametrize("name", FEW)
def test_torch_func(name):
    z, y = example(name)
    layer, z = CostLayer(name), z.detach()
    truth = torch.func.grad(lambda z: by_torch(name, z, y).mean())(z)
    same(torch.func.grad(lambda z: layer(z, y))(z), truth)
    same(torch.func.jacrev(lambda z: layer(z, y))(z), truth)
    _, pull = torch.func.vjp(lambda z: layer(z, y), z)
    same(pull(torch.tensor(2.0, dtype=DOUBLE))[0], 2 * truth)


def test_a_whole_jacobian():
    z, y = example("softmax+cross_entropy")
    layer = CostLayer("softmax+cross_entropy", reduction="none")
    truth = torch.func.jacrev(lambda z: F.cross_entropy(z, y, reduction="none"))(z.detach())
    same(torch.func.jacrev(lambda z: layer(z, y))(z.detach()), truth)
    eye = torch.eye(5, dtype=DOUBLE)
    same(torch.autograd.grad(layer(z, y), z, eye, is_grads_batched=True)[0], truth)
    one = CostLayer("softmax+cross_entropy")(z, y)
    factors = torch.tensor([1.0, 1.0, 2.0], dtype=DOUBLE)
    batched = torch.autograd.grad(one, z, factors, is_grads_batched=True)[0]
    same(batched, factors[:, None, None] * truth.sum(0) / 5)


@pytest.mark.parametrize("name", ["y", "weight"])
def test_a_gradient_by_anything_but_the_scores_is_refused(name):
    z, y = example("identity+mse", (3,))
    given = {"y": y, "weight": torch.ones(3, dtype=DOUBLE)}
    given[name] = given[name].clone().requires_grad_()
    with pytest.raises(UnsupportedDerivative, match=rf"^{name}: .*{name}\.detach"):
        CostLayer("identity+mse")(z, **given)
    constant = {key: value.detach() for key, value in given.items()}
    with forward_ad.dual_level():
        constant[name] = forward_ad.make_dual(constant[name], torch.ones(3, dtype=DOUBLE))
        with pytest.raises(UnsupportedDerivative):
            CostLayer("identity+mse")(z, **constant)


def test_a_gradient_by_class_weights_is_refused():
    with pytest.raises(UnsupportedDerivative, match="class_weight"):
        CostLayer("softmax+cross_entropy", class_weight=torch.ones(3, requires_grad=True))


# ------------------------------------------------------------------------------------------ life as a module


def configured():
    return CostLayer(
        "softmax+huber",
        delta=0.25,
        reduction="sum",
        class_weight=torch.tensor([1.0, 2.0, 3.0]),
        ignore_index=-1,
        label_smoothing=0.1,
        empty="nan",
    )


def through_a_file(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, copy.copy, lambda layer: pickle.loads(pickle.dumps(layer)), through_a_file]
)
def test_copies(copied):
    layer, z, y = configured(), torch.randn(4, 3, dtype=DOUBLE), torch.tensor([0, -1, 2, 1])
    other = copied(layer)
    assert other.pair == layer.pair
    assert repr(other) == repr(layer)
    assert other(z, y).item() == layer(z, y).item()


def test_state_dict():
    network = nn.Sequential(nn.Linear(3, 3), configured())
    assert set(network.state_dict()) == {"0.weight", "0.bias"}
    other = nn.Sequential(nn.Linear(3, 3), configured())
    assert str(other.load_state_dict(network.state_dict())) == "<All keys matched successfully>"
    assert not list(network[1].parameters())


def test_moves_and_modes():
    layer, z, y = configured(), torch.randn(4, 3, requires_grad=True), torch.tensor([0, -1, 2, 1])
    truth = layer(z, y)
    for dtype in (torch.float64, torch.bfloat16):
        layer.to(dtype)
        assert layer.class_weight.dtype == dtype
        assert layer(z, y).item() == truth.item()
    assert layer.to("cpu") is layer
    assert layer.eval()(z, y).item() == layer.train()(z, y).item() == truth.item()


def test_it_shows_its_pair_and_options():
    assert repr(CostLayer("sigmoid+cross_entropy")) == "CostLayer('sigmoid+cross_entropy')"
    assert repr(configured()) == (
        "CostLayer('softmax+huber', delta=0.25, reduction='sum', class_weight=[1.0, 2.0, 3.0], ignore_index=-1, "
        "label_smoothing=0.1, empty='nan')"
    )
    many = CostLayer("softmax+cross_entropy", class_weight=torch.ones(32000))
    assert repr(many) == "CostLayer('softmax+cross_entropy', class_weight=<32000 classes>)"


def test_constant():
    y = torch.tensor([0, 0, 0, 1, 2, 2])
    scores = CostLayer("softmax+cross_entropy").constant(y)
    same(torch.softmax(scores, 0), torch.tensor([3.0, 1.0, 2.0]) / 6, 1e-6)
    assert scores.dtype == torch.get_default_dtype()
    assert CostLayer("softmax+cross_entropy").constant(y, classes=5).shape == (5,)
    weighted = CostLayer("identity+mse").constant(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0]))
    assert weighted.item() == 2.0
    assert CostLayer("softmax+cross_entropy", class_weight=torch.ones(4)).constant(y).shape == (4,)
    trained = torch.tensor([1.0, 3.0], requires_grad=True)  # a constant is a number: no gradient is lost
    assert CostLayer("identity+mse").constant(trained).item() == 2.0


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -1])
@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "softmax+cross_entropy", "softmax+mse", "probabilities"])
def test_at_its_constant_a_layer_is_at_rest(name, ignored, weighted, smoothing):
    if name == "probabilities":
        name, y, ignored = "softmax+cross_entropy", probabilities((9, 3)), None
    else:
        y = (
            torch.tensor([0, 1, 1, 2, 0, 1, 1, 2, 1])
            if name.startswith("softmax")
            else (torch.arange(9) % 3 == 0) * 1.0
        )
    row = name.startswith("softmax")
    if ignored is not None:
        y[:2] = ignored
    class_weight = torch.tensor([1.0, 4.0, 2.0] if row else [1.0, 4.0], dtype=DOUBLE) if weighted else None
    layer = CostLayer(name, class_weight=class_weight, ignore_index=ignored, label_smoothing=smoothing)
    weight = torch.linspace(0.5, 2, 9, dtype=DOUBLE)
    for given in (None, weight):
        z = layer.constant(y, given).double().expand((9, 3) if row else (9,)).clone().requires_grad_()
        layer(z, y, given).backward()
        assert z.grad.sum(0).abs().max() < 1e-6
    if row:
        return
    columns = layer.constant(torch.stack([y, y.flip(0)], 1), weight)
    same(columns, torch.stack([layer.constant(y, weight), layer.constant(y.flip(0), weight)]))


def test_a_constant_is_refused_where_training_would_be():
    with pytest.raises(InvalidValue, match=r"y\[1\]: got class -1"):
        CostLayer("softmax+cross_entropy", label_smoothing=0.1).constant(torch.tensor([0, -1]))
    with pytest.raises(InvalidValue, match=r"y\[1\]: got 3\.0"):
        CostLayer("sigmoid+cross_entropy", class_weight=torch.ones(2)).constant(torch.tensor([0.0, 3.0]))
    with pytest.raises(InvalidValue, match="class_weight"):
        CostLayer("identity+mse", class_weight=torch.ones(2)).constant(torch.zeros(3))


def test_training_is_torchs():
    random = torch.Generator().manual_seed(6)
    x = torch.randn(40, 6, dtype=DOUBLE, generator=random)
    cases = {
        "softmax+cross_entropy": (torch.randint(3, (40,), generator=random), F.cross_entropy),
        "sigmoid+cross_entropy": (
            torch.rand((40, 3), dtype=DOUBLE, generator=random).round(),
            F.binary_cross_entropy_with_logits,
        ),
        "identity+mse": (torch.randn((40, 3), dtype=DOUBLE, generator=random), F.mse_loss),
    }
    for pair, (y, theirs) in cases.items():
        ours, truth = nn.Linear(6, 3, dtype=DOUBLE), nn.Linear(6, 3, dtype=DOUBLE)
        truth.load_state_dict(ours.state_dict())
        start = ours.weight.detach().clone()
        for network, cost in ((ours, CostLayer(pair)), (truth, theirs)):
            optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
            for batch in range(60):
                rows = slice(batch % 4 * 10, batch % 4 * 10 + 10)
                optimizer.zero_grad()
                cost(network(x[rows]), y[rows]).backward()
                optimizer.step()
        same(ours.weight, truth.weight)
        same(ours.bias, truth.bias)
        assert (ours.weight - start).abs().max() > 0.1


class WithLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.cost = nn.Linear(5, 3), CostLayer("softmax+cross_entropy", label_smoothing=0.1)

    def forward(self, x, y):
        return 2 * self.cost(torch.tanh(self.linear(x)), y)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, where the graph goes on
def test_compiled_network():
    network, x, y = WithLoss(), torch.randn(7, 5), torch.randint(3, (7,))
    loss = network(x, y)
    loss.backward()
    truth = network.linear.weight.grad.clone()
    network.zero_grad()
    compiled = torch.compile(network, backend="eager")
    again = compiled(x, y)
    again.backward()
    same(again, loss, 1e-6)
    same(network.linear.weight.grad, truth, 1e-6)
    torch._dynamo.reset()
    network.zero_grad()
    torch.compile(network, backend="aot_eager", fullgraph=True)(x, y).backward()
    same(network.linear.weight.grad, truth, 1e-6)


def test_threads_share_a_layer():
    layer = CostLayer("sigmoid+cross_entropy", reduction="sum")
    random = torch.Generator().manual_seed(7)
    z, y = torch.randn(1 << 19, generator=random), torch.ones(1 << 19)  # enough for the engine's own threads
    truth = layer(z, y).item()
    delta = gradient(layer(z.requires_grad_(), y), z)
    found, go = [], threading.Barrier(4)

    def work():
        mine = z.detach().requires_grad_()
        go.wait()
        for _ in range(5):
            mine.grad = None
            loss = layer(mine, y)
            loss.backward()
            found.append(loss.item() == truth and torch.equal(mine.grad, delta))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [True] * 20


def _in_a_child(layer, z, y, expected):
    z.grad = None
    loss = layer(z, y)
    loss.backward()
    ok = loss.item() == expected and np.isfinite(z.grad.numpy()).all()
    sys.exit(0 if ok else 1)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_after_use_still_works():
    layer = CostLayer("sigmoid+cross_entropy", reduction="sum")
    z, y = torch.linspace(-5, 5, 1 << 19).requires_grad_(), torch.ones(1 << 19)
    expected = layer(z, y).item()  # the engine's threads are up now, and will be gone in the child
    child = multiprocessing.get_context("fork").Process(target=_in_a_child, args=(layer, z, y, expected))
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0


class Costs(torch.utils.data.Dataset):
    """Examples whose cost is worked out in a worker process."""

    def __init__(self):
        self.layer = CostLayer("softmax+cross_entropy")

    def __len__(self):
        return 4

    def __getitem__(self, index):
        z = torch.zeros(2, 3, requires_grad=True)
        self.layer(z, torch.tensor([index % 3, 0])).backward()
        return z.grad


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_data_loader_workers():
    costs = Costs()
    truth = torch.stack([costs[index] for index in range(4)])
    loaded = torch.cat(list(torch.utils.data.DataLoader(costs, batch_size=2, num_workers=2, timeout=60)))
    assert torch.equal(loaded, truth)


# --------------------------------------------------------------------------------------------- bad input


def rows(**options):
    return CostLayer("softmax+cross_entropy", **options)


def points(**options):
    return CostLayer("identity+mse", **options)


SCORES = torch.zeros(2, 3)
BAD = {
    "array": (InvalidType, "z", "ndarray", lambda: points()(np.zeros(3), torch.zeros(3))),
    "list": (InvalidType, "z", "list", lambda: points()([0.0], torch.zeros(1))),
    "integers": (InvalidType, "z", "torch.int64", lambda: points()(torch.zeros(3).long(), torch.zeros(3))),
    "complex": (InvalidType, "z", "complex64", lambda: points()(torch.zeros(3) * 1j, torch.zeros(3))),
    "sparse": (InvalidType, "z", "sparse", lambda: points()(torch.zeros(3).to_sparse(), torch.zeros(3))),
    "predict array": (InvalidType, "z", "ndarray", lambda: points().predict(np.zeros(3))),
    "y meta": (InvalidType, "y", "meta", lambda: points()(torch.zeros(3), torch.zeros(3, device="meta"))),
    "y none": (InvalidType, "y", "object", lambda: points()(torch.zeros(3), None)),
    "y words": (InvalidType, "y", "<U1", lambda: points()(torch.zeros(2), ["a", "b"])),
    "y shape": (InvalidValue, "y", "(4,)", lambda: points()(torch.zeros(3), torch.zeros(4))),
    "rows y bool": (InvalidType, "y", "bool", lambda: rows()(SCORES, torch.tensor([True, False]))),
    "rows y shape": (InvalidValue, "y", "(3,)", lambda: rows()(SCORES, torch.tensor([0, 1, 2]))),
    "one class": (InvalidValue, "z", "(3, 1)", lambda: rows()(torch.zeros(3, 1), torch.zeros(3).long())),
    "number": (InvalidValue, "z", "()", lambda: rows()(torch.tensor(0.0), torch.tensor(0))),
    "sums": (InvalidValue, "y[0]", "up to 0.6", lambda: rows()(SCORES, torch.full((2, 3), 0.2))),
    "negative": (InvalidValue, "y[1, 0]", "-1", lambda: rows()(SCORES, torch.tensor([[1.0, 0, 0], [-1, 1, 1]]))),
    "nan": (InvalidValue, "y[1]", "nan", lambda: points()(torch.zeros(2), torch.tensor([0.0, torch.nan]))),
    "weight shape": (InvalidValue, "weight", "(3,)", lambda: rows()(SCORES, torch.tensor([0, 1]), torch.ones(3))),
    "weight sign": (
        InvalidValue,
        "weight[1]",
        "-1",
        lambda: rows()(SCORES, torch.tensor([0, 1]), torch.tensor([1.0, -1.0])),
    ),
    "weight meta": (
        InvalidType,
        "weight",
        "meta",
        lambda: rows()(SCORES, torch.tensor([0, 1]), torch.ones(2, device="meta")),
    ),
    "class weights": (
        InvalidValue,
        "class_weight",
        "[1.0, 2.0]",
        lambda: rows(class_weight=torch.tensor([1.0, 2.0]))(SCORES, torch.tensor([0, 1])),
    ),
    "class weight sign": (
        InvalidValue,
        "class_weight",
        "-1",
        lambda: rows(class_weight=[1.0, -1.0, 1.0])(SCORES, torch.tensor([0, 1])),
    ),
    "class weight word": (InvalidType, "class_weight", "'balanced'", lambda: rows(class_weight="balanced")),
    "class weight of numbers": (
        InvalidValue,
        "class_weight",
        "identity+mse",
        lambda: points(class_weight=torch.ones(2))(torch.zeros(2), torch.zeros(2)),
    ),
    "smoothing numbers": (
        InvalidValue,
        "label_smoothing",
        "identity+mse",
        lambda: points(label_smoothing=0.1)(torch.zeros(2), torch.zeros(2)),
    ),
    "ignored probabilities": (
        InvalidValue,
        "ignore_index",
        "0 with probability",
        lambda: rows(ignore_index=0)(SCORES, torch.full((2, 3), 1 / 3)),
    ),
    "reduction": (InvalidValue, "reduction", "'avg'", lambda: points(reduction="avg")),
    "empty": (InvalidValue, "empty", "'skip'", lambda: points(empty="skip")),
    "smoothing": (InvalidValue, "label_smoothing", "1.0", lambda: rows(label_smoothing=1.0)),
    "smoothing nan": (InvalidValue, "label_smoothing", "nan", lambda: rows(label_smoothing=float("nan"))),
    "smoothing word": (InvalidValue, "label_smoothing", "'a little'", lambda: rows(label_smoothing="a little")),
    "pair": (InvalidValue, "pair", "softmx", lambda: CostLayer("softmx+cross_entropy")),
    "parameter": (InvalidValue, "dleta", "dleta", lambda: CostLayer("identity+huber", dleta=2.0)),
    "parameter value": (InvalidValue, "delta", "-1", lambda: CostLayer("identity+huber", delta=-1.0)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    kind, argument, got, call = BAD[case]
    with pytest.raises(CostLayerError) as caught:
        call()
    assert type(caught.value) is kind
    assert caught.value.argument == argument
    assert got in caught.value.got
    assert caught.value.expected


def test_errors_suggest_a_fix():
    for call, fix in (
        (lambda: points(reduction="meen"), "'mean'"),
        (lambda: CostLayer("softmx+cross_entropy"), "'softmax'"),
        (lambda: points()(np.zeros(3), np.zeros(3)), "costlayer.value"),
        (lambda: rows()(SCORES, torch.tensor([0.0, 1.0])), "integers"),
        (lambda: rows()(SCORES, torch.tensor([-100, 1])), "ignore_index=-100"),
        (lambda: points()(torch.zeros(2).to_sparse(), torch.zeros(2)), "to_dense"),
    ):
        with pytest.raises(CostLayerError) as caught:
            call()
        assert fix in caught.value.fix


def test_a_refused_call_leaves_no_gradient():
    z = torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(InvalidValue):
        rows()(z, torch.tensor([0, 3]))
    assert z.grad is None
    rows()(z, torch.tensor([0, 2])).backward()
    assert z.grad.abs().sum() > 0


def test_a_pair_that_starves_warns_once():
    catalogue._warned.clear()
    with pytest.warns(SaturationWarning, match="0.9933"):
        CostLayer("sigmoid+mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CostLayer("sigmoid+mse")


def test_without_torch():
    code = "import sys; sys.modules['torch'] = None\nimport costlayer\nimport costlayer.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MissingExtra: torch" in done.stderr
    assert "pip install 'costlayer[torch]'" in done.stderr


def test_a_cost_beyond_the_largest_float32_is_infinite():
    """As in torch, and not an error: a network that diverges is seen to."""
    z = torch.full((4,), 1e30, requires_grad=True)
    loss = CostLayer("identity+mse")(z, torch.zeros(4))
    loss.backward()
    assert loss == F.mse_loss(z, torch.zeros(4)) == float("inf")
    assert torch.isfinite(z.grad).all()


# ------------------------------------------------------------------------------------- the memory of gradients


def large_step(y):
    z = torch.zeros(1 << 18, requires_grad=True)
    CostLayer("identity+mse", reduction="sum")(z, torch.full_like(z, y)).backward()
    return z.grad


HOLD = {
    "tensor": lambda grad: (grad, lambda: grad[0].item()),
    "view": lambda grad: (grad[:3], lambda: view[0].item() if (view := grad[:3]) is not None else None),
    "storage": lambda grad: (s := grad.untyped_storage(), lambda: np.frombuffer(bytes(s[:4]), np.float32)[0]),
    "numpy": lambda grad: (a := grad.numpy(), lambda: a[0]),
    "memoryview": lambda grad: (m := memoryview(grad.numpy()), lambda: m[0]),
    "dlpack": lambda grad: (t := torch.from_dlpack(grad), lambda: t[0].item()),
    "shared": lambda grad: (t := grad.share_memory_(), lambda: t[0].item()),
}


@pytest.mark.parametrize("way", ["tensor", "storage", "numpy", "memoryview", "dlpack", "shared"])
def test_a_gradient_that_someone_holds_is_never_written_over(way):
    held, first = HOLD[way](large_step(1.0))
    for y in (5.0, 7.0):
        large_step(y)
    assert first() == -2.0, held


def test_the_memory_of_a_gradient_that_nobody_holds_is_used_again():
    first = large_step(1.0).data_ptr()
    assert large_step(2.0).data_ptr() == first


# ------------------------------------------------------------------------------------- halves, and options that change


@pytest.mark.parametrize("strided", [False, True])
def test_a_mean_in_float16_leaves_its_gradient_to_the_scale_from_above(strided):
    """Divided by 2^16 examples a gradient of 1e-3 is too small for float16, times the scale of mixed precision not."""
    random = torch.Generator().manual_seed(0)
    z = torch.randn(1 << 16, 4, generator=random).half()
    y = torch.randint(4, (1 << 16,), generator=random)
    z = z.T.contiguous().T if strided else z
    z.requires_grad_()
    (CostLayer("softmax+cross_entropy")(z, y) * 65536.0).backward()
    exact = z.detach().double().requires_grad_()
    (F.cross_entropy(exact, y) * 65536.0).backward()
    torch.testing.assert_close(z.grad.double(), exact.grad, rtol=2.0**-10, atol=2.0**-24)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["exp+poisson", "softmax+cross_entropy"])
def test_strides_do_not_change_a_bit(name, kind):
    z, y = example(name, (64, 8), kind)
    strided = z.detach().T.contiguous().T.requires_grad_()
    assert not strided.is_contiguous()
    layer = CostLayer(name, reduction="sum")
    one, other = layer(z, y), layer(strided, y)
    assert torch.equal(one, other)
    assert torch.equal(gradient(one, z), gradient(other, strided))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("reduction", "none"),
        ("label_smoothing", 0.2),
        ("ignore_index", 1),
        ("class_weight", torch.tensor([1.0, 2.0, 3.0, 4.0])),
    ],
)
def test_an_option_that_is_changed_counts(option, value):
    z, y = example("softmax+cross_entropy")
    layer = CostLayer("softmax+cross_entropy")
    layer(z, y)
    setattr(layer, option, value)
    assert torch.equal(layer(z, y), CostLayer("softmax+cross_entropy", **{option: value})(z, y))


def test_a_pair_that_is_changed_counts():
    z, y = example("identity+huber")
    layer = CostLayer("identity+huber")
    layer(z, y)
    layer.pair = cl.pair("identity+huber", delta=0.1)
    assert torch.equal(layer(z, y), CostLayer("identity+huber", delta=0.1)(z, y))
