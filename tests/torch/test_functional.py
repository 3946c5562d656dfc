"""costlayer.torch.functional and the loss classes answer as torch's own do, in value, gradient, type, shape and error.

The truth is torch's function of the same numbers in float64.
"""

import copy
import inspect
import pickle

import pytest
import torch
import torch.nn.functional as F

import costlayer.torch as ct
from costlayer.torch import functional as ours
from covering import any_two

pytestmark = [
    pytest.mark.filterwarnings("ignore::costlayer.errors.SaturationWarning"),
    pytest.mark.filterwarnings("ignore:.*size_average and reduce args will be deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:Using a target size:UserWarning"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning"),
]

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 6e-3, torch.bfloat16: 2e-2}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
SHAPES = [(), (4,), (0,), (3, 5), (1, 5), (0, 5), (2, 3, 2, 2)]
ROWS = [(4,), (3, 5), (1, 5), (0, 5), (2, 3, 2, 2)]
REDUCTIONS = ["mean", "sum", "none"]


def each_with_each(shapes):
    """Shapes, types and reductions, any two of them together."""
    return pytest.mark.parametrize(("shape", "dtype", "reduction"), any_two(shapes, [*TOLERANCE], REDUCTIONS), ids=str)


def draw(shape, dtype, kind="real", seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    found = {"real": x, "unit": x.sigmoid(), "bit": (x > 0).double(), "sign": x.sign(), "count": x.abs().floor()}[kind]
    return found.to(dtype)


def answer(function, z, y, **options):
    """Value and gradient, or the type of the error."""
    z = z.detach().requires_grad_() if z.is_floating_point() else z
    try:
        value = function(z, y, **options)
        (slope,) = torch.autograd.grad(value, z, torch.linspace(1, 2, value.numel()).to(value).reshape(value.shape))
    except Exception as error:
        return error
    return value.detach(), slope


def agree(name, z, y, **options):
    """Ours against torch's on float64 numbers, in the type that torch's has."""
    found, kept = answer(getattr(ours, name), z, y, **options), answer(getattr(F, name), z, y, **options)
    if isinstance(kept, Exception):
        assert type(found) is type(kept), (found, kept)
        return
    assert not isinstance(found, Exception), found
    exact = answer(
        getattr(F, name), *(wide(given) for given in (z, y)), **{key: wide(given) for key, given in options.items()}
    )
    if isinstance(exact, Exception):  # torch has no such mixture of types
        exact = kept
    if kept[0].ndim == 0 and kept[0].isnan():  # a mean of nothing, whose gradient is nothing
        exact = exact[0], exact[1].nan_to_num(0.0)
    few = max(TOLERANCE.get(given.dtype, 0.0) for given in (z, y, kept[0]))
    for mine, theirs, true in zip(found, kept, exact, strict=True):
        assert (mine.shape, mine.dtype, mine.device) == (theirs.shape, theirs.dtype, theirs.device)
        torch.testing.assert_close(mine.double(), true.double(), rtol=few, atol=few / 10, equal_nan=True)


def wide(given):
    return given.double() if isinstance(given, torch.Tensor) and given.is_floating_point() else given


POINTWISE = {
    "l1_loss": ("real", [{}]),
    "mse_loss": ("real", [{}]),
    "smooth_l1_loss": ("real", [{}, {"beta": 0.3}, {"beta": 0.0}]),
    "huber_loss": ("real", [{}, {"delta": 0.4}]),
    "binary_cross_entropy_with_logits": ("unit", [{}]),
    "poisson_nll_loss": ("count", [{}, {"full": True}, {"log_input": False, "eps": 1e-3}]),
    "soft_margin_loss": ("sign", [{}]),
    "hinge_embedding_loss": ("sign", [{}, {"margin": 0.5}]),
}


@each_with_each(SHAPES)
@pytest.mark.parametrize("name", POINTWISE)
def test_losses_of_single_scores(name, shape, reduction, dtype):
    kind, variants = POINTWISE[name]
    for options in variants:
        agree(name, draw(shape, dtype), draw(shape, dtype, kind, 1), reduction=reduction, **options)


@pytest.mark.parametrize("name", POINTWISE)
def test_odd_inputs_of_single_scores(name):
    kind, _ = POINTWISE[name]
    z, y = draw((4, 6), torch.float32), draw((4, 6), torch.float32, kind, 1)
    for a, b in [
        (z.T, y.T),
        (z[:, ::2], y[:, ::2]),
        (z.flip(0), y.flip(0)),
        (z[:1].expand(4, 6), y[:1].expand(4, 6)),
        (z, y[:1]),  # torch broadcasts
        (z, y.double()),
        (z, y.long()),
        (z, y.half()),
        (z, y[:, :3]),  # and refuses
        (z, y.reshape(6, 4)),
        (z.long(), y),
        (z, y * 3 - 1),  # targets that a pair would refuse
    ]:
        agree(name, a, b)


@pytest.mark.parametrize(
    ("name", "z", "y", "value"),
    [
        (
            "binary_cross_entropy_with_logits",
            [torch.inf, torch.inf, -torch.inf],
            [1.0, 0.0, 0.0],
            [0.0, torch.inf, 0.0],
        ),
        ("poisson_nll_loss", [-torch.inf, torch.inf], [0.0, 1.0], [0.0, torch.inf]),
    ],
)
def test_infinite_scores_have_limits_where_torch_has_no_number(name, z, y, value):
    z, y = torch.tensor(z), torch.tensor(y)
    assert getattr(ours, name)(z, y, reduction="none").tolist() == value
    assert not getattr(F, name)(z, y).isfinite()


def test_soft_margins_have_limits_where_torch_has_no_number():
    z, y = torch.tensor([1e4, -1e4, torch.inf, -torch.inf]), torch.tensor([-1.0, -1.0, -1.0, 1.0])
    value, slope = answer(ours.soft_margin_loss, z, y, reduction="none")
    assert value.tolist() == [1e4, 0.0, torch.inf, torch.inf]
    assert (slope / torch.linspace(1, 2, 4)).tolist() == [1.0, 0.0, 1.0, -1.0]
    assert not F.soft_margin_loss(z, y, reduction="none").isfinite()[0]


@DTYPES
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "huber_loss"])
def test_weights_of_single_scores(name, reduction, dtype):
    z, y, weight = draw((3, 5), dtype), draw((3, 5), dtype, seed=1), draw((3, 5), dtype, "unit", 2)
    for each in (weight, weight * 0, weight.clone().index_fill_(0, torch.tensor([1]), 0.0)):
        agree(name, z, y, weight=each, reduction=reduction)


