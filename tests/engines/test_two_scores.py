"""Two scores per target: right to the digits, at the ends, in any layout, and what fits no such pair is refused."""

from dataclasses import replace

import numpy as np
import pytest
from mpmath import mp
from scipy.integrate import quad
from scipy.special import ndtr

import accuracy
import costlayer as cl
import truth
from costlayer.activations import ACTIVATIONS
from costlayer.catalogue import build
from costlayer.costs.stirling import half_step, remainder
from costlayer.engines import reference
from costlayer.errors import InvalidValue
from costlayer.evaluate import evaluate
from costlayer.pair import Pair
from covering import TWO_SCORES

INF, NAN = np.inf, np.nan


def arrays(pair, dtype):
    z, y = zip(*accuracy.two_points(pair), strict=True)
    return np.array(z, dtype), np.array(y, dtype)


def everything(pair, z, y, **options):
    return evaluate(pair, z, y, reduction="none", curvature=True, **options)


# ------------------------------------------------------------------------------------------------ against the truth


@pytest.mark.parametrize("pair", TWO_SCORES, ids=str)
def test_the_reference_is_right_to_a_few_units_in_the_last_place(pair):
    """The second derivative by both scores too."""
    terms = reference.terms(pair)
    for z, y in accuracy.two_points(pair):
        accuracy.check_two(pair, z, y, terms(*z, y), np.float64)


def test_the_engine_is_right_to_a_few_units_in_the_last_place(two_score_pair, dtype):
    z, y = arrays(two_score_pair, dtype)
    found = everything(two_score_pair, z, y)
    for i in range(len(y)):
        answer = found.value[i], *found.delta[i], *found.curvature[i]
        accuracy.check_two(two_score_pair, tuple(map(float, z[i])), float(y[i]), answer, dtype)


def test_predictions_are_right_to_a_few_units_in_the_last_place(two_score_pair, dtype):
    z = np.array([(-x, x) for x in truth.SCORES], dtype)
    with mp.workdps(truth.DIGITS):
        for scores, predictions in zip(z.tolist(), cl.predict(two_score_pair, z), strict=True):
            expected = truth.predict_two(two_score_pair, list(map(mp.mpf, scores))).values()
            for got, right in zip(predictions, expected, strict=True):
                truth.close(got, right, right, dtype, ulps=4, what=f"z = {scores}")


def test_printed_formulas_are_the_pair(two_score_pair):
    pair = two_score_pair
    for z, y in accuracy.two_points(pair):
        with mp.workdps(truth.two_digits(pair, z)):
            value, slope, second_slope, *_ = truth.two_scores(pair, z, y)
            scores = list(map(mp.mpf, z))
            names = {"z": scores, "y": mp.mpf(y), **truth.predict_two(pair, scores), **truth.given(pair)}
            formulas = pair._formula(), pair._derivative(), pair._derivative(1)
            for source, right in zip(formulas, (value, slope, second_slope), strict=True):
                off = abs(truth.formula(source, **names) - right)
                assert off <= mp.mpf("1e-60") * (abs(right) + mp.mpf("1e-40")), (source, z, y)


def test_what_is_claimed_of_the_gradient(two_score_pair):
    """A steady pair never answers a larger error with a smaller δ of the first score; a convex one never bends down."""
    pair = two_score_pair
    terms, shrinks, down = reference.terms(pair), False, False
    for z, y in accuracy.two_points(pair):
        _, _, _, first, both, second = truth.two_scores(pair, z, y)
        with mp.workdps(truth.two_digits(pair, z)):
            down = down or first * second - both * both < -mp.mpf("1e-20") * both * both
    for scale in (-1.0, 0.5):
        for y in truth.targets(pair):
            for side in (-1.0, 1.0):
                start = y if pair.cost.of_error else scale + np.log(y / (1 - y))  # where the mean is y
                line = [abs(terms(start + side * off, scale, y)[1]) for off in np.linspace(0.5, 30.0, 60)]
                shrinks = shrinks or bool((np.diff(line) < -1e-12 * np.array(line[1:])).any())
    assert shrinks != pair.steady
    assert down != pair.convex


