"""Everything that torch makes of a function: further derivatives, forward mode, torch.func, compiled graphs."""

import numpy as np
import pytest
import torch
from test_layer import DOUBLE, FEW, example, probabilities, same

import costlayer as cl
from costlayer import catalogue
from costlayer.errors import InvalidValue, UnfusedWarning, UnsupportedDerivative
from costlayer.torch import CostLayer
from covering import PAIRS as COVERING

pytestmark = [
    pytest.mark.filterwarnings("ignore::costlayer.errors.SaturationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),
]

TWO = ["identity_exp+gaussian", "exp_exp+beta"]
ROWS = ["class_scores+weston_watkins", "sparsemax+fenchel_young", "ordinal+cumulative_logit", "conditional+corn"]
KINDS = [*FEW, *TWO, "exp+poisson", "identity+logistic", "softmax+focal", "softmax+js", "softmax+binary_cross_entropy"]
KINDS += ["entmax15+fenchel_young", *ROWS]
BINARY = ["probit+cross_entropy", "cloglog+cross_entropy", "sigmoid+asymmetric"]
OPTIONS = {
    "plain": {},
    "none": {"reduction": "none"},
    "sum": {"reduction": "sum"},
    "smooth": {"label_smoothing": 0.2},
    "ignored": {"ignore_index": 1},
    "by class": {"class_weight": torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=DOUBLE)},
    "by class, smooth": {"class_weight": torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=DOUBLE), "label_smoothing": 0.1},
    "weighted": {"reduction": "weighted_mean", "ignore_index": 2},
}


def layers(name, options):
    pair = catalogue.build(name, {})
    if not pair.row and ("class_weight" in options or "label_smoothing" in options):
        if pair.target != catalogue.build("sigmoid+cross_entropy", {}).target:
            return None
        options = {key: value[:2] if key == "class_weight" else value for key, value in options.items()}
    if pair.cost.labels_only and "label_smoothing" in options:
        return None
    if pair.activation.thresholds and "class_weight" in options:  # of one class more than there are scores
        options = {**options, "class_weight": options["class_weight"].repeat(2)[:5]}
    return CostLayer(pair, **options)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2)], ids=str)
@pytest.mark.parametrize(
    "name",
    [
        *("sigmoid+cross_entropy", "identity+huber", "softmax+cross_entropy", "softmax+mse", "entmax15+fenchel_young"),
        *("class_scores+crammer_singer", "ordinal+cumulative_logit", "conditional+corn", *TWO),
    ],
)
def test_operations_answer_as_the_engine_does(name, shape, soft, option):
    layer = layers(name, OPTIONS[option])
    z, y = example(name, shape)
    if soft:
        of_terms = name == "entmax15+fenchel_young" and "class_weight" not in OPTIONS[option]
        if not (name == "softmax+cross_entropy" or of_terms) or "ignore_index" in OPTIONS[option]:
            return
        y = probabilities(shape)
    if layer is None:
        return
    weight = torch.tensor([2.0, 0.0, 1.0, 0.5, 3.0], dtype=DOUBLE)[: shape[0]] if option == "weighted" else None
    ours, theirs = layer(z, y, weight), layer._by_operations(z, y, weight)
    same(ours, theirs)
    upstream = torch.rand_like(ours)
    same(torch.autograd.grad(ours, z, upstream)[0], torch.autograd.grad(theirs, z, upstream)[0])


@pytest.mark.parametrize("name", [*BINARY, "cauchit+cross_entropy", "sigmoid+focal"])
def test_operations_keep_the_digits_and_the_limits_of_yes_or_no_costs(name):
    half = torch.tensor([0.3, 1, 2.5, 5, 6.5, 13, 40, 100, 800, 1e20, 3e38, torch.inf])
    layer, z = CostLayer(name, reduction="none"), torch.cat([-half, half]).requires_grad_()
    for goal in (0.0, 1.0, 0.25):
        y = torch.full_like(z, goal)
        ours, theirs = layer(z, y), layer._by_operations(z, y, None)
        tiny = {"rtol": 3e-6, "atol": 1e-37}  # of asymmetric, whose value crosses 0
        torch.testing.assert_close(ours, theirs, **tiny)
        torch.testing.assert_close(*(torch.autograd.grad(loss.sum(), z)[0] for loss in (ours, theirs)), **tiny)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", [*KINDS, *BINARY])
def test_first_and_second_derivatives_are_those_of_differences(name, reduction):
    z, y = example(name, (3, 4))
    layer = CostLayer(name, reduction=reduction)
    for function in (lambda z: layer(z, y), layer.predict):
        assert torch.autograd.gradcheck(function, z)
        assert torch.autograd.gradgradcheck(function, z)
    assert torch.autograd.gradcheck(lambda z: layer(z, y), z, check_forward_ad=True, check_backward_ad=False)


