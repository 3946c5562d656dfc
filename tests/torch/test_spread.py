"""Two scores per target as a torch layer: what is of their own; the rest is tested with all pairs."""

import pytest
import torch
from test_layer import DOUBLE, example, same

import costlayer as cl
from costlayer.catalogue import build
from costlayer.errors import InvalidValue
from costlayer.torch import CostLayer
from covering import TWO_COVERING

GAUSSIAN = "identity_exp+gaussian"


@pytest.mark.parametrize("pair", TWO_COVERING, ids=str)
def test_operations_answer_as_the_engine_does(pair):
    """Far scores and float32 too, where the operations have no digits to spare."""
    z, y = example(pair.name, (6, 2, 3))
    layer = CostLayer(pair, reduction="none")
    same(layer(z, y), layer._by_operations(z, y, None), 1e-12)
    far = torch.tensor([[3.0, 40.0], [-2.0, -40.0], [90.0, 1.0], [0.25, -90.0]], requires_grad=True)
    goals = torch.tensor([0.5, 0.125, 0.75, 0.25])
    mine = value_and_gradient(lambda z, y: layer._by_operations(z, y, None), far, goals)
    exact = value_and_gradient(layer, far.detach().double().requires_grad_(), goals.double())
    for ours, right in zip(mine, exact, strict=True):
        torch.testing.assert_close(ours, right.float(), rtol=2e-5, atol=2e-5)


def value_and_gradient(function, z, y):
    value = function(z, y)
    return value, torch.autograd.grad(value.sum(), z)[0]


@pytest.mark.parametrize("pair", TWO_COVERING, ids=str)
def test_second_derivatives_are_those_of_differences(pair):
    """The second derivative by both scores, too."""
    z, y = example(pair.name, (3, 2))
    assert torch.autograd.gradgradcheck(lambda z: CostLayer(pair)._by_operations(z, y, None), z)


@pytest.mark.parametrize("shape", [(5, 2), (4, 2, 3), (2, 2, 3, 2), (2,)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_shapes_and_types(shape, dtype):
    """Of the same bits, whatever the layout; halves are computed in float32."""
    random = torch.Generator().manual_seed(3)
    z = torch.randn(shape, generator=random).to(dtype).requires_grad_()
    axis = min(1, len(shape) - 1)
    y = torch.randn(shape, generator=random).select(axis, 0).to(dtype)
    layer = CostLayer(GAUSSIAN, reduction="none")
    value = layer(z, y)
    v, s = z.detach().float().select(axis, 0), z.detach().float().select(axis, 1).exp()
    right = torch.nn.functional.gaussian_nll_loss(v, y.float(), s * s, full=True, reduction="none")
    same(value, right, 2e-6)
    (delta,) = torch.autograd.grad(value.sum(), z)
    assert delta.dtype is dtype
    assert delta.shape == z.shape
    same(layer.predict(z).select(axis, 1).float(), s, {torch.float32: 1e-6}.get(dtype, 8e-3))
    turned = z.detach().transpose(0, -1).contiguous().transpose(0, -1).requires_grad_()
    assert torch.equal(torch.autograd.grad(layer(turned, y).sum(), turned)[0], delta)


def test_predictions_and_their_gradient():
    z = torch.tensor([[1.0, 0.5], [-2.0, -1.0]], dtype=DOUBLE, requires_grad=True)
    layer = CostLayer(GAUSSIAN)
    same(layer.predict(z), torch.stack([z[:, 0], z[:, 1].exp()], 1))
    assert torch.autograd.gradcheck(layer.predict, z)


def test_the_constant_is_where_training_ends():
    layer = CostLayer("identity_softplus+gaussian", ignore_index=-1)
    y = torch.tensor([0.5, 3.0, -1.0, 2.5, 7.0], dtype=DOUBLE)
    z = layer.constant(y).double().requires_grad_()
    assert z.shape == (2,)
    (slope,) = torch.autograd.grad(layer(z.expand(5, 2), y), z)
    same(slope, torch.zeros(2, dtype=DOUBLE), 1e-6)
    columns = torch.stack([y, y + 3.0], 1)
    same(layer.constant(columns)[:, 0].double(), z.detach(), 1e-6)
    same(CostLayer("identity_softplus+gaussian").constant(columns).shape, torch.Size([2, 2]))


def test_a_network_learns_a_spread():
    """y is normal around 2x with the deviation exp(x): by plain gradient descent."""
    random = torch.Generator().manual_seed(0)
    x = torch.rand(2000, 1, generator=random) * 2 - 1
    y = (2 * x + x.exp() * torch.randn(2000, 1, generator=random))[:, 0]
    layer = CostLayer(GAUSSIAN)
    slopes, biases = torch.zeros(2, requires_grad=True), layer.constant(y).requires_grad_()
    for _ in range(100):
        steps = torch.autograd.grad(layer(x * slopes + biases, y), (slopes, biases))
        with torch.no_grad():
            slopes -= 0.5 * steps[0]
            biases -= 0.5 * steps[1]
    same(slopes.detach(), torch.tensor([2.0, 1.0]), 0.1)
    same(biases.detach(), torch.tensor([0.0, 0.0]), 0.1)


@pytest.mark.parametrize("options", [{"class_weight": torch.ones(2)}, {"label_smoothing": 0.1}], ids=str)
@pytest.mark.parametrize("name", [GAUSSIAN, "exp_exp+beta", "identity+mse"])
def test_options_for_classes_are_refused_by_operations_too(name, options):
    z, y = example(name)
    for run in (CostLayer(name, **options), lambda z, y: CostLayer(name, **options)._by_operations(z, y, None)):
        with pytest.raises(InvalidValue, match=rf"^{next(iter(options))}: got one for"):
            run(z, y)


@pytest.mark.parametrize("function", ["engine", "operations"])
def test_shapes_that_do_not_fit_are_refused(function):
    layer = CostLayer(GAUSSIAN)
    run = layer if function == "engine" else lambda z, y: layer._by_operations(z, y, None)
    with pytest.raises(InvalidValue, match="two scores per target"):
        run(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(InvalidValue, match=r"^y: got shape"):
        run(torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(InvalidValue, match=r"y\[1\]: got nan"):
        layer(torch.zeros(2, 2), torch.tensor([0.0, torch.nan]))
    assert cl.pair(GAUSSIAN).two
    assert not build("identity+mse", {}).two
