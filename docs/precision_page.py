"""Makes docs/precision.md and its figure from the results of benchmarks/softmax_collapse.py: run it after that. One
figure in the text is of benchmarks/accuracy.py."""

import hashlib
import json
import re
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from costlayer.explain.curves import number
from costlayer.explain.picture import GRID, INK, MUTED, SOUND, STARVING

DOCS = Path(__file__).parent
RESULT = DOCS.parent / "benchmarks" / "results" / "softmax_collapse.json"
ACCURACY = DOCS.parent / "benchmarks" / "results" / "accuracy.json"
FIGURE = DOCS / "figures" / "softmax_collapse.png"
SEEDS = (0, 1, 2)
PANELS = (
    ("zero", "Training examples whose δ of the true class is exactly 0"),
    ("loss", "Training loss, as the loss says it"),
    ("test", "Test accuracy"),
)


def main() -> None:
    found = read()
    (DOCS / "precision.md").write_text(page(found), encoding="utf-8")
    FIGURE.write_bytes(picture(found))


def read() -> dict:
    return json.loads(RESULT.read_text(encoding="utf-8"))


def digest(found: dict) -> str:
    """What the figure is drawn from; it is kept inside the file, so that a test can tell whether that has changed."""
    drawn = [found["runs"][curve(loss, seed)] for loss in ("torch", "costlayer") for seed in SEEDS]
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()


def curve(loss: str, seed: int = 0, rest: str = "") -> str:
    return f"{loss}, float32, seed {seed}{rest}"


def page(found: dict) -> str:
    """The template with every <<name>> replaced. A name unknown or left over is an error."""
    parts, used = values(found), set()

    def fill(match: re.Match) -> str:
        used.add(match[1])
        return parts[match[1]]

    made = re.sub(r"<<(\w+)>>", fill, (DOCS / "precision.template.md").read_text(encoding="utf-8"))
    if unused := parts.keys() - used:
        raise ValueError(f"docs/precision.template.md does not use {sorted(unused)}")
    return made


def values(found: dict) -> dict[str, str]:
    """The figures in the text."""
    runs, settings = found["runs"], found["settings"]
    torch, ours = (runs[curve(loss)] for loss in ("torch", "costlayer"))
    tails = {(row["y"], row["sign"]): row for row in found["sigmoid"]["tails"]}
    last = max(row["step"] for row in found["sigmoid"]["clouds"])
    clouds = {row["loss"]: row for row in found["sigmoid"]["clouds"] if row["step"] == last and "32" in row["dtype"]}
    half = next(i for i, zero in enumerate(torch["zero"]) if zero >= 0.5)
    return {
        "machine": found["machine"],
        "modulus": str(settings["modulus"]),
        "trained": percent(settings["trained"], 0),
        "width": str(settings["width"]),
        "rate": number(settings["rate"]),
        "betas": ", ".join(number(b) for b in settings["betas"]),
        "steps": str(settings["steps"]),
        "half": str(torch["step"][half]),
        "half_torch": percent(torch["test"][half]),
        "half_ours": percent(ours["test"][half]),
        "runs": runs_table(runs),
        "torch_end": percents(runs[curve("torch", seed)]["test"][-1] for seed in SEEDS),
        "torch_best": percents(max(runs[curve("torch", seed)]["test"]) for seed in SEEDS),
        "torch_norms": " to ".join(f"{torch['weight_norm'][i]:.0f}" for i in (half, -1)),
        "ours_norms": " to ".join(f"{ours['weight_norm'][i]:.0f}" for i in (half, -1)),
        "torch_usual": percent(runs[curve("torch", rest=", ε = 1e-08")]["test"][-1]),
        "ours_usual": percent(runs[curve("costlayer", rest=", ε = 1e-08")]["test"][-1]),
        "torch_relu": percent(runs[curve("torch", rest=", relu")]["test"][-1]),
        "ours_relu": percent(runs[curve("costlayer", rest=", relu")]["test"][-1]),
        "ours_end": percents(runs[curve("costlayer", seed)]["test"][-1] for seed in SEEDS),
        "sigmoid": sigmoid_table(found["sigmoid"]["scores"]),
        "yes_from": number(tails[1.0, 1]["torch_delta_zero"]),
        "no_value_from": number(tails[0.0, -1]["torch_value_zero"]),
        "no_delta_from": number(tails[0.0, -1]["torch_delta_zero"]),
        "ours_off": number(
            max(row[f"costlayer_{what}_off"] for row in tails.values() for what in ("value", "delta")), 2
        ),
        "ours_units": f"{most_units():.2f}",
        "clouds_step": str(last),
        "clouds_torch_yes": f"{clouds['torch']['yes']:.1f}",
        "clouds_torch_no": f"{clouds['torch']['no']:.1f}",
        "clouds_torch_missed": percent(clouds["torch"]["missed"], 2),
        "clouds_torch_false": percent(clouds["torch"]["false"], 2),
        "clouds_ours_yes": f"{clouds['costlayer']['yes']:.1f}",
        "clouds_ours_missed": percent(clouds["costlayer"]["missed"], 2),
        "clouds_ours_false": percent(clouds["costlayer"]["false"], 2),
    }


