"""The example of transformers' models with the linear cost: the model's own loss and gradient; one embedding."""

import re

import steps
import torch
import transformers_linear as example
from transformers import LlamaForCausalLM


def _model():
    return steps.make(example.CostlayerForCausalLM)


def _gradients(model, **batch):
    loss = model(**batch).loss
    loss.backward()
    return loss, {name: each.grad for name, each in model.named_parameters()}


def test_loss_and_gradient_are_the_models_own():
    own, own_gradients = _gradients(steps.make(), **steps.batch())
    loss, gradients = _gradients(_model(), **steps.batch())
    torch.testing.assert_close(loss, own)
    torch.testing.assert_close(gradients, own_gradients)


def test_scores_are_there_without_labels_alone():
    tokens = steps.batch()["input_ids"]
    assert _model()(**steps.batch()).logits is None
    torch.testing.assert_close(_model()(input_ids=tokens).logits, steps.make()(input_ids=tokens).logits)


def test_further_keywords_are_the_models_own():
    given = {"attention_mask": torch.ones(4, 9, dtype=torch.int64), "output_attentions": False, "another": 1}
    torch.testing.assert_close(_model()(**steps.batch(), **given).loss, steps.make()(**steps.batch(), **given).loss)


def test_labels_that_come_shifted_stay_where_they_are():
    batch = steps.batch()
    shifted = torch.nn.functional.pad(batch["labels"], (0, 1), value=-100)[:, 1:]
    loss = _model()(**batch, shift_labels=shifted).loss
    torch.testing.assert_close(loss, _model()(**batch).loss)


def test_accumulated_steps_are_that_of_the_large_batch(tmp_path):
    """In two processes too: see test_transformers_trainer.py."""
    for size in (4, 1):
        found = steps.by_trainer(str(tmp_path), size, linear=True).state_dict()
        torch.testing.assert_close(found, steps.at_once())


def test_embeddings_stay_one_and_are_kept_as_one(tmp_path):
    model = steps.by_trainer(str(tmp_path), 4, linear=True)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    model.save_pretrained(tmp_path / "kept")
    again = LlamaForCausalLM.from_pretrained(tmp_path / "kept")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    torch.testing.assert_close(again(**steps.batch()).loss, model(**steps.batch()).loss)


def test_example_learns_and_says_so(capsys):
    example.main(steps=6)
    said = capsys.readouterr().out
    ((before, after),) = re.findall(r"held out: ([\d.]+) before, ([\d.]+) after", said)
    assert float(after) < float(before) - 0.1
    assert "embeddings are one: True" in said