@DTYPES
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("soft", ["unit", "bit"])
def test_binary_cross_entropy_with_every_weight(soft, reduction, dtype):
    z, y = draw((3, 5), dtype), draw((3, 5), dtype, soft, 1)
    whole, few, one = draw((3, 5), dtype, "unit", 2), draw((5,), dtype, "unit", 3) * 4, torch.tensor(3.0, dtype=dtype)
    for options in (
        {"weight": whole},
        {"weight": few},
        {"pos_weight": few},
        {"pos_weight": one},
        {"pos_weight": whole},
        {"weight": whole, "pos_weight": few},
        {"weight": whole * 0},
        {"pos_weight": few * 0},
        {"weight": draw((4,), dtype)},
        {"pos_weight": draw((4,), dtype)},
    ):
        agree("binary_cross_entropy_with_logits", z, y, reduction=reduction, **options)


@each_with_each(ROWS)
def test_cross_entropy_with_every_option(shape, reduction, dtype):
    z, axis = draw(shape, dtype), min(1, len(shape) - 1)
    classes = shape[axis]
    label = torch.randint(classes, shape[:axis] + shape[axis + 1 :], generator=torch.Generator().manual_seed(1))
    soft, weight = torch.softmax(draw(shape, torch.float64, seed=2), axis).to(dtype), draw((classes,), dtype, "unit", 3)
    ignored = torch.where(label == 0, -100, label)
    for options in (
        {},
        {"label_smoothing": 0.1},
        {"weight": weight},
        {"weight": weight, "label_smoothing": 0.2},
        {"weight": weight * 0},
    ):
        for y in (label, ignored, soft):
            agree("cross_entropy", z, y, reduction=reduction, **options)
        agree("cross_entropy", z, label, ignore_index=0, reduction=reduction, **options)
        agree("cross_entropy", z, torch.full_like(label, -100), reduction=reduction, **options)


