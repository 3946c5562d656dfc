"""What goes wrong for people with other loss functions: each test is a real thread, named in its docstring."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import costlayer as cl
from costlayer import catalogue
from costlayer.errors import InvalidType, InvalidValue
from costlayer.torch import CostLayer

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's, on first forward mode

INF, NAN = math.inf, math.nan


def by_numpy(pair, z, y, weight=None, reduction="mean", dtype=np.float32):
    z = np.asarray(z, dtype)
    value, delta = cl.value_and_delta(pair, z, np.asarray(y), weight, reduction)
    return np.asarray(value).tolist(), delta.tolist()


def by_torch(pair, z, y, weight=None, reduction="mean", dtype=torch.float32, **options):
    z = torch.tensor(z, dtype=dtype, requires_grad=True)
    loss = CostLayer(pair, reduction=reduction, **options)(z, torch.as_tensor(y), weight)
    loss.sum().backward()
    return loss.tolist(), z.grad.tolist()


@pytest.fixture(params=[by_numpy, by_torch], ids=["numpy", "torch"])
def evaluate(request):
    """Value and δ as lists, from each front."""
    return request.param


def test_a_sure_and_wrong_score_keeps_its_gradient(evaluate):
    """pytorch#24933, pytorch#103316: BCELoss on clamped probabilities sends back −2.4e-11 instead of −0.125."""
    value, delta = evaluate("sigmoid+cross_entropy", [-50.0] * 8, [1.0] * 8)
    assert value == 50.0
    assert delta == [-0.125] * 8
    value, delta = evaluate("softmax+cross_entropy", [[-50.0, 0.0, -1000.0]] * 8, [0] * 8)
    assert value == 50.0
    assert delta == [[-0.125, 0.125, 0.0]] * 8


@pytest.mark.parametrize(
    ("z", "y", "value", "delta"),
    [(INF, 1.0, 0.0, 0.0), (-INF, 0.0, 0.0, 0.0), (INF, 0.0, INF, 1.0), (-INF, 1.0, INF, -1.0), (INF, 0.5, INF, 0.5)],
)
def test_infinite_logits_give_the_limit(evaluate, z, y, value, delta):
    """pytorch#102894, pytorch#49844: ±inf logits give NaN."""
    assert evaluate("sigmoid+cross_entropy", [z], [y], reduction="sum") == (value, [delta])


@pytest.mark.parametrize(
    ("z", "y", "value", "delta"),
    [
        ([-INF, 0.0, 0.0], 1, math.log(2), [0.0, -0.5, 0.5]),
        ([-INF, 0.0, 0.0], 0, INF, [-1.0, 0.5, 0.5]),
        ([INF, 0.0, 0.0], 0, 0.0, [0.0, 0.0, 0.0]),
        ([INF, 0.0, 0.0], 2, INF, [1.0, 0.0, -1.0]),
        ([-INF, -INF, 0.0], 2, 0.0, [0.0, 0.0, 0.0]),
    ],
)
@pytest.mark.parametrize("form", ["index", "probabilities"])
def test_infinite_logits_of_a_row_give_the_limit(evaluate, z, y, value, delta, form):
    """pytorch#102894, pytorch#49844: masked classes, with logits of −inf, give NaN."""
    target = [y] if form == "index" else np.eye(3, dtype=np.float32)[[y]]
    found, slope = evaluate("softmax+cross_entropy", [z], target, reduction="sum")
    assert found == pytest.approx(value, rel=1e-6)
    assert slope == [pytest.approx(delta, abs=1e-7)]