def test_what_stirlings_formula_leaves():
    """c(x) = ln Γ(x) − (x − ½) ln x + x − ½ ln 2π, its derivatives, and ln Γ(x + ½) − ln Γ(x) − ½ ln x."""
    for x in np.r_[10.0 ** np.linspace(-8, 6, 57), np.linspace(0.5, 13, 51)]:
        with mp.workdps(50):
            u = mp.mpf(x)
            c = mp.loggamma(u) - (u - 0.5) * mp.log(u) + u - mp.log(2 * mp.pi) / 2
            slope = u * (mp.digamma(u) - mp.log(u) + 1 / (2 * u))
            curve = slope + u * u * (mp.psi(1, u) - 1 / u - 1 / (2 * u * u))
            step = mp.loggamma(u + 0.5) - mp.loggamma(u) - mp.log(u) / 2
            found = *remainder(x, np.log(x)), half_step(x)
            small = (1, 1, min(x, 1), 1)  # what is added up
            for got, right, part, end in zip(found, (c, slope, curve, step), small, (0, 0, 0.25, 0.05), strict=True):
                size = abs(right) + (part if x < 8 else end)  # or ends the series
                truth.close(got, right, size, np.float64, ulps=16, what=f"x = {x}")


@pytest.mark.parametrize("scale", [-1.5, 0.0, 2.0])
@pytest.mark.parametrize("y", [-2.0, 0.25, 3.0])
def test_crps_is_the_integral_that_it_is_defined_as(scale, y):
    """∫ (F(x) − [x ≥ y])² dx of the normal distribution function F: Gneiting and Raftery (2007), equation 20."""
    v, s = 0.5, np.exp(scale)
    below = quad(lambda x: ndtr((x - v) / s) ** 2, min(y, v) - 40 * s, y, limit=500)[0]
    above = quad(lambda x: ndtr((v - x) / s) ** 2, y, max(y, v) + 40 * s, limit=500)[0]
    assert cl.value("identity_exp+crps", np.array([v, scale]), np.array(y)) == pytest.approx(below + above, rel=1e-7)


@pytest.mark.parametrize("df", [0.05, 1.0, 7.5, 9.0, 40.0, 1e6])
def test_degrees_of_freedom(df):
    """The density of Student's t, with ln Γ by mpmath; for many degrees of freedom it is the normal one."""
    z, y = np.array([[0.3, -0.5], [2.0, 1.0], [-9.0, -3.0]]), np.array([0.1, -3.0, 1e3])
    found = cl.value(build("identity_exp+student_t", {"df": df}), z, y, reduction="none")
    with mp.workdps(40):
        for value, (v, scale), goal in zip(found, z, y, strict=True):
            n, w = mp.mpf(df), (mp.mpf(v) - goal) / mp.exp(scale)
            right = scale + (n + 1) / 2 * mp.log(1 + w * w / n) + mp.log(n * mp.pi) / 2
            right += mp.loggamma(n / 2) - mp.loggamma((n + 1) / 2)
            assert value == pytest.approx(float(right), rel=1e-13)
    if df == 1e6:
        normal = cl.value("identity_exp+gaussian", z[:2], y[:2], reduction="none")
        np.testing.assert_allclose(found[:2], normal, rtol=1e-3)


# ------------------------------------------------------------------------------------------------------ at the ends