def test_odd_inputs_of_cross_entropy():
    z = draw((6, 6), torch.float32)
    y = torch.tensor([0, 1, 2, 3, 4, 5])
    for a, b in [
        (z.T, y),
        (z[:, ::2], y % 3),
        (z.flip(1), y.flip(0)),
        (z[:1].expand(6, 6), y),
        (z, y.int()),
        (z, y.to(torch.uint8)),
        (z, y.float()),
        (z, y + 1),  # class 6 is not there
        (z, y[:4]),
        (z.long(), y),
        (z.reshape(6, 2, 3), y),
        (z.reshape(2, 3, 6), torch.zeros(2, 6, dtype=torch.long)),
        (z, torch.softmax(z.double(), 1)),
        (torch.where(z > 1.5, -torch.inf, z), y),
        (z * 1e30, y),
    ]:
        agree("cross_entropy", a, b)
    with_nan = z.clone()
    with_nan[2] = torch.nan
    with_nan[3, 0] = -torch.inf
    y = torch.tensor([0, 1, -100, -100, 4, 5])
    value, slope = answer(ours.cross_entropy, with_nan, y)
    kept = y != -100
    torch.testing.assert_close(value, F.cross_entropy(z[kept], y[kept]))
    assert slope.isfinite().all()
    assert not slope[~kept].any()


@DTYPES
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_several_labels(reduction, dtype):
    z, weight = draw((3, 5), dtype), draw((5,), dtype, "unit", 2)
    agree("multilabel_soft_margin_loss", z, draw((3, 5), dtype, "bit", 1), reduction=reduction)
    agree("multilabel_soft_margin_loss", z, draw((3, 5), dtype, "bit", 1), weight=weight, reduction=reduction)
    for options in ({}, {"p": 2}, {"margin": 0.5}, {"weight": weight}):
        agree("multi_margin_loss", z, torch.tensor([0, 4, 2]), reduction=reduction, **options)
    labels = torch.tensor([[0, 2, -1, 0, 0], [3, -1, 0, 0, 0], [-1, 0, 0, 0, 0]])
    agree("multilabel_margin_loss", z, labels, reduction=reduction)


@pytest.mark.parametrize("legacy", [(a, b) for a in (None, True, False) for b in (None, True, False)], ids=str)
@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits", "cross_entropy"])
def test_the_older_words_for_reductions(name, legacy):
    z = draw((3, 5), torch.float32)
    y = torch.tensor([0, 1, 4]) if name == "cross_entropy" else draw((3, 5), torch.float32, "bit", 1)
    agree(name, z, y, size_average=legacy[0], reduce=legacy[1])


def test_a_gradient_by_the_targets_is_torchs_own():
    z, y = draw((4,), torch.float64), draw((4,), torch.float64, "unit", 1).requires_grad_()
    for name in ("mse_loss", "l1_loss", "binary_cross_entropy_with_logits"):
        slopes = [torch.autograd.grad(getattr(where, name)(z, y), y)[0] for where in (ours, F)]
        torch.testing.assert_close(*slopes)


