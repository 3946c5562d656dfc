"""What torch does to a module, done to the cost layer and to torch's own losses by their names: hooks, checkpoints,
transforms, graphs, autocast, meta tensors. The truth is torch's own class, in float64."""

import pytest
import torch
from test_layer import DOUBLE, gradient, same
from torch import nn
from torch.utils.checkpoint import checkpoint

import costlayer.torch as ct
from costlayer.torch import CostLayer

pytestmark = [  # torch's own
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),
    pytest.mark.filterwarnings(
        "ignore:There is a performance drop because we have not yet implemented the batching rule"
    ),
]


class SoftMarginLoss(nn.SoftMarginLoss):
    """Written out: torch's own has no forward mode of its gradient."""

    def forward(self, input, target):
        values = torch.log1p(torch.exp(-target * input))
        return values if self.reduction == "none" else values.mean()


LOSSES = {
    "CostLayer": (lambda **given: CostLayer("softmax+cross_entropy", **given), nn.CrossEntropyLoss, "label"),
    "CrossEntropyLoss": (ct.CrossEntropyLoss, nn.CrossEntropyLoss, "label"),
    "BCEWithLogitsLoss": (ct.BCEWithLogitsLoss, nn.BCEWithLogitsLoss, "bit"),
    "MultiLabelSoftMarginLoss": (ct.MultiLabelSoftMarginLoss, nn.MultiLabelSoftMarginLoss, "bit"),
    "MSELoss": (ct.MSELoss, nn.MSELoss, "real"),
    "L1Loss": (ct.L1Loss, nn.L1Loss, "real"),
    "HuberLoss": (ct.HuberLoss, nn.HuberLoss, "real"),
    "SmoothL1Loss": (ct.SmoothL1Loss, nn.SmoothL1Loss, "real"),
    "PoissonNLLLoss": (ct.PoissonNLLLoss, nn.PoissonNLLLoss, "count"),
    "SoftMarginLoss": (ct.SoftMarginLoss, SoftMarginLoss, "sign"),
}


@pytest.fixture(params=LOSSES)
def name(request):
    return request.param


FEW = pytest.mark.parametrize("name", ["CrossEntropyLoss", "BCEWithLogitsLoss", "HuberLoss", "PoissonNLLLoss"])


def losses(name, **given):
    mine, torchs, _ = LOSSES[name]
    return mine(**given), torchs(**given)


def example(name, shape=(5, 4), dtype=DOUBLE, seed=0):
    random = torch.Generator().manual_seed(seed)
    z = (2 * torch.randn(shape, generator=random, dtype=DOUBLE)).to(dtype).requires_grad_()
    x = torch.randn(shape, generator=random, dtype=DOUBLE)
    kinds = {"real": x, "bit": (x > 0).double(), "sign": x.sign(), "count": (3 * x).abs().floor()}
    kind = LOSSES[name][2]
    return z, torch.randint(shape[1], shape[:1], generator=random) if kind == "label" else kinds[kind].to(dtype)


# ------------------------------------------------------------------------------------------------ derivatives


def test_backward_twice_and_an_outer_factor(name):
    z, y = example(name)
    mine, torchs = losses(name)
    right = gradient(torchs(z, y), z)
    loss = 3.0 * mine(z, y)
    loss.backward(retain_graph=True)
    once = z.grad.clone()
    z.grad.zero_()  # as gradient accumulation may do
    loss.backward(retain_graph=True)
    loss.backward()
    same(once, 3.0 * right)
    same(z.grad, 6.0 * right)


@pytest.mark.parametrize("layout", ["transposed", "expanded", "every other", "negative"])
def test_upstream_gradients_of_any_stride(name, layout):
    z, y = example(name)
    mine, torchs = losses(name, reduction="none")
    values, truth = mine(z, y), torchs(z, y)
    shape, random = truth.shape, torch.rand((*truth.shape, 2), dtype=DOUBLE)
    upstream = {
        "transposed": random[..., 0].mT.contiguous().mT if len(shape) > 1 else random[..., 0].flip(0),
        "expanded": random[..., 0].flatten()[:1].reshape((1,) * len(shape)).expand(shape),
        "every other": random[..., 0],
        "negative": torch.view_as_complex(random).conj().imag,  # a view that is negated when it is read
    }[layout]
    same(torch.autograd.grad(values, z, upstream)[0], torch.autograd.grad(truth, z, upstream)[0])


@FEW
def test_second_derivatives_and_forward_mode(name):
    z, y = example(name, (3, 4))
    mine, torchs = losses(name)
    assert torch.autograd.gradcheck(lambda z: mine(z, y), z, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda z: mine(z, y), z)
    same(
        torch.autograd.functional.hessian(lambda z: mine(z, y), z.detach()),
        torch.autograd.functional.hessian(lambda z: torchs(z, y), z.detach()),
    )