ROOT_PI = np.sqrt(np.pi)
LIMITS = [  # value, δ_0, δ_1 at y = 0.25, worked by hand
    ("identity_exp+gaussian", (INF, 0.5), (INF, INF, -INF)),
    ("identity_exp+gaussian", (-INF, 0.5), (INF, -INF, -INF)),
    ("identity_exp+gaussian", (0.5, INF), (INF, 0, 1)),
    ("identity_exp+gaussian", (0.5, -INF), (INF, INF, -INF)),
    ("identity_exp+gaussian", (0.25, -INF), (-INF, 0, 1)),
    ("identity_softplus+gaussian", (0.5, INF), (INF, 0, 0)),  # as ln z, whose slope is 1/z
    ("identity_softplus+gaussian", (0.5, -INF), (INF, INF, -INF)),
    ("identity_exp+laplace", (-INF, 0.5), (INF, -np.exp(-0.5), -INF)),
    ("identity_exp+laplace", (0.5, INF), (INF, 0, 1)),
    ("identity_exp+laplace", (0.5, -INF), (INF, INF, -INF)),
    ("identity_exp+student_t", (INF, 0.5), (INF, 0, -4)),  # −df
    ("identity_exp+student_t", (0.5, INF), (INF, 0, 1)),
    ("identity_exp+student_t", (0.5, -INF), (INF, 20, -4)),  # (df + 1)/error
    ("identity_exp+crps", (INF, 0.5), (INF, 1, -np.exp(0.5) / ROOT_PI)),
    ("identity_exp+crps", (0.5, INF), (INF, 0, INF)),
    ("identity_exp+crps", (0.5, -INF), (0.25, 1, 0)),  # the absolute error
    ("exp_exp+beta", (INF, 0.5), (INF, INF, -INF)),
    ("exp_exp+beta", (-INF, 0.5), (INF, -1, -np.exp(0.5) * np.log(0.75))),  # b (ψ(b) − ψ(b) − ln(1 − y))
    ("exp_exp+beta", (0.5, -INF), (INF, -np.exp(0.5) * np.log(0.25), -1)),
]


@pytest.mark.parametrize(("name", "z", "expected"), LIMITS)
def test_an_infinite_score_gives_the_limit(name, z, expected, dtype):
    found = everything(build(name, {}), np.array([z], dtype), np.array([0.25], dtype))
    got = [found.value[0], *found.delta[0]]
    assert list(map(float, got)) == pytest.approx(expected, rel=4e-7)
    assert not np.isnan(found.curvature).any()


def test_nan_gives_nan(two_score_pair, dtype):
    for z in ((NAN, 0.5), (0.5, NAN), (0.25, NAN)):
        found = everything(two_score_pair, np.array([z], dtype), np.array([0.25], dtype))
        assert np.isnan([found.value[0], *found.delta[0], *found.curvature[0]]).all()


# --------------------------------------------------------------------------------------- layouts, weights, reductions

GAUSSIAN, BETA = build("identity_exp+gaussian", {}), build("exp_exp+beta", {})
RANDOM = np.random.default_rng(8)
Z, Y = RANDOM.normal(size=(4, 2, 3)), RANDOM.uniform(0.05, 0.95, (4, 3))


def test_any_layout_gives_the_same(dtype):
    z, y = Z.astype(dtype), Y.astype(dtype)
    whole = everything(GAUSSIAN, z, y)
    assert whole.value.shape == y.shape
    assert whole.delta.shape == whole.curvature.shape == cl.predict(GAUSSIAN, z).shape == z.shape
    strided = np.empty((2, 8, 6), dtype).transpose(1, 0, 2)[::2, :, ::2]
    strided[:] = z
    turned = everything(GAUSSIAN, strided, np.asfortranarray(y))
    for i in range(4):
        for k in range(3):
            one = everything(GAUSSIAN, z[i, :, k], y[i, k])
            for other in (whole, turned):
                assert one.value == other.value[i, k]
                assert one.delta.tolist() == other.delta[i, :, k].tolist()
                assert one.curvature.tolist() == other.curvature[i, :, k].tolist()
            assert cl.predict(GAUSSIAN, z[i, :, k]).tolist() == cl.predict(GAUSSIAN, strided)[i, :, k].tolist()
    np.testing.assert_array_equal(strided, z)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "weighted_mean"])
