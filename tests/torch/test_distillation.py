"""Distillation against torch's operations written out in float64, and against mpmath where those have no digits."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from mpmath import mp
from test_layer import DOUBLE, gradient, probabilities, same

from costlayer.errors import CostLayerError, InvalidValue, UnsupportedDerivative
from costlayer.torch import DistillationLoss, distillation

T = 2.5


def example(shape=(5, 4), seed=0, dtype=DOUBLE):
    random = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(shape, generator=random, dtype=DOUBLE) for _ in range(2))
    y = torch.randint(shape[1], (shape[0], *shape[2:]), generator=random)
    return student.to(dtype).requires_grad_(), teacher.to(dtype), y


def written_out(student, teacher, y, alpha, smoothing=0.0):
    """The loss of each example, as torch users write it."""
    p, q = (torch.log_softmax(scores / T, 1) for scores in (teacher.detach(), student))
    soft = F.kl_div(q, p, log_target=True, reduction="none").sum(1) * T * T
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, y, reduction="none", label_smoothing=smoothing)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2)], ids=str)
def test_value_and_gradient_are_those_written_out(shape, reduction, alpha):
    student, teacher, label = example(shape)
    for y, smoothing in ((label, 0.0), (label, 0.1), (probabilities(shape), 0.0)):
        truth = written_out(student, teacher, y, alpha, smoothing)
        truth = {"mean": truth.mean(), "sum": truth.sum(), "none": truth}[reduction]
        loss = DistillationLoss(T, alpha, reduction=reduction, label_smoothing=smoothing)(student, teacher, y)
        same(loss, truth)
        upstream = torch.rand_like(truth)
        right = torch.autograd.grad(truth, student, upstream)[0]
        same(torch.autograd.grad(loss, student, upstream)[0], right)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "weighted_mean"])
def test_weights_and_ignored_examples(reduction):
    student, teacher, y = example((6, 4))
    weight = torch.linspace(0.0, 2.0, 6, dtype=DOUBLE)
    own = torch.where(torch.arange(6) == 2, 0.0, weight)
    each = written_out(student, teacher, y, 0.25) * own
    total = {"mean": each.sum() / 5, "sum": each.sum(), "none": each, "weighted_mean": each.sum() / own.sum()}
    y = y.clone()
    y[2] = -100
    bad_student, bad_teacher = student.detach().clone(), teacher.clone()
    bad_student[2, 1], bad_student[0, 0], bad_teacher[2] = torch.nan, -torch.inf, torch.inf  # both are left out
    bad_student.requires_grad_()
    loss = DistillationLoss(T, 0.25, reduction=reduction, ignore_index=-100)(bad_student, bad_teacher, y, weight)
    same(loss, total[reduction])
    same(gradient(loss.sum(), bad_student), gradient(total[reduction].sum(), student))


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2), (4,)], ids=str)
def test_worked_out_in_parts_it_is_the_same(shape, monkeypatch):
    student, teacher, _ = example(shape) if len(shape) > 1 else (each[0] for each in example((1, 4)))
    whole = DistillationLoss(T, 1.0, reduction="none")(student, teacher)
    right = gradient(whole.sum(), student)
    monkeypatch.setattr(distillation, "_PART", 8)
    parts = DistillationLoss(T, 1.0, reduction="none")(student, teacher)
    assert torch.equal(parts, whole)
    assert torch.equal(gradient(parts.sum(), student), right)


def test_of_one_mind_there_is_nothing_to_learn():
    for dtype in (DOUBLE, torch.float32):
        _, teacher, _ = example((64, 50), dtype=dtype)
        teacher[0, :3] = -torch.inf  # classes that both have masked
        student = teacher.clone().requires_grad_()
        loss = DistillationLoss(T, 1.0)(student, teacher)
        assert loss.item() == 0.0
        assert not gradient(loss, student).any()


def true(teacher, student):
    """The divergence and its derivative, in 60 digits."""
    with mp.workdps(60):
        p, q = ([mp.exp(mp.mpf(score) / mp.mpf(T)) for score in scores] for scores in (teacher, student))
        p, q = ([each / mp.fsum(of) for each in of] for of in (p, q))
        value = mp.fsum(a * mp.log(a / b) for a, b in zip(p, q, strict=True)) * T * T
        return float(value), [float((b - a) * T) for a, b in zip(p, q, strict=True)]


@pytest.mark.parametrize("size", [1.0, 30.0])  # of a teacher who hesitates, and one who is sure
@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32])
def test_nearly_of_one_mind_the_digits_are_kept(dtype, size):
    """The divergence goes as the square of what is between the two: written out it is lost from 1e-8 on, or 1e-4."""
    random = torch.Generator().manual_seed(1)
    teacher = size * torch.tensor([1.0, 0.0, -0.5, 0.25, -1.0, 0.125], dtype=dtype)
    for far in (1e-7, 1e-4, 1e-2, 0.5, 3.0, 40.0, 600.0):
        student = (teacher + far * torch.randn(6, generator=random, dtype=dtype)).requires_grad_()
        loss = DistillationLoss(T, 1.0)(student[None], teacher[None])
        value, slope = true(teacher.tolist(), student.tolist())
        few = 16 * torch.finfo(dtype).eps * (1.0 + (size + far) / 4)  # of exponentials of what was rounded
        assert loss.item() == pytest.approx(value, rel=few)
        scale = max(map(abs, slope))
        torch.testing.assert_close(
            gradient(loss, student), torch.tensor(slope, dtype=dtype), rtol=few, atol=few * scale
        )


def test_infinite_scores_give_the_limit():
    teacher = torch.tensor([[0.0, 0.0, -torch.inf]], dtype=DOUBLE)
    student = torch.zeros(1, 3, dtype=DOUBLE, requires_grad=True)
    loss = DistillationLoss(1.0, 1.0)(student, teacher)
    same(loss.item(), float(torch.tensor(1.5, dtype=DOUBLE).log()))  # (½, ½) against (⅓, ⅓, ⅓)
    same(gradient(loss, student), torch.tensor([[-1 / 6, -1 / 6, 1 / 3]], dtype=DOUBLE))
    sure = torch.tensor([[0.0, 0.0, -torch.inf]], dtype=DOUBLE, requires_grad=True)
    assert DistillationLoss(1.0, 1.0)(sure, torch.zeros(1, 3, dtype=DOUBLE)).item() == torch.inf
    nan = torch.full((1, 3), torch.nan, dtype=DOUBLE)
    assert DistillationLoss(1.0, 1.0)(nan, teacher).isnan()


def test_a_score_of_infinity_takes_all():
    """In the limit the likeliest class is sure: who agrees has nothing to learn, and who does not, infinitely much."""
    inf = torch.inf
    teacher = torch.tensor([[inf, 0, 1], [inf, 0, 1], [inf, 0, 1], [0, 0, 1], [inf, inf, 0]], dtype=DOUBLE)
    student = torch.tensor([[inf, 2, 3], [1, 1, 1], [0, inf, 1], [inf, 0, 1], [2, 2, 2]], dtype=DOUBLE)
    student.requires_grad_()
    loss = DistillationLoss(1.0, 1.0, reduction="none")(student, teacher)
    right = torch.tensor([0.0, 3.0, inf, inf, 1.5], dtype=DOUBLE)
    same(loss, torch.where(right < inf, right.log().clamp(min=0), right))
    slope = gradient(loss.sum(), student)
    third = 1 / 3
    same(slope[:2], torch.tensor([[0, 0, 0], [third - 1, third, third]], dtype=DOUBLE))
    same(slope[2], torch.tensor([-1, 1, 0], dtype=DOUBLE))
    same(slope[4], torch.tensor([third - 0.5, third - 0.5, third], dtype=DOUBLE))
    teacher[0, 1] = torch.nan
    assert DistillationLoss(1.0, 1.0)(student[:1], teacher[:1]).isnan()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_every_derivative():
    student, teacher, y = example((3, 4))
    layer, free = DistillationLoss(T, 0.25), student.detach()

    def ours(student):
        return layer(student, teacher, y)

    truth = torch.func.hessian(lambda student: written_out(student, teacher, y, 0.25).mean())(free)
    same(torch.autograd.functional.hessian(ours, free), truth)
    same(torch.func.hessian(ours)(free), truth)
    assert torch.autograd.gradcheck(ours, student)
    along = torch.randn_like(free)
    same(torch.func.jvp(ours, (free,), (along,))[1], (torch.func.grad(ours)(free) * along).sum())
    one = DistillationLoss(T, 0.25, reduction="sum")
    each = torch.func.vmap(torch.func.grad(lambda s, t, y: one(s[None], t[None], y[None])))(free, teacher, y)
    same(each, gradient(one(student, teacher, y), student))
    (first,) = torch.autograd.grad(ours(student), student, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), student, create_graph=True)
    with pytest.raises(UnsupportedDerivative, match="third"):
        torch.autograd.grad(second.sum(), student)


def test_a_compiled_graph():
    student, teacher, y = example()
    layer = DistillationLoss(T, 0.25, ignore_index=-100)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    ours, theirs = layer(student, teacher, y), compiled(student, teacher, y)
    same(ours, theirs)
    same(gradient(ours, student), gradient(theirs, student))
    torch._dynamo.reset()


def test_the_teacher_gets_no_gradient():
    student, teacher, y = example()
    teacher.requires_grad_()
    loss = DistillationLoss(T, 0.25)(student, teacher, y)
    loss.backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0
    assert gradient(DistillationLoss(T, 0.25)(student, student, y), student).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_computed_in_float32(dtype):
    student, teacher, y = example((16, 4), dtype=dtype)
    wide = student.detach().float().requires_grad_()
    layer = DistillationLoss(T, 0.25)
    loss, truth = layer(student, teacher, y), layer(wide, teacher.float(), y)
    assert loss.dtype is torch.float32
    same(loss, truth, 1e-6)
    few = torch.finfo(dtype).eps
    torch.testing.assert_close(gradient(loss, student).float(), gradient(truth, wide), rtol=4 * few, atol=few / 64)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_life_as_a_module(copied):
    layer = DistillationLoss(T, 0.25, ignore_index=-1, empty="nan")
    student, teacher, y = example()
    other = copied(layer)
    assert torch.equal(other(student, teacher, y), layer(student, teacher, y))
    assert not layer.state_dict()
    assert repr(other).startswith("DistillationLoss(\n  temperature=2.5, alpha=0.25, empty='nan'")
    assert layer(student, teacher, torch.full_like(y, -1)).isnan()
    values = DistillationLoss(T, 0.25, reduction="none")(student, teacher, y)
    layer.reduction = "none"  # an option that is changed counts
    assert torch.equal(layer(student, teacher, y), values)
    assert DistillationLoss(T, 0.25, ignore_index=-1)(student, teacher, torch.full_like(y, -1)).item() == 0.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: DistillationLoss(0.0, 0.5), r"^temperature: got 0.0; expected a number in \(0, ∞\)"),
        (lambda: DistillationLoss(2.0, 1.5), r"^alpha: got 1.5; expected a number in \[0, 1\]"),
        (lambda: DistillationLoss(2.0, True), r"^alpha: got True"),
        (lambda: DistillationLoss(2.0, 0.5, reduction="avg"), r"^reduction: got 'avg'"),
        (lambda: DistillationLoss(2.0, 0.5)(torch.zeros(2, 3), torch.zeros(2, 3)), r"^y: got no labels; .*alpha=1"),
        (lambda: DistillationLoss(2.0, 1.0)(torch.zeros(2, 3), torch.zeros(2, 4)), r"^teacher: got shape \(2, 4\)"),
        (lambda: DistillationLoss(2.0, 1.0)(torch.zeros(2, 3), [0.0]), r"^teacher: got list"),
        (lambda: DistillationLoss(2.0, 1.0)(torch.zeros(2, 3), torch.zeros(2).long()), r"^teacher: got torch.int64"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(CostLayerError, match=said):
        call()


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_labels_are_looked_at_even_where_they_do_not_count(alpha):
    z, y = torch.zeros(4, 3), torch.tensor([0, 7, -100, 8])
    with pytest.raises(InvalidValue, match=r"^y\[1\]: got class 7; expected a class from 0 to 2"):
        DistillationLoss(T, alpha, ignore_index=-100)(z, z, y)
    with pytest.raises(InvalidValue, match=r"^y\[2\]: got class -100.*ignore_index=-100"):
        DistillationLoss(T, alpha)(z, z, y, torch.tensor([1.0, 0.0, 1.0, 1.0]))
    with pytest.raises(InvalidValue, match=r"^y\[0\]: got probabilities that add up to 1.5"):
        DistillationLoss(T, alpha)(z, z, torch.full((4, 3), 0.5))


def test_an_empty_batch_may_be_an_error():
    loss = DistillationLoss(T, 1.0, empty="error")
    with pytest.raises(CostLayerError, match="no examples to average"):
        loss(torch.zeros(0, 3), torch.zeros(0, 3))
    assert DistillationLoss(T, 1.0)(torch.zeros(0, 3), torch.zeros(0, 3)).item() == 0.0


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize(
    ("labels", "weight", "match"),
    [
        (torch.zeros(3, dtype=torch.int64), None, "^y: "),
        (torch.zeros(2, dtype=torch.int64), torch.ones(1), "^weight: "),
    ],
)
def test_shapes_that_do_not_fit_are_refused_whatever_counts(alpha, labels, weight, match):
    z = torch.zeros(2, 4)
    with pytest.raises(InvalidValue, match=match):
        DistillationLoss(2.0, alpha, ignore_index=-100)(z, z, labels, weight)
