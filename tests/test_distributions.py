"""The formulas that stand for constants and functions which are no words, against mpmath."""

import math

import numpy as np
import pytest
from mpmath import mp

import costlayer as cl
import truth
from costlayer import distributions as d

NEAR = np.linspace(0.0, 1.0, 201)
FAR = np.concatenate([NEAR, np.linspace(1.0, 38.0, 223), 10.0 ** np.arange(-300.0, 300.0, 7.0)])


def test_constants():
    assert d.pi() == math.pi
    with mp.workdps(40):
        assert d.root_two_pi() == float(mp.sqrt(2 * mp.pi))


@pytest.mark.parametrize(
    ("formula", "exact", "points"),
    [
        (d.arctan_over, lambda x: mp.atan(x) / x if x else mp.mpf(1), NEAR),
        (d.excess, lambda t: mp.npdf(t) / (mp.erfc(t / mp.sqrt(2)) / 2) - t, FAR[FAR < 1e6]),
        (d.density, mp.npdf, FAR[FAR < 38]),
    ],
    ids=["arctan_over", "excess", "density"],
)
def test_they_are_what_they_stand_for(formula, exact, points):
    with mp.workdps(60):
        for x in points.tolist():
            right = exact(mp.mpf(x))
            truth.close(formula(np.float64(x)), right, right, np.float64, ulps=2, what=f"at {x}", steps=1)


@pytest.mark.parametrize("t", [1e7, 1e15, 1e200, 1e308])
def test_far_out_the_excess_is_that_of_its_series(t):
    assert d.excess(t) == pytest.approx(1 / t, rel=1e-13)


def test_ends():
    with np.errstate(all="ignore"):
        infinite = np.float64(np.inf)
        assert (d.excess(infinite), d.density(infinite)) == (0.0, 0.0)
        assert d.cauchy(infinite) == (0.0, 0.0, 0.0, 0.0)
        assert all(math.isnan(f(np.float64(np.nan))) for f in (d.excess, d.density, d.arctan_over))


def test_half_precision_has_digits_enough():
    """Computed in float32, where the density splits nothing off, and larger scores must not overflow on the way."""
    torch = pytest.importorskip("torch")
    from costlayer.torch import CostLayer

    name = "probit+cross_entropy"
    z = torch.tensor([-6e4, -50.0, -7.0, -3.0, 0.5, 3.0, 7.0, 13.0, 50.0, 6e4]).to(torch.float16).requires_grad_()
    for y in (0.0, 1.0):
        target = torch.full_like(z, y)
        (found,) = torch.autograd.grad(CostLayer(name, reduction="sum")(z, target), z)
        right = cl.value_and_delta(name, z.detach().double().numpy(), target.double().numpy(), reduction="sum")[1]
        np.testing.assert_allclose(found.double().numpy(), right, rtol=2.0**-10, atol=2.0**-24)
