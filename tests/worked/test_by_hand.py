"""Values worked by hand or taken from a paper; each says where it comes from."""

import math

import numpy as np
import pytest

import costlayer as cl
from costlayer.catalogue import build, read_pair
from costlayer.errors import InvalidValue


def one(name, z, y, dtype=np.float64, **parameters):
    value, delta = cl.value_and_delta(build(name, parameters), np.array([z], dtype), np.array([y]), reduction="sum")
    return float(value), delta[0].tolist()


@pytest.mark.parametrize(
    ("name", "z", "y", "value", "delta"),
    [
        ("identity+mse", 3.0, 1.0, 4.0, 4.0),  # (3 − 1)², 2 (3 − 1)
        ("identity+mae", 3.0, 5.0, 2.0, -1.0),
        ("identity+mae", 3.0, 3.0, 0.0, 0.0),  # the kink: taken as 0
        ("identity+huber", 0.5, 0.0, 0.125, 0.5),  # 0.5²/2
        ("identity+huber", -3.0, 0.0, 2.5, -1.0),  # 1 (3 − 1/2)
        ("identity+hinge", 0.25, 1.0, 0.75, -1.0),
        ("identity+hinge", 0.25, -1.0, 1.25, 1.0),
        ("identity+hinge", 1.0, 1.0, 0.0, 0.0),  # at the margin the slope is 0
        ("sigmoid+mse", 0.0, 1.0, 0.25, -0.25),  # 2 (1/2 − 1) · 1/4
        ("sigmoid+cross_entropy", 0.0, 1.0, math.log(2), -0.5),
        ("sigmoid+cross_entropy", math.log(3), 0.0, math.log(4), 0.75),  # σ(ln 3) = 3/4
        ("tanh+mse", math.log(2), 1.0, 0.16, -0.512),  # tanh ln 2 = 3/5, gain 16/25: 2 (−2/5) 16/25
        ("relu+mse", -1.0, 2.0, 4.0, 0.0),
        ("relu+mse", 3.0, 2.0, 1.0, 2.0),
        ("relu+mse", 0.0, 2.0, 4.0, 0.0),  # the kink: taken as 0
        ("leaky_relu+mse", -100.0, 1.0, 4.0, -0.04),  # v = −1: 2 (−2) 0.01
        ("elu+mse", math.log(0.5), 0.0, 0.25, -0.5),  # v = −1/2, gain 1/2
        ("softplus+mse", 0.0, 0.0, math.log(2) ** 2, math.log(2)),  # 2 ln 2 · 1/2
        ("softplus+poisson", 0.0, 1.0, math.log(2) - math.log(math.log(2)), 0.5 - 0.5 / math.log(2)),
        ("softplus+gamma", math.log(math.e - 1), 1.0, 1.0, 0.0),  # v = 1 = y
        ("exp+mse", math.log(2), 3.0, 1.0, -4.0),  # 2 (2 − 3) 2
        ("exp+poisson", math.log(2), 3.0, 2 - 3 * math.log(2), -1.0),
        ("exp+gamma", math.log(2), 3.0, math.log(2) + 1.5, -0.5),  # 1 − 3/2
        ("identity+smooth_l1", 0.5, 0.0, 0.125, 0.5),
        ("identity+smooth_l1", -3.0, 0.0, 2.5, -1.0),
        ("identity+log_cosh", math.log(2), 0.0, math.log(1.25), 0.6),  # cosh ln 2 = 5/4, tanh ln 2 = 3/5
        ("identity+quantile", 3.0, 5.0, 1.0, -0.5),  # half of the absolute error
        ("identity+expectile", 1.0, 3.0, 3.0, -3.0),  # 0.75 · 2², 2 · 0.75 (−2)
        ("identity+expectile", 3.0, 1.0, 1.0, 1.0),
        ("identity+epsilon_insensitive", 1.0, 3.0, 1.9, -1.0),
        ("identity+epsilon_insensitive", 3.05, 3.0, 0.0, 0.0),
        ("identity+cauchy", 2.385, 0.0, 2.385**2 / 2 * math.log(2), 2.385 / 2),  # at the scale
        ("identity+tukey", 4.685 / 2, 0.0, 4.685**2 / 6 * 37 / 64, 4.685 * 9 / 32),  # (1 − 1/4)³ = 27/64, (3/4)²/2
        ("identity+tukey", -99.0, 0.0, 4.685**2 / 6, 0.0),
        ("identity+mape", 3.0, 4.0, 0.25, -0.25),
        ("exp+mape", math.log(6), 4.0, 0.5, 1.5),
        ("exp+msle", 0.0, 0.0, math.log(2) ** 2, math.log(2)),  # 2 ln 2 · 1/2
        ("exp+negative_binomial", math.log(2), 3.0, 4 * math.log(3) - 3 * math.log(2), -1 / 3),  # (2 − 3)/(1 + 2)
        ("exp+inverse_gaussian", math.log(2), 3.0, 3 / 8 - 1 / 2, -0.25),  # (2 − 3)/4
        ("exp+tweedie", math.log(4), 2.0, 6.0, 1.0),  # 2·2 + 2·2/2, and 2 (4 − 2)/4
        ("identity+squared_hinge", 0.25, -1.0, 1.5625, 2.5),
        ("identity+modified_huber", 0.25, -1.0, 1.5625, 2.5),
        ("identity+modified_huber", 3.0, -1.0, 12.0, 4.0),
        ("identity+logistic", math.log(3), -1.0, math.log(4), 0.75),
        ("identity+exponential", math.log(2), 1.0, 0.5, -0.5),
        ("identity+perceptron", 0.5, -1.0, 0.5, 1.0),
        ("identity+perceptron", 0.5, 1.0, 0.0, 0.0),
        ("probit+cross_entropy", 0.0, 1.0, math.log(2), -math.sqrt(2 / math.pi)),  # φ(0) / ½
        ("cloglog+cross_entropy", 0.0, 0.0, 1.0, 1.0),  # e⁰
        ("cloglog+cross_entropy", 0.0, 1.0, -math.log1p(-1 / math.e), -1 / (math.e - 1)),
        ("cauchit+cross_entropy", 1.0, 0.0, math.log(4), 2 / math.pi),  # v = 3/4, gain 1/(2π)
        ("sigmoid+focal", 0.0, 1.0, math.log(2) / 16, -(math.log(2) + 0.5) / 16),  # (1/4) (1/2)² times ln 2, ln 2 + 1/2
        ("sigmoid+focal", 0.0, 0.0, 3 * math.log(2) / 16, 3 * (math.log(2) + 0.5) / 16),
        ("sigmoid+asymmetric", 0.0, 1.0, math.log(2) / 2, -(math.log(2) + 1) / 4),  # (1/2) (ln 2/2 + 1/2)
        (
            "sigmoid+asymmetric",
            0.0,
            0.0,
            -(0.45**4) * math.log(0.55),
            0.25 * (0.45**4 / 0.55 - 4 * 0.45**3 * math.log(0.55)),
        ),
    ],
)
def test_pointwise(name, z, y, value, delta):
    assert one(name, z, y) == pytest.approx((value, delta), rel=4e-16, abs=4e-16)


