"""Trains a causal language model of transformers with costlayer's last layer and loss in place of the model's own."""

import tempfile
from collections import Counter
from pydoc_data.topics import topics
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from transformers.modeling_outputs import CausalLMOutputWithPast

from costlayer.torch import linear_cost


class CostlayerForCausalLM(LlamaForCausalLM):  # Trainer tells by the end of the name that the labels will be shifted
    """The same model, whose scores are never held in training. Without labels it is as it was: `generate` works."""

    def forward(self, input_ids=None, attention_mask=None, labels=None, num_items_in_batch=None, **kwargs):  # type: ignore
        shifted = kwargs.pop("shift_labels", None)  # some collators have done it; else the labels are the text itself
        given = {"input_ids": input_ids, "attention_mask": attention_mask, **kwargs}
        if labels is None:
            return super().forward(**given)
        # Trainer counts the labels of all batches whose gradients it adds up: each is a part of one mean
        reduction = "mean" if num_items_in_batch is None else "sum"
        options = {"shift": shifted is None, "ignore_index": -100, "reduction": reduction}
        x, y = self.model(**given).last_hidden_state, labels if shifted is None else shifted
        loss = linear_cost(x, self.lm_head.weight, y, **options)
        return CausalLMOutputWithPast(loss=loss if num_items_in_batch is None else loss / num_items_in_batch)


def dataset(vocabulary: int, length: int) -> list[dict[str, torch.Tensor]]:
    """Python's reference pages, cut into pieces; rarer words are all the word 0, which need not be predicted."""
    words = [word for page in topics.values() for word in page.split()]
    number = {word: i + 1 for i, (word, _) in enumerate(Counter(words).most_common(vocabulary - 1))}
    tokens = torch.tensor([number.get(word, 0) for word in words])
    pieces = tokens[: len(tokens) // length * length].view(-1, length)
    return [{"input_ids": each, "labels": each.masked_fill(each == 0, -100)} for each in pieces]


def main(steps: int = 120) -> None:
    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = CostlayerForCausalLM(LlamaConfig(vocab_size=4096, tie_word_embeddings=True, **sizes))
    pieces = dataset(4096, 64)
    train, held_out = pieces[len(pieces) // 10 :], pieces[: len(pieces) // 10]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, learning_rate=3e-3, per_device_train_batch_size=8, gradient_accumulation_steps=2,
            per_device_eval_batch_size=16, logging_steps=20, save_strategy="no", report_to="none", use_cpu=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=train, eval_dataset=held_out)
        before = trainer.evaluate()["eval_loss"]
        trainer.train()
        print(f"loss on text held out: {before:.3f} before, {trainer.evaluate()['eval_loss']:.3f} after")
    print("input and output embeddings are one:", model.lm_head.weight is model.model.embed_tokens.weight)


if __name__ == "__main__":
    main()
