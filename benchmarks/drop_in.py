"""The loss classes of costlayer.torch beside torch.nn's own of the same name, eager."""

from collections.abc import Callable
from functools import partial

import torch
from _measure import Results, figure, interleaved, ratio
from _speed import THREADS, agree, alone, label, set_threads
from torch import Tensor, nn

import costlayer.torch as ct

POINTS = {"small": (256,), "large": (1 << 22,)}
ROWS = {"small": (64, 10), "large": (8192, 1000)}
OPTIONS = {"KLDivLoss": {"reduction": "batchmean"}}  # torch warns of the mean
NAMES = [  # linear.py times the one that has weights of its own
    name for name in ct.__all__ if name.endswith("Loss") and hasattr(nn, name) and not name.startswith("Linear")
]
OF_ROWS = (
    "CrossEntropyLoss",
    "NLLLoss",
    "KLDivLoss",
    "MultiMarginLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
)
NOTES = (
    f"float32, mean reduction, a fresh gradient each step; {THREADS} threads; medians of interleaved runs. A class "
    "that costlayer leaves to torch, as docs/torch.md says, takes what torch's takes."
)


def main() -> None:
    set_threads(THREADS)
    with Results("drop_in", "In place of torch.nn's losses", NOTES, 2 * len(NAMES)) as results:
        for size, scale, unit in (("small", 1e6, "µs"), ("large", 1e3, "ms")):
            header = ["class", "input", f"costlayer, {unit}", f"torch.nn, {unit}", "torch.nn / costlayer"]
            rows = results.table(header, f"{size.capitalize()} arrays")
            for name in NAMES:
                shape = (ROWS if name in OF_ROWS else POINTS)[size]
                results.begin(f"{name} {label(shape)}")
                seconds = interleaved(contestants(name, shape), budget=2.0)
                results.cases.append({"pair": name, "shape": shape, "case": size, "seconds": seconds})
                times = [figure(s, scale) for s in seconds.values()]
                rows.append([name, label(shape), *times, figure(ratio(seconds["eager"], seconds["ours"]))])


def contestants(name: str, shape: tuple[int, ...]) -> dict[str, Callable[[], None]]:
    """A step through the class of costlayer and through torch's, seen to give the same gradient."""
    z, given = data(name, shape)

    def step(loss: nn.Module) -> None:
        z.grad = None
        loss(z, *given).backward()

    options = OPTIONS.get(name, {})
    steps = {"ours": partial(step, getattr(ct, name)(**options)), "eager": partial(step, getattr(nn, name)(**options))}
    agree(dict(steps), z)
    return {who: alone(run, z) for who, run in steps.items()}


def data(name: str, shape: tuple[int, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """An input that wants a gradient, and what else the class is called with."""
    random = torch.Generator().manual_seed(0)
    z, other = torch.randn(shape, generator=random), torch.randn(shape, generator=random)
    bits, classes = (other > 0.0).float(), shape[-1]
    labels = torch.randint(classes, shape[:1], generator=random)
    match name:
        case "BCEWithLogitsLoss" | "MultiLabelSoftMarginLoss":
            given = (bits,)
        case "BCELoss":
            z, given = z.sigmoid(), (bits,)
        case "CrossEntropyLoss" | "MultiMarginLoss":
            given = (labels,)
        case "NLLLoss":
            z, given = z.log_softmax(1), (labels,)
        case "KLDivLoss":
            z, given = z.log_softmax(1), (other.softmax(1),)
        case "MultiLabelMarginLoss":  # three labels each, and −1 after the last
            given = (torch.full(shape, -1),)
            given[0][:, :3] = torch.stack([labels, (labels + 1) % classes, (labels + 2) % classes], 1)
        case "PoissonNLLLoss":
            given = (other.abs().floor(),)
        case "GaussianNLLLoss":
            given = (other, torch.ones(shape))
        case "SoftMarginLoss" | "HingeEmbeddingLoss":
            given = (2.0 * bits - 1.0,)
        case _:
            given = (other,)
    return z.requires_grad_(), given


if __name__ == "__main__":
    main()
