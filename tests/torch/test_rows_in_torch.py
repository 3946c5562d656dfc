"""Costs of whole rows in torch: beside torch's own, by its operations, and with the layer that makes their scores."""

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_layer import DOUBLE, example, gradient, same
from torch import nn

import costlayer as cl
from costlayer.errors import CostLayerError, InvalidType, InvalidValue
from costlayer.torch import CostLayer, OrdinalScores
from covering import PAIRS

WRITTEN = [str(pair) for pair in PAIRS if pair.written]
BETWEEN = [str(pair) for pair in PAIRS if pair.activation.thresholds]


@pytest.mark.parametrize("margin", [1.0, 0.25])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_torchs_multiclass_hinge_is_weston_watkins_by_the_number_of_classes(margin, reduction):
    z, y = example("class_scores+weston_watkins", (6, 5))
    ours = CostLayer("class_scores+weston_watkins", reduction=reduction, margin=margin)(z, y)
    theirs = F.multi_margin_loss(z, y, margin=margin, reduction=reduction)
    same(ours, 5 * theirs)
    same(gradient(ours.sum(), z), 5 * gradient(theirs.sum(), z))


def test_coral_is_a_yes_or_no_cross_entropy_at_each_threshold():
    z, y = example("ordinal+coral", (6, 4))
    above = (y[:, None] > torch.arange(4)).double()
    ours = CostLayer("ordinal+coral")(z, y)
    same(ours, F.binary_cross_entropy_with_logits(z, above, reduction="none").sum(1).mean())


def test_corn_asks_each_threshold_only_those_who_came_so_far():
    z, y = example("conditional+corn", (6, 4))
    theirs = torch.zeros((), dtype=DOUBLE)
    for k in range(4):  # as the reference implementation does, task by task
        asked = y >= k
        theirs = theirs + F.binary_cross_entropy_with_logits(z[asked, k], (y[asked] > k).double(), reduction="sum")
    same(CostLayer("conditional+corn", reduction="sum")(z, y), theirs)


@pytest.mark.parametrize("name", WRITTEN)
def test_operations_know_infinite_scores_and_nan_as_the_engine_does(name):
    layer, between = CostLayer(name, reduction="none"), name in BETWEEN
    rows = [[np.inf, 1.0, 0.5], [2.0, 1.0, -np.inf], [np.inf, 1.0, -np.inf], [np.nan, 1.0, 0.5]]
    for row in rows if between else [*rows, [0.0, np.inf, np.inf], [-np.inf, -np.inf, 0.0], [3.0, 3.0, 3.0]]:
        z = torch.tensor([row] * (3 + between), dtype=DOUBLE, requires_grad=True)
        y = torch.arange(3 + between)
        ours, theirs = layer(z, y), layer._by_operations(z, y, None)
        torch.testing.assert_close(ours, theirs, equal_nan=True)
        upstream = torch.ones_like(ours)
        slopes = (torch.autograd.grad(value, z, upstream)[0] for value in (ours, theirs))
        torch.testing.assert_close(*slopes, equal_nan=True)
        free = z.detach()
        torch.testing.assert_close(
            torch.func.vmap(lambda z: layer.predict(z[None])[0])(free), layer.predict(free), equal_nan=True
        )


@pytest.mark.parametrize("name", WRITTEN)
def test_half_precision_is_computed_in_float32(name):
    z, y = example(name, (16, 4), torch.bfloat16)
    wide = z.detach().float().requires_grad_()
    if name == "ordinal+cumulative_logit":  # bfloat16 may have made two scores equal
        y = torch.zeros_like(y)
    layer = CostLayer(name)
    assert layer(z, y).item() == layer(wide, y).item()
    assert torch.equal(gradient(layer(z, y), z), gradient(layer(wide, y), wide).to(torch.bfloat16))
    assert torch.equal(layer.predict(z), layer.predict(wide).to(torch.bfloat16))


@pytest.mark.parametrize("name", [name for name in WRITTEN if "fenchel" not in name])
def test_shares_of_classes_are_refused_by_operations_too(name):
    z, _ = example(name)
    shares = torch.full_like(z, 0.25).detach()
    for call in (lambda: CostLayer(name)(z, shares), lambda: CostLayer(name)._by_operations(z, shares, None)):
        with pytest.raises(InvalidValue, match=r"^y: got floats"):
            call()
    _, y = example(name)
    with pytest.raises(InvalidValue, match=r"^label_smoothing"):
        CostLayer(name, label_smoothing=0.1)._by_operations(z, y, None)


@pytest.mark.parametrize("name", WRITTEN)
def test_constants_as_trained_on(name):
    y, given = torch.tensor([0, -1, 1, 2, 2, 1]), {}
    classes = torch.tensor([1.0, 2.0, 0.5], dtype=DOUBLE)
    found = CostLayer(name, class_weight=classes, ignore_index=-1).constant(y)
    kept = y[y >= 0]
    truth = cl.constant(name, kept.numpy(), classes[kept].numpy(), **given)
    same(found, torch.as_tensor(truth, dtype=torch.float32), 1e-6)


# ------------------------------------------------------------------------------------------ scores between classes


def falls(z):
    return bool((z[:, :-1] > z[:, 1:]).all())


