"""What comes back where losses usually go wrong: costlayer and torch side by side, float32."""

import math
import warnings

import torch
import torch.nn.functional as F
from _measure import report

from costlayer.torch import CostLayer


def main() -> None:
    warnings.simplefilter("ignore")
    softmax, sigmoid, mse = (
        CostLayer("softmax+cross_entropy"),
        CostLayer("sigmoid+cross_entropy"),
        CostLayer("identity+mse"),
    )
    rows = []
    for margin in (10.0, 17.0, 30.0):
        z, y = torch.zeros(1, 1000), torch.tensor([0])
        z[0, 0] = margin + math.log(999)
        truth = math.log1p(math.exp(math.log(999) - z[0, 0].item()))
        rows.append(
            [
                f"softmax cross entropy, sure by a margin of {margin:g}: loss",
                _loss(softmax, z, y),
                _loss(F.cross_entropy, z, y),
                f"{truth:.3g}",
            ]
        )
        slope = -1.0 / (1.0 + math.exp(z[0, 0].item() - math.log(999)))
        rows.append(
            [
                "the same: gradient of the true class",
                _slope(softmax, z, y),
                _slope(F.cross_entropy, z, y),
                f"{slope:.3g}",
            ]
        )
    bce = F.binary_cross_entropy_with_logits
    z, y = torch.tensor([63.8]), torch.ones(1)
    rows.append(
        [
            "sigmoid cross entropy, y = 1, z = 63.8: gradient",
            _slope(sigmoid, z, y),
            _slope(bce, z, y),
            f"{-1 / (1 + math.exp(z.item())):.3g}",
        ]
    )
    z, y = torch.tensor([math.inf]), torch.ones(1)
    rows.append(["sigmoid cross entropy, y = 1, z = ∞: loss", _loss(sigmoid, z, y), _loss(bce, z, y), "0"])
    z, y = torch.zeros(2, 3), torch.tensor([-100, -100])
    ignoring = CostLayer("softmax+cross_entropy", ignore_index=-100)
    rows.append(["every row ignored: mean loss", _loss(ignoring, z, y), _loss(F.cross_entropy, z, y), "nothing to add"])
    z, y = torch.zeros(3, 1), torch.tensor([0.0, 1.0, 2.0])
    rows.append(
        [
            "scores (3, 1), targets (3,)",
            _loss(mse, z, y),
            f"averages 3 × 3 = 9 errors: {_loss(F.mse_loss, z, y)}",
            "3 errors",
        ]
    )
    z, y = torch.zeros(2, 3), torch.tensor([0, 7])
    rows.append(["class 7 of 3", _loss(softmax, z, y), _loss(F.cross_entropy, z, y), "an error that says where"])
    rows += _starving() + _padding()
    report("behaviour", "Where losses usually go wrong", ["case, float32", "costlayer", "torch", "truth"], rows)


def _starving() -> list[list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CostLayer("sigmoid+mse")
        said = str(caught[0].message)
        F.mse_loss(torch.sigmoid(torch.tensor([5.0])), torch.zeros(1))
        silent = "silent" if len(caught) == 1 else "warns"
    try:
        CostLayer("identity+cross_entropy")
        refused = "accepted"
    except ValueError as error:
        refused = f"{type(error).__name__}: {error}"
    with torch.no_grad():
        clamped = F.nll_loss(torch.tensor([[0.2, 0.3]]), torch.tensor([0])).item()
    return [
        ["sigmoid with squared error, z = 5, y = 0", said, silent, "gain 0.00665"],
        ["cross entropy of raw scores", refused, f"nll_loss answers {clamped:.3g}", "not a cost"],
    ]


def _padding() -> list[list[str]]:
    z, y, weight = torch.tensor([0.5, math.nan]), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
    ours = CostLayer("sigmoid+cross_entropy", reduction="sum")(z, y, weight).item()
    theirs = F.binary_cross_entropy_with_logits(z, y, weight, reduction="sum").item()
    return [["NaN in an example of weight 0: summed loss", f"{ours:.3g}", f"{theirs:.3g}", "0.474"]]


def _loss(loss, z, y) -> str:
    try:
        return f"{loss(z, y).item():.3g}"
    except (ValueError, IndexError) as error:
        return f"{type(error).__name__}: {str(error).split(';')[0]}"


def _slope(loss, z, y) -> str:
    z = z.clone().requires_grad_()
    loss(z, y).backward()
    return f"{z.grad.flatten()[0].item():.3g}"


if __name__ == "__main__":
    main()