@pytest.mark.parametrize(
    ("name", "value", "delta"),
    [
        # p = (1/2, 1/4, 1/4), class 0
        ("softmax+cross_entropy", math.log(2), [-0.5, 0.25, 0.25]),
        ("softmax+mse", 0.375, [-0.375, 0.1875, 0.1875]),  # slopes (−1, .5, .5), mean −1/4: p (slope + 1/4)
        ("softmax+mae", 1.0, [-0.5, 0.25, 0.25]),  # slopes (−1, 1, 1), mean 0
        ("softmax+huber", 0.1875, [-0.1875, 0.09375, 0.09375]),  # within 1: half of mse
        (
            "softmax+focal",
            math.log(2) / 4,
            [-math.log(2) / 4 - 1 / 8, math.log(2) / 8 + 1 / 16, math.log(2) / 8 + 1 / 16],
        ),
        ("softmax+poly1", math.log(2) + 1.0, [-1.0, 0.5, 0.5]),  # q (1 + 2 p) = 1
        ("softmax+gce", (1 - 0.5**0.7) / 0.7, [-(0.5**1.7), 0.5**2.7, 0.5**2.7]),
        ("softmax+kl", math.log(2), [-0.5, 0.25, 0.25]),
        ("softmax+js", 0.75 * math.log(4 / 3), [-math.log(3) / 8, math.log(3) / 16, math.log(3) / 16]),
        ("softmax+binary_cross_entropy", math.log(2) + 2 * math.log(4 / 3), [-5 / 6, 5 / 12, 5 / 12]),
    ],
)
def test_rows(name, value, delta):
    found = one(name, [math.log(2), 0.0, 0.0], 0)
    assert found[0] == pytest.approx(value, rel=1e-15)
    assert found[1] == pytest.approx(delta, rel=1e-15)


LN3 = math.log(3)