@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "softmax+cross_entropy", "identity+mse"])
def test_autocast_computes_in_float32(name):
    """pytorch#61098: BCELoss is refused under autocast, and unsafe where it is not."""
    torch.manual_seed(0)
    network, layer, x = nn.Linear(6, 4), CostLayer(name), torch.randn(32, 6)
    y = torch.randint(4, (32,)) if layer.pair.row else torch.randint(2, (32, 4)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = network(x)
        loss = layer(z, y)
    assert z.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == layer(z.detach().float(), y).item()
    loss.backward()
    assert network.weight.grad.dtype == torch.float32
    truth = nn.Linear(6, 4)
    truth.load_state_dict(network.state_dict())
    layer(truth(x), y).backward()
    torch.testing.assert_close(network.weight.grad, truth.weight.grad, rtol=0.03, atol=0.003)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "sum"])
@pytest.mark.parametrize("name", ["softmax+cross_entropy", "sigmoid+cross_entropy"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_every_example_ignored(name, reduction, smoothing):
    """pytorch#70348, pytorch#75181: a batch of ignored examples gives NaN, and the network is lost."""
    shape = (3, 2) if name.startswith("softmax") else (3,)
    z, y = torch.randn(shape, requires_grad=True), torch.full((3,), -100)
    options = {"reduction": reduction, "ignore_index": -100, "label_smoothing": smoothing}
    loss = CostLayer(name, **options)(z, y)
    loss.backward()
    assert loss.item() == 0.0
    assert z.grad.count_nonzero() == 0
    if reduction == "sum":
        return
    loss = CostLayer(name, empty="nan", **options)(z, y)
    assert loss.isnan()
    with pytest.raises(InvalidValue, match=r"no examples .* all of them ignored"):
        CostLayer(name, empty="error", **options)(z, y)


def test_an_empty_batch():
    """pytorch#70348: the mean of no examples; NumPy's users, who train nothing, get the error."""
    z = torch.zeros(0, 3, requires_grad=True)
    loss = CostLayer("softmax+cross_entropy")(z, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert z.grad.shape == (0, 3)
    with pytest.raises(InvalidValue, match="no examples"):
        cl.value("softmax+cross_entropy", np.zeros((0, 3)), np.zeros(0, int))


@pytest.mark.parametrize("poison", [-INF, INF, NAN])
@pytest.mark.parametrize(
    ("by", "smoothing"),
    [("ignore_index", 0.0), ("ignore_index", 0.1), ("weight", 0.0), ("weight", 0.1), ("class_weight", 0.0)],
)
def test_examples_left_out_do_no_harm(poison, by, smoothing):
    """pytorch#11551, optax#1762: masked rows with −inf or NaN logits still give NaN gradients."""
    clean = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0]])
    z = torch.cat([clean[:1], torch.full((1, 3), poison), clean[1:]]).requires_grad_()
    y, weight, options = torch.tensor([1, 0, 2]), None, {}
    if by == "ignore_index":
        options = {"ignore_index": 0}
    elif by == "weight":
        weight = torch.tensor([1.0, 0.0, 1.0])
    else:
        options = {"class_weight": torch.tensor([0.0, 1.0, 1.0])}
    layer = CostLayer("softmax+cross_entropy", reduction="weighted_mean", label_smoothing=smoothing, **options)
    loss = layer(z, y, weight)
    loss.backward()
    rest = clean.requires_grad_()
    truth = F.cross_entropy(rest, torch.tensor([1, 2]), label_smoothing=smoothing)
    truth.backward()
    torch.testing.assert_close(loss, truth)
    assert z.grad[1].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(z.grad[[0, 2]], rest.grad)
    direction = torch.tensor([[1.0, 2.0, 3.0]] * 3)  # forward mode too
    value, slope = torch.func.jvp(lambda z: layer(z, y, weight), (z.detach(),), (direction,))
    torch.testing.assert_close((value, slope), (truth, (rest.grad * direction[:2]).sum()))


@pytest.mark.parametrize("poison", [-INF, INF, NAN])
@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "identity+mse", "exp+poisson"])
def test_elements_left_out_do_no_harm(evaluate, name, poison):
    """optax#1762: the same for a mask over single scores, bad targets under it included."""
    value, delta = evaluate(name, [poison, 0.0], [NAN, 1.0], np.array([0.0, 1.0]), reduction="none")
    assert value[0] == delta[0] == 0.0
    assert ([value[1]], [delta[1]]) == evaluate(name, [0.0], [1.0], reduction="none")


