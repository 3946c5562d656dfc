"""focal and asymmetric of yes-or-no targets: as published, at every power, and where others give NaN."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mpmath import mp

import truth
from costlayer.catalogue import build
from costlayer.engines import reference
from costlayer.evaluate import evaluate

Z = np.array([-800.0, -40.0, -6.0, -1.5, -0.25, 0.0, 0.25, 1.5, 6.0, 40.0, 800.0])
POWERS = (0.0, 0.25, 0.9, 5.0)


def everything(name, z, y, parameters, **options):
    found = evaluate(build(name, parameters), z, y, reduction="none", curvature=True, **options)
    return found.value, found.delta, found.curvature


def torchvision(z, y, gamma, alpha):
    """torchvision.ops.sigmoid_focal_loss, written out."""
    p = torch.sigmoid(z)
    cost = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    loss = cost * (1 - (p * y + (1 - p) * (1 - y))) ** gamma
    return loss if alpha < 0 else (alpha * y + (1 - alpha) * (1 - y)) * loss


def published_asymmetric(z, y, gamma_pos, gamma_neg, clip):
    """The loss of Ridnik et al. (2021), equations 2 to 7, as their own code has it."""
    p = torch.sigmoid(z)
    no = torch.clamp(1 - p + clip, max=1)
    power = gamma_pos * y + gamma_neg * (1 - y)
    return -(y * torch.log(p) + (1 - y) * torch.log(no)) * (1 - p * y - no * (1 - y)) ** power


def agree(name, parameters, theirs):
    z = torch.linspace(-9, 9, 37, dtype=torch.float64).repeat(2).requires_grad_()
    y = torch.arange(2.0, dtype=torch.float64).repeat_interleave(37)
    loss = theirs(z, y, *parameters.values())
    (slope,) = torch.autograd.grad(loss.sum(), z, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), z)
    found = everything(name, z.detach().numpy(), y.numpy(), parameters)
    for ours, right in zip(found, (loss, slope, curve), strict=True):
        np.testing.assert_allclose(ours, right.detach().numpy(), rtol=1e-8, atol=1e-12)  # theirs loses digits
    assert found[2].min() < -1e-3  # it bends down, and says so


@pytest.mark.parametrize("alpha", [0.25, 0.75, 1.0, -1.0])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_is_torchvisions(gamma, alpha):
    agree("sigmoid+focal", {"gamma": gamma, "alpha": alpha}, torchvision)


@pytest.mark.parametrize(("gamma_pos", "gamma_neg", "clip"), [(1.0, 4.0, 0.05), (0.0, 2.0, 0.2), (2.0, 3.0, 0.0)])
def test_asymmetric_is_the_published_one(gamma_pos, gamma_neg, clip):
    parameters = {"gamma_pos": gamma_pos, "gamma_neg": gamma_neg, "clip": clip}
    agree("sigmoid+asymmetric", parameters, published_asymmetric)


@pytest.mark.parametrize(
    ("name", "parameters", "times"),
    [
        ("sigmoid+focal", {"gamma": 0.0, "alpha": -1.0}, 1.0),
        ("sigmoid+focal", {"gamma": 0.0, "alpha": 0.5}, 0.5),
        ("sigmoid+asymmetric", {"gamma_pos": 0.0, "gamma_neg": 0.0, "clip": 0.0}, 1.0),
    ],
)
def test_without_powers_it_is_cross_entropy(name, parameters, times, dtype):
    """optax#1267, kornia#918: NaN at gamma = 0."""
    z, y = (a.ravel().astype(dtype) for a in np.meshgrid(np.r_[-np.inf, Z, np.inf], (0.0, 1.0)))
    for found, right in zip(
        everything(name, z, y, parameters), everything("sigmoid+cross_entropy", z, y, {}), strict=True
    ):
        np.testing.assert_array_max_ulp(found, dtype(times) * right, 2)