@pytest.mark.parametrize(
    ("name", "z", "y", "value", "delta"),
    [
        # Crammer and Singer, Weston and Watkins: 1 + 2 − 1, and 1/2 + 2
        ("class_scores+crammer_singer", [1.0, 0.5, 2.0], 0, 2.0, [-1.0, 0.0, 1.0]),
        ("class_scores+weston_watkins", [1.0, 0.5, 2.0], 0, 2.5, [-2.0, 1.0, 1.0]),
        ("class_scores+weston_watkins", [3.0, 0.5, 2.0], 0, 0.0, [0.0, 0.0, 0.0]),
        # Martins and Astudillo (2016), 3.3: of two classes t apart (t − 1)²/4 between −1 and 1, −t below
        ("sparsemax+fenchel_young", [0.5, 0.0], 0, 1 / 16, [-0.25, 0.25]),
        ("sparsemax+fenchel_young", [-3.0, 0.0], 0, 3.0, [-1.0, 1.0]),
        ("sparsemax+fenchel_young", [0.0, 0.0, 0.0], 1, 1 / 3, [1 / 3, -2 / 3, 1 / 3]),  # (1/9 + 4/9 + 1/9)/2
        # z = 2 w of w = (.8, .6), whose squares add to 1: ⅔ (.2² 2.8 + .6³)
        ("entmax15+fenchel_young", [1.6, 1.2], 0, 0.656 / 3, [-0.36, 0.36]),
        ("entmax15+fenchel_young", [-3.0, 0.0], 0, 3.0, [-1.0, 1.0]),
        # P(y > j) = (3/4, 1/2, 1/4), class 1: coral ln (4/3 · 2 · 4/3), corn without the last; P = 3/4 − 1/2, of which
        # σ′ = (3/16, 1/4) are three quarters and all
        ("ordinal+coral", [LN3, 0.0, -LN3], 1, math.log(32 / 9), [-0.25, 0.5, 0.25]),
        ("conditional+corn", [LN3, 0.0, -LN3], 1, math.log(8 / 3), [-0.25, 0.5, 0.0]),
        ("ordinal+cumulative_logit", [LN3, 0.0, -LN3], 1, math.log(4), [-0.75, 1.0, 0.0]),
        ("ordinal+cumulative_logit", [LN3, 0.0, -LN3], 3, math.log(4), [0.0, 0.0, -0.75]),
    ],
)
def test_whole_rows(name, z, y, value, delta):
    found = one(name, z, y)
    assert found[0] == pytest.approx(value, rel=1e-15)
    assert found[1] == pytest.approx(delta, rel=1e-15, abs=1e-16)


def test_sparse_probabilities_of_two_classes():
    """Martins and Astudillo (2016), figure 1: sparsemax of (t, 0) is (1 + t)/2, cut off at 0 and 1."""
    t = np.array([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0])
    z = np.stack([t, np.zeros(7)], axis=1)
    assert cl.predict("sparsemax+fenchel_young", z)[:, 0].tolist() == [0.0, 0.0, 0.25, 0.5, 0.625, 1.0, 1.0]


def test_the_cross_entropy_of_all_outputs_is_not_the_log_likelihood():
    """At p = (.665, .245, .090), class 0: δ = (−.616, .465, .151), where softmax+cross_entropy has p − y."""
    p = np.array([0.665, 0.245, 0.090])
    assert one("softmax+binary_cross_entropy", np.log(p), 0)[1] == pytest.approx(
        [-0.616, 0.465, 0.151], abs=1e-3
    )  # −.6166, .4658, .1508
    assert one("softmax+cross_entropy", np.log(p), 0)[1] == pytest.approx([-0.335, 0.245, 0.090], abs=1e-12)


def test_equal_scores_are_equal_shares():
    """Softmax is a transform of scores that a linear map made: (1, 1, 1, 1) becomes (.25, .25, .25, .25)."""
    assert cl.predict("softmax+cross_entropy", np.ones((1, 4))).tolist() == [[0.25, 0.25, 0.25, 0.25]]


def test_where_torch_has_no_gradient_left():
    """F.binary_cross_entropy_with_logits in float32 answers 0 at z = 63.8, y = 1; the truth is −2.0e-28."""
    z = np.float32(63.8)
    value, delta = one("sigmoid+cross_entropy", z, 1.0, np.float32)
    truth = math.exp(-float(z))
    assert (value, delta) == pytest.approx((truth, -truth), rel=3e-7)
    assert delta == pytest.approx(-2.0e-28, rel=0.05)