@pytest.mark.parametrize("poison", [0.0, 1.0, NAN, -1.0])
def test_padding_needs_no_distribution(evaluate, poison):
    """optax#1762: the targets of padded rows are no distributions, and need not be."""
    z = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0]])
    y = np.array([[0.2, 0.3, 0.5], [poison] * 3])
    value, delta = evaluate("softmax+cross_entropy", z, y, np.array([1.0, 0.0]), "sum")
    truth, slope = evaluate("softmax+cross_entropy", z[:1], y[:1], None, "sum")
    assert (value, delta) == (truth, [*slope, [0.0, 0.0, 0.0]])
    with pytest.raises(InvalidValue, match=r"y\[1"):
        evaluate("softmax+cross_entropy", z, y, np.array([1.0, 1.0]), "sum")


def test_the_denominator_of_a_weighted_mean_is_a_choice(evaluate):
    """pytorch#25571, keras#19740: nobody knows by what a weighted mean divides."""
    z, y, weight = [1.0, 2.0, 4.0], [0.0, 0.0, 0.0], np.array([1.0, 0.0, 3.0])
    total = 1.0 * 1 + 16.0 * 3
    assert evaluate("identity+mse", z, y, weight, "sum") == (total, [2.0, 0.0, 24.0])
    value, delta = evaluate("identity+mse", z, y, weight, "mean")  # the number of examples
    assert value == pytest.approx(total / 3)
    assert delta == pytest.approx([2 / 3, 0.0, 8.0])
    value, delta = evaluate("identity+mse", z, y, weight, "weighted_mean")  # the sum of the weights
    assert value == total / 4
    assert delta == [0.5, 0.0, 6.0]


@pytest.mark.parametrize("name", ["sigmoid+cross_entropy", "softmax+cross_entropy"])
def test_counts_are_carried_and_may_be_zero(name):
    """coral-pytorch#22, pytorch-metric-learning#107: divided by the wrong count, or by one of zero, which gives NaN."""
    shape = (3, 2) if name.startswith("softmax") else (3,)
    z, y = torch.randn(shape, generator=torch.Generator().manual_seed(5), requires_grad=True), torch.tensor([1, -1, 1])
    layer = CostLayer(name, ignore_index=-1)
    total, count = layer.sum_and_count(z, y)
    assert count.item() == 2.0
    torch.testing.assert_close(total / count, layer(z, y))
    total, count = layer.sum_and_count(z, torch.full((3,), -1))
    assert (total.item(), count.item()) == (0.0, 0.0)
    total.backward()
    assert z.grad.count_nonzero() == 0


def test_the_denominator_with_class_weights_is_their_sum():
    """pytorch#25571: `mean` with class weights divides by the weights of the classes that occur and are kept."""
    z, y = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2, 2, -100])
    class_weight = torch.tensor([1.0, 5.0, 3.0])
    loss = CostLayer("softmax+cross_entropy", class_weight=class_weight, ignore_index=-100)(z, y)
    each = F.cross_entropy(z[:3], y[:3], reduction="none")
    torch.testing.assert_close(loss, (each * torch.tensor([1.0, 3.0, 3.0])).sum() / 7)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("target", ["index", "probabilities"])
def test_class_weights_and_label_smoothing(reduction, target):
    """pytorch#104776, Megatron-LM#737: in which order class weights and label smoothing apply; here as in torch."""
    random = torch.Generator().manual_seed(1)
    z = torch.randn(6, 4, dtype=torch.float64, generator=random, requires_grad=True)
    y = torch.tensor([0, 1, 2, 3, 3, 1])
    if target == "probabilities":
        y = torch.softmax(torch.randn(6, 4, dtype=torch.float64, generator=random), 1)
    class_weight = torch.tensor([0.2, 1.0, 3.0, 0.0], dtype=torch.float64)
    options = {"reduction": reduction, "label_smoothing": 0.3}
    loss = CostLayer("softmax+cross_entropy", class_weight=class_weight, **options)(z, y)
    truth = F.cross_entropy(z, y, class_weight, **options)
    torch.testing.assert_close(loss, truth, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad(cost.sum(), z)[0] for cost in (loss, truth))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("scores", "targets"), [((4,), (4, 1)), ((4, 1), (4,)), ((4, 1), (1, 4)), ((4,), ())])