@pytest.mark.parametrize("pair", [GAUSSIAN, BETA], ids=str)
def test_reductions_and_weights(pair, reduction):
    """δ is the gradient of what is returned; an example of weight 0 or an ignored one can do no harm."""
    weight = np.array([1.0, 0.0, 2.0, 0.5])
    z, y = Z.copy(), Y.copy()
    y[3, 2] = -1.0
    z[3, :, 2] = NAN
    z[1], y[1] = INF, 7.0
    given = {"reduction": reduction, "ignore_index": -1}
    found = evaluate(pair, z, y, weight, curvature=True, **given)
    each = everything(pair, np.where(np.isfinite(z), z, 0.0), np.where((y > 0) & (y < 1), y, 0.5))
    kept = np.broadcast_to(weight[:, None], y.shape) * (y != -1)
    divisor = {"mean": 11.0, "weighted_mean": kept.sum()}.get(reduction, 1.0)
    total = kept * each.value
    np.testing.assert_allclose(found.value, total if reduction == "none" else total.sum() / divisor, rtol=1e-13)
    np.testing.assert_allclose(found.delta, kept[:, None] * each.delta / divisor, rtol=1e-13)
    np.testing.assert_allclose(found.curvature, kept[:, None] * each.curvature / divisor, rtol=1e-13)


def test_each_of_many_examples_has_its_own_weight():
    """More than the loop takes at once."""
    z, y, weight = RANDOM.normal(size=(10_001, 2)), RANDOM.normal(size=10_001), RANDOM.integers(0, 3, 10_001)
    found = evaluate(GAUSSIAN, z, y, weight, reduction="none")
    each = everything(GAUSSIAN, z, y)
    np.testing.assert_array_equal(found.value, each.value * weight)
    np.testing.assert_array_equal(found.delta, each.delta * weight[:, None])


def test_any_number_of_threads_gives_the_same_bits():
    z, y = RANDOM.normal(size=(300_001, 2)).astype(np.float32), RANDOM.normal(size=300_001).astype(np.float32)
    found = [evaluate(GAUSSIAN, z, y, threads=threads) for threads in (1, 2, 3)]
    for other in found[1:]:
        assert accuracy.same(found[0].value, other.value)
        assert accuracy.same(found[0].delta, other.delta)
    y[[200_000, 99_999]] = NAN
    with pytest.raises(InvalidValue, match=r"y\[99999\]: got nan"):
        evaluate(GAUSSIAN, z, y, threads=3)


# -------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.5, 1.5, NAN, INF])
def test_fractions_lie_strictly_between_0_and_1(wrong):
    y = Y.copy()
    y[2, 1] = wrong
    with pytest.raises(InvalidValue, match=r"y\[2, 1\]: got .* expected a target in \(0, 1\) for exp_exp\+beta"):
        cl.value(BETA, Z, y)


@pytest.mark.parametrize(("z", "y"), [((4, 3), (4,)), ((4,), ()), ((), ()), ((0, 1), (0,)), ((5, 1, 2), (5, 2))])
def test_scores_come_in_twos(z, y):
    with pytest.raises(InvalidValue, match=r"^z: got shape .* two scores per target for identity_exp\+gaussian"):
        cl.value(GAUSSIAN, np.zeros(z), np.zeros(y))
    with pytest.raises(InvalidValue, match=r"^z: got shape"):
        cl.predict(GAUSSIAN, np.zeros(z))


@pytest.mark.parametrize("y", [(4, 2), (4, 1), (3,), ()])
def test_there_is_one_target_for_two_scores(y):
    with pytest.raises(InvalidValue, match=r"^y: got shape .* one target for every two scores: shape \(4,\)"):
        cl.value(GAUSSIAN, np.zeros((4, 2)), np.zeros(y))


