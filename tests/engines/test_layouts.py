"""Memory laid out in any way, examples in any place and company, and numbers at the ends of their types."""

import itertools
import math

import jobs
import numpy as np
import pytest
import torch

import accuracy
import costlayer as cl
from costlayer.catalogue import build
from costlayer.evaluate import evaluate
from costlayer.torch import CostLayer
from covering import any_two

INF = math.inf
LARGE, SMALL = (331, 211), (7, 5, 109)  # more than a block; the examples of rows along two axes
GIVEN = ("z", "y", "weight")


def everything(pair, z, y, weight=None):
    found = evaluate(pair, z, y, weight, reduction="none", curvature=True)
    return found.value, found.delta, found.curvature


def same(found, truth):
    return all(accuracy.same(a, b) for a, b in zip(found, truth, strict=True))


# Layouts of NumPy: each takes an array to a view, or copy, of the same numbers.


def from_bytes(array):
    """As from a file with a header of one byte."""
    return np.frombuffer(b"\x00" + array.tobytes(), np.uint8)[1:].view(array.dtype).reshape(array.shape)


LAYOUTS = {
    "transposed": lambda a: a.T.copy().T,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "reversed rows": lambda a: a[::-1].copy()[::-1],
    "every third": lambda a: np.repeat(a, 3, axis=-1)[..., 1::3],
    "a window": lambda a: np.pad(a, 2)[(slice(2, -2),) * a.ndim],
    "a field": lambda a: np.rec.fromarrays([np.zeros(a.shape, np.uint8), a]).f1,  # a stride of no whole element
    "misaligned": from_bytes,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "read only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}
STILL = {
    "one number": lambda a: np.broadcast_to(a.flat[0], a.shape),
    "one row": lambda a: np.broadcast_to(a[:1], a.shape),
    "one column": lambda a: np.broadcast_to(a[..., :1], a.shape),
}


def given(name, dtype, shape):
    z, y = jobs.example(name, dtype, shape)
    weight = np.random.default_rng(1).integers(0, 3, y.shape).astype(dtype)
    return {"z": z, "y": y, "weight": weight}


@pytest.mark.parametrize("layout", LAYOUTS | STILL)
@pytest.mark.parametrize("name", jobs.PAIRS)
def test_a_layout_changes_nothing(name, dtype, layout):
    pair, lay = build(name, {}), (LAYOUTS | STILL)[layout]
    for shape, which in [(LARGE, GIVEN), (SMALL, GIVEN), *((SMALL, (one,)) for one in GIVEN)]:
        plain = given(name, dtype, shape)
        laid = {key: lay(array) if key in which else array for key, array in plain.items()}
        before = {key: array.tobytes() for key, array in laid.items()}
        truth = {key: np.array(array, array.dtype.newbyteorder("="), order="C") for key, array in laid.items()}
        assert same(everything(pair, **laid), everything(pair, **truth)), which
        assert accuracy.same(cl.predict(pair, laid["z"]), cl.predict(pair, truth["z"]))
        assert {key: array.tobytes() for key, array in laid.items()} == before


@pytest.mark.parametrize("layout", LAYOUTS | STILL)
def test_a_layout_of_probabilities_changes_nothing(layout, dtype):
    z, _ = jobs.example("softmax+mse", dtype, (331, 211))
    y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    if layout == "one number":
        y = np.full_like(y, 1 / 211)
    if layout == "one column":
        y = np.broadcast_to(dtype(1 / 211), y.shape)
    laid = (LAYOUTS | STILL)[layout](y)
    truth = np.array(laid, y.dtype, order="C")
    for name in jobs.ROWS:
        assert same(everything(build(name, {}), z, laid), everything(build(name, {}), z, truth))
    assert accuracy.same(laid.astype(dtype), truth)


@pytest.mark.parametrize("kind", ["uint8", "int8", ">i2", "int32", ">i8", "uint64"])
def test_class_indices_of_any_integer_type(kind):
    z, y = jobs.example(jobs.ROWS[0], "float32", (331, 101))
    for name in jobs.ROWS:
        truth = everything(build(name, {}), z, y)
        assert same(everything(build(name, {}), z, y.astype(kind)), truth)


def test_the_layouts_are_what_they_say():
    a = np.arange(12.0).reshape(3, 4)
    laid = {name: lay(a) for name, lay in LAYOUTS.items()}
    for name, array in laid.items():
        assert np.array_equal(array, a), name
    assert laid["reversed"].strides == (-32, -8)
    assert laid["transposed"].strides == (8, 24)
    assert laid["a field"].strides == (36, 9)
    assert not laid["misaligned"].flags.aligned
    assert not laid["other byte order"].dtype.isnative
    assert not laid["read only"].flags.writeable
    assert [lay(a).strides for lay in STILL.values()] == [(0, 0), (0, 8), (32, 0)]


@pytest.mark.parametrize("name", jobs.PAIRS)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (0, 5, 4), (2, 3, 0), (2, 0, 3)], ids=str)
def test_no_scores_at_all(name, shape, dtype):
    pair = build(name, {})
    if pair.row and (len(shape) == 1 or shape[1] == 0):
        return  # refused: there is no class to be wrong about
    z = np.zeros(shape, dtype)
    y = np.zeros((shape[0], *shape[2:]), int) if pair.row else z
    for weight in (None, np.zeros(y.shape, dtype)):
        value, delta, curvature = everything(pair, z, y, weight)
        assert (value.shape, delta.shape, curvature.shape) == (y.shape, z.shape, z.shape)
        assert cl.value(pair, z, y, weight, "sum") == 0.0