@pytest.mark.parametrize("name", ["identity+mse", "sigmoid+cross_entropy"])
def test_shapes_are_never_broadcast(evaluate, name, scores, targets):
    """pytorch#16045, tensorflow#30040: (N,) against (N, 1) becomes (N, N), and trains, badly."""
    with pytest.raises(InvalidValue, match="shape") as caught:
        evaluate(name, np.zeros(scores), np.zeros(targets))
    assert str(targets) in caught.value.got
    assert str(scores) in caught.value.got
    if targets:
        assert "Reshape" in caught.value.fix


def test_a_weight_is_never_broadcast_over_trailing_axes(evaluate):
    """pytorch#16045: a weight of (4,) for scores (3, 4) would weigh the columns."""
    with pytest.raises(InvalidValue, match="weight"):
        evaluate("identity+mse", np.zeros((3, 4)), np.zeros((3, 4)), np.ones(4))


def test_class_index_and_probability_are_told_apart_by_type(evaluate):
    """pytorch#137188, pytorch#56542: class index or probability is guessed from the shape."""
    z = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [0.3, 0.2, 0.1]])
    index, probability = np.array([2, 0, 1]), np.eye(3)[[2, 0, 1]]
    by_index, by_probability = (evaluate("softmax+cross_entropy", z, y) for y in (index, probability))
    assert by_index[0] == pytest.approx(by_probability[0], rel=1e-6)
    for y, fix in ((index.astype(float), "integers"), (probability.astype(int), "floats")):
        with pytest.raises(InvalidValue, match="shape") as caught:
            evaluate("softmax+cross_entropy", z, y)
        assert fix in caught.value.fix
    with pytest.raises(InvalidType, match="class indices"):
        evaluate("softmax+cross_entropy", z, np.array([True, False, True]))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_target_out_of_range_is_named(evaluate, reduction):
    """pytorch#18014, pytorch#21825: a device assert, with neither index nor value."""
    for bad, value in (([1, 7, -5], "class 7"), ([1, -1, 9], "class -1")):
        with pytest.raises(InvalidValue, match=r"y\[1\]") as caught:
            evaluate("softmax+cross_entropy", np.zeros((3, 4)), np.array(bad), reduction=reduction)
        assert caught.value.got == value
        assert "from 0 to 3" in caught.value.expected
    with pytest.raises(InvalidValue, match=r"y\[1, 2\]: got class 4"):
        evaluate("softmax+cross_entropy", np.zeros((2, 4, 3)), np.array([[0, 1, 2], [3, 0, 4]]), reduction=reduction)
    with pytest.raises(InvalidValue, match=r"y\[1, 0\]: got 1\.5; expected a target in \[0, 1\]"):
        evaluate("sigmoid+cross_entropy", np.zeros((2, 2)), np.array([[0, 1], [1.5, 2]]), reduction=reduction)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_the_loss_of_half_precision_scores_is_float32(dtype):
    """optax#1020, Modalities#464: a loss summed in bfloat16 sits on a grid of 0.25."""
    random = torch.Generator().manual_seed(2)
    z = (20 * torch.randn(512, 50, generator=random)).to(dtype).requires_grad_()
    y = torch.randint(50, (512,), generator=random)
    loss = CostLayer("softmax+cross_entropy")(z, y)
    truth = F.cross_entropy(z.detach().double(), y)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(truth.item(), rel=1e-6)
    assert loss.item() != loss.to(dtype).item()