def test_transforms(name):
    z, y = example(name)
    mine, torchs = losses(name)
    free = z.detach()
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd, torch.func.hessian):
        same(transform(lambda z: mine(z, y))(free), transform(lambda z: torchs(z, y))(free))
    same(
        torch.func.vmap(torch.func.grad(lambda z, y: mine(z[None], y[None])))(free, y),
        torch.stack([gradient(torchs(z[k : k + 1], y[k : k + 1]), z)[k] for k in range(len(z))]),
    )


@pytest.mark.parametrize(
    ("pair", "activation"),
    [
        ("softmax+cross_entropy", lambda z: torch.softmax(z, 1)),
        ("sigmoid+cross_entropy", torch.sigmoid),
        ("exp+poisson", torch.exp),
    ],
)
def test_predictions_have_a_hessian(pair, activation):
    layer, z, weight = CostLayer(pair), torch.randn(2, 3, dtype=DOUBLE), torch.randn(2, 3, dtype=DOUBLE)
    truth = torch.func.hessian(lambda z: (activation(z) * weight).sum())(z)
    same(torch.func.hessian(lambda z: (layer.predict(z) * weight).sum())(z), truth)
    same(torch.autograd.functional.hessian(lambda z: (layer.predict(z) * weight).sum(), z), truth)


# ------------------------------------------------------------------------------------------------ life as a module


def hooked(module, seen):
    module.register_forward_pre_hook(lambda module, given: (2.0 * given[0], *given[1:]))
    module.register_forward_hook(lambda module, given, loss: seen.append(loss.detach()) or 3.0 * loss)
    module.register_full_backward_pre_hook(lambda module, upstream: seen.append(upstream[0]) or (upstream[0] * 5.0,))
    module.register_full_backward_hook(lambda module, inward, outward: seen.extend([inward[0], outward[0]]))
    return module


def test_hooks(name):
    """Of the module: before and after forward and backward, where they may change what passes."""
    z, y = example(name)
    both, slopes = ([], []), []
    for loss, seen in zip(losses(name), both, strict=True):
        slopes.append(gradient(hooked(loss, seen)(z, y), z))
    for mine, theirs in zip(*both, strict=True):
        same(mine, theirs)
    same(*slopes)
    assert len(both[0]) == 4


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints(name, reentrant):
    z, y = example(name)
    mine, torchs = losses(name)
    checkpoint(lambda z: mine(torch.sin(z), y), z, use_reentrant=reentrant).backward()
    same(z.grad, gradient(torchs(torch.sin(z), y), z))


class Network(nn.Module):
    """A network that ends in its loss."""

    def __init__(self, loss):
        super().__init__()
        self.linear, self.loss = nn.Linear(3, 4, dtype=DOUBLE), loss

    def forward(self, x, y):
        return self.loss(self.linear(x), y)


@FEW
def test_export_and_compiled_graphs_of_a_network_with_its_loss(name):
    _, y = example(name)
    x, (mine, torchs) = torch.randn(5, 3, dtype=DOUBLE), losses(name)
    network = Network(mine)
    truth = torchs(network.linear(x), y)
    slopes = torch.autograd.grad(truth, [*network.parameters()])
    exported = torch.export.export(network, (x, y)).module()
    same(exported(x, y).detach(), truth.detach())
    torch._dynamo.reset()
    loss = torch.compile(network, fullgraph=True, backend="aot_eager")(x, y)
    same(loss, truth)
    for mine, right in zip(torch.autograd.grad(loss, [*network.parameters()]), slopes, strict=True):
        same(mine, right)
    torch._dynamo.reset()