@pytest.mark.parametrize("margin", [17.0, 30.0, 80.0])
def test_where_torch_loses_the_loss_of_a_sure_class(margin):
    """F.cross_entropy in float32 has loss 0 and gradient 0 from a margin of 17 on (arXiv 2501.04697)."""
    value, delta = one("softmax+cross_entropy", [margin, 0.0], 0, np.float32)
    truth = math.log1p(math.exp(-margin))
    slope = 1 / (1 + math.exp(margin))
    assert value == pytest.approx(truth, rel=2.5e-7)
    assert delta == pytest.approx([-slope, slope], rel=2.5e-7)
    torch = pytest.importorskip("torch")
    if margin > 17:
        z = torch.tensor([[margin, 0.0]], requires_grad=True)
        loss = torch.nn.functional.cross_entropy(z, torch.tensor([0]))
        assert loss.item() == 0.0


def test_the_gradient_that_sigmoid_mse_withholds():
    """Nielsen (2015), chapter 3: truth 0, score 5: error .9933, gain .00665; cross entropy sends the error itself."""
    error, gain = 0.993307149075715, 0.006648056670790
    assert one("sigmoid+mse", 5.0, 0.0)[1] == pytest.approx(2 * error * gain, rel=1e-12)
    assert one("sigmoid+cross_entropy", 5.0, 0.0)[1] == pytest.approx(error, rel=1e-12)


def test_a_probability_that_clamping_would_have_falsified():
    """torch's BCELoss clamps ln p at −100 (pytorch#24933): the score −200 under truth 1 costs 200."""
    assert one("sigmoid+cross_entropy", -200.0, 1.0) == (200.0, -1.0)


@pytest.mark.parametrize(
    ("name", "z", "y", "value", "delta"),
    [
        # ½ ln 2π at the mean; a standard deviation of 2 and an error of 2: ln 2 + ½ + ½ ln 2π, 2/2², 1 − 1
        ("identity_exp+gaussian", [1.0, 0.0], 1.0, 0.5 * math.log(2 * math.pi), [0.0, 1.0]),
        ("identity_exp+gaussian", [3.0, math.log(2)], 1.0, math.log(2) + 0.5 + 0.5 * math.log(2 * math.pi), [0.5, 0.0]),
        # softplus(0) = ln 2, whose slope is 1/2: (1 − w²)/(2 ln 2)
        (
            "identity_softplus+gaussian",
            [math.log(2), 0.0],
            0.0,
            math.log(math.log(2)) + 0.5 + 0.5 * math.log(2 * math.pi),
            [1 / math.log(2), 0.0],
        ),
        ("identity_exp+laplace", [3.0, math.log(2)], 0.0, math.log(4) + 1.5, [0.5, -0.5]),  # ln 2s + 3/s, 1/s, 1 − 3/s
        # 1/π at the peak of the Cauchy distribution, 1/(2π) a scale away from it: Student (1908), one degree of freedom
        ("identity_exp+student_t:df=1", [2.0, 0.0], 2.0, math.log(math.pi), [0.0, 1.0]),
        ("identity_exp+student_t:df=1", [2.0, 0.0], 1.0, math.log(2 * math.pi), [1.0, 0.0]),
        # the density of t with 4 degrees of freedom is 3/8 at 0
        ("identity_exp+student_t", [0.0, 0.0], 0.0, math.log(8 / 3), [0.0, 1.0]),
        # Gneiting and Raftery (2007), equation 21, at w = 0: s (2 φ(0) − 1/√π) = s (√2 − 1)/√π
        (
            "identity_exp+crps",
            [5.0, math.log(3)],
            5.0,
            3 * (math.sqrt(2) - 1) / math.sqrt(math.pi),
            [0.0, 3 * (math.sqrt(2) - 1) / math.sqrt(math.pi)],
        ),
        # Beta(1, 1) is uniform: its density is 1; ψ(1) − ψ(2) = −1
        ("exp_exp+beta", [0.0, 0.0], 0.25, 0.0, [math.log(4) - 1, math.log(4 / 3) - 1]),
        # Beta(2, 1) has the density 2y; ψ(2) − ψ(3) = −1/2, ψ(1) − ψ(3) = −3/2
        ("exp_exp+beta", [math.log(2), 0.0], 0.5, 0.0, [2 * (math.log(2) - 0.5), math.log(2) - 1.5]),
    ],
)
def test_two_scores_by_hand(name, z, y, value, delta):
    found, slopes = cl.value_and_delta(read_pair(name), np.array(z), np.array(y))
    assert float(found) == pytest.approx(value, rel=1e-14, abs=2e-15)
    assert slopes.tolist() == pytest.approx(delta, rel=1e-13, abs=1e-15)