@pytest.mark.parametrize("name", ["sigmoid+focal", "sigmoid+asymmetric"])
def test_every_power_is_safe(name):
    """optax#1267, kornia#918: NaN at gamma < 1, of a slope (1 − p)^(gamma − 1) that meets 1 − p = 0."""
    if name == "sigmoid+focal":
        given = [{"gamma": gamma, "alpha": alpha} for gamma, alpha in itertools.product(POWERS, (0.25, 1.0))]
    else:
        powers = [{"gamma_pos": p, "gamma_neg": n} for p, n in zip(POWERS, POWERS[::-1], strict=True)]
        given = [{**each, "clip": clip} for each in powers for clip in (0.0, 0.0625)]
    z, y = (a.ravel() for a in np.meshgrid(Z[::2], (0.0, 0.375, 1.0)))
    for parameters in given:
        pair, found = build(name, parameters), everything(name, z, y, parameters)
        for point in zip(z, y, *found, strict=True):
            score, goal = map(float, point[:2])
            value, slope, curve = truth.pointwise(pair, score, goal)
            with mp.workdps(30):
                within = mp.exp(-abs(score)) * (1 + abs(score))  # where the curvature crosses 0
                sizes = value, abs(slope) + (goal == 0.375), abs(curve) + 16 * within
                for got, right, size in zip(point[2:], (value, slope, curve), sizes, strict=True):
                    truth.close(got, right, size, np.float64, ulps=16, what=f"{parameters} at {score}, {goal}")


def test_noes_below_the_clip_count_nothing():
    z = np.log(np.array([0.01, 0.04, 0.06]) / np.array([0.99, 0.96, 0.94]))
    value, delta, curvature = everything("sigmoid+asymmetric", z, np.zeros(3), {})
    assert value[:2].tolist() == delta[:2].tolist() == curvature[:2].tolist() == [0.0, 0.0]
    m = 0.06 - 0.05
    assert value[2] == pytest.approx(-(m**4) * np.log1p(-m), rel=1e-12)


@pytest.mark.parametrize("cost", ["mse", "focal", "asymmetric"])
@pytest.mark.parametrize("activation", ["probit", "cloglog", "cauchit"])
def test_what_is_made_by_name_gives_no_nan_where_a_prediction_has_come_to_an_end(activation, cost):
    """Composed, such a pair knows no more than v, which may be 1; nothing times infinity is nothing for all that."""
    pair = build(f"{activation}+{cost}", {})
    assert pair.starves == (activation != "cauchit" and cost != "focal")
    terms = reference.terms(pair)
    for y in (0.0, 0.375, 1.0):
        for z in (-np.inf, *Z, 9.0, -9.0, np.inf):
            assert not np.isnan(terms(float(z), y)[:2]).any(), (z, y)


@pytest.mark.parametrize("name", ["sigmoid+focal", "sigmoid+asymmetric"])
def test_targets_in_between_smoothing_and_weights(name):
    """A target in between is so many yeses and noes, whatever has moved it there."""
    z = np.linspace(-3.0, 3.0, 7)
    no, yes = (everything(name, z, np.full(7, y), {}) for y in (0.0, 1.0))
    y = np.array([0.0, 1.0, 0.25, 0.5, 1.0, 0.0, 0.875])

    def mixed(a, b, k):
        return a * yes[k] + b * no[k]

    for options, a, b in (
        ({}, y, 1 - y),
        ({"label_smoothing": 0.2}, 0.8 * y + 0.1, 0.9 - 0.8 * y),
        ({"pos_weight": 3.0}, 3.0 * y, 1 - y),
        ({"class_weight": [0.5, 2.0]}, (0.5 + 1.5 * y) * y, (0.5 + 1.5 * y) * (1 - y)),
    ):
        found = everything(name, z, y, {}, **options)
        for k in range(3):
            np.testing.assert_allclose(found[k], mixed(a, b, k), rtol=1e-12, atol=1e-15)
