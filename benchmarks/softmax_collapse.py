"""What the last digits buy: a network that is sure of its training data goes on learning, or stops.

Part one trains a small network on addition modulo 113 with torch's cross entropy and with costlayer's, all else equal.
Its margins soon pass 17, where float32 rounds p_t − 1 to 0. Part two does the same for sigmoid.

Unfinished measurements are kept in runs/softmax_collapse.json: after Ctrl-C, the next call goes on. When all is
measured, the results are in results/softmax_collapse.json and .md, and docs/precision_page.py makes the page of them.
"""

import dataclasses
import json
import math
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import mpmath
import torch
import torch.nn.functional as F
from _measure import RESULTS, machine, report

from costlayer.torch import CostLayer

UNFINISHED = Path(__file__).parents[1] / "runs" / "softmax_collapse.json"
MODULUS, TRAINED, WIDTH = 113, 0.4, 128
STEPS, EVERY = 1300, 20
RATE, BETAS = 0.005, (0.9, 0.95)
SQUARE, RELU = "square", "relu"
DEPTH = 100  # scores of part two reach so far
STEP_LENGTH = 0.1  # length of each step of the linear classifier


@dataclasses.dataclass(frozen=True)
class Run:
    """One training of the network.

    Arguments:
        loss: "torch", "costlayer", or "torch, scores.double()": only the loss in float64.
        dtype: of the network: "float32" or "float64".
        seed: of the split and of the initial weights.
        epsilon: Adam's.
        activation: of the hidden layer.
        scale: of the initial weights, in standard deviations of the usual ones, 1/√inputs.
    """

    loss: str
    dtype: str = "float32"
    seed: int = 0
    epsilon: float = 1e-20
    activation: str = SQUARE
    scale: float = 0.02

    @property
    def name(self) -> str:
        parts = [self.loss, self.dtype, f"seed {self.seed}"]
        parts += [f"ε = {self.epsilon:g}"] if self.epsilon != Run.epsilon else []
        parts += [self.activation] if self.activation != Run.activation else []
        return ", ".join(parts)


PLAN = [
    *(Run(loss, seed=seed) for seed in range(3) for loss in ("torch", "costlayer")),
    Run("torch", "float64"),
    Run("costlayer", "float64"),
    Run("torch, scores.double()"),
    *(Run(loss, epsilon=1e-8) for loss in ("torch", "costlayer")),
    *(Run(loss, activation=RELU, scale=1.0) for loss in ("torch", "costlayer")),
]
SETTINGS = {
    "modulus": MODULUS,
    "trained": TRAINED,
    "width": WIDTH,
    "steps": STEPS,
    "every": EVERY,
    "rate": RATE,
    "betas": list(BETAS),
}