@pytest.mark.parametrize("name", ["ordinal+cumulative_logit", "ordinal+coral"])
def test_scores_fall_while_they_are_trained(name):
    """Classes in order that one direction decides: found, and in order at every step."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(400, 3, generator=random)
    y = torch.bucketize(x @ torch.tensor([2.0, -1.0, 0.0]), torch.tensor([-2.0, 0.0, 2.0]))
    torch.manual_seed(0)
    scores, cost = OrdinalScores(3, 4), CostLayer(name)
    optimizer, losses = torch.optim.SGD(scores.parameters(), lr=1.0), []
    for _ in range(150):
        z = scores(x)
        assert falls(z)
        loss = cost(z, y)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for p in scores.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert ((cost.predict(scores(x)) > 0.5).sum(1) == y).double().mean() > 0.9


def test_scores_are_one_linear_score_less_each_threshold():
    scores = OrdinalScores(5, 4, dtype=DOUBLE)
    x = torch.randn(7, 5, dtype=DOUBLE)
    z = scores(x)
    assert z.shape == (7, 3)
    same(z - z[:, :1], (z - z[:, :1])[:1].expand(7, 3))  # the same steps for every x
    steps = F.softplus(scores.thresholds[1:])
    same(z[0, :-1] - z[0, 1:], steps)
    same(z[:, 0], F.linear(x, scores.weight)[:, 0] - scores.thresholds[0])
    assert torch.autograd.gradcheck(scores, x.requires_grad_())
    parameters = tuple(p.detach().requires_grad_() for p in (scores.weight, scores.thresholds))
    call = torch.func.functional_call
    given = x.detach()
    assert torch.autograd.gradcheck(lambda w, b: call(scores, {"weight": w, "thresholds": b}, (given,)), parameters)


def test_thresholds_of_their_own_may_be_in_any_order():
    scores = OrdinalScores(5, 4, rising=False)
    scores.start_at(torch.tensor([0.0, 3.0, -1.0]))
    assert scores(torch.zeros(1, 5)).tolist() == [[0.0, 3.0, -1.0]]
    with pytest.raises(InvalidValue, match="fall from class to class"):
        OrdinalScores(5, 4).start_at(torch.tensor([0.0, 3.0, -1.0]))
    with pytest.raises(InvalidValue, match=r"expected 3 scores"):
        scores.start_at(torch.zeros(4))
    for given in ([2.0, 1.0, 0.5], np.array([2.0, 1.0, 0.5]), [2, 1, np.float32(0.5)]):
        scores.start_at(given)
        assert scores(torch.zeros(1, 5)).tolist() == [[2.0, 1.0, 0.5]]
    with pytest.raises(InvalidType, match=r"^z: got \['a'.*3 numbers"):
        scores.start_at(["a", "b", "c"])


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_scores_start_where_the_classes_are_as_frequent_as_in_the_targets(classes):
    y = torch.arange(classes).repeat_interleave(torch.arange(1, classes + 1))
    layer, scores = CostLayer("ordinal+cumulative_logit"), OrdinalScores(2, classes)
    scores.start_at(layer.constant(y))
    above = layer.predict(scores(torch.zeros(1, 2)))[0]
    same(above, torch.stack([(y > k).float().mean() for k in range(classes - 1)]), 1e-6)


def test_the_scores_survive_all_that_modules_go_through():
    scores = OrdinalScores(5, 4)
    assert repr(scores) == "OrdinalScores(in_features=5, classes=4)"
    assert repr(OrdinalScores(5, 4, rising=False)) == "OrdinalScores(in_features=5, classes=4, rising=False)"
    assert sorted(scores.state_dict()) == ["thresholds", "weight"]
    other = OrdinalScores(5, 4)
    other.load_state_dict(scores.state_dict())
    x = torch.randn(3, 2, 5)
    for same_scores in (other, copy.deepcopy(scores), pickle.loads(pickle.dumps(scores))):
        assert torch.equal(same_scores(x), scores(x))
    assert scores(x).shape == (3, 2, 3)
    assert scores.double()(x.double()).dtype == DOUBLE
    network = nn.Sequential(nn.Linear(5, 5), OrdinalScores(5, 4))
    CostLayer("ordinal+cumulative_logit")(network(x[:, 0]), torch.tensor([0, 3, 1])).backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("given", [("5", 4), (5, 1), (0, 4), (5, True), (5, 4.0)])
def test_sizes_that_are_none_are_refused(given):
    with pytest.raises(CostLayerError) as caught:
        OrdinalScores(*given)
    assert type(caught.value) is (InvalidValue if all(type(x) is int for x in given) else InvalidType)
    assert caught.value.argument in ("in_features", "classes")


@pytest.mark.parametrize("label", [7, -1, -100])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_label_that_is_no_class_never_gives_a_gradient_that_looks_right(name, label):
    """By torch's operations, which look at no target: the engine refuses it by name."""
    z, y = example(name, (3, 4))
    y[1] = label
    slope = torch.func.grad(lambda z: CostLayer(name, reduction="sum")(z, y))(z.detach())
    assert slope[1].isnan().all()
    assert slope[[0, 2]].isfinite().all()
    with pytest.raises(InvalidValue, match=r"^y\[1\]"):
        CostLayer(name)(z, y)