UPSTREAM = {
    "ones": lambda shape: torch.ones(shape).double(),
    "different": lambda shape: torch.arange(6.0).double().view(shape),
    "every third": lambda shape: torch.arange(18.0).double()[::3].view(shape),
    "transposed": lambda shape: torch.arange(6.0).double().view(shape[::-1]).permute(*reversed(range(len(shape)))),
    "stride 0": lambda shape: torch.tensor(2.5).double().expand(shape),
    "stride 0 by column": lambda shape: torch.arange(1.0, shape[-1] + 1).double().expand(shape),
    "with zeros": lambda shape: (torch.arange(6) % 2).double().view(shape),
}


@pytest.mark.parametrize("upstream", UPSTREAM)
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 2)], ids=str)
def test_reduction_none_with_any_upstream_gradient(upstream, shape):
    """Liger-Kernel#968, #678, #488: with reduction none the gradients are wrong or zero.

    TransformerEngine#2734: a broadcast upstream gradient, of stride 0, gives garbage.
    """
    random = torch.Generator().manual_seed(3)
    z = torch.randn(shape, dtype=torch.float64, generator=random, requires_grad=True)
    y = torch.randint(4, (shape[0], *shape[2:]), generator=random)
    given = UPSTREAM[upstream](y.shape)
    points = torch.randn(y.shape, dtype=torch.float64, generator=random, requires_grad=True)
    goals = torch.rand(y.shape, dtype=torch.float64, generator=random)
    for pair, scores, targets, theirs in (
        ("softmax+cross_entropy", z, y, F.cross_entropy),
        ("sigmoid+cross_entropy", points, goals, F.binary_cross_entropy_with_logits),
    ):
        loss = CostLayer(pair, reduction="none")(scores, targets)
        truth = theirs(scores, targets, reduction="none")
        (ours,), (right,) = (torch.autograd.grad(cost, scores, given) for cost in (loss, truth))
        torch.testing.assert_close(ours, right, rtol=1e-12, atol=1e-12)


def test_a_sum_of_reduction_none_has_a_stride_0_upstream_gradient():
    """TransformerEngine#2734: the way it happens in practice, `loss.sum().backward()`."""
    z = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 2, 0, 1])
    CostLayer("softmax+cross_entropy", reduction="none")(z, y).mean().backward()
    truth = torch.autograd.grad(F.cross_entropy(z, y), z)[0]
    torch.testing.assert_close(z.grad, truth, rtol=1e-12, atol=1e-12)


def test_other_users_of_the_logits_see_them_unchanged():
    """Liger-Kernel#272, #343: the gradient is written over the logits, and a z-loss or a metric reads it as scores."""
    w = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 2, 3, 0, 1])
    grads = []
    for cost in (CostLayer("softmax+cross_entropy"), F.cross_entropy):
        z = w * 2
        before = z.detach().clone()
        total = cost(z, y) + 0.1 * torch.logsumexp(z, 1).square().mean()
        accuracy_before = (z.argmax(1) == y).double().mean()
        total.backward(retain_graph=True)
        assert torch.equal(z, before)
        assert (z.argmax(1) == y).double().mean() == accuracy_before
        grads.append(w.grad.clone())
        w.grad = None
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["softmax+cross_entropy", "sigmoid+cross_entropy", "identity+mse"])
def test_non_contiguous_logits(name):
    """Liger-Kernel 0.8.5: for non-contiguous logits the gradient returned is the logits, without an error."""
    wide = torch.randn(6, 4, 10, dtype=torch.float64)
    z = wide.permute(2, 0, 1)[::2, 1:5, 0].requires_grad_()
    assert not z.is_contiguous()
    y = torch.randint(4, (5,)) if name.startswith("softmax") else torch.rand(5, 4, dtype=torch.float64)
    loss = CostLayer(name)(z, y)
    theirs = {
        "softmax+cross_entropy": F.cross_entropy,
        "sigmoid+cross_entropy": F.binary_cross_entropy_with_logits,
        "identity+mse": F.mse_loss,
    }[name]
    torch.testing.assert_close(loss, theirs(z, y), rtol=1e-12, atol=1e-12)
    ours, truth = (torch.autograd.grad(cost, z)[0] for cost in (loss, theirs(z, y)))
    torch.testing.assert_close(ours, truth, rtol=1e-12, atol=1e-12)
    assert not torch.equal(ours, z)