@pytest.mark.parametrize("name", jobs.POINTWISE)
def test_a_single_number(name, dtype):
    """0-d arrays, and numbers of NumPy, are arrays of one."""
    pair, z, y, weight = build(name, {}), dtype(0.75), dtype(0.25), dtype(2)
    truth = everything(pair, np.array([z]), np.array([y]), np.array([weight]))
    for form in (np.array, lambda x: x, lambda x: np.broadcast_to(x, ())):
        found = everything(pair, form(z), form(y), form(weight))
        assert same(found, [array[0] for array in truth])
        assert [np.shape(array) for array in found] == [()] * 3


# Places and company


@pytest.mark.parametrize("name", jobs.PAIRS)
def test_an_example_is_the_same_in_any_place_and_company(name, dtype):
    """Whatever vector, block or rest it falls into."""
    pair = build(name, {})
    z, y = jobs.example(name, dtype, (77777, 3) if pair.row else (77777,))
    truth = everything(pair, z, y)
    for start, size in itertools.product((0, 1, 3, 8, 4099, 65535, 77700), (1, 2, 3, 5, 8, 15, 16, 17, 33, 77)):
        part = slice(start, start + size)
        found = everything(pair, z[part], y[part])
        assert same(found, [array[part] for array in truth]), part


@pytest.mark.parametrize("name", jobs.PAIRS)
@pytest.mark.parametrize("poison", [INF, -INF, math.nan, 3e38, -3e38])
def test_a_poisoned_score_touches_nothing_beside_it(name, dtype, poison):
    pair = build(name, {})
    z, y = jobs.example(name, dtype, (4001, 3) if pair.row else (4001,))
    clean = everything(pair, z, y)
    bad = np.random.default_rng(2).random(len(z)) < 0.2
    z[bad] = poison
    found = everything(pair, z, y)
    assert same([array[~bad] for array in found], [array[~bad] for array in clean])
    assert not accuracy.same(found[0][bad], clean[0][bad])


THREADS = (1, 2, 3, 5, 16)
SIZES = (1, 7, 65536, 65537, 3 * 65536, jobs.SIZE)