def most_units() -> float:
    """The most that value or δ of sigmoid+cross_entropy is off, over all float32 scores."""
    scalar = json.loads(ACCURACY.read_text(encoding="utf-8"))["scalar"]
    found = [
        entry
        for name, entry in scalar.items()
        if name.startswith(("sigmoid+cross_entropy: value", "sigmoid+cross_entropy: δ"))
    ]
    if any(entry["inputs"] < 1 << 32 for entry in found):
        raise ValueError(
            "docs/precision.template.md says 'every float32 score': run `costlayer bench accuracy --exhaustive`"
        )
    return max(entry["worst"] for entry in found)


def percent(share: float, digits: int = 1) -> str:
    return f"{share:.{digits}%}".replace("%", " %")


def percents(shares) -> str:
    """Several, for the seeds."""
    return ", ".join(f"{share:.1%}".removesuffix("%") for share in shares) + " %"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])


def runs_table(runs: dict) -> str:
    rows = []
    for name, r in runs.items():
        late = (str(s) for s, zero in zip(r["step"], r["zero"], strict=True) if zero >= 0.5)
        figures = [number(r["loss"][-1], 2), number(r["true_loss"][-1], 2)]
        rows.append([name, next(late, "never"), *figures, percent(max(r["test"])), percent(r["test"][-1])])
    header = ["run", "half of the δ are 0 at step", "loss at the end, as said", "in truth"]
    return table([*header, "best test accuracy", "at the end"], rows)


def sigmoid_table(scores: list[dict]) -> str:
    rows = [
        [number(r["z"]), number(r["y"])]
        + [number(r[who][k], 3) for k in (0, 1) for who in ("truth", "torch", "costlayer")]
        for r in scores
        if abs(r["z"]) in (10, 15, 17, 40, 80, 100)
    ]
    return table(["z", "y", "value, truth", "torch", "costlayer", "δ, truth", "torch", "costlayer"], rows)


def picture(found: dict) -> bytes:
    """The curves of every seed as a PNG image of 1600 × 1200 pixels."""
    drawn = Figure(figsize=(16, 12), dpi=100, facecolor="white")
    FigureCanvasAgg(drawn)
    drawn.text(
        0.045, 0.955, "Sure of every example, and still learning", size=34, weight="bold", color=INK, va="center"
    )
    settings = found["settings"]
    said = (
        f"Addition modulo {settings['modulus']}, three seeds; at the right their mean. Only the cross entropy differs."
    )
    drawn.text(0.045, 0.905, said, size=21, color=MUTED, va="center")
    places = drawn.add_gridspec(3, 1, left=0.09, right=0.77, top=0.835, bottom=0.075, hspace=0.34)
    for i, (key, title) in enumerate(PANELS):
        axes = drawn.add_subplot(places[i])
        axes.set_title(title, loc="left", size=23, color=INK, pad=10)
        axes.set_xlim(0, settings["steps"])
        axes.grid(color=GRID, linewidth=1.2)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=19, colors=MUTED, length=0, pad=8, which="both")
        for side in axes.spines.values():
            side.set_visible(False)
        lines(axes, found["runs"], key)
        if i == len(PANELS) - 1:
            axes.set_xlabel("step", size=21, color=MUTED)
        else:
            axes.tick_params(labelbottom=False)
    file = BytesIO()
    drawn.savefig(file, format="png", metadata={"Software": None, "Comment": digest(found)})
    return file.getvalue()


def lines(axes: Axes, runs: dict, key: str) -> None:
    """Every seed's curve, and beside the panel the mean of their ends."""
    ends = {}
    for loss, ink in (("torch", STARVING), ("costlayer", SOUND)):
        for seed in SEEDS:
            r = runs[curve(loss, seed)]
            axes.plot(
                r["step"], r[key], color=ink, linewidth=3.5, alpha=0.85, solid_capstyle="round", clip_on=key == "loss"
            )
        ends[loss] = ink, [runs[curve(loss, seed)][key][-1] for seed in SEEDS]
    if key == "loss":
        axes.set_yscale("log")
        axes.set_yticks([10.0**k for k in (0, -4, -8, -12, -16)], ["1", "1e−4", "1e−8", "1e−12", "1e−16"])
        axes.minorticks_off()
        axes.set_ylim(1e-17, 10)
    else:
        axes.set_ylim(-0.04, 1.06 if key == "zero" else None)
        axes.yaxis.set_major_formatter(lambda y, _: percent(y, 0))
    for i, (loss, (ink, at)) in enumerate(sorted(ends.items())):
        top = 0.92 - 0.48 * i
        mean = sum(at) / len(at)
        text = number(mean, 2) if key == "loss" else percent(mean, 0)
        axes.text(1.05, top, text, transform=axes.transAxes, size=34, color=ink, weight="bold", va="top")
        axes.text(1.05, top - 0.23, loss, transform=axes.transAxes, size=19, color=ink, va="top")


if __name__ == "__main__":
    main()
