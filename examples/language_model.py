"""Trains a small language model twice, with costlayer's last layer and with torch's: the same start, the same batches.

The text is the English that comes with Python: its reference pages and the docstrings of its standard library. Both
train in turn, step by step, so that a slow spell of the machine falls on both, and each in a process of its own, so
that its memory is its own. Afterwards the folder holds a picture of both (language_model.png), all numbers
(language_model.json), and checkpoints: after Ctrl-C the same command goes on where it stopped.
"""

import argparse
import ast
import json
import math
import os
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDES = {"costlayer": "#0072B2", "torch": "#D55E00"}  # blue and vermilion of Okabe and Ito's palette
UNKNOWN, BREAK = 0, 1  # the words that every vocabulary has: any other word, and the end of a paragraph
WARM_UP, RATE = 0.1, 3e-3  # the share of the steps in which the learning rate rises, and how far
HELD_OUT = 32  # of so many documents one is for validation
TIMED = 7  # runs of the last layer alone, in turn


# --------------------------------------------------------------------------------------------------------------- text


def documents(text: str | None) -> list[str]:
    """The paragraphs of a file, or the text that comes with Python."""
    if text:
        return re.split(r"\n\s*\n", Path(text).read_text(encoding="utf-8"))
    from pydoc_data.topics import topics

    found = list(topics.values())
    for file in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if {"site-packages", "test", "tests"}.isdisjoint(file.parts):
            try:
                tree = ast.parse(file.read_bytes())
            except (SyntaxError, ValueError):  # some files are there to be wrong
                continue
            named = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            found += [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, named)]
    return list(dict.fromkeys(filter(None, found)))  # many docstrings are copies


def words(document: str) -> list[str]:
    """Words and punctuation, each with the space before it, so that to join them is to write the text again."""
    paragraphs = [" ".join(each.split()) for each in re.split(r"\n\s*\n", document)]
    return re.findall(r"\n\n| ?\w+| ?[^\w\s]+", "\n\n".join([*paragraphs, ""]))


def read(text: str | None, vocabulary: int) -> dict[str, list]:
    """The most frequent words, and the documents as their numbers: those to train on, and those held out."""
    every = [words(each) for each in documents(text)]
    counts = Counter(word for each in every for word in each if word != "\n\n")
    kept = ["\N{REPLACEMENT CHARACTER}", "\n\n", *(word for word, _ in counts.most_common(vocabulary - 2))]
    number = {word: i for i, word in enumerate(kept)}
    parts: dict[str, list] = {"train": [], "held_out": [], "words": kept}
    for i, each in enumerate(every):
        parts["held_out" if i % HELD_OUT == HELD_OUT - 1 else "train"] += [number.get(word, UNKNOWN) for word in each]
    return parts


# -------------------------------------------------------------------------------------------------------------- model


