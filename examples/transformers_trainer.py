"""Trains a causal language model with the Trainer of transformers, and costlayer's pair as its `compute_loss_func`."""

import tempfile
from collections import Counter
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from costlayer.torch import CostLayer, TrainerLoss


def dataset(vocabulary: int, length: int) -> list[dict[str, Tensor]]:
    """Python's reference pages, cut into pieces; rarer words are all the word 0, which need not be predicted."""
    words = [word for page in topics.values() for word in page.split()]
    number = {word: i + 1 for i, (word, _) in enumerate(Counter(words).most_common(vocabulary - 1))}
    tokens = torch.tensor([number.get(word, 0) for word in words])
    pieces = tokens[: len(tokens) // length * length].view(-1, length)
    return [{"input_ids": each, "labels": each.masked_fill(each == 0, -100)} for each in pieces]


def main(steps: int = 120) -> tuple[float, float]:
    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=1024, **sizes))
    pieces = dataset(1024, 64)
    train, held_out = pieces[len(pieces) // 10 :], pieces[: len(pieces) // 10]
    layer = CostLayer("softmax+cross_entropy", ignore_index=-100)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, learning_rate=3e-3, per_device_train_batch_size=8, gradient_accumulation_steps=2,
            per_device_eval_batch_size=16, logging_steps=20, save_strategy="no", report_to="none", use_cpu=True,
        )  # fmt: skip
        trainer = Trainer(
            model,
            arguments,
            train_dataset=train,
            eval_dataset=held_out,
            compute_loss_func=TrainerLoss(layer, shift=True),  # labels come as the text itself
        )
        before = trainer.evaluate()["eval_loss"]
        trainer.train()
        after = trainer.evaluate()["eval_loss"]
    model.eval()
    with torch.no_grad():
        following = layer.predict(model(train[0]["input_ids"][None]).logits[0])  # probabilities, one row for each word
    print(f"loss on text held out: {before:.3f} before, {after:.3f} after")
    print(f"after the first word it is sure of the next by {following[0].max():.2f}")
    return before, after


if __name__ == "__main__":
    main()