def test_constants_known_in_closed_form():
    y = np.array([1.0, 2.0, 6.0])
    assert cl.constant("identity+mse", y) == pytest.approx(3.0)
    assert cl.constant("identity+mae", y) == pytest.approx(2.0)
    assert cl.constant("identity+mae", np.array([1.0, 2.0, 6.0, 7.0])) == pytest.approx(4.0)  # the middle of 2 to 6
    assert cl.constant("exp+poisson", y) == pytest.approx(math.log(3.0))
    assert cl.constant("exp+gamma", y) == pytest.approx(math.log(3.0))
    assert cl.constant("sigmoid+cross_entropy", np.array([1, 1, 1, 0])) == pytest.approx(math.log(3.0))
    assert cl.constant("identity_exp+gaussian", y) == pytest.approx([3.0, math.log(14 / 3) / 2])  # mean, deviation
    assert cl.constant("identity_exp+laplace", y) == pytest.approx([2.0, math.log(5 / 3)])  # median, mean distance
    shares = np.log(np.array([3, 2, 1]) / 6)
    assert cl.constant("softmax+cross_entropy", np.array([0, 0, 0, 1, 1, 2])) == pytest.approx(shares)
    labels = np.array([0, 1, 2, 2])  # P(y > 0) = 3/4, P(y > 1) = 1/2, and 2/3 of those beyond 0
    for name in ("ordinal+cumulative_logit", "ordinal+coral"):
        assert cl.constant(name, labels) == pytest.approx([math.log(3), 0.0])
    assert cl.constant("conditional+corn", labels) == pytest.approx([math.log(3), math.log(2)])
    assert cl.constant("sparsemax+fenchel_young", labels).tolist() == [0.25, 0.25, 0.5]
    assert cl.constant("entmax15+fenchel_young", labels) == pytest.approx([1.0, 1.0, math.sqrt(2)])
    assert cl.constant("class_scores+crammer_singer", np.array([0, 2, 2])).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("p", "times"), [(0.9, 100), (0.968, 1000)])
def test_how_much_less_the_focal_cost_makes_of_what_is_right(p, times):
    """Lin et al. (2017), section 3.2: with gamma = 2, p = 0.9 costs 100 times less than under cross entropy, and
    p ≈ 0.968 1000 times; at p ≤ 0.5 it is 4 times less at most."""
    focal, plain = (
        one(name, math.log(p / (1 - p)), 1.0, **given)[0]
        for name, given in (("sigmoid+focal", {"alpha": -1.0}), ("sigmoid+cross_entropy", {}))
    )
    assert plain / focal == pytest.approx(times, rel=0.03)
    assert plain / focal == pytest.approx((1 - p) ** -2, rel=1e-12)


def test_probit_tables():
    """Of the normal distribution: Φ(1.96) = 0.975, Φ(−1) = 0.1587; what is rare is costly: −ln Φ(−10) = 53.2313."""
    assert cl.predict("probit+cross_entropy", np.array([1.96, -1.0])) == pytest.approx([0.9750, 0.1587], abs=5e-5)
    assert one("probit+cross_entropy", -10.0, 1.0)[0] == pytest.approx(53.2313, abs=5e-5)  # Φ(−10) = 7.6199e-24
    assert cl.constant("probit+cross_entropy", np.r_[np.ones(39), 0]) == pytest.approx(1.9600, abs=5e-5)


def test_the_rate_behind_a_cloglog():
    """Where events come at the rate ln 2, half of the groups have none; with ten times the exposure, 2⁻¹⁰."""
    rate = math.log(math.log(2))
    v = cl.predict("cloglog+cross_entropy", np.array([rate, rate + math.log(10)]))
    assert v == pytest.approx([0.5, 1 - 2**-10], rel=1e-15)
    assert cl.constant("cloglog+cross_entropy", np.array([0.0, 1.0])) == pytest.approx(rate, rel=1e-15)
    assert cl.constant("cauchit+cross_entropy", np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx(1.0, rel=1e-15)
    even = np.array([0.0, 1.0])
    assert cl.constant("cauchit+cross_entropy", even) == cl.constant("probit+cross_entropy", even) == 0.0


def test_a_range_that_does_not_reach_the_targets_is_refused():
    with pytest.raises(InvalidValue, match=r"sigmoid\+hinge"):
        build("sigmoid+hinge", {})