CLASSES = [name for name in ct.__all__ if name.endswith("Loss") and hasattr(torch.nn, name)]
NAMED = [
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "KLDivLoss",
    "PoissonNLLLoss",
    "GaussianNLLLoss",
    "SoftMarginLoss",
    "HingeEmbeddingLoss",
    "MultiMarginLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "BCELoss",
    "NLLLoss",
]
SIZES = {"LinearCrossEntropyLoss": (3, 4)}  # of what has weights of its own; from torch 2.13 on
NAMED += [name for name in SIZES if hasattr(torch.nn, name)]


def test_all_of_torchs_losses_on_scores_are_there():
    assert sorted(CLASSES) == sorted(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_a_loss_class_is_torchs_in_all_but_the_arithmetic(name):
    mine, theirs = getattr(ct, name), getattr(torch.nn, name)
    assert issubclass(mine, theirs)
    assert inspect.signature(mine) == inspect.signature(theirs)
    assert mine.__doc__
    sizes = SIZES.get(name, ())
    assert repr(mine(*sizes, reduction="sum")) == repr(theirs(*sizes, reduction="sum"))
    again = pickle.loads(pickle.dumps(copy.deepcopy(mine(*sizes))))
    assert type(again) is mine
    again.load_state_dict(theirs(*sizes).state_dict())


@pytest.mark.parametrize("name", ours.__all__)
def test_a_function_has_torchs_arguments(name):
    mine, theirs = (inspect.signature(getattr(where, name)).parameters for where in (ours, F))
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in theirs.values()]


EXAMPLES = {
    "CrossEntropyLoss": ({"label_smoothing": 0.1, "weight": torch.rand(5), "ignore_index": 1}, "label"),
    "BCEWithLogitsLoss": ({"pos_weight": torch.rand(5), "weight": torch.rand(5)}, "bit"),
    "PoissonNLLLoss": ({"log_input": True}, "count"),
    "HuberLoss": ({"delta": 0.7}, "real"),
    "SmoothL1Loss": ({"beta": 0.2}, "real"),
    "SoftMarginLoss": ({}, "sign"),
    "MultiLabelSoftMarginLoss": ({"weight": torch.rand(5)}, "bit"),
    "MSELoss": ({}, "real"),
    "L1Loss": ({}, "real"),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_loss_class_hands_on_all_its_options(name, reduction):
    options, kind = EXAMPLES[name]
    z = draw((3, 5), torch.float32)
    y = torch.tensor([0, 1, 4]) if kind == "label" else draw((3, 5), torch.float32, kind, 1)
    mine, theirs = (answer(getattr(where, name)(**options, reduction=reduction), z, y) for where in (ct, torch.nn))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("reduction", ["weighted_mean", "median"])
def test_words_for_reductions_are_torchs(reduction):
    z, y = torch.zeros(3, requires_grad=True), torch.zeros(3)
    for loss in (ours.mse_loss, ours.l1_loss, ours.huber_loss, ours.smooth_l1_loss):
        with pytest.raises(ValueError, match=reduction):
            loss(z, y, reduction=reduction)
    with pytest.raises(ValueError, match=reduction):
        ours.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), reduction=reduction)


def test_an_ignored_class_among_probabilities_is_refused_as_torch_does():
    z, y = torch.zeros(2, 3), torch.full((2, 3), 1 / 3)
    with pytest.raises(RuntimeError, match="floating point target"):
        ours.cross_entropy(z, y, ignore_index=1)
    assert ours.cross_entropy(z, y).item() == pytest.approx(F.cross_entropy(z, y).item())


def test_several_labels_of_other_types_and_shapes():
    z = torch.randn(4, 3)
    for y, weight in (
        (torch.ones(4, 3, dtype=torch.int64), None),
        (torch.ones(1, 3), None),
        (torch.ones(4, 3), torch.rand(2, 4, 3)),
    ):
        found, torchs = (f.multilabel_soft_margin_loss(z, y, weight) for f in (ours, F))
        torch.testing.assert_close(found, torchs)