def test_negative_strides_of_numpy():
    """Liger-Kernel 0.8.5, and `from_dlpack`, which aborts the process: NumPy's reversed and stepped views."""
    z, y = np.arange(12.0).reshape(3, 4)[::-1, ::-1], np.array([3, 1, 0])[::-1]
    value, delta = cl.value_and_delta("softmax+cross_entropy", z, y)
    truth, right = cl.value_and_delta("softmax+cross_entropy", z.copy(), y.copy())
    assert value == truth
    assert np.array_equal(delta, right)
    assert CostLayer("softmax+cross_entropy")(torch.from_numpy(z.copy()), y).item() == truth


@pytest.mark.parametrize("name", ["exp+poisson", "softplus+poisson", "exp+gamma"])
def test_counts_and_amounts_below_zero_are_refused(evaluate, name):
    """pytorch#184030: PoissonNLLLoss takes negative rates and targets, and gives a number."""
    with pytest.raises(InvalidValue, match=r"y\[1\]: got -1\.0") as caught:
        evaluate(name, [0.0, 0.0], np.array([1.0, -1.0]))
    assert "∞" in caught.value.expected
    with pytest.raises(InvalidValue, match="exp"):  # a rate that may be negative is no pair
        CostLayer("identity+poisson")


def test_a_divergence_is_not_negative(evaluate):
    """pytorch#60928, pytorch#2259: KLDivLoss is below 0 where its input is no logarithm of a distribution, or its
    target no distribution: here scores go in, and targets are looked at."""
    random = np.random.default_rng(8)
    y = random.dirichlet(np.ones(5), 64).astype(np.float32)
    found, _ = evaluate("softmax+kl", 3 * random.normal(size=(64, 5)), y, reduction="none")
    assert min(found) > 0.0
    assert evaluate("softmax+kl", np.log(y) + 7.0, y)[0] == pytest.approx(0.0, abs=1e-6)  # the scores need no scale
    for wrong, index in ((np.log(y), r"y\[0, 0\]"), (3.0 * y, r"y\[0"), (0.5 * y, r"y\[0\]")):
        with pytest.raises(InvalidValue, match=index):
            evaluate("softmax+kl", np.zeros((64, 5)), wrong)


def test_the_mean_of_divergences_is_that_of_the_examples(evaluate):
    """pytorch#60928, pytorch#2259: `mean` divides by the elements there, and is no divergence; "batchmean" is."""
    random = np.random.default_rng(9)
    z, y = random.normal(size=(6, 5)), random.dirichlet(np.ones(5), 6)
    y[0] = [0.0, 1.0, 0.0, 0.0, 0.0]  # what has no probability costs nothing
    scores = torch.tensor(z.astype(np.float32), requires_grad=True)
    truth = F.kl_div(torch.log_softmax(scores.double(), 1), torch.tensor(y), reduction="batchmean")
    truth.backward()
    value, delta = evaluate("softmax+kl", z, y.astype(np.float32))
    assert value == pytest.approx(truth.item(), rel=1e-6)
    np.testing.assert_allclose(delta, scores.grad.numpy(), rtol=1e-5, atol=1e-7)
    with pytest.raises(InvalidValue, match=r"'batchmean'.*one of mean, sum"):
        evaluate("softmax+kl", z, y, reduction="batchmean")


