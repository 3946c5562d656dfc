"""The cost as the Trainer of transformers asks for it: a part of one mean over all labels of a step."""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from costlayer.errors import CostLayerError, InvalidType, InvalidValue
from costlayer.evaluate import are_shares, room_of_shares
from costlayer.torch.layer import CostLayer

IGNORED = -100  # the label that Trainer does not count


class TrainerLoss:
    """What the Trainer of transformers takes as `compute_loss_func`, by a cost layer.

    It is called with a model's outputs and the labels as they came, and answers with

        (sum of the costs of these labels) / num_items_in_batch,

    where Trainer counts the labels of all micro-batches and processes that make one step. Added up over these it is the
    mean over all of them, however unequally the labels are shared out.

    Arguments:
        layer: a `CostLayer` with the reduction "mean". Labels of −100 are left out, as Trainer leaves them out of its
            count. With class weights too it divides by the number of labels, for that is what Trainer counts.
        shift: whether each label is predicted by the scores one place before it, as the words of causal language
            models are. Trainer brings them unshifted. Not for masked or sequence-to-sequence models.

    Shapes: scores (..., K) with class indices (...), as models for sequences, tokens and words have them; for pairs of
    single scores labels in their shape, or (...) beside (..., 1); for pairs of two scores (N, 2) with labels (N,).
    The scores are what is called "logits" in the outputs, the first of a tuple, or the outputs themselves. Without
    `num_items_in_batch` it is the mean over the labels at hand; of no labels it is 0. What else comes by name is let
    be.

    Errors: `InvalidValue` or `InvalidType` for labels that are none, with the first one's place; for outputs without
    scores, and, in the first batch, with probabilities in their place; for labels that Trainer counts otherwise.

    >>> loss = TrainerLoss(CostLayer("softmax+cross_entropy"), shift=True)
    >>> words = torch.tensor([[5, 0, 3], [5, 1, -100]])  # the first of each is predicted by nothing
    >>> loss({"logits": torch.zeros(2, 3, 6)}, words, num_items_in_batch=3)
    tensor(1.7918)
    """

    def __init__(self, layer: CostLayer, *, shift: bool = False) -> None:
        if not isinstance(layer, CostLayer):
            fix = "LinearCostLayer belongs into the model: see examples/transformers_linear.py."
            raise InvalidType("layer", type(layer).__name__, "a CostLayer", fix)
        if layer.reduction != "mean":
            raise InvalidValue("reduction", repr(layer.reduction), "'mean'", "Trainer counts the labels that it is of.")
        if layer.ignore_index not in (None, IGNORED):
            fix = f"Trainer counts all labels but {IGNORED}: write that in their place."
            raise InvalidValue("ignore_index", f"{layer.ignore_index}", f"{IGNORED}", fix)
        if shift and not layer.pair.row:
            raise InvalidValue("shift", f"True for {layer.pair}", "a pair of classes, such as softmax+cross_entropy")
        self.layer, self.shift = layer, shift
        self._sum = layer._with(reduction="sum")
        self._sum.ignore_index = IGNORED
        self._looked = False

    def __call__(
        self, outputs: Any, labels: Tensor | None, num_items_in_batch: Tensor | int | None = None, **_: Any
    ) -> Tensor:
        """The part that these labels have of the mean."""
        z, y = _scores(outputs), self._labels(labels)
        lead = z.shape[:-1]
        if self.layer.pair.row:
            if y.shape != lead:
                expected = f"{tuple(lead)}, a class index for each row of scores"
                raise InvalidValue("labels", f"shape {tuple(y.shape)} for logits of shape {tuple(z.shape)}", expected)
            if not self._looked and self.layer.pair.activation.name == "softmax":
                self._looked = True
                _refuse_probabilities(z)
            z, y = z.flatten(0, -2), y.flatten()
        elif z.shape[-1:] == (1,) and y.shape == lead:
            z = z.squeeze(-1)
        if not self.layer.pair.row:
            y = y.to(z.dtype)
        try:
            total = self._sum(z, y)
        except CostLayerError as error:
            raise self._placed(error, lead) from None
        present = (y != IGNORED).sum()
        count = torch.as_tensor(present if num_items_in_batch is None else num_items_in_batch, device=z.device)
        if count.is_cpu and (present > count).any():
            got = f"{int(count.max())} for a batch with {int(present)} labels"
            fix = "Of a causal language model Trainer does not count the first: shift=True."
            raise InvalidValue("num_items_in_batch", got, "at least as many as there are", "" if self.shift else fix)
        return total / count.clamp(min=1)  # of no labels nothing

    def predict(self, logits: Any, labels: Tensor | None = None) -> Tensor:
        """The predictions of scores (..., K), in their shape: what Trainer takes as `preprocess_logits_for_metrics`.

        >>> TrainerLoss(CostLayer("softmax+cross_entropy")).predict(torch.zeros(2, 3, 4))[1, 2]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
        """
        z = _scores(logits)
        return self.layer.predict(z.flatten(0, -2) if z.ndim > 1 else z).reshape(z.shape)

    def _labels(self, labels: Tensor | None) -> Tensor:
        """Each at the place of the scores that predict it."""
        if labels is None:
            fix = "Trainer takes them out of the batch by that name: give the data a column 'labels'."
            raise InvalidType("labels", "None", "a tensor of labels", fix)
        if self.layer.pair.row and labels.is_floating_point():
            fix = "Trainer counts every one of them: write a loss of your own by layer.sum_and_count."
            raise InvalidType("labels", f"{labels.dtype}", f"class indices for {self.layer.pair}", fix)
        if not self.shift:
            return labels
        if labels.ndim < 2:
            raise InvalidValue("labels", f"shape {tuple(labels.shape)}", "(N, T) with shift=True, one for each word")
        return F.pad(labels[..., 1:], (0, 1), value=IGNORED)

    def _placed(self, error: CostLayerError, lead: torch.Size) -> CostLayerError:
        """What is wrong with a label, by its place in the labels as they came."""
        found = re.fullmatch(r"y(?:\[([\d, ]+)\])?", error.argument)
        if not found:
            return error
        place = [int(each) for each in (found[1] or "").split(", ") if each]
        if place and self.layer.pair.row:
            row, place = place[0], []
            for size in reversed(lead):
                row, here = divmod(row, size)
                place.insert(0, here)
            place[-1] += self.shift
        argument = f"labels[{', '.join(map(str, place))}]" if place else "labels"
        return type(error)(argument, error.got, error.expected, error.fix)


def _scores(outputs: Any) -> Tensor:
    """The scores among what a model returned."""
    found = outputs
    if isinstance(outputs, dict):
        found = outputs.get("logits")
    elif isinstance(outputs, (tuple, list)) and outputs:
        found = outputs[0]
    if not (isinstance(found, Tensor) and found.ndim):
        got = f"a dict of {', '.join(map(repr, outputs))}" if isinstance(outputs, dict) else type(outputs).__name__
        fix = "The model has to return its scores, by the name of logits or first of a tuple."
        raise InvalidType("outputs", got, "outputs with logits", fix)
    return found


def _refuse_probabilities(z: Tensor) -> None:
    """Rows that all add up to 1, with nothing below 0, are no scores."""
    if bool(are_shares(z.detach().float(), torch, room_of_shares(z.itemsize))):
        fix = "Take the softmax out of the model: the cost has it, and layer.predict(logits) gives it."
        raise InvalidValue("logits", "rows that add up to 1: probabilities", "scores", fix)
