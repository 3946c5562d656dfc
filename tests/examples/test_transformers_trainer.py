"""The example of transformers' Trainer: the model's own loss and gradient, in one batch or in parts; one embedding."""

import re
from typing import Any

import torch
import transformers_trainer as example
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

WORDS = 50


def _model(kind: Any = example.CostlayerForCausalLM):
    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return kind(LlamaConfig(vocab_size=WORDS, tie_word_embeddings=True, **sizes))


def _batch():
    """Four texts, of which ever less is to be predicted."""
    tokens = torch.randint(WORDS, (4, 9), generator=torch.Generator().manual_seed(1))
    labels = tokens.clone()
    for i in range(4):
        labels[i, : 2 * i] = -100
    return {"input_ids": tokens, "labels": labels}


def _gradients(model, **batch):
    loss = model(**batch).loss
    loss.backward()
    return loss, {name: each.grad for name, each in model.named_parameters()}


def test_loss_and_gradient_are_the_models_own():
    own, own_gradients = _gradients(_model(LlamaForCausalLM), **_batch())
    loss, gradients = _gradients(_model(), **_batch())
    torch.testing.assert_close(loss, own)
    torch.testing.assert_close(gradients, own_gradients)


def test_scores_are_there_without_labels_alone():
    tokens = _batch()["input_ids"]
    assert _model()(**_batch()).logits is None
    torch.testing.assert_close(_model()(input_ids=tokens).logits, _model(LlamaForCausalLM)(input_ids=tokens).logits)


def test_further_keywords_are_the_models_own():
    given = {"attention_mask": torch.ones(4, 9, dtype=torch.int64), "output_attentions": False, "another": 1}
    torch.testing.assert_close(_model()(**_batch(), **given).loss, _model(LlamaForCausalLM)(**_batch(), **given).loss)


def test_labels_that_come_shifted_stay_where_they_are():
    batch = _batch()
    shifted = torch.nn.functional.pad(batch["labels"], (0, 1), value=-100)[:, 1:]
    loss = _model()(**batch, shift_labels=shifted).loss
    torch.testing.assert_close(loss, _model()(**batch).loss)


def _trained(folder, kind: Any = example.CostlayerForCausalLM, batch=4):
    """The model after one step by the gradient of all four texts, so many at a time."""
    model = _model(kind)
    texts = [{name: each[i] for name, each in _batch().items()} for i in range(4)]
    arguments = TrainingArguments(
        folder, max_steps=1, optim="sgd", learning_rate=1.0, lr_scheduler_type="constant", max_grad_norm=0.0,
        per_device_train_batch_size=batch, gradient_accumulation_steps=4 // batch, save_strategy="no",
        report_to="none", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    Trainer(model, arguments, train_dataset=texts).train()
    return model


def test_accumulated_steps_are_that_of_the_large_batch(tmp_path):
    at_once = _trained(tmp_path).state_dict()
    torch.testing.assert_close(_trained(tmp_path, batch=1).state_dict(), at_once)
    torch.testing.assert_close(_trained(tmp_path, LlamaForCausalLM).state_dict(), at_once)
    assert not torch.equal(at_once["lm_head.weight"], _model().state_dict()["lm_head.weight"])


def test_embeddings_stay_one_and_are_kept_as_one(tmp_path):
    model = _trained(tmp_path)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    model.save_pretrained(tmp_path / "kept")
    again = LlamaForCausalLM.from_pretrained(tmp_path / "kept")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    torch.testing.assert_close(again(**_batch()).loss, model(**_batch()).loss)


def test_example_learns_and_says_so(capsys):
    example.main(steps=6)
    said = capsys.readouterr().out
    ((before, after),) = re.findall(r"held out: ([\d.]+) before, ([\d.]+) after", said)
    assert float(after) < float(before) - 0.1
    assert "embeddings are one: True" in said
