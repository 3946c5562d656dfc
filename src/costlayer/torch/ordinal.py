"""A last linear layer for classes that have an order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from costlayer.errors import InvalidType, InvalidValue

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class OrdinalScores(nn.Module):
    """Scores between classes in order: one linear score f(x), less a threshold between each class and the next.

    z_j = f(x) − θ_j, where the thresholds θ rise from class to class, so that the scores fall, and with them
    P(y > j) = σ(z_j): what `ordinal+cumulative_logit` and `ordinal+coral` ask for.

    Arguments:
        in_features: the size of x.
        classes: K, at least 2; there are K − 1 scores.
        rising: whether the thresholds are made to rise: the first, and above it steps that are softplus of a parameter.
            With False each is a parameter of its own, as in CORAL, which only training puts in order.
        device, dtype: of the parameters.

    Shapes: x (..., in_features) gives (..., K − 1). At first the thresholds are 1 apart, around 0; `start_at` puts them
    where the classes are as frequent as in the training targets.
    Errors: `InvalidType` or `InvalidValue` for sizes that are none.

    >>> scores = OrdinalScores(8, classes=4)
    >>> z = scores(torch.zeros(2, 8))
    >>> z.shape, z[0].tolist()
    (torch.Size([2, 3]), [1.0, 0.0, -1.0])
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        *,
        rising: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, given, least in (("in_features", in_features, 1), ("classes", classes, 2)):
            if isinstance(given, bool) or not isinstance(given, int):
                raise InvalidType(name, repr(given), "a whole number")
            if given < least:
                raise InvalidValue(name, str(given), f"a whole number of at least {least}")
        self.in_features, self.classes, self.rising = in_features, classes, rising
        options = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(1, in_features, **options))  # type: ignore
        self.thresholds = nn.Parameter(torch.empty(classes - 1, **options))  # type: ignore
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The weight as torch.nn.Linear draws it, and thresholds that are 1 apart around 0."""
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        count = self.classes - 1
        self.start_at((count - 1) / 2 - torch.arange(count, dtype=torch.float64))

    @torch.no_grad()
    def start_at(self, z: Tensor | ArrayLike) -> None:
        """Take the scores of f(x) = 0 to be `z` (K − 1), such as a cost layer's `constant(targets)`.

        >>> from costlayer.torch import CostLayer
        >>> scores, layer = OrdinalScores(8, classes=3), CostLayer("ordinal+cumulative_logit")
        >>> scores.start_at(layer.constant(torch.tensor([0, 1, 1, 2])))
        >>> layer.predict(scores(torch.zeros(1, 8))).tolist()  # P(y > 0), P(y > 1)
        [[0.75, 0.25]]
        """
        try:
            z = torch.as_tensor(z)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidType("z", repr(z), f"{self.classes - 1} numbers") from error
        if z.shape != self.thresholds.shape:
            raise InvalidValue("z", f"shape {tuple(z.shape)}", f"{self.classes - 1} scores")
        thresholds = -z.double()
        if self.rising:
            steps = thresholds.diff()
            if not (steps > 0).all():
                raise InvalidValue("z", str(z.tolist()), "scores that fall from class to class")
            thresholds = torch.cat(
                [thresholds[:1], steps + torch.log(-torch.expm1(-steps))]
            )  # softplus of it is a step
        self.thresholds.copy_(thresholds)

    def forward(self, x: Tensor) -> Tensor:
        """The scores (..., K − 1) of x (..., in_features)."""
        thresholds = self.thresholds
        if self.rising:
            thresholds = torch.cat([thresholds[:1], F.softplus(thresholds[1:])]).cumsum(0)
        return F.linear(x, self.weight) - thresholds

    def extra_repr(self) -> str:
        rising = "" if self.rising else ", rising=False"
        return f"in_features={self.in_features}, classes={self.classes}{rising}"