def sized(name, size, dtype):
    pair = build(name, {})
    return pair, *jobs.example(name, dtype, (-(-size // 7), 7) if pair.row else (size,))


@pytest.mark.parametrize("name", jobs.PAIRS)
def test_any_number_of_torchs_threads_gives_the_same_bits(name):
    def work():
        found = []
        for size in SIZES:
            pair, z, y = sized(name, size, "float64")  # its loss would show another order
            z = torch.from_numpy(z).requires_grad_()
            loss = CostLayer(pair)(z, torch.from_numpy(y))
            loss.backward()
            found += [loss.detach().numpy(), z.grad.numpy()]
        return found

    usual = torch.get_num_threads()
    truth = work()
    try:
        for threads in THREADS:
            torch.set_num_threads(threads)
            assert same(work(), truth)
    finally:
        torch.set_num_threads(usual)


# The ends of the types


def subnormals(dtype):
    limits = np.finfo(dtype)
    step, tiny = limits.smallest_subnormal, limits.tiny
    return np.array([step, 3 * step, tiny / 4, tiny - step, tiny], dtype)


# For a tiny score s: value and δ, to the last bit where they are s, 2s or 0; or what s is too small to change.
TINY = {
    ("identity+mse", 0): lambda s: (0 * s, 2 * s),
    ("identity+mae", 0): lambda s: (abs(s), np.sign(s)),
    ("identity+huber", 0): lambda s: (0 * s, s),
    ("identity+huber", 2): lambda s: (0 * s + 1.5, 0 * s - 1),
    ("tanh+mae", 0): lambda s: (abs(s), np.sign(s)),
    ("relu+mae", 0): lambda s: (np.maximum(s, 0), np.where(s > 0, 1, 0)),
    ("elu+mae", 0): lambda s: (abs(s), np.sign(s)),
    ("elu+huber", 0): lambda s: (0 * s, s),
    ("exp+poisson", 0): lambda s: (0 * s + 1, 0 * s + 1),
    ("sigmoid+cross_entropy", 0): lambda s: (0 * s + np.log(2), 0 * s + 0.5),
    ("sigmoid+cross_entropy", 1): lambda s: (0 * s + np.log(2), 0 * s - 0.5),
}


@pytest.mark.parametrize(("name", "y"), TINY)
def test_subnormal_scores_are_numbers_like_others(name, y, dtype):
    s = subnormals(dtype)
    s = np.tile(np.concatenate([s, -s]), 7)  # whole vectors of them
    value, delta, _ = everything(build(name, {}), s, np.full(s.shape, y, dtype))
    for found, truth in zip((value, delta), TINY[name, y](s), strict=True):
        np.testing.assert_allclose(found, truth, rtol=2 * np.finfo(dtype).eps if abs(truth).max() > 0.5 else 0, atol=0)


def test_subnormal_weights_are_no_zeros(dtype):
    weight = np.tile(subnormals(dtype), 7)
    z, y = np.full(weight.shape, 3, dtype), np.zeros(weight.shape, dtype)
    value, delta, curvature = everything(build("identity+huber", {}), z, 2 + y, weight)
    half = (weight.astype(np.longdouble) / 2).astype(dtype)
    assert np.array_equal(delta, weight)
    np.testing.assert_allclose(value, half, rtol=0, atol=np.finfo(dtype).smallest_subnormal)
    assert np.array_equal(curvature, weight) or not curvature.any()  # at the kink of huber either is one
    rows = np.tile(dtype([0, 0]), (weight.size, 1))
    _, delta, _ = everything(build("softmax+cross_entropy", {}), rows, np.zeros(weight.size, int), weight)
    np.testing.assert_allclose(delta[:, 1], half, rtol=0, atol=np.finfo(dtype).smallest_subnormal)
    assert (delta[:, 0] == -delta[:, 1]).all()


def test_subnormal_targets_and_gradients(dtype):
    """A target next to nothing, and a sure score, whose δ is subnormal."""
    y = subnormals(dtype)
    _, delta, _ = everything(build("identity+mse", {}), np.zeros_like(y), y)
    assert np.array_equal(delta, -2 * y)
    far = -math.log(np.finfo(dtype).tiny) + 3  # exp(−far) is a twentieth of the least normal number
    z = np.full(33, -far, dtype)
    for name, goal in (("sigmoid+cross_entropy", 0 * z), ("exp+poisson", 0 * z)):
        value, delta, curvature = everything(build(name, {}), z, goal)
        for found in (value, delta, curvature):
            np.testing.assert_allclose(found, np.exp(np.longdouble(z)).astype(dtype), rtol=1e-5)
    rows = np.stack([0 * z, z], axis=1)
    value, delta, _ = everything(build("softmax+cross_entropy", {}), rows, np.zeros(33, int))
    np.testing.assert_allclose(value, np.exp(np.longdouble(z)).astype(dtype), rtol=1e-5)
    np.testing.assert_allclose(delta[:, 1], value, rtol=1e-5)


# Infinite scores: limits by reasoning, activation by activation and cost by cost, apart from every formula in the code.

# v and φ' as z → ∞ and as z → −∞. None where it is y that decides: the product with the cost's slope is finite.
ENDS = {
    "identity": ((INF, 1), (-INF, 1)),
    "sigmoid": ((1, 0), (0, 0)),
    "tanh": ((1, 0), (-1, 0)),
    "relu": ((INF, 1), (0, 0)),
    "leaky_relu": ((INF, 1), (-INF, 0.01)),
    "elu": ((INF, 1), (-1, 0)),
    "softplus": ((INF, 1), (0, 0)),
    "exp": ((INF, INF), (0, 0)),
}
# Value and slope at v, which may be infinite.
AT = {
    "mse": lambda v, y: ((v - y) ** 2, 2 * (v - y)),
    "mae": lambda v, y: (abs(v - y), math.copysign(1, v - y)),
    "huber": lambda v, y: (abs(v - y) - 0.5 if abs(v - y) > 1 else (v - y) ** 2 / 2, max(-1, min(1, v - y))),
    "smooth_l1": lambda v, y: (abs(v - y) - 0.5, math.copysign(1, v - y)),
    "log_cosh": lambda v, y: (INF, math.copysign(1, v - y)),
    "quantile": lambda v, y: (abs(v - y) / 2, math.copysign(0.5, v - y)),
    "expectile": lambda v, y: (INF, v),
    "epsilon_insensitive": lambda v, y: (INF, math.copysign(1, v - y)),
    "cauchy": lambda v, y: (INF, 0),
    "tukey": lambda v, y: (4.685**2 / 6, 0),
    "mape": lambda v, y: (abs(v - y) / y, math.copysign(1 / y, v - y)),
    "hinge": lambda v, y: (max(0, 1 - y * v), -y if y * v < 1 else 0),
    "squared_hinge": lambda v, y: (max(0, 1 - y * v), -y * INF if y * v < 0 else 0),
    "modified_huber": lambda v, y: (max(0, -y * v), -4 * y if y * v < 0 else 0),
    "logistic": lambda v, y: (max(0, -y * v), -y if y * v < 0 else 0),
    "exponential": lambda v, y: (math.exp(-y * v), -y * math.exp(-y * v)),
    "perceptron": lambda v, y: (max(0, -y * v), -y if y * v < 0 else 0),
}
# What meets 0 · ∞ in that table, worked out: value and δ as z → ∞ and as z → −∞, by whether y is 0 where it matters.
CLOSED = {
    "sigmoid+cross_entropy": lambda y: (((1 - y and (1 - y) * INF), 1 - y), ((y and y * INF), -y)),  # ln(1 + e^z) − y z
    "sigmoid+focal": lambda y: (((1 - y) and INF, 0.75 * (1 - y)), (y and INF, -y / 4)),
    "sigmoid+asymmetric": lambda y: (((1 - y) * 0.95**4 * math.log(20), 0), (y and INF, -y)),  # 1 − clip is predicted
    "probit+cross_entropy": lambda y: (((1 - y) and INF, (1 - y) and INF), (y and INF, y and -INF)),  # z²/2
    "cloglog+cross_entropy": lambda y: (((1 - y) and INF, (1 - y) and INF), (y and INF, -y)),  # (1 − y) e^z − y z
    "cauchit+cross_entropy": lambda y: (((1 - y) and INF, 0), (y and INF, 0)),  # ln π|z|
    "exp+poisson": lambda y: ((INF, INF), (y and INF, -y)),  # e^z − y z
    "exp+gamma": lambda y: ((INF, 1), (INF, -INF)),  # z + y e^−z
    "exp+msle": lambda y: ((INF, INF), (math.log1p(y) ** 2, 0)),
    "softplus+msle": lambda y: ((INF, 0), (math.log1p(y) ** 2, 0)),  # the slope is 2 ln(v)/v above
    "exp+negative_binomial": lambda y: ((INF, 1), (y and INF, -y)),  # (y + 1) ln(1 + e^z) − y z
    "softplus+negative_binomial": lambda y: ((INF, 0), (y and INF, -y)),
    "exp+inverse_gaussian": lambda y: ((0, 0), (INF, -INF)),  # y e^−2z/2 − e^−z
    "softplus+inverse_gaussian": lambda y: ((0, 0), (INF, -INF)),
    "exp+tweedie": lambda y: ((INF, INF), (y and INF, y and -INF)),  # 2 (e^(z/2) + y e^(−z/2))
    "softplus+tweedie": lambda y: ((INF, 0), (y and INF, y and -INF)),
    "softplus+poisson": lambda y: ((INF, 1), (y and INF, -y)),  # v − y ln v, and v → e^z
    "softplus+gamma": lambda y: ((INF, 0), (INF, -INF)),  # ln v + y/v: the slope is 1/v above, −y e^−z below
}


def limits(pair, y):
    if pair.name in CLOSED:
        return CLOSED[pair.name](y)
    if pair.cost.name not in AT:
        pytest.skip(f"nobody has reasoned about {pair.cost} here; tests/engines/test_cpu.py works its limits out")
    found = []
    for v, gain in ENDS[pair.activation.name]:
        value, slope = AT[pair.cost.name](v, y)
        found.append((value, slope * gain if gain and slope else 0))
    return tuple(found)


def goals(pair):
    low, high, closed = pair.target.low, pair.target.high, pair.target.low_closed
    if pair.target.ends_only:
        return [-1.0, 1.0]
    if high == 1:
        return [0.0, 1.0, 0.25]
    return [0.5, 2.0, *([0.0] if closed else [])] if low == 0 else [0.5, -3.0, 2.0]


@pytest.mark.parametrize("front", ["numpy", "torch"])
def test_infinite_scores_of_pointwise_pairs(pointwise_pair, dtype, front):
    pair, y = pointwise_pair, goals(pointwise_pair)
    z = np.repeat([INF, -INF], len(y)).astype(dtype)
    goal = np.tile(y, 2).astype(dtype)
    if front == "numpy":
        value, delta, _ = everything(pair, z, goal)
    else:
        scores = torch.from_numpy(z).requires_grad_()
        value = CostLayer(pair, reduction="none")(scores, torch.from_numpy(goal))
        value.sum().backward()
        value, delta = value.detach().numpy(), scores.grad.numpy()
    above, below = zip(*(limits(pair, number) for number in y), strict=True)
    for found, expected in zip((value, delta), zip(*above, *below, strict=True), strict=True):
        assert found.tolist() == pytest.approx(list(map(float, expected)), rel=1e-6)


def one_hot(classes, t):
    return [float(j == t) for j in range(classes)]


# Scores, true class, prediction, and p − onehot in the limit.
INFINITE_ROWS = {
    "the true class": ([INF, 0, 1], 0, [1, 0, 0]),
    "a wrong class": ([INF, 0, 1], 1, [1, 0, 0]),
    "all but the true one masked": ([-INF, 3, -INF], 1, [0, 1, 0]),
    "a masked class": ([-INF, 3, 3], 1, [0, 0.5, 0.5]),
    "the true class masked": ([-INF, 3, 3], 0, [0, 0.5, 0.5]),
    "both": ([-INF, 0, INF], 2, [0, 0, 1]),
}


@pytest.mark.parametrize("case", INFINITE_ROWS)
def test_infinite_scores_of_row_pairs(case, dtype):
    z, t, p = INFINITE_ROWS[case]
    z, y = np.array([z], dtype), np.array([t])
    assert cl.predict("softmax+cross_entropy", z).tolist() == [p]
    error = np.array(p) - one_hot(3, t)
    value, delta, _ = everything(build("softmax+cross_entropy", {}), z, y)
    assert value[0] == pytest.approx(-math.log(p[t]) if p[t] else INF, rel=1e-6)
    np.testing.assert_allclose(delta[0], error, atol=1e-7)
    value, delta, _ = everything(build("softmax+mse", {}), z, y)
    assert value[0] == pytest.approx((error**2).sum(), rel=1e-6)
    slopes = 2 * error
    np.testing.assert_allclose(delta[0], p * (slopes - np.dot(p, slopes)), atol=1e-6)


# Layouts of torch


TORCHS = {
    "transposed": lambda t: t.T.contiguous().T,
    "a window": lambda t: torch.nn.functional.pad(t, (3, 2, 1, 1))[1:-1, 3:-2],
    "every other": lambda t: torch.stack([t, t + 1], 2)[..., 0],
    "one number": lambda t: t[0, 0].expand_as(t),
    "one row": lambda t: t[:1].expand_as(t),
    "one column": lambda t: t[:, :1].expand_as(t),
    "rows that overlap": lambda t: t.as_strided(t.shape, (3, 1)),
}


@pytest.mark.parametrize(
    ("layout", "name", "kind"), any_two([*TORCHS], jobs.PAIRS, ["float64", "float32", "bfloat16", "float16"])
)
def test_a_layout_of_tensors_changes_nothing(name, layout, kind):
    """Of scores, targets, weights and the gradient from above."""
    pair, kind = build(name, {}), getattr(torch, kind)
    layer = CostLayer(pair, reduction="none")

    def lay(tensor):
        return TORCHS[layout](tensor) if tensor.ndim == 2 else torch.stack([tensor, tensor], 1)[:, 0]

    def work(z, y, weight, upstream):
        z = z.detach().requires_grad_()
        loss = layer(z, y, weight)
        return loss.detach(), *torch.autograd.grad(loss, z, upstream), layer.predict(z).detach()

    z, y = (torch.from_numpy(array) for array in jobs.example(name, "float64", LARGE))
    weight = torch.linspace(0, 2, y.numel()).reshape(y.shape)
    z, weight = z.to(kind), weight.to(kind)
    upstream = torch.linspace(-1, 1, y.numel(), dtype=torch.float64 if kind == torch.float64 else torch.float32)
    given = [lay(tensor) for tensor in (z, y if pair.row else y.to(kind), weight, upstream.reshape(y.shape))]
    before = [tensor.clone() for tensor in given]
    plain = [tensor.clone(memory_format=torch.contiguous_format) for tensor in given]
    assert all(tensor.is_contiguous() for tensor in plain)
    for found, truth in zip(work(*given), work(*plain), strict=True):
        assert torch.equal(found, truth)
    assert all(torch.equal(*pair) for pair in zip(given, before, strict=True))
    assert not any(tensor.is_contiguous() for tensor in given if tensor.ndim == 2)
