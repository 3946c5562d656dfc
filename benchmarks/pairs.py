"""Forward and backward through the cost layer against the same loss in torch, and against the floor of memory."""

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from _measure import interleaved, report

from costlayer.torch import CostLayer

POINTWISE = {
    "sigmoid+cross_entropy": F.binary_cross_entropy_with_logits,
    "identity+mse": F.mse_loss,
    "identity+huber": F.huber_loss,
    "exp+poisson": F.poisson_nll_loss,
}
ROWS = [(64, 10), (65536, 1000), (2048, 32000), (1 << 20, 10)]


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    rows = []
    for size in (256, 1 << 22):
        for name, loss in POINTWISE.items():
            z, y = torch.randn(size), (torch.rand(size) < 0.5).float()
            rows.append([name, f"{size:,}", *_compare(CostLayer(name), loss, z, y)])
    for shape in ROWS:
        z, y = torch.randn(shape), torch.randint(shape[1], shape[:1])
        label = "×".join(f"{n:,}" for n in shape)
        rows.append(
            ["softmax+cross_entropy", label, *_compare(CostLayer("softmax+cross_entropy"), F.cross_entropy, z, y)]
        )
    header = ["pair, float32, mean", "scores", "costlayer, ms", "torch eager, ms", "np.add, ms", "torch / costlayer"]
    report(
        "pairs",
        "Forward and backward",
        header,
        rows,
        f"{torch.get_num_threads()} threads; medians of 9 interleaved runs.",
    )


def _compare(layer, loss, z, y) -> list[str]:
    z = z.requires_grad_()
    kept, flat = np.empty(z.shape, np.float32), z.detach().numpy()

    def step(cost):
        z.grad = None
        cost(z, y).backward()

    repeat = max(1, 20000 // z.numel())
    cases = {
        "ours": lambda: [step(layer) for _ in range(repeat)],
        "torch": lambda: [step(loss) for _ in range(repeat)],
        "floor": lambda: [np.add(flat, flat, out=kept) for _ in range(repeat)],
    }
    seconds = {name: s / repeat for name, s in interleaved(cases).items()}
    return [*(f"{1e3 * s:.3g}" for s in seconds.values()), f"{seconds['torch'] / seconds['ours']:.2f}"]


if __name__ == "__main__":
    main()