@pytest.mark.parametrize("given", [{"class_weight": [1.0, 2.0]}, {"label_smoothing": 0.1}, {"pos_weight": 2.0}])
@pytest.mark.parametrize("pair", [GAUSSIAN, BETA], ids=str)
def test_options_for_classes_are_refused(pair, given):
    with pytest.raises(InvalidValue, match=rf"^{next(iter(given))}: got one for"):
        evaluate(pair, Z, Y, **given)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "identity+gaussian",
            r"identity gives v in \(−∞, ∞\) only; expected an activation that gives two, v in .* s in",
        ),
        ("sigmoid+beta", r"that gives two, a in \(0, ∞\) and b in \(0, ∞\)\. Use exp_exp\+beta"),
        ("identity_exp+mse", r"gives v in \(−∞, ∞\) and s in \(0, ∞\); .* one prediction in .* Use identity\+mse"),
        ("identity_exp+beta", r"gives a in .*\(0, ∞\), where beta is defined\. Use exp_exp\+beta"),
        ("identity_exp+gausian", r"Did you mean .*gaussian"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_pair_to_use_instead(name, message):
    with pytest.raises(InvalidValue, match=message):
        build(name, {})


def test_a_scale_knows_its_logarithm():
    odd = replace(GAUSSIAN.activation, parts=(ACTIVATIONS["identity"], ACTIVATIONS["sigmoid"]))
    with pytest.raises(InvalidValue, match=r"^activation: got identity_exp, of sigmoid; .* exp and softplus do"):
        Pair(odd, GAUSSIAN.cost)
    with pytest.raises(InvalidValue, match=r"second prediction lies in \(0, ∞\), as gaussian needs"):
        Pair(replace(odd, parts=(ACTIVATIONS["identity"],) * 2), GAUSSIAN.cost)


def test_a_location_may_be_positive():
    """exp_exp+gaussian is in no list, and composed by the same rule."""
    terms, y, h = reference.terms(build("exp_exp+gaussian", {})), 2.0, 1e-6
    value, *slopes, first, both, second = terms(0.3, -0.2, y)
    assert value == reference.terms(GAUSSIAN)(np.exp(0.3), -0.2, y)[0]
    for j, bends in enumerate(((first, both), (both, second))):
        left, right = (terms(*(np.array([0.3, -0.2]) + step * np.eye(2)[j]), y) for step in (-h, h))
        assert slopes[j] == pytest.approx((right[0] - left[0]) / (2 * h), rel=1e-8)
        assert bends == pytest.approx([(right[k] - left[k]) / (2 * h) for k in (1, 2)], rel=1e-8)


# ------------------------------------------------------------------------------------------------------ against torch


@pytest.mark.parametrize("name", ["identity_exp+gaussian", "identity_softplus+gaussian", "identity_exp+laplace"])
def test_a_likelihood_is_that_of_torch(name):
    torch = pytest.importorskip("torch")
    z = torch.tensor(RANDOM.normal(size=(7, 2)), requires_grad=True)
    y = torch.tensor(RANDOM.normal(size=7))
    spread = z[:, 1].exp() if "_exp" in name else torch.nn.functional.softplus(z[:, 1])
    if "gaussian" in name:
        loss = torch.nn.GaussianNLLLoss(full=True, reduction="sum")(z[:, 0], y, spread.square())
    else:
        loss = -torch.distributions.Laplace(z[:, 0], spread).log_prob(y).sum()
    same_as(loss, name, z, y)


@pytest.mark.parametrize("df", [0.7, 4.0])
def test_student_t_is_that_of_torch(df):
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(RANDOM.normal(size=(7, 2)), requires_grad=True), torch.tensor(RANDOM.normal(size=7))
    given = torch.distributions.StudentT(df, z[:, 0], z[:, 1].exp())
    same_as(-given.log_prob(y).sum(), build("identity_exp+student_t", {"df": df}), z, y)


def test_beta_is_that_of_torch():
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(2 * RANDOM.normal(size=(7, 2)), requires_grad=True), torch.tensor(RANDOM.uniform(0.1, 0.9, 7))
    given = torch.distributions.Beta(z[:, 0].exp(), z[:, 1].exp())
    same_as(-given.log_prob(y).sum(), BETA, z, y)


def same_as(loss, pair, z, y):
    loss.backward()
    value, delta = cl.value_and_delta(pair, z.detach().numpy(), y.numpy(), reduction="sum")
    assert value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(delta, z.grad.numpy(), rtol=1e-9, atol=1e-12)
