"""transformers' Trainer by `compute_loss_func`: a step in parts and in two processes is that of the large batch."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import steps
import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM, Trainer, TrainingArguments

from costlayer.errors import InvalidType, InvalidValue
from costlayer.torch import CostLayer, TrainerLoss

PROGRAM = Path(__file__).with_name("two_processes.py")
CLOSE = {"rtol": 2e-6, "atol": 1e-7}  # float32


def _is_at_once(found):
    torch.testing.assert_close(found, steps.at_once(), **CLOSE)


@pytest.mark.parametrize("size", [4, 2, 1])
def test_accumulated_steps_are_that_of_the_large_batch(tmp_path, size):
    _is_at_once(steps.by_trainer(str(tmp_path), size).state_dict())


def test_a_step_is_one():
    """The comparisons would fail if nothing happened."""
    with pytest.raises(AssertionError):
        _is_at_once(steps.make().state_dict())


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="no gloo")
def test_two_processes_take_the_step_of_the_large_batch(tmp_path):
    done = subprocess.run(
        [sys.executable, PROGRAM, str(tmp_path / "found.pt")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.strip().endswith("done"), done.stderr
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    for way in ("compute_loss_func", "the model", "accelerate"):
        _is_at_once(found[way])
    with pytest.raises(AssertionError):  # what docs/trainers.md warns of
        _is_at_once(found["a mean in each process"])


def test_example_learns_and_says_so(capsys):
    import transformers_trainer as example

    before, after = example.main(steps=6)
    said = re.findall(r"held out: ([\d.]+) before, ([\d.]+) after", capsys.readouterr().out)
    assert said == [(f"{before:.3f}", f"{after:.3f}")]
    assert after < before - 0.1


# ---------------------------------------------------------------------------------------------------- the loss itself


LOSS = TrainerLoss(CostLayer("softmax+cross_entropy"), shift=True)


def _truth(scores, labels, reduction="mean"):
    return F.cross_entropy(scores[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction=reduction)


@pytest.fixture
def outputs():
    torch.manual_seed(0)
    return {"logits": torch.randn(4, 9, steps.WORDS, requires_grad=True)}


@pytest.mark.parametrize("count", [40, torch.tensor(40), torch.tensor(40.0)], ids=["int", "tensor", "float tensor"])
def test_the_sum_is_divided_by_what_trainer_counts(outputs, count):
    labels = steps.batch()["labels"]
    loss = LOSS(outputs, labels, num_items_in_batch=count, another=1)
    torch.testing.assert_close(loss, _truth(outputs["logits"], labels, "sum") / 40)
    loss *= 2  # as Trainer does with two processes
    loss.backward()
    (truth,) = torch.autograd.grad(_truth(outputs["logits"], labels, "sum") / 20, outputs["logits"])
    torch.testing.assert_close(outputs["logits"].grad, truth)


def test_without_a_count_it_is_the_mean_over_the_labels_at_hand(outputs):
    labels = steps.batch()["labels"]
    torch.testing.assert_close(LOSS(outputs, labels), _truth(outputs["logits"], labels))
    torch.testing.assert_close(LOSS(outputs, labels, None), LlamaForCausalLM.loss_function.fget(steps.make())(
        outputs["logits"], labels, vocab_size=steps.WORDS))  # fmt: skip


def test_scores_are_found_in_what_models_return(outputs):
    labels = steps.batch()["labels"]
    scores = outputs["logits"]
    own = steps.make()(steps.batch()["input_ids"])
    torch.testing.assert_close(LOSS(own, labels), _truth(own.logits, labels))
    for given in ((scores, None), scores):
        assert LOSS(given, labels) == LOSS(outputs, labels)


@pytest.mark.parametrize("count", [None, 0, torch.tensor(0)])
def test_a_batch_without_labels_adds_nothing(outputs, count):
    loss = LOSS(outputs, torch.full((4, 9), -100), count)
    loss.backward()
    assert loss == 0.0
    assert not outputs["logits"].grad.any()


def test_bfloat16_scores_have_a_loss_of_float32(outputs):
    labels = steps.batch()["labels"]
    scores = outputs["logits"].detach().bfloat16()
    loss = LOSS(scores, labels, 40)
    torch.testing.assert_close(loss, _truth(scores.float(), labels, "sum") / 40)


@pytest.mark.parametrize(
    ("pair", "scores", "labels", "truth"),
    [
        ("softmax+cross_entropy", (5, 3), torch.tensor([0, 2, -100, 1, 1]), lambda z, y: F.cross_entropy(z, y)),
        ("identity+mse", (5, 1), torch.randn(5), lambda z, y: F.mse_loss(z[:, 0], y)),
        ("identity+mse", (5, 2), torch.randn(5, 2), F.mse_loss),
        ("sigmoid+cross_entropy", (5, 3), torch.ones(5, 3), F.binary_cross_entropy_with_logits),
        ("sigmoid+cross_entropy", (5,), torch.tensor([0, 1, 1, 0, 1]),
         lambda z, y: F.binary_cross_entropy_with_logits(z, y.float())),
        ("identity_exp+gaussian", (5, 2), torch.randn(5),
         lambda z, y: F.gaussian_nll_loss(z[:, 0], y, (2 * z[:, 1]).exp(), full=True, eps=0.0)),
    ],
    ids=["sequences", "one number", "two numbers", "several yeses", "yes or no", "a spread"],
)  # fmt: skip
def test_other_models_than_those_of_words(pair, scores, labels, truth):
    torch.manual_seed(0)
    z, loss = torch.randn(scores), TrainerLoss(CostLayer(pair))
    torch.testing.assert_close(loss({"logits": z}, labels), truth(z, labels))
    kept = int((labels != -100).sum())
    torch.testing.assert_close(loss({"logits": z}, labels, 2 * kept), truth(z, labels) / 2)


def test_class_weights_count_in_the_sum_and_labels_in_the_divisor():
    z, y, weight = torch.randn(4, 3), torch.tensor([0, 1, 2, 2]), torch.tensor([1.0, 2.0, 0.5])
    loss = TrainerLoss(CostLayer("softmax+cross_entropy", class_weight=weight))
    truth = F.cross_entropy(z, y, weight, reduction="sum")
    torch.testing.assert_close(loss({"logits": z}, y, num_items_in_batch=8), truth / 8)
    torch.testing.assert_close(loss({"logits": z}, y), truth / 4)


WRONG = {
    "class out of range": (
        InvalidValue, r"labels\[1, 2\]: got class 6; expected a class from 0 to 5", True,
        torch.zeros(2, 3, 6), torch.tensor([[5, 0, 3], [5, 1, 6]]), None),
    "negative label": (
        InvalidValue, r"labels\[1\]: got class -1; expected", False, torch.zeros(2, 6), torch.tensor([0, -1]), None),
    "probabilities": (
        InvalidValue, r"logits: got rows that add up to 1.*Take the softmax out of the model", False,
        torch.randn(4, 6).softmax(1), torch.tensor([0, 1, 2, 3]), None),
    "probabilities of 16 bits": (
        InvalidValue, r"logits: got rows that add up to 1", False,
        torch.randn(64, 6, generator=torch.Generator().manual_seed(0)).softmax(1).bfloat16(),
        torch.zeros(64, dtype=torch.int64), None),
    "no labels": (InvalidType, r"labels: got None.*a column 'labels'", False, torch.zeros(2, 6), None, None),
    "shapes": (
        InvalidValue, r"labels: got shape \(3,\) for logits of shape \(2, 6\)", False,
        torch.zeros(2, 6), torch.zeros(3, dtype=torch.int64), None),
    "no scores": (
        InvalidType, r"outputs: got a dict of 'loss'; expected outputs with logits", False,
        {"loss": torch.zeros(())}, torch.tensor([0]), None),
    "not shifted": (
        InvalidValue, r"num_items_in_batch: got 2 for a batch with 3 labels.*shift=True", False,
        torch.zeros(1, 3, 6), torch.tensor([[5, 0, 3]]), 2),
    "shares": (
        InvalidType, r"labels: got torch.float32; expected class indices for softmax\+cross_entropy", False,
        torch.zeros(2, 6), torch.full((2, 6), 1 / 6), None),
    "nothing to shift": (
        InvalidValue, r"labels: got shape \(2,\); expected \(N, T\)", True,
        torch.zeros(2, 6), torch.zeros(2, dtype=torch.int64), None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_use_is_said_in_trainers_terms(name):
    kind, said, shift, scores, labels, count = WRONG[name]
    loss = TrainerLoss(CostLayer("softmax+cross_entropy"), shift=shift)
    with pytest.raises(kind, match=f"(?s)^{said}"):
        loss(scores if isinstance(scores, dict) else {"logits": scores}, labels, count)


def test_trainer_predicts_probabilities(tmp_path):
    """The classes lie along the last axis of its scores, behind the words."""
    loss, data = TrainerLoss(CostLayer("softmax+cross_entropy"), shift=True), steps.data()
    options = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True, disable_tqdm=True)
    model = steps.make()
    trainer = Trainer(model, options, compute_loss_func=loss, preprocess_logits_for_metrics=loss.predict)
    found = trainer.predict(data).predictions  # type: ignore
    with torch.no_grad():
        truth = model(steps.batch()["input_ids"]).logits.softmax(-1)
    np.testing.assert_allclose(found, truth, rtol=1e-5)
    np.testing.assert_allclose(trainer.evaluate(data)["eval_loss"], _truth(truth.log(), steps.batch()["labels"]), 1e-6)


def test_a_target_outside_the_interval_is_named_as_a_label():
    loss = TrainerLoss(CostLayer("sigmoid+cross_entropy"))
    with pytest.raises(InvalidValue, match=r"^labels\[1, 0\]: got 2.0; expected a target in \[0, 1\]"):
        loss({"logits": torch.zeros(2, 2)}, torch.tensor([[0.0, 1.0], [2.0, 1.0]]))


@pytest.mark.parametrize(
    ("layer", "options", "said"),
    [
        (torch.nn.CrossEntropyLoss(), {}, "layer: got CrossEntropyLoss; expected a CostLayer"),
        (CostLayer("identity+mse", reduction="sum"), {}, "reduction: got 'sum'; expected 'mean'"),
        (CostLayer("softmax+cross_entropy", ignore_index=-1), {}, "ignore_index: got -1; expected -100"),
        (CostLayer("identity+mse"), {"shift": True}, r"shift: got True for identity\+mse; expected a pair of classes"),
    ],
)
def test_a_layer_that_trainer_cannot_use_is_refused(layer, options, said):
    with pytest.raises((InvalidType, InvalidValue), match=f"^{said}"):
        TrainerLoss(layer, **options)