def main() -> int:
    done = unfinished()
    waiting = [run for run in PLAN if run.name not in done]
    if len(waiting) < len(PLAN):
        say(f"Going on: {len(done)} of {len(PLAN)} runs are done.")
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 4, len(waiting) or 1)
    start = time.perf_counter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be ended is to be interrupted
    try:
        with multiprocessing.get_context("spawn").Pool(workers, quiet) as pool:
            for name, record in pool.imap_unordered(train, waiting):
                done[name] = record
                keep(done)
                say(f"{len(done)} of {len(PLAN)} runs, {time.perf_counter() - start:.0f} s: {name}")
    except KeyboardInterrupt:
        for name, record in done.items():
            say(f"{name}: test accuracy {record['test'][-1]:.4f}")
        say(f"Interrupted with {len(done)} of {len(PLAN)} runs done. The same command goes on.")
        return 130
    found = {
        "machine": machine(),
        "settings": SETTINGS,
        "runs": {run.name: done[run.name] for run in PLAN},
        "sigmoid": {"tails": tails(), "scores": scores(), "clouds": clouds()},
    }
    write(found)
    (RESULTS / "softmax_collapse.json").write_text(compact(found), encoding="utf-8")
    UNFINISHED.unlink(missing_ok=True)
    say("docs/precision_page.py makes docs/precision.md and its figure of this.")
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def quiet() -> None:
    """In a worker: Ctrl-C is for the parent, and one thread is for each run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def unfinished() -> dict[str, dict]:
    """The runs that an interrupted call has done, if they were the same ones."""
    if not UNFINISHED.exists():
        return {}
    found = json.loads(UNFINISHED.read_text(encoding="utf-8"))
    same = found["settings"] == SETTINGS and found["machine"] == machine()
    return {run.name: found["runs"][run.name] for run in PLAN if same and run.name in found["runs"]}


def keep(done: dict[str, dict]) -> None:
    UNFINISHED.parent.mkdir(exist_ok=True)
    draft = UNFINISHED.with_suffix(".part")
    draft.write_text(compact({"settings": SETTINGS, "machine": machine(), "runs": done}), encoding="utf-8")
    os.replace(draft, UNFINISHED)


def compact(found: dict) -> str:
    """JSON with a line for each run."""
    lines = []
    for key, value in found.items():
        if key in ("runs", "sigmoid"):
            inner = ",\n".join(f"  {json.dumps(k, ensure_ascii=False)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


# Part one: softmax


class Adder:
    """The network: one-hot a and b, a hidden layer without bias, a score for each sum; and its data.

    A row of `embedding` is what the one-hot input picks from the first layer's weights.
    """

    def __init__(self, run: Run) -> None:
        draw = torch.Generator().manual_seed(run.seed)
        every = torch.cartesian_prod(torch.arange(MODULUS), torch.arange(MODULUS))
        order = torch.randperm(len(every), generator=draw)
        count = int(TRAINED * len(every))
        self.inputs = every + torch.tensor([0, MODULUS])
        self.targets = every.sum(1) % MODULUS
        self.train, self.test = order[:count], order[count:]
        dtype = getattr(torch, run.dtype)

        def weights(rows: int, columns: int, inputs: int) -> torch.Tensor:
            drawn = torch.randn(rows, columns, generator=draw) * (run.scale / math.sqrt(inputs))
            return drawn.to(dtype).requires_grad_()

        self.embedding, self.output = weights(2 * MODULUS, WIDTH, 2), weights(WIDTH, MODULUS, WIDTH)
        self.activation = torch.square if run.activation == SQUARE else torch.relu

    def scores(self, examples: torch.Tensor) -> torch.Tensor:
        a, b = self.inputs[examples].T
        return self.activation(F.embedding(a, self.embedding) + F.embedding(b, self.embedding)) @ self.output


def loss_of(run: Run):
    if run.loss == "costlayer":
        return CostLayer("softmax+cross_entropy")
    if run.loss == "torch":
        return F.cross_entropy
    return lambda z, y: F.cross_entropy(z.double(), y)


def train(run: Run) -> tuple[str, dict]:
    """Full-batch Adam without weight decay. Every 20th step, before the update: what the loss says and sends back."""
    net, loss = Adder(run), loss_of(run)
    truth = CostLayer("softmax+cross_entropy")
    weights = [net.embedding, net.output]
    adam = torch.optim.Adam(weights, lr=RATE, betas=BETAS, eps=run.epsilon)
    y, others = net.targets[net.train], net.targets[net.test]
    record = {key: [] for key in ("step", "loss", "true_loss", "zero", "leak", "train", "test", "weight_norm")}
    for step in range(STEPS + 1):
        z = net.scores(net.train)
        value = loss(z, y)
        adam.zero_grad()
        if step % EVERY == 0:
            with torch.no_grad():
                exact = truth(z.double(), y).item()
                right = (net.scores(net.test).argmax(1) == others).double().mean().item()
            (delta,) = torch.autograd.grad(value, z, retain_graph=True)
            own = delta.gather(1, y[:, None])[:, 0]
            # δ of one example adds to 0: what is left over pushes down the other scores without raising the true one
            left = delta.double().sum(1).abs().sum() / delta.double().abs().sum()
            norm = math.sqrt(sum(w.detach().double().square().sum().item() for w in weights))
            known = (z.argmax(1) == y).double().mean().item()
            row = value.item(), exact, (own == 0).double().mean().item(), left.item(), known, right, norm
            record["step"].append(step)
            for key, x in zip(list(record)[1:], row, strict=True):
                record[key].append(float(f"{x:.6g}") if math.isfinite(x) else None)
            if step % (STEPS // 4) < EVERY:
                say(f"  {run.name}: step {step} of {STEPS}, loss {row[0]:.2g}, test accuracy {right:.3f}")
        if step < STEPS:
            value.backward()
            adam.step()
    return run.name, record


# Part two: sigmoid


def tails() -> list[dict]:
    """Over scores 0 to 100: how far value and δ are off, and from which score on they are exactly 0."""
    z = torch.arange(0, DEPTH + 0.01, 1 / 16)
    rows = []
    for y, sign in ((1.0, 1), (0.0, -1), (1.0, -1), (0.0, 1)):
        truths = [truth(sign * score, y) for score in z.tolist()]
        row = {"y": y, "sign": sign}
        for name, loss in (("torch", F.binary_cross_entropy_with_logits), ("costlayer", _sigmoid)):
            for what, got, k in zip(("value", "delta"), both(loss, sign * z, y), (0, 1), strict=True):
                # a number below the least normal one has fewer digits to be right in
                kept = [i for i, t in enumerate(truths) if abs(t[k]) >= torch.finfo(torch.float32).tiny]
                zeros = [score for score, x in zip(z.tolist(), got, strict=True) if x == 0]
                row[f"{name}_{what}_off"] = float(max(abs(got[i] / truths[i][k] - 1) for i in kept))
                row[f"{name}_{what}_zero"] = zeros[0] if zeros else None
        rows.append(row)
    return rows


def scores() -> list[dict]:
    """Value and δ at some scores, right by more and more."""
    rows = []
    for y, sign in ((1.0, 1), (0.0, -1)):
        for z in (5.0, 10.0, 15.0, 17.0, 20.0, 40.0, 60.0, 80.0, 100.0):
            row = {"y": y, "z": sign * z, "truth": [float(x) for x in truth(sign * z, y)]}
            for name, loss in (("torch", F.binary_cross_entropy_with_logits), ("costlayer", _sigmoid)):
                row[name] = [x[0] for x in both(loss, torch.tensor([sign * z]), y)]
            rows.append(row)
    return rows


def truth(z: float, y: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """−y ln σ(z) − (1 − y) ln(1 − σ(z)), and σ(z) − y."""
    with mpmath.workdps(80):
        z = mpmath.mpf(z)
        return mpmath.log1p(mpmath.exp(z)) - y * z, 1 / (1 + mpmath.exp(-z)) - y


def both(loss, z: torch.Tensor, y: float) -> tuple[list[float], list[float]]:
    z = z.clone().requires_grad_()
    value = loss(z, torch.full_like(z, y), reduction="none")
    (delta,) = torch.autograd.grad(value.sum(), z)
    return value.tolist(), delta.tolist()


def _sigmoid(z, y, reduction="mean"):
    return CostLayer("sigmoid+cross_entropy", reduction=reduction)(z, y)


def clouds() -> list[dict]:
    """A linear classifier between two clouds, by gradient descent with steps of equal length.

    The clouds are normal and 5 apart, and each point to train on has its mirror image in the other class: in exact
    arithmetic the boundary stays midway, and both classes are treated alike.
    """
    draw = torch.Generator().manual_seed(0)
    rows = []

    def sample(count: int):
        x = torch.randn(count // 2, 2, generator=draw) + torch.tensor([2.5, 0.0])
        y = (torch.arange(count) < count // 2).float()
        return torch.cat([torch.cat([x, -x]), torch.ones(count, 1)], 1), y

    (x, y), (unseen, truth) = sample(60), sample(200_000)
    for name, loss, dtype in (
        ("torch", F.binary_cross_entropy_with_logits, torch.float32),
        ("costlayer", _sigmoid, torch.float32),
        ("costlayer", _sigmoid, torch.float64),
    ):
        w = torch.zeros(3, dtype=dtype, requires_grad=True)
        for step in range(601):
            z = x.to(dtype) @ w
            (g,) = torch.autograd.grad(loss(z, y.to(dtype)), w)
            if step in (150, 300, 450, 600):
                yes = unseen.to(dtype) @ w.detach() > 0
                rows.append(
                    {
                        "loss": name,
                        "dtype": str(dtype).removeprefix("torch."),
                        "step": step,
                        "yes": z[y == 1].min().item(),
                        "no": -z[y == 0].max().item(),
                        "missed": 1 - yes[truth == 1].double().mean().item(),
                        "false": yes[truth == 0].double().mean().item(),
                    }
                )
            with torch.no_grad():
                w -= (STEP_LENGTH * g.double() / g.double().norm()).to(dtype)
    return rows


# What is printed and kept


def write(found: dict) -> None:
    header = ["run", "loss at the end, as it says", "the true one", "first δ of 0 at step", "half of them 0 at step"]
    header += ["zero at the end", "δ left over", "best test accuracy", "at the end"]
    rows = []
    for name, r in found["runs"].items():
        rows.append(
            [
                name,
                f"{r['loss'][-1]:.3g}",
                f"{r['true_loss'][-1]:.3g}",
                since(r, 1e-9),
                since(r, 0.5),
                f"{r['zero'][-1]:.1%}",
                "–" if r["leak"][-1] is None else f"{r['leak'][-1]:.2g}",
                f"{max(r['test']):.3f}",
                f"{r['test'][-1]:.3f}",
            ]
        )
    usual = Run("torch")
    notes = [
        f"Addition modulo {MODULUS}; {TRAINED:.0%} of all pairs for training, the others for testing; one hidden layer "
        f"of {WIDTH}, activation {usual.activation}, no biases; initial weights {usual.scale:g} of the usual 1/√inputs "
        f"(1 of it for relu); full batch, Adam with rate {RATE:g}, betas {BETAS}, ε = {usual.epsilon:g}, no weight "
        f"decay; {STEPS} steps, looked at every {EVERY}. “Zero” is the share of training examples whose δ of the true "
        "class is exactly 0; “δ left over” is the sum over the examples of |sum of δ over the classes|, in parts of "
        "the sum of all |δ|: 0 in exact arithmetic.",
        "## Sigmoid in its tails, float32",
        table(
            ["z", "y", "value, truth", "torch", "costlayer", "δ, truth", "torch", "costlayer"],
            [
                [f"{r['z']:g}", f"{r['y']:g}"]
                + [f"{r[who][k]:.4g}" for k in (0, 1) for who in ("truth", "torch", "costlayer")]
                for r in found["sigmoid"]["scores"]
            ],
        ),
        f"Largest relative error over |z| = 0 to {DEPTH} in steps of 1/16, where the truth is a normal float32 number "
        "(above 1.2e-38), and the first |z| from which it is exactly 0:",
        table(
            ["y", "z", "value, torch", "costlayer", "δ, torch", "costlayer"],
            [
                [f"{r['y']:g}", "0 to 100" if r["sign"] > 0 else "0 to −100"]
                + [off(r, f"{who}_{what}") for what in ("value", "delta") for who in ("torch", "costlayer")]
                for r in found["sigmoid"]["tails"]
            ],
        ),
        "A linear classifier between two clouds of points that are mirror images (2-D, normal, 5 apart, 60 to train, "
        f"200,000 to test), gradient descent with steps of length {STEP_LENGTH:g}:",
        table(
            ["loss", "step", "least margin, y = 1", "y = 0", "missed of y = 1", "false alarms of y = 0"],
            [
                [f"{r['loss']}, {r['dtype']}", str(r["step"]), *(f"{r[k]:.1f}" for k in ("yes", "no"))]
                + [f"{r[k]:.2%}" for k in ("missed", "false")]
                for r in found["sigmoid"]["clouds"]
            ],
        ),
    ]
    report("softmax_collapse", "When a network is sure: what the last digits buy", header, rows, "\n\n".join(notes))


def since(record: dict, share: float) -> str:
    """The first step looked at where at least this share of the target gradients was 0."""
    return next((str(s) for s, zero in zip(record["step"], record["zero"], strict=True) if zero >= share), "never")


def off(row: dict, which: str) -> str:
    zero = row[f"{which}_zero"]
    return f"{row[f'{which}_off']:.2g}" + (f"; 0 from {zero:g}" if zero is not None else "")


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])


if __name__ == "__main__":
    sys.exit(main())
