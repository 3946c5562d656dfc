"""Every pair in JAX against the truth and, where scores are extreme, against the NumPy front; in one compiled call."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

import accuracy
import costlayer as cl
import truth
from costlayer.jax import predict, value
from covering import PAIRS, every_pair

EXTREMES = (0.0, *(sign * size for size in (50.0, 700.0, 1e30, np.inf) for sign in (1, -1)), np.nan)
EXTREME_ROWS = (
    (0.0, 0.0, 0.0),
    (7.25, 7.25, -7.25),
    (np.inf, 0.0, 1.0),
    (-np.inf, 0.0, 1.0),
    (np.inf, np.inf, 0.0),
    (-np.inf, -np.inf, 0.5),
    (1e30, -1e30, 0.5),
    (700.0, 0.5, -700.0),
    (700.0, -700.0, 50.0),
    (np.nan, 0.0, 1.0),
)


@jax.jit(static_argnums=0)
def everything(pair, z, y):
    """Values, δ and curvatures: the last by a derivative forward of one backward, along one score after the other."""

    def total(z):
        return value(pair, z, y, reduction="sum")

    if pair.two:  # one by one: where a mixed derivative is infinite too, nothing times that would be NaN
        curves = [
            jax.jvp(jax.grad(lambda one, k=k: total(z.at[:, k].set(one))), (z[:, k],), (jnp.ones_like(y),))[1]
            for k in range(2)
        ]
        curves = jnp.stack(curves, -1)
    else:
        each = jnp.eye(z.shape[-1], dtype=z.dtype) if pair.row else jnp.ones((1, 1), z.dtype)
        ways = jax.vmap(lambda way: jax.jvp(jax.grad(total), (z,), (jnp.broadcast_to(way, z.shape),))[1] * way)
        curves = ways(each).sum(0)
    return value(pair, z, y, reduction="none"), jax.grad(total)(z), curves


def computed(pair, z, y):
    return [np.asarray(found) for found in everything(pair, jnp.asarray(z), jnp.asarray(y))]


@pytest.fixture(autouse=True)
def flushed(monkeypatch):
    """XLA takes 0 for what is below the smallest normal number, on the way too."""
    exactly = truth.close

    def close(got, right, scale, dtype, ulps=8, what="", steps=8):
        apart = abs(mp.mpf(float(got)) - right) if np.isfinite(got) else mp.inf
        if apart > 100 * steps * mp.mpf(float(np.finfo(dtype).tiny)):  # times a score that has an exp like this
            exactly(got, right, scale, dtype, ulps, what, steps)

    monkeypatch.setattr(truth, "close", close)


@pytest.fixture
def dtypes():
    """Both types in one test: the truth is the same, and takes longer than JAX."""

    def both():
        for dtype in (np.float32, np.float64):
            with jax.enable_x64(dtype is np.float64):
                yield dtype

    return both()


def agrees_with_numpy(pair, z, y, found):
    value, delta = cl.value_and_delta(pair, z, y, reduction="none")
    rough, curvature = 1e3 * np.finfo(z.dtype).eps, cl.curvature(pair, z, y)
    small = rough if pair.row else np.finfo(z.dtype).tiny  # rows are added up
    for got, expected, what in zip(found, (value, delta, curvature), ("value", "δ", "curvature"), strict=True):
        np.testing.assert_allclose(got, expected, rough, small, err_msg=f"{what} at {z}, {y}")


def within_float32(pair, points):
    """Those whose prediction float32 can hold: it is computed in float32, not in float64 as NumPy's front does."""
    z = np.array([z for z, _ in points])
    size = abs(np.exp(np.minimum(z, 700.0)) if pair.activation.name == "cloglog" else cl.predict(pair, z))
    return [point for point, each in zip(points, size, strict=True) if not np.finfo(np.float32).max < each < np.inf]


def test_pointwise_pairs_are_right(pointwise_pair, dtypes):
    all_points = list(accuracy.points(pointwise_pair))
    all_extreme = list(itertools.product(EXTREMES, truth.targets(pointwise_pair)))
    for dtype in dtypes:
        if dtype is np.float32:
            points, extreme = (within_float32(pointwise_pair, each) for each in (all_points, all_extreme))
        else:
            points, extreme = all_points, all_extreme
        z, y = np.array([*points, *extreme], dtype).T.copy()
        found = computed(pointwise_pair, z, y)
        for k in range(len(points)):
            accuracy.check_pointwise(
                pointwise_pair, float(z[k]), float(y[k]), [each[k] for each in found], dtype, ulps=16
            )
        rest = slice(len(points), None)
        agrees_with_numpy(pointwise_pair, z[rest], y[rest], [each[rest] for each in found])


def test_rows_under_classes_are_right(row_pair, dtypes):
    rows = [(z, goals) for z, goals in truth.rows(row_pair) if len(z) == 3]
    classes = 3 + row_pair.activation.thresholds
    points = [(z, t) for z, _ in rows for t in range(classes)]
    falling = bool(row_pair.closed and row_pair.closed.falling)
    extreme = itertools.product(
        [row for row in EXTREME_ROWS if not falling or row[0] > row[1] > row[2]], range(classes)
    )
    extreme = list(extreme)
    for dtype in dtypes:
        z = np.array([z for z, _ in [*points, *extreme]], dtype)
        y = np.array([t for _, t in [*points, *extreme]], np.int32)
        found = computed(row_pair, z, y)
        for k, (row, t) in enumerate(points):
            goal = tuple(float(j == t) for j in range(classes))
            accuracy.check_row(row_pair, row, goal, *(each[k] for each in found), dtype)
        rest = slice(len(points), None)
        agrees_with_numpy(row_pair, z[rest], y[rest], [each[rest] for each in found])


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.row and not pair.cost.labels_only], ids=str)
def test_rows_under_probabilities_are_right(pair, dtypes):
    points = [(z, y) for z, goals in truth.rows(pair) if len(z) == 3 for y in goals]
    for dtype in dtypes:
        z, y = (np.array(each, dtype) for each in zip(*points, strict=True))
        found = computed(pair, z, y)
        for k, point in enumerate(points):
            accuracy.check_row(pair, *point, *(each[k] for each in found), dtype)


def test_pairs_of_two_scores_are_right(two_score_pair, dtypes):
    for dtype in dtypes:
        # beyond, infinite derivatives by both scores spoil those by one: JAX multiplies them by nothing
        reach = 40.0 if dtype is np.float32 else 300.0
        points = [(z, y) for z, y in accuracy.two_points(two_score_pair) if max(map(abs, z)) <= reach]
        z, y = (np.array(each, dtype) for each in zip(*points, strict=True))
        value, delta, curves = computed(two_score_pair, z, y)
        for k, point in enumerate(points):
            # δ_0 of beta is 22 units off at one of 256 points in float64, where NumPy's front is within 8
            ulps = 32 if two_score_pair.cost.name == "beta" else 16
            accuracy.check_two(two_score_pair, *point, (value[k], *delta[k], *curves[k]), dtype, ulps=ulps)


@every_pair
def test_predictions_are_those_of_the_numpy_front(pair, dtype):
    z = np.array([*np.linspace(-9.0, 9.0, 9), *EXTREMES[:-1]], dtype)
    z = z.reshape(9, 2) if pair.two else z.reshape(6, 3) if pair.row else z
    np.testing.assert_allclose(predict(pair, z), cl.predict(pair, z), 64 * np.finfo(dtype).eps, np.finfo(dtype).tiny)
