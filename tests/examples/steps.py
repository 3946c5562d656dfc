"""One step of training on the same four texts: all at once, in parts, or shared out to processes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from costlayer.torch import CostLayer, TrainerLoss

WORDS, TEXTS = 50, 4


def make(kind: Any = LlamaForCausalLM) -> Any:
    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return kind(LlamaConfig(vocab_size=WORDS, tie_word_embeddings=True, **sizes))


def batch() -> dict[str, Tensor]:
    """Four texts, of which ever less is to be predicted; what the first word of a text is, never."""
    tokens = torch.randint(WORDS, (TEXTS, 9), generator=torch.Generator().manual_seed(1))
    labels = tokens.clone()
    for i in range(TEXTS):
        labels[i, 1 : 1 + 2 * i] = -100
    return {"input_ids": tokens, "labels": labels}


def data() -> list[dict[str, Tensor]]:
    """Text by text."""
    return [{name: each[i] for name, each in batch().items()} for i in range(TEXTS)]


def at_once() -> dict[str, Tensor]:
    """The parameters after one step of plain gradient descent, by torch's own loss of the single large batch."""
    model, given = make(), batch()
    scores = model(given["input_ids"]).logits[:, :-1].flatten(0, 1)
    F.cross_entropy(scores, given["labels"][:, 1:].flatten(), ignore_index=-100).backward()
    with torch.no_grad():
        for each in model.parameters():
            each -= each.grad
    return model.state_dict()


def by_trainer(folder: str, batch_size: int, processes: int = 1, linear: bool = False, **arguments: Any) -> Any:
    """The same by Trainer: so many texts at a time."""
    if linear:
        from transformers_linear import CostlayerForCausalLM

        model, loss = make(CostlayerForCausalLM), None
    else:
        model, loss = make(), TrainerLoss(CostLayer("softmax+cross_entropy", ignore_index=-100), shift=True)
    options = TrainingArguments(
        folder, max_steps=1, optim="sgd", learning_rate=1.0, lr_scheduler_type="constant", max_grad_norm=0.0,
        per_device_train_batch_size=batch_size, gradient_accumulation_steps=TEXTS // (batch_size * processes),
        save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, **arguments,
    )  # fmt: skip
    trainer = Trainer(model, options, train_dataset=data(), compute_loss_func=loss)
    trainer.train()
    return model


def by_accelerate(processes: int = 1) -> dict[str, Tensor]:
    """The same by what the example of Accelerate does, two texts in each of two parts, or one each in two processes."""
    from accelerate import Accelerator
    from accelerate_training import accumulate

    accelerator, model, given = Accelerator(cpu=True), make(), batch()
    layer = CostLayer("softmax+cross_entropy", ignore_index=-100)
    mine = range(accelerator.process_index, TEXTS, processes)
    parts = [given["input_ids"][i, None] for i in mine], [given["labels"][i, 1:] for i in mine]
    prepared = accelerator.prepare(_Scores(model))
    accumulate(accelerator, prepared, layer, [list(part) for part in zip(*parts, strict=True)])
    with torch.no_grad():
        for each in model.parameters():
            each -= each.grad
    return model.state_dict()


class _Scores(torch.nn.Module):
    """The model, as the example has it: scores (N, classes) come out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens).logits[0, :-1]