@pytest.mark.parametrize("name", KINDS)
def test_all_ways_to_the_hessian_agree(name):
    z, y = example(name, (3, 4))
    layer = CostLayer(name, reduction="sum")

    def function(z):
        return layer(z, y)

    expected = torch.autograd.functional.hessian(function, z)
    free = z.detach()
    same(torch.func.hessian(function)(free), expected)
    same(torch.func.jacrev(torch.func.jacrev(function))(free), expected)
    with pytest.raises(UnsupportedDerivative, match=r"jacfwd of jacrev"):  # torch would make nought of it
        torch.func.jacfwd(torch.func.jacfwd(function))(free)
    along = torch.randn_like(free)
    for product in (torch.autograd.functional.hvp, torch.autograd.functional.vhp):
        same(product(function, free, along)[1], torch.einsum("ijkl,kl->ij", expected, along))
    diagonal = torch.einsum("ijij->ij", expected)
    same(diagonal, torch.from_numpy(cl.curvature(catalogue.build(name, {}), free.numpy(), y.numpy())), 1e-9)


@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "softmax+cross_entropy"])
def test_a_second_derivative_goes_through_a_network(name):
    """A gradient penalty, by the weights of what made the scores."""
    z, y = example(name)
    w = torch.randn(4, 4, dtype=DOUBLE, requires_grad=True)

    def penalty(w):
        layer = CostLayer(name)
        (g,) = torch.autograd.grad(layer(z @ w, y), z, create_graph=True)
        return g.square().sum()

    assert torch.autograd.gradcheck(penalty, w)


def test_scores_that_were_written_over_have_no_second_derivative():
    z, y = example("sigmoid+cross_entropy")
    scores = z * 1.0
    (g,) = torch.autograd.grad(CostLayer("sigmoid+cross_entropy")(scores, y), scores, create_graph=True)
    scores.data.add_(0.0)
    with torch.no_grad():
        scores.add_(1.0)
    with pytest.raises(UnsupportedDerivative, match="written over"):
        torch.autograd.grad(g.sum(), scores)


@pytest.mark.parametrize("name", FEW)
def test_third_derivatives_are_refused(name):
    z, y = example(name)
    layer = CostLayer(name)
    (first,) = torch.autograd.grad(layer(z, y), z, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), z, create_graph=True)
    with pytest.raises(UnsupportedDerivative, match="third"):
        torch.autograd.grad(second.sum(), z)
    with pytest.raises(UnsupportedDerivative, match="third"):
        torch.func.grad(lambda z: torch.func.hessian(lambda z: layer(z, y))(z).sum())(z.detach())


@pytest.mark.parametrize("name", KINDS)
def test_vmap(name):
    z, y = example(name)
    layer, free = CostLayer(name, reduction="sum"), z.detach()
    each = torch.func.vmap(torch.func.grad(lambda z, y: layer(z[None], y[None])))(free, y)
    same(each, torch.autograd.grad(layer(z, y), z)[0])
    same(torch.func.vmap(lambda z: layer.predict(z[None])[0])(free), layer.predict(free))


COMPILED = [name for name in [*KINDS, *BINARY[:1]] if name not in ("exp_exp+beta", *ROWS)]  # whose graphs take seconds