def test_a_loss_that_is_first_met_in_a_compiled_graph_keeps_its_digits():
    """Two at once, with options that no other test has: the layers behind them are made while the graph is traced."""
    torch._dynamo.reset()
    one, other = ct.CrossEntropyLoss(ignore_index=-7531), ct.BCEWithLogitsLoss(reduction="sum")
    z, y = torch.tensor([[30.0, 0.0]], requires_grad=True), torch.tensor([0])
    (slope,) = torch.autograd.grad(torch.compile(lambda z: one(z, y), fullgraph=True, backend="aot_eager")(z), z)
    torch.testing.assert_close(slope, torch.tensor([[-9.357623e-14, 9.357623e-14]]), rtol=1e-6, atol=0.0)
    smooth = ct.SmoothL1Loss(beta=0.7531)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def both(z):
        return other(z, torch.ones_like(z)) + smooth(z, torch.zeros_like(z))

    x = torch.tensor([63.8], requires_grad=True)
    (slope,) = torch.autograd.grad(both(x), x)
    same(slope, torch.tensor([1.0]), 1e-6)
    (slope,) = torch.autograd.grad(torch.compile(lambda x: other(x, torch.ones_like(x)), backend="aot_eager")(x), x)
    torch.testing.assert_close(slope, torch.tensor([-1.9589e-28]), rtol=1e-4, atol=0.0)
    torch._dynamo.reset()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_computes_in_float32(name, dtype):
    """What a linear layer made in half precision is judged in float32, and its gradient comes back in its own type."""
    z, y = example(name, (16, 4), torch.float32)
    mine, torchs = losses(name)
    with torch.autocast("cpu", dtype):
        half = torch.mm(z, torch.eye(4))
        assert half.dtype is dtype
        half.retain_grad()
        loss = mine(half, y)
    loss.backward()
    assert loss.dtype is torch.float32
    assert half.grad.dtype is dtype
    wide = half.detach().double().requires_grad_()
    truth = torchs(wide, y if y.dtype is torch.int64 else y.double())
    few = torch.finfo(dtype).eps
    same(loss.double(), truth, 2e-6)
    torch.testing.assert_close(half.grad.double(), gradient(truth, wide), rtol=2 * few, atol=few / 64)


def test_meta_tensors(name):
    z, y = (each.detach().to("meta") for each in example(name))
    for reduction in ("mean", "none"):
        mine, torchs = losses(name, reduction=reduction)
        found, right = mine(z, y), torchs(z, y)
        assert (found.shape, found.dtype, found.device) == (right.shape, right.dtype, right.device)


def test_weights_in_a_compiled_graph():
    torch._dynamo.reset()
    weight, z = torch.tensor([0.5, 2.0, 1.0]), torch.randn(4, 3)
    y, yes = torch.tensor([0, 2, 1, 1]), (torch.rand(4, 3) < 0.5).float()
    layer = ct.CostLayer("softmax+cross_entropy", class_weight=weight)
    for name, loss, torchs, goal in (
        ("weight", ct.CrossEntropyLoss(weight), nn.CrossEntropyLoss(weight), y),
        ("pos_weight", ct.BCEWithLogitsLoss(pos_weight=weight), nn.BCEWithLogitsLoss(pos_weight=weight), yes),
        ("parts", lambda z, y: torch.div(*layer.sum_and_count(z, y)), nn.CrossEntropyLoss(weight), y),
    ):
        scores = z.clone().requires_grad_()
        found = torch.compile(loss, fullgraph=True, backend="aot_eager")(scores, goal)
        right = torchs(scores, goal)
        torch.testing.assert_close(found, right, msg=name)
        mine, truth = (torch.autograd.grad(each, scores)[0] for each in (found, right))
        torch.testing.assert_close(mine, truth, msg=name)
    torch._dynamo.reset()


def test_two_values_of_one_option_in_compiled_graphs():
    """Of a number that changes torch makes a variable of the graph."""
    torch._dynamo.reset()
    z, y = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    for ours, torchs, goal, several in (
        (ct.CrossEntropyLoss, nn.CrossEntropyLoss, y, [{}, {"label_smoothing": 0.1}, {"label_smoothing": 0.3}]),
        (ct.CrossEntropyLoss, nn.CrossEntropyLoss, y, [{"ignore_index": 1}, {"ignore_index": 2}]),
        (ct.HuberLoss, nn.HuberLoss, torch.zeros(4, 3), [{}, {"delta": 2.0}, {"delta": 0.5}]),
        (ct.SmoothL1Loss, nn.SmoothL1Loss, torch.zeros(4, 3), [{"beta": 0.5}, {"beta": 1.0}, {"beta": 3.0}]),
    ):
        for options in several:
            scores = z.clone().requires_grad_()
            found = torch.compile(ours(**options), fullgraph=True, backend="aot_eager")(scores, goal)
            right = torchs(**options)(scores, goal)
            torch.testing.assert_close(found, right)
            mine, truth = (torch.autograd.grad(each, scores)[0] for each in (found, right))
            torch.testing.assert_close(mine, truth)
    torch._dynamo.reset()


def test_an_option_that_is_none_is_refused_in_compiled_graphs_too():
    torch._dynamo.reset()
    z, y = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    for loss, goal in ((ct.HuberLoss(delta=-1.0), torch.zeros(4, 3)), (ct.CrossEntropyLoss(label_smoothing=2.0), y)):
        with pytest.raises(Exception, match=r"delta|label_smoothing"):
            torch.compile(loss, fullgraph=True, backend="aot_eager")(z, goal)
    torch._dynamo.reset()
