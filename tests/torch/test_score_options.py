"""Options on the scores of classes and distillation, against torch's operations written out in float64."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from test_layer import DOUBLE, gradient, probabilities, same

import costlayer as cl
from costlayer.errors import InvalidValue, UnsupportedDerivative
from costlayer.torch import CostLayer

pytestmark = pytest.mark.filterwarnings("ignore::costlayer.errors.SaturationWarning")
ADJUSTMENT = torch.log(torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=DOUBLE))
OPTIONS = {
    "temperature": {"temperature": 0.75},
    "softcap": {"softcap": 4.0},
    "logit_adjustment": {"logit_adjustment": ADJUSTMENT},
    "z_loss": {"z_loss": 0.125},
    "all": {"temperature": 1.75, "softcap": 4.0, "logit_adjustment": ADJUSTMENT, "z_loss": 0.125},
}
NAMES = ["softmax+cross_entropy", "softmax+mse"]


@pytest.fixture(params=OPTIONS)
def options(request):
    return OPTIONS[request.param]


def written_out(z, y, name="softmax+cross_entropy", temperature=1.0, softcap=None, logit_adjustment=None, z_loss=0.0):
    """The value of each example."""
    s = z if softcap is None else softcap * torch.tanh(z / softcap)
    s = s / temperature
    if logit_adjustment is not None:
        s = s + logit_adjustment.reshape(-1, *(1,) * (z.ndim - 2))
    if name == "softmax+cross_entropy":
        value = F.cross_entropy(s, y, reduction="none")
    else:
        goal = y if y.is_floating_point() else F.one_hot(y, z.shape[1]).movedim(-1, 1).to(z)
        value = (torch.softmax(s, 1) - goal).square().sum(1)
    return value + z_loss * torch.logsumexp(s, 1).square()


def example(shape=(5, 4), seed=0):
    random = torch.Generator().manual_seed(seed)
    z = (3 * torch.randn(shape, generator=random, dtype=DOUBLE)).requires_grad_()
    return z, torch.randint(shape[1], (shape[0], *shape[2:]), generator=random)


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2)], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_are_those_written_out(name, reduction, shape, options):
    z, label = example(shape)
    for y in (label, probabilities(shape)):
        truth = written_out(z, y, name, **options)
        truth = truth.mean() if reduction == "mean" else truth
        upstream = torch.rand_like(truth)
        right = torch.autograd.grad(truth, z, upstream)[0]
        layer = CostLayer(name, reduction=reduction, **options)
        for loss in (layer(z, y), layer._by_operations(z, y, None)):
            same(loss, truth)
            same(torch.autograd.grad(loss, z, upstream)[0], right)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_with_weights_and_ignored_rows_the_engine_and_the_operations_agree(smoothing, options):
    z, y = example((6, 4))
    y[0] = -100
    layer = CostLayer(
        "softmax+cross_entropy",
        ignore_index=-100,
        class_weight=torch.tensor([1.0, 0.5, 2.0, 0.0]),
        label_smoothing=smoothing,
        **options,
    )
    scores = z.detach().clone()
    scores[0] = torch.nan
    scores.requires_grad_()
    weight = torch.linspace(0, 2, 6, dtype=DOUBLE)
    for given in (None, weight):
        ours, theirs = layer(scores, y, given), layer._by_operations(scores, y, given)
        same(ours, theirs)
        slope = gradient(ours, scores)
        same(slope, gradient(theirs, scores))
        assert slope.isfinite().all()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", NAMES)
def test_every_derivative(name):
    options = OPTIONS["all"]
    z, y = example((3, 4))
    layer, free = CostLayer(name, **options), z.detach()
    truth = torch.func.hessian(lambda z: written_out(z, y, name, **options).mean())(free)
    same(torch.autograd.functional.hessian(lambda z: layer(z, y), free), truth)
    same(torch.func.hessian(lambda z: layer(z, y))(free), truth)
    assert torch.autograd.gradcheck(lambda z: layer(z, y), z)
    assert torch.autograd.gradcheck(layer.predict, z)
    assert torch.autograd.gradgradcheck(layer.predict, z)
    one = CostLayer(name, reduction="sum", **options)
    each = torch.func.vmap(torch.func.grad(lambda z, y: one(z[None], y[None])))(free, y)
    same(each, gradient(one(z, y), z))


def test_predictions_are_those_written_out():
    z, _ = example()
    layer = CostLayer("softmax+cross_entropy", **OPTIONS["all"])
    truth = torch.softmax(4.0 * torch.tanh(z / 4.0) / 1.75, 1)
    upstream = torch.rand_like(truth)
    same(layer.predict(z), truth)
    same(torch.autograd.grad(layer.predict(z), z, upstream)[0], torch.autograd.grad(truth, z, upstream)[0])
    assert layer.predict(z.detach().bfloat16()).dtype is torch.bfloat16
    free = CostLayer("softmax+cross_entropy", logit_adjustment=ADJUSTMENT, z_loss=0.125)
    assert torch.equal(free.predict(z), CostLayer("softmax+cross_entropy").predict(z))


def test_a_compiled_and_an_exported_graph():
    layer = CostLayer("softmax+cross_entropy", **OPTIONS["all"])
    z, y = example()
    torch._dynamo.reset()
    compiled = torch.compile(lambda z, y: layer(2.0 * z, y), fullgraph=True, backend="aot_eager")
    ours, theirs = layer(2.0 * z, y), compiled(z, y)
    same(ours, theirs)
    same(gradient(ours, z), gradient(theirs, z))
    same(torch.compile(layer.predict, fullgraph=True, backend="aot_eager")(z), layer.predict(z))
    torch._dynamo.reset()
    same(torch.export.export(layer, (z.detach(), y)).module()(z.detach(), y), layer(z, y).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_smaller_types(dtype):
    z, y = example((64, 4))
    small = z.detach().to(dtype).requires_grad_()
    layer = CostLayer("softmax+cross_entropy", **OPTIONS["all"])
    loss = layer(small, y)
    wide = small.detach().double().requires_grad_()
    truth = written_out(wide, y, **OPTIONS["all"]).mean()
    assert loss.dtype is torch.float32
    same(loss.double(), truth, 1e-6)
    few = torch.finfo(dtype).eps
    torch.testing.assert_close(gradient(loss, small).double(), gradient(truth, wide), rtol=4 * few, atol=few * 1e-4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_life_as_a_module(copied):
    layer = CostLayer("softmax+cross_entropy", **OPTIONS["all"])
    z, y = example()
    other = copied(layer)
    assert repr(other) == repr(layer)
    assert "temperature=1.75, softcap=4, logit_adjustment=[-0.69" in repr(layer)
    assert "z_loss=0.125" in repr(layer)
    assert torch.equal(other(z, y), layer(z, y))
    assert torch.equal(other._by_operations(z, y, None), layer._by_operations(z, y, None))
    assert not layer.state_dict()
    assert layer.to(torch.float32).logit_adjustment.dtype is torch.float32


@pytest.mark.parametrize("option", OPTIONS["all"])
def test_an_option_that_is_changed_counts(option):
    z, y = example()
    layer, value = CostLayer("softmax+cross_entropy"), OPTIONS["all"][option]
    layer(z, y)
    setattr(layer, option, value)
    same(layer(z, y), written_out(z, y, **{option: value}).mean())


def test_at_its_constant_a_layer_is_at_rest(options):
    y = torch.tensor([0, 1, 1, 2, 0, 1, 3, 2, 1])
    layer = CostLayer("softmax+cross_entropy", **{**options, **({"softcap": 8.0} if "softcap" in options else {})})
    z = layer.constant(y).double().expand(9, 4).clone().requires_grad_()
    layer(z, y).backward()
    assert z.grad.sum(0).abs().max() < 1e-6
    assert layer.constant(y[:2]).shape == ((4,) if "logit_adjustment" in options else (2,))


def test_a_constant_beyond_the_softcap_is_refused():
    with pytest.raises(InvalidValue, match=r"^softcap: got 1; expected one above 2\.197"):
        CostLayer("softmax+cross_entropy", softcap=1.0).constant(torch.tensor([0] * 8 + [1]))


def test_what_is_no_option_is_refused():
    with pytest.raises(InvalidValue, match=r"^softcap: got one for sigmoid\+mse"):
        CostLayer("sigmoid+mse", softcap=3.0)
    with pytest.raises(InvalidValue, match="logarithms"):
        CostLayer("softmax+cross_entropy", logit_adjustment=ADJUSTMENT.exp())
    with pytest.raises(UnsupportedDerivative, match="logit_adjustment"):
        CostLayer("softmax+cross_entropy", logit_adjustment=ADJUSTMENT.clone().requires_grad_())
    layer = CostLayer("softmax+cross_entropy", logit_adjustment=ADJUSTMENT)
    for call in (layer, lambda z, y: layer._by_operations(z, y, None)):
        with pytest.raises(InvalidValue, match="3 numbers, one per class"):
            call(torch.zeros(1, 3), torch.tensor([0]))


def test_log_priors_are_the_constant_scores():
    """The adjustment of Menon et al. (2021): scores of nothing then predict the shares of the classes."""
    y = torch.tensor([0, 0, 0, 1])
    adjustment = CostLayer("softmax+cross_entropy").constant(y)
    same(adjustment, torch.log(torch.tensor([0.75, 0.25])), 1e-6)
    z = torch.zeros(4, 2, requires_grad=True)
    CostLayer("softmax+cross_entropy", logit_adjustment=adjustment)(z, y).backward()
    assert z.grad.sum(0).abs().max() < 1e-6
    assert cl.constant("softmax+cross_entropy", y.numpy()).shape == (2,)
