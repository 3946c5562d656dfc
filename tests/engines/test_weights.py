"""Weights of any size, and classes that are masked: what is finite stays finite, what is nothing stays nothing."""

import numpy as np
import pytest

import costlayer as cl
from costlayer.errors import SaturationWarning

CE = "softmax+cross_entropy"


@pytest.mark.parametrize("classes", [3, 200], ids=["short rows", "long rows"])
@pytest.mark.parametrize("level", [-49.9, -20.0, 0.0, 49.9, 300.0])
def test_a_huge_weight_gives_what_a_type_can_hold(dtype, level, classes):
    weight = np.array([1e38 if dtype == np.float32 else 1e308], dtype)
    z = np.full((1, classes), level, dtype)
    _, delta = cl.value_and_delta(CE, z, np.array([0]), weight)
    expected = np.full(classes, 1 / classes) - np.eye(classes)[0]
    np.testing.assert_allclose(delta[0] / weight[0], expected, rtol=1e-6)


@pytest.mark.parametrize("classes", [3, 200], ids=["short rows", "long rows"])
@pytest.mark.parametrize("other", [0.0, 60.0, -70.0, 800.0])
def test_a_masked_class_has_no_gradient(dtype, other, classes):
    z = np.zeros((2, classes), dtype)
    z[0, 1], z[0, 2] = -np.inf, other
    weight = np.array([1e10, 1.0], dtype)
    _, delta = cl.value_and_delta(CE, z, np.array([0, 0]), weight)
    assert delta[0, 1] == 0.0
    assert (delta[1, 1:] > 0).all()


@pytest.mark.parametrize("name", ["identity+mse", CE])
def test_a_tiny_weight_is_not_none(name):
    """1e-45 divided by four examples is nothing in float32."""
    row = name == CE
    z = np.full((4, 2) if row else 4, 1e20, np.float32)
    if row:
        z[:, 0] = 0.0
    y = np.zeros(4, np.int64 if row else np.float32)
    weight = np.full(4, 1e-45, np.float32)
    value, delta = cl.value_and_delta(name, z, y, weight)
    exact = cl.value(name, z.astype(np.float64), y, weight.astype(np.float64))
    assert value == pytest.approx(exact, rel=1e-6)
    assert value > 0
    if not row:
        assert (delta > 0).all()
    z[0] = np.nan
    assert np.isnan(cl.value(name, z, y, weight))


def test_a_start_at_zero_is_exact():
    """exp(0) is 1 to the last digit: an absolute error of nothing has no slope."""
    with pytest.warns(SaturationWarning):
        pair = cl.pair("exp+mae")
    value, delta = cl.value_and_delta(pair, np.zeros(1, np.float32), np.ones(1, np.float32))
    assert (value, delta[0]) == (0.0, 0.0)