def test_a_divergence_from_masked_classes(evaluate):
    """pytorch#60928: 0 ln 0 is NaN, where a target has no probability for a class, or the scores leave it none."""
    value, delta = evaluate("softmax+kl", [[0.0, 0.0, -INF]], np.array([[0.5, 0.5, 0.0]], np.float32))
    assert (value, delta) == (0.0, [[0.0, 0.0, 0.0]])
    value, _ = evaluate("softmax+kl", [[0.0, 0.0, -INF]], np.array([[0.5, 0.25, 0.25]], np.float32))
    assert value == INF


@pytest.mark.parametrize("name", ["sigmoid+focal", "sigmoid+asymmetric"])
@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_powers_below_1_give_no_nan(evaluate, name, gamma):
    """optax#1267, kornia#918: focal losses are NaN at γ = 0, or at γ < 1 where a score is sure. See also test_focal."""
    pair = catalogue.build(
        name, {"gamma": gamma} if name == "sigmoid+focal" else {"gamma_pos": gamma, "gamma_neg": gamma}
    )
    z, y = [-1e4, -90.0, 0.0, 90.0, 1e4] * 2, [0.0] * 5 + [1.0] * 5
    value, delta = evaluate(pair, z, y, reduction="none")
    assert np.isfinite(value).all()
    assert np.isfinite(delta).all()
    assert delta[5] < -0.2  # what is sure and wrong still pulls
    assert abs(delta[9]) == 0.0


@pytest.mark.parametrize(
    ("name", "y", "prediction"),
    [
        ("sigmoid+cross_entropy", [1.0, 0.0, 0.0, 0.0], 0.25),
        ("exp+poisson", [0.0, 3.0, 5.0, 12.0], 5.0),
        ("exp+gamma", [0.5, 1.5, 2.5, 3.5], 2.0),
        ("identity+mse", [100.0, 101.0, 99.0, 104.0], 101.0),
        ("identity+mae", [1.0, 2.0, 3.0, 100.0], 2.5),
    ],
)
def test_training_starts_from_the_best_constant(name, y, prediction):
    """LightGBM#3312, #7193: a custom objective loses the initial score, and starts from 0."""
    layer, y = CostLayer(name), torch.tensor(y)
    score = layer.constant(y)
    assert layer.predict(score).item() == pytest.approx(prediction, rel=1e-5)
    network = nn.Linear(2, 1)
    nn.init.zeros_(network.weight)
    nn.init.constant_(network.bias, score.item())
    layer(network(torch.randn(4, 2)).squeeze(1), y).backward()
    assert network.bias.grad.item() == pytest.approx(0.0, abs=1e-5)
    assert torch.equal(score, torch.as_tensor(cl.constant(name, y.numpy()), dtype=score.dtype))


def test_there_is_no_from_logits_switch():
    """keras-hub#1008: a `from_logits` that does not match the network trains silently, and badly."""
    with pytest.raises(InvalidValue, match="from_logits"):
        CostLayer("sigmoid+cross_entropy", from_logits=True)
    z = torch.tensor([[0.0, math.log(3.0)]])
    torch.testing.assert_close(CostLayer("softmax+cross_entropy").predict(z), torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(CostLayer("sigmoid+cross_entropy").predict(z), torch.tensor([[0.5, 0.75]]))
    # scores in: probabilities of identity+cross_entropy, the other half of the confusion, are no pair
    with pytest.raises(InvalidValue, match=r"sigmoid\+cross_entropy"):
        CostLayer("identity+cross_entropy")


def test_a_score_that_is_sure_and_right_keeps_its_digits(evaluate):
    """arXiv 2501.04697: `logsumexp − z_t` and `p_t − 1` are 0 in float32 from a margin of 17 on; training stalls."""
    value, delta = evaluate("softmax+cross_entropy", [[20.0, 0.0]], [0])
    assert value == pytest.approx(math.exp(-20), rel=1e-6)
    assert delta[0] == pytest.approx([-math.exp(-20), math.exp(-20)], rel=1e-6)
    value, delta = evaluate("sigmoid+cross_entropy", [63.8], [1.0])
    assert delta == pytest.approx([-math.exp(-63.8)], rel=1e-5)