@pytest.mark.parametrize(
    ("name", "dynamic"),  # which is a matter of shapes, and these of one score, of rows and of two scores
    [*((name, False) for name in COMPILED), ("exp+poisson", True), ("softmax+focal", True), (TWO[0], True)],
)
def test_a_compiled_graph_with_the_layer_in_it(name, dynamic):
    layer = CostLayer(name)
    torch._dynamo.reset()
    compiled = torch.compile(lambda z, y: layer(2.0 * z, y), fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for rows in (5, 7):
        z, y = example(name, (rows, 4))
        ours, theirs = layer(2.0 * z, y), compiled(z, y)
        same(ours, theirs)
        same(torch.autograd.grad(ours, z)[0], torch.autograd.grad(theirs, z)[0])
    torch._dynamo.reset()


def test_a_compiled_graph_keeps_the_digits():
    layer = CostLayer("softmax+cross_entropy")
    torch._dynamo.reset()
    z = torch.tensor([[30.0, 0.0]], requires_grad=True)
    torch.compile(layer, fullgraph=True, backend="aot_eager")(z, torch.tensor([0])).backward()
    torch._dynamo.reset()
    np.testing.assert_allclose(z.grad.numpy(), [[-9.357623e-14, 9.357623e-14]], rtol=1e-6)


def test_export():
    layer, (z, y) = CostLayer("softmax+cross_entropy"), example("softmax+cross_entropy", dtype=torch.float32)
    program = torch.export.export(layer, (z.detach(), y))
    same(program.module()(z.detach(), y), layer(z, y), 1e-6)


def test_meta_tensors_have_shapes():
    layer = CostLayer("softmax+cross_entropy", reduction="none")
    found = layer(torch.empty(5, 4, 3, device="meta"), torch.empty(5, 3, dtype=torch.int64, device="meta"))
    assert found.shape == (5, 3)
    assert layer.predict(torch.empty(5, 4, device="meta")).shape == (5, 4)


def test_a_type_without_an_engine_is_said_once(monkeypatch):
    from costlayer.torch import layer as module

    monkeypatch.setattr(module, "_said", False)
    monkeypatch.delitem(module._STORAGE, torch.float64)
    z, y = example("sigmoid+cross_entropy")
    with pytest.warns(UnfusedWarning, match="float64"):
        found = CostLayer("sigmoid+cross_entropy")(z, y)
    monkeypatch.setitem(module._STORAGE, torch.float64, "float64")
    same(found, CostLayer("sigmoid+cross_entropy")(z, y))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_halves(dtype):
    z, y = example("softmax+cross_entropy", dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        loss = CostLayer("softmax+cross_entropy")(z, y)
    assert loss.dtype is torch.float32
    assert torch.autograd.grad(loss, z)[0].dtype is dtype
    same(
        torch.func.grad(lambda z: CostLayer("softmax+cross_entropy")(z, y))(z.detach()).float(),
        torch.autograd.grad(CostLayer("softmax+cross_entropy")(z, y), z)[0].float(),
        2e-3,
    )


# ------------------------------------------------------------------------------------------ parts of a batch


@pytest.mark.parametrize("option", ["plain", "ignored", "by class", "by class, smooth", "weighted"])
@pytest.mark.parametrize("name", ["softmax+cross_entropy", "sigmoid+cross_entropy", "identity_exp+gaussian"])
def test_sums_and_counts_of_parts_make_the_whole_batch(name, option):
    """transformers#34191: a mean of the means of unequal parts is not the mean of all."""
    layer = layers(name, OPTIONS[option])
    if layer is None or layer.reduction == "none":
        return
    z, y = example(name, (11, 4))
    weight = torch.linspace(0.0, 2.0, 11, dtype=DOUBLE) if option == "weighted" else None
    whole = layer(z, y, weight)
    (slope,) = torch.autograd.grad(whole, z)
    total = count = 0.0
    for part in (slice(0, 3), slice(3, 4), slice(4, 11)):
        value, number = layer.sum_and_count(z[part], y[part], None if weight is None else weight[part])
        value.backward()
        total, count = total + value.detach(), count + number
    same(total / count, whole.detach())
    same(z.grad / count, slope)


@pytest.mark.parametrize(
    ("name", "options", "weight", "soft", "match"),
    [
        ("softmax+focal", {"class_weight": torch.ones(3)}, None, True, "class_weight"),
        ("softmax+cross_entropy", {"ignore_index": 0}, None, True, "ignore_index"),
        ("softmax+cross_entropy", {"class_weight": torch.ones(2)}, None, False, "class_weight.*3 numbers"),
        ("softmax+cross_entropy", {}, torch.ones(1), False, "weight.*shape"),
        ("sigmoid+cross_entropy", {"class_weight": torch.ones(3)}, None, True, "class_weight.*2 numbers"),
    ],
)
def test_options_that_the_engine_refuses_are_refused_here_too(name, options, weight, soft, match):
    z = torch.randn(2, 3)
    y = torch.full((2, 3), 1 / 3) if soft else torch.tensor([0, 2])
    layer = CostLayer(name, **options)
    for run in (lambda z: layer(z, y, weight), lambda z: torch.func.grad(lambda z: layer(z, y, weight))(z)):
        with pytest.raises(InvalidValue, match=match.partition(".")[0]):
            run(z)
    with pytest.raises(InvalidValue, match=match):
        torch.func.grad(lambda z: layer(z, y, weight))(z)


@pytest.mark.parametrize("name", [str(pair) for pair in COVERING if pair.row and not pair.written])
def test_an_infinite_score_of_a_row_is_the_limit_here_too(name):
    infinity = torch.inf
    z = torch.tensor([[infinity, 0.0, 1.0], [0.0, 1.0, infinity], [-infinity, 0.0, 1.0], [0.0, -infinity, 1.0]])
    y, layer = torch.zeros(4, dtype=torch.int64), CostLayer(name, reduction="none")
    scores = z.clone().requires_grad_()
    expected = layer(scores, y)
    (slope,) = torch.autograd.grad(expected.sum(), scores)
    value = torch.func.vmap(lambda z, y: layer(z[None], y[None])[0])(z, y)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=1e-7)
    found = torch.func.grad(lambda z: layer(z, y).sum())(z)
    if name == "softmax+binary_cross_entropy":  # beside a wrong class that is sure, δ shares out what here is 0 of 0
        found, slope = found[[0, 2, 3]], slope[[0, 2, 3]]
    torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(torch.func.vmap(lambda z: layer.predict(z[None])[0])(z), layer.predict(z))