class Block(nn.Module):
    """Causal attention, then two layers for each word alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attend, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.attend(self.norms[0](x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.join(seen.transpose(1, 2).flatten(2))
        return x + self.think(self.norms[1](x))


class Transformer(nn.Module):
    """All of the language model but its last layer: what that takes, for each word of (batch, context)."""

    def __init__(self, vocabulary: int, width: int, layers: int, context: int) -> None:
        super().__init__()
        self.embedding, self.place = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, max(1, width // 32)) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for each in (self.embedding, self.place):
            nn.init.normal_(each.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        # scaled, as what is small enough for the last layer would be lost here among what the blocks add
        x = math.sqrt(self.embedding.embedding_dim) * self.embedding(tokens) + self.place.weight[: tokens.shape[1]]
        return self.norm(self.blocks(x))


class TorchHead(nn.Linear):
    """The last layer as it is usually written, with all the scores at once."""

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:  # type: ignore
        scores = F.linear(x[:, :-1], self.weight)
        return F.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())


def last_layer(side: str, width: int, vocabulary: int) -> nn.Module:
    """It takes what the transformer made of the words, and the words: each predicts the one after it."""
    if side == "torch":
        return TorchHead(width, vocabulary, bias=False)
    import costlayer  # here, so that the other process does not hold it in memory
    from costlayer.torch import LinearCostLayer

    costlayer.set_threads(torch.get_num_threads())
    return LinearCostLayer(width, vocabulary, "softmax+cross_entropy", bias=False, shift=True)


# ----------------------------------------------------------------------------------------------------------- training


class Training:
    """One of the two: its model, how far it is, and what was measured. It answers to the other process by names."""

    def __init__(self, side: str, out: Path) -> None:
        settings = json.loads((out / "settings.json").read_text(encoding="utf-8"))
        text = json.loads((out / "text.json").read_text(encoding="utf-8"))
        torch.set_num_threads(settings["threads"] or torch.get_num_threads())
        self.words, self.file = text["words"], out / f"{side}.pt"
        self.steps, self.batch, self.context = settings["steps"], settings["batch"], settings["context"]
        self.train, self.held_out = torch.tensor(text["train"]), torch.tensor(text["held_out"])
        if min(len(self.train), len(self.held_out)) < self.context:
            raise SystemExit(f"language_model: too little text for contexts of {self.context} words")
        torch.manual_seed(0)
        vocabulary, width = len(self.words), settings["width"]
        self.model = Transformer(vocabulary, width, settings["layers"], self.context)
        self.head = last_layer(side, width, vocabulary)
        self.head.weight = self.model.embedding.weight  # words go in and come out by the same numbers
        self.parameters = [*self.model.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, weight_decay=0.1)
        self.record: dict[str, Any] = {"loss": [], "seconds": [], "validation": {}, "peak": 0}
        if self.file.exists():
            kept = torch.load(self.file, weights_only=True)
            self.model.load_state_dict(kept["model"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.record = kept["record"]

    def step(self) -> None:
        """Train on one batch. Which one follows from the number of the step, so there is no random state to keep."""
        step, start = len(self.record["loss"]), time.perf_counter()
        choice = torch.Generator().manual_seed(step)
        first = torch.randint(len(self.train) - self.context + 1, (self.batch, 1), generator=choice)
        tokens = self.train[first + torch.arange(self.context)]
        done = (step + 1) / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(done / WARM_UP, 0.55 + 0.45 * math.cos(math.pi * done))
        loss = self.head(self.model(tokens), tokens)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.record["loss"].append(loss.item())
        self.record["seconds"].append(time.perf_counter() - start)

    @torch.no_grad()
    def validate(self) -> None:
        """The loss on the documents held out."""
        tokens = self.held_out[: len(self.held_out) // self.context * self.context].view(-1, self.context)
        sums = [self.head(self.model(part), part) * len(part) for part in tokens.split(self.batch)]
        self.record["validation"][str(len(self.record["loss"]))] = float(torch.stack(sums).sum()) / len(tokens)

    def alone(self) -> tuple[float, int]:
        """The last layer by itself on a batch, forward and backward: its seconds, and the memory that it took."""
        x = torch.randn(self.batch, self.context, self.model.embedding.embedding_dim, requires_grad=True)
        tokens = self.train[: self.batch * self.context].view(self.batch, -1)
        self.head(x[:1, :2], tokens[:1, :2]).backward()  # compiles what has to be compiled
        self.optimizer.zero_grad()
        x.grad = None
        before, start = memory("VmRSS"), time.perf_counter()
        begin_peak()
        self.head(x, tokens).backward()
        seconds, taken = time.perf_counter() - start, memory("VmHWM") - before
        self.optimizer.zero_grad()
        begin_peak()
        return seconds, taken

    @torch.no_grad()
    def sample(self, length: int = 90, temperature: float = 0.7) -> str:
        """Text that the model makes up."""
        chance, tokens = torch.Generator().manual_seed(0), torch.tensor([[BREAK]])
        for _ in range(length):
            scores = F.linear(self.model(tokens[:, -self.context :])[0, -1], self.model.embedding.weight)
            scores[UNKNOWN] = -torch.inf
            following = torch.multinomial(torch.softmax(scores / temperature, 0), 1, generator=chance)
            tokens = torch.cat([tokens, following[None]], 1)
        return "".join(self.words[i] for i in tokens[0]).strip()

    def save(self) -> dict[str, Any]:
        """Keep how far it is, and say what was measured."""
        self.record["peak"] = max(self.record["peak"], memory("VmHWM"))
        kept = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "record": self.record}
        new = self.file.with_suffix(".new")
        torch.save(kept, new)
        new.replace(self.file)  # at no time is there half a checkpoint
        return self.record


def memory(which: str) -> int:
    """The bytes of memory that this process holds, or held at most: VmRSS or VmHWM in Linux's words."""
    try:
        return 1024 * int(re.search(rf"{which}:\s*(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore
    except OSError:  # macOS, which says the most alone
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def begin_peak() -> None:
    """Count from here on what this process held at most."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def train(side: str, out: Path) -> None:
    """Do what the other process says, one name a line, until it says no more or is no more; then keep what there is."""
    training = Training(side, out)
    with suppress(BrokenPipeError):
        print(len(training.record["loss"]), flush=True)
        for line in sys.stdin:
            print(json.dumps(getattr(training, line.strip())()), flush=True)
    training.save()


# ------------------------------------------------------------------------------------------------------- side by side


class Side:
    """The process of one of the two. Ctrl-C does not reach it: it finishes its step."""

    def __init__(self, name: str, out: Path) -> None:
        self.name = name
        command = [sys.executable, __file__, "--out", str(out), "--side", name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.done = self._answer()

    def ask(self, name: str) -> Any:
        assert self.process.stdin is not None
        print(name, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"language_model: the process of {self.name} has ended")
        return json.loads(line)

    def end(self) -> None:
        self.process.communicate()


def side_by_side(settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """Train both in turn to the end, and say what was measured."""
    from rich.progress import Progress

    sides: list[Side] = []
    every, words_in_batch = max(1, settings["steps"] // 8), settings["batch"] * settings["context"]
    try:
        sides += (Side(name, out) for name in SIDES)  # one by one: if the second cannot begin, the first has to end
        alone = [[side.ask("alone") for side in sides] for _ in range(TIMED)]
        began = min(side.done for side in sides)
        with Progress() as bar:
            task = bar.add_task("training both", total=settings["steps"], completed=began)
            for step in range(began, settings["steps"]):
                said = f"step {step + 1}/{settings['steps']}"
                for side in sides:
                    if side.done == step:  # else it was a step ahead when they were stopped
                        side.ask("step")
                        side.done += 1
                    if side.done == settings["steps"] or side.done % every == 0:
                        side.ask("validate")
                        record = side.ask("save")
                        loss, held_out = record["loss"][-1], record["validation"][str(side.done)]
                        said += f"   {side.name}: loss {loss:.4f}, held out {held_out:.4f}, "
                        said += f"{words_in_batch / record['seconds'][-1]:,.0f} words/s"
                bar.advance(task)
                if "loss" in said:
                    bar.console.print(said, highlight=False, soft_wrap=True)
        found: dict[str, Any] = {"settings": settings, "machine": machine(), "sides": {}}
        for i, side in enumerate(sides):
            taken = [each[i] for each in alone]
            seconds_alone, bytes_alone = statistics.median(s for s, _ in taken), taken[0][1]
            found["sides"][side.name] = side.ask("save") | {"alone": {"seconds": seconds_alone, "bytes": bytes_alone}}
        return found | {"sample": sides[0].ask("sample")}
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not keep them from writing
        for side in sides:
            side.end()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def machine() -> str:
    """The processor, the cores this process may use, and the versions that matter."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        name = next(re.finditer(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()), [name, name])[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{name}, {cores} cores, {platform.system()}, {python}"


# ------------------------------------------------------------------------------------------------------------ results


def bars(found: dict[str, Any]) -> dict[str, list[float]]:
    """What the two are compared in, each by its title: one number for each side."""
    sides = found["sides"].values()
    return {
        "last layer, ms": [1e3 * each["alone"]["seconds"] for each in sides],
        "last layer, MiB": [each["alone"]["bytes"] / 2**20 for each in sides],
        "whole step, ms": [1e3 * statistics.median(each["seconds"]) for each in sides],
        "whole process, MiB": [each["peak"] / 2**20 for each in sides],
    }


def table(found: dict[str, Any]) -> str:
    """The comparison in Markdown."""
    sides = found["sides"].values()
    rows = {title: [f"{value:,.0f}" for value in values] for title, values in bars(found).items()}
    rows["last loss"] = [f"{each['loss'][-1]:.4f}" for each in sides]
    rows["loss on text held out"] = [f"{[*each['validation'].values()][-1]:.4f}" for each in sides]
    apart = max(abs(a - b) for a, b in zip(*(each["loss"] for each in sides), strict=True))
    lines = ["| | " + " | ".join(found["sides"]) + " |", "|---" * (1 + len(found["sides"])) + "|"]
    lines += [f"| {title} | " + " | ".join(cells) + " |" for title, cells in rows.items()]
    said = f"The losses of a step are at most {apart:.1g} apart. {surroundings(found)}."
    return "\n".join([*lines, "", said])


def surroundings(found: dict[str, Any]) -> str:
    return f"{found['machine']}, threads: {found['settings']['threads'] or 'all'}"


def draw(found: dict[str, Any], file: Path) -> None:
    """Both losses over the steps, the bars, and what the model says."""
    from matplotlib.figure import Figure

    ink, muted, settings = "#17191C", "#5C636D", found["settings"]
    drawn = Figure(figsize=(14, 9.4), dpi=100, facecolor="white")
    places = drawn.add_gridspec(2, 4, left=0.06, right=0.97, top=0.84, bottom=0.24, hspace=0.5, wspace=0.42)
    title = f"A language model of {settings['vocabulary']:,} words, trained with two last layers"
    drawn.text(0.06, 0.945, title, size=24, weight="bold", color=ink)
    drawn.text(0.06, 0.905, surroundings(found), size=13, color=muted)
    curves = drawn.add_subplot(places[0, :])
    for (name, colour), width in zip(SIDES.items(), (7, 2), strict=True):
        side = found["sides"][name]
        at = range(1, 1 + len(side["loss"]))
        curves.plot(at, side["loss"], color=colour, linewidth=width, alpha=0.5 if width > 2 else 1, label=name)
        at, held_out = [*map(int, side["validation"])], [*side["validation"].values()]
        curves.plot(at, held_out, "o", color=colour, markersize=4 + width)
    curves.set_title("loss of each step, one line on the other; points: text held out", loc="left", size=15, color=ink)
    curves.set_xlabel("step", size=12, color=muted)
    curves.legend(frameon=False, fontsize=14)
    panels = [curves]
    for i, (title, values) in enumerate(bars(found).items()):
        axes = drawn.add_subplot(places[1, i])
        shown = axes.bar([*SIDES], values, color=[*SIDES.values()], width=0.6)
        axes.bar_label(shown, [f"{value:,.0f}" for value in values], padding=3, size=14, color=ink)
        axes.set_title(title, loc="left", size=15, color=ink)
        axes.set_ylim(0, 1.18 * max(values))
        axes.set_yticks([])
        panels.append(axes)
    for axes in panels:
        axes.tick_params(labelsize=13, colors=muted, length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    drawn.text(0.06, 0.16, "What it makes up:", size=15, color=ink, va="top")
    drawn.text(0.06, 0.125, wrapped(found["sample"]), size=12.5, color=muted, va="top", parse_math=False)
    drawn.savefig(file, metadata={"Software": None})


def wrapped(text: str, width: int = 145, most: int = 4) -> str:
    """The first lines of a text made one paragraph."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(lines[:most]) + ("…" if len(lines) > most else "")


def main() -> None:
    head, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=f"{head} {rest}")
    parser.add_argument("--steps", type=int, default=240, help="how many batches (default: %(default)s)")
    parser.add_argument("--vocabulary", type=int, default=12288, help="how many words it knows (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/language_model"), help="folder (%(default)s)")
    parser.add_argument("--text", help="train on this file of UTF-8 text instead")
    parser.add_argument("--width", type=int, default=128, help="numbers for each word (%(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="blocks of the transformer (%(default)s)")
    parser.add_argument("--context", type=int, default=64, help="words that it sees (%(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="such contexts in a batch (%(default)s)")
    parser.add_argument("--threads", type=int, help="of each of the two (all cores)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    out = given.out
    if given.side:
        train(given.side, out)
        return
    settings = {name: value for name, value in vars(given).items() if name not in ("out", "side")}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be ended is to be interrupted
    try:
        begin(settings, out)
        found = side_by_side(settings, out)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)
    (out / "language_model.json").write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    draw(found, out / "language_model.png")
    print(f"\n{found['sample']}\n\n{table(found)}\n\n{out / 'language_model.png'}")


def begin(settings: dict[str, Any], out: Path) -> None:
    """Read the text into a new folder, or make sure that what is there is of the same settings."""
    kept = out / "settings.json"
    if kept.exists():
        there = json.loads(kept.read_text(encoding="utf-8"))
        if changed := [f"--{name} {there.get(name)}" for name in settings if there.get(name) != settings[name]]:
            raise SystemExit(
                f"language_model: {out} is of {', '.join(changed)}. Say that too, or choose another --out."
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    print("reading the text", file=sys.stderr)
    text = read(settings["text"], settings["vocabulary"])
    (out / "text.json").write_text(json.dumps(text, ensure_ascii=False), encoding="utf-8")
    kept.write_text(json.dumps(settings), encoding="utf-8")  # last: a folder that has it has all


if __name__ == "__main__":
    main()
