"""What benchmarks/linear.py compares: ways to the cost of a last linear map, their data, and what a step takes."""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from _speed import set_threads
from torch import Tensor

from costlayer.torch import contrastive_cost, linear_cost

ROWS, YESES, LABELS = "softmax+cross_entropy", "sigmoid+cross_entropy", 5
THRESHOLD, SCALE = 2.0**-12, 10.0
SURE = 9.0  # how far a trained model's score of the true class rises above the class's frequency
PART = 2048  # classes of a product, where it is made in parts
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """N examples of D features, of V classes; `kind` says of what data, and what is compared."""

    pair: str
    shape: tuple[int, int, int]
    type: str
    kind: str = ""

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.type)

    @property
    def gradients(self) -> int:
        """The bytes of the gradients: that of W is added up in float32, whatever its type."""
        n, d, v = self.shape
        return n * d * self.dtype.itemsize + v * d * 4

    def smaller(self, by: int) -> "Case":
        return replace(self, shape=tuple(max(size // by, 8) for size in self.shape))


def data(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """x and W, which want gradients, and what the ways take as y."""
    n, d, v = case.shape
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator)
    x, w, y = draw(n, d), draw(v, d).div_(d**0.5), torch.randint(v, (n,), generator=generator)
    if case.kind == "sure":
        x, w, y = trained(x, w, generator)
    elif case.kind == "labels":
        y = torch.randint(v, (n, LABELS), generator=generator)
    elif case.kind == "towers":
        x, w = F.normalize(x, dim=1), F.normalize(x + 2.0 * draw(n, d), dim=1)
    return x.to(case.dtype).requires_grad_(), w.to(case.dtype).requires_grad_(), y


def trained(x: Tensor, w: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """As of a trained language model: classes as frequent as words (the j-th of them 1/j as much as the first), whose
    scores are the logarithm of that, noise of deviation 1, and `SURE` more for the true one. One feature is 1, and what
    W has for it is the logarithm."""
    frequency = 1.0 / torch.arange(1, len(w) + 1)
    y = torch.multinomial(frequency, len(x), replacement=True, generator=generator)
    x = x + SURE * w[y]
    x[:, 0], w[:, 0] = 1.0, frequency.log()
    return x, w, y


# ------------------------------------------------------------------------------------------------------------- the ways


def ways(case: Case) -> dict[str, Callable[[], Loss]]:
    """How each contestant's loss of (x, W, y) is made; what is not installed raises ImportError."""
    if case.kind == "labels":
        return {"ours": lambda: sparse, "eager": lambda: dense}
    if case.kind == "towers":
        return {"ours": lambda: lambda a, b, y: contrastive_cost(a, b, SCALE), "eager": lambda: towers}
    threshold = THRESHOLD if case.kind == "sure" else 0.0
    found = {"ours": lambda: partial(linear_cost, threshold=threshold), "eager": lambda: eager}
    if case.kind == "all":
        found |= {
            "compile": lambda: torch.compile(eager, dynamic=False),
            "chunked": chunked,
            "chunked_512": partial(chunked, batch_chunk_size=512, chunking_method=None),
            "cut": cut,
            "liger": liger,
        }
    return found


COMPILED = ("compile", "cut", "liger")


def eager(x: Tensor, w: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(x, w), y)


def sparse(x: Tensor, w: Tensor, y: Tensor) -> Tensor:
    return linear_cost(x, w, list(y), YESES)


def dense(x: Tensor, w: Tensor, y: Tensor) -> Tensor:
    target = torch.zeros(len(x), len(w)).scatter_(1, y, 1.0)
    return F.binary_cross_entropy_with_logits(F.linear(x, w), target)


def towers(a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    scores, own = SCALE * a @ b.T, torch.arange(len(a))
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def chunked(**options: object) -> Loss:
    """torch's own from 2.13 on."""
    return partial(F.linear_cross_entropy, options=torch.nn.LinearCrossEntropyOptions(**options))


def cut() -> Loss:
    """The way of cut-cross-entropy that runs on a processor. It imports its kernels for GPUs too, which need Triton (a
    gigabyte), but not where Triton is not to be had."""
    with mock.patch("platform.system", return_value="Darwin"):
        from cut_cross_entropy import linear_cross_entropy

    return partial(linear_cross_entropy, impl="torch_compile")


@cache
def liger() -> Loss:
    """Liger's fused linear cross entropy is written in Triton and runs on no processor. What does is its base of losses
    of distillation, in torch and compiled: here with its hard loss alone, which is cross entropy, and a teacher of one
    feature whose loss is nought."""
    from liger_kernel.chunked_loss.fused_linear_distillation import LigerFusedLinearDistillationBase as Base

    class HardLoss(Base):
        @staticmethod
        def distillation_loss_fn(student: Tensor, *_: Tensor, **__: object) -> Tensor:
            return student.new_zeros(())

        @staticmethod
        def forward(ctx, x: Tensor, w: Tensor, y: Tensor) -> Tensor:
            teacher = x[:, :1].detach(), w[:, :1].detach()
            return Base.forward(HardLoss, ctx, x, w, *teacher, y, weight_hard_loss=1.0, weight_soft_loss=0.0)

        @staticmethod
        def backward(ctx, *upstream: Tensor):
            return Base.backward(ctx, *upstream)[:3]

    return HardLoss.apply


def step(loss: Loss, x: Tensor, w: Tensor, y: Tensor) -> None:
    """Forward and backward, into fresh gradients, as in training."""
    x.grad = w.grad = None
    loss(x, w, y).backward()


# ------------------------------------------------------------------------------------------------------------ the floor


def products(case: Case) -> dict[str, dict[str, Callable[[], object]]]:
    """The three products of a step, each by every way at hand, whole and for some classes at a time. Whole, torch.mm
    writes to memory that is there, as oneDNN cannot; of a part, what is made is forgotten while it is in the cache."""
    (n, d, v), kind = case.shape, case.dtype
    x, w, delta = (torch.randn(shape).to(kind) for shape in ((n, d), (v, d), (n, v)))

    def in_parts(product: Callable) -> None:
        for start in range(0, v, PART):
            product(slice(start, start + PART))

    found: dict[str, dict[str, Callable[[], object]]] = {
        "z": {"mm": partial(torch.mm, x, w.T, out=delta.clone()), "mm, parts": lambda: in_parts(lambda c: x @ w[c].T)},
        "δ W": {"mm": partial(torch.mm, delta, w, out=x.clone())},
        "δᵀ x": {
            "mm": partial(torch.mm, delta.T, x, out=w.clone()),
            "mm, parts": lambda: in_parts(lambda c: delta[:, c].T @ x),
        },
    }
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):

        def onednn(a: Tensor, b: Tensor) -> Tensor:
            return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")

        found["z"] |= {"oneDNN": partial(onednn, x, w), "oneDNN, parts": lambda: in_parts(lambda c: onednn(x, w[c]))}
        found["δ W"]["oneDNN"] = partial(onednn, delta, w.T)
        found["δᵀ x"] |= {
            "oneDNN": partial(onednn, delta.T, x.T),
            "oneDNN, parts": lambda: in_parts(lambda c: onednn(delta[:, c].T, x.T)),
        }
    return found


# -------------------------------------------------------------------------------------------------------- in parts


OF_A_STEP = {  # by costlayer's function that does it
    "product": "products",
    "put_product": "products",
    "_evaluated": "δ",
    "_add": "additions",
}


class Spent:
    """The seconds of a step by what they go to: the parts of costlayer's own pass, wrapped while this is entered."""

    def __init__(self) -> None:
        from costlayer.torch import fused

        self.seconds = dict.fromkeys(OF_A_STEP.values(), 0.0)
        self.inside = False
        owners = {"_evaluated": fused._Run}
        self.patches = [
            mock.patch.object(owner := owners.get(name, fused), name, self._timed(getattr(owner, name), part))
            for name, part in OF_A_STEP.items()
        ]

    def _timed(self, function: Callable, part: str) -> Callable:
        def timed(*given, **named):
            if self.inside:  # a long product calls itself
                return function(*given, **named)
            self.inside, start = True, time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self.seconds[part] += time.perf_counter() - start
                self.inside = False

        return timed

    def __enter__(self) -> "Spent":
        for patch in self.patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self.patches:
            patch.stop()


# ----------------------------------------------------------------------------------------------------------- memory


def say_step(case: Case, name: str, threads: int) -> None:
    """Print the bytes that one step adds to the most this process has held, and its seconds; for a process by itself.

    What is loaded and compiled on first use is so before: with a small step, or the same one where it is compiled for
    its sizes.
    """
    set_threads(threads)
    loss = ways(case)[name]()
    step(loss, *data(case if name in COMPILED else case.smaller(64)))
    given = data(case)
    gc.collect()
    before = held(afresh=True)
    start = time.perf_counter()
    step(loss, *given)
    print(held() - before, time.perf_counter() - start)


def held(afresh: bool = False) -> int:
    """The most bytes this process has held; with `afresh` what it holds now, from where the most is counted anew."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if afresh:
        Path("/proc/self/clear_refs").write_text("5")
    field = "VmRSS:" if afresh else "VmHWM:"
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field)) * 1024


def available() -> float:
    """The bytes of memory that are free, where the system says."""
    information = Path("/proc/meminfo")
    if not information.exists():
        return float("inf")
    lines = information.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
