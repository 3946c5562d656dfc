"""Makes docs/pairs.md and docs/figures from the catalogue: run it by `make docs`."""

import hashlib
import math
import re
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import costlayer as cl
from costlayer import explain
from costlayer.activations import ACTIVATIONS
from costlayer.catalogue import build
from costlayer.costs import COSTS
from costlayer.errors import InvalidValue
from costlayer.evaluate import predict_and_gain
from costlayer.explain import picture
from costlayer.explain.curves import targets

DOCS = Path(__file__).parent
FIGURES = {"starvation": "sigmoid+mse", "softmax": "softmax+mse"}
SMALL = DOCS / "figures" / "pairs"


def main() -> None:
    (DOCS / "pairs.md").write_text(pairs_page(), encoding="utf-8")
    for file, name in FIGURES.items():
        (DOCS / "figures" / f"{file}.png").write_bytes(explain.png(name))
    shutil.rmtree(SMALL, ignore_errors=True)
    SMALL.mkdir()
    for pair in cl.pairs():
        small(pair).write_bytes(drawing(pair))


def small(pair: cl.Pair) -> Path:
    """Where the picture of a pair is."""
    return SMALL / f"{pair.name.replace('+', '_')}.png"


def drawing(pair: cl.Pair) -> bytes:
    """The picture of a pair, in a few colours, with what it was drawn from inside."""
    drawn, made = BytesIO(), BytesIO()
    picture.small(pair).savefig(drawn, format="png")
    kept = PngInfo()
    kept.add_text("Comment", digest(pair))
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(48).save(made, "png", optimize=True, pnginfo=kept)
    return made.getvalue()


def digest(pair: cl.Pair) -> str:
    """What the picture of a pair shows; a test can tell by it whether that has changed."""
    shown = pair.formula, pair.derivative, *([pair.second_derivative] if pair.two else []), pair.values, targets(pair)
    return hashlib.sha256(repr(shown).encode()).hexdigest()


def pairs_page() -> str:
    """docs/pairs.md: the template with every <<name>> replaced. A name unknown or left over is an error."""
    parts = {**figures(), "precision": precision(), "catalogue": catalogue(), "refused": refused(), "pairs": sections()}
    used = set()

    def fill(match: re.Match) -> str:
        used.add(match[1])
        return parts[match[1]]

    page = re.sub(r"<<(\w+)>>", fill, (DOCS / "pairs.template.md").read_text(encoding="utf-8"))
    if unused := parts.keys() - used:
        raise ValueError(f"docs/pairs.template.md does not use {sorted(unused)}")
    return page


def number(x: float, digits: int = 3) -> str:
    """A figure as prose has it: 0.9933, 4.54e−5."""
    mantissa, _, exponent = f"{x:.{digits}g}".partition("e")
    return (mantissa + (f"e{int(exponent)}" if exponent else "")).replace("-", "−")


def row(values, digits: int = 3) -> str:
    return "(" + ", ".join(f"{x:.{digits}f}".replace("-", "−") for x in values) + ")"


def plain(values) -> str:
    return "(" + ", ".join(number(x) for x in values) + ")"


def delta(name: str, z, y):
    return cl.value_and_delta(build(name, {}), np.array(z, float), np.array(y), reduction="none")[1]


def figures() -> dict[str, str]:
    """The figures in the text."""
    sigmoid, softmax = build("sigmoid+mse", {}), build("softmax+cross_entropy", {})
    v, gain = predict_and_gain(sigmoid, np.array([0.0, 5.0, 10.0]))
    scores, ones, classes = (2.0, 1.0, 0.0), (1.0,) * 4, 10
    p = cl.predict(softmax, np.array([scores]))[0]
    # the surest that scores between 0 and 1 can be: one of them 1, the others 0
    capped = cl.predict(softmax, np.eye(1, classes))[0, 0]
    return {
        "sigmoid_gain_0": number(gain[0]),
        "sigmoid_gain_5": number(gain[1]),
        "sigmoid_gain_10": number(gain[2]),
        "sigmoid_v_5": number(v[1], 4),
        "sigmoid_mse_5": number(delta("sigmoid+mse", [5], [0.0])[0]),
        "sigmoid_mse_10": number(delta("sigmoid+mse", [10], [0.0])[0]),
        "sigmoid_ce_5": number(delta("sigmoid+cross_entropy", [5], [0.0])[0], 4),
        "identity_mse_5": number(delta("identity+mse", [5], [0.0])[0]),
        "softmax_mse_5": number(delta("softmax+mse", [[5, 0]], [1])[0, 0]),
        "softmax_ce_5": number(delta("softmax+cross_entropy", [[5, 0]], [1])[0, 0], 4),
        "ones_scores": plain(ones),
        "ones": plain(cl.predict(softmax, np.array([ones]))[0]),
        "example_scores": plain(scores),
        "example_p": row(p),
        "example_p0": f"{p[0]:.3f}",
        "example_value": number(cl.value(softmax, np.array([scores]), np.array([0]))),
        "example_ce": row(delta("softmax+cross_entropy", [scores], [0])[0]),
        "example_bce": row(delta("softmax+binary_cross_entropy", [scores], [0])[0]),
        "capped_classes": str(classes),
        "capped": number(capped, 2),
        "grid": number(float(np.finfo(np.float32).eps), 2),
        "silent": number(-math.log(np.finfo(np.float32).eps / 2)),
    }


def precision() -> str:
    """float32 softmax cross entropy as it is usually computed, beside costlayer's and the same in float64."""
    lines = table("margin", "truth", "value, usual form", "value, costlayer", "δ of the true class, usual", "costlayer")
    for margin in (1, 5, 10, 15, 17, 20, 50):
        z = np.array([[margin, 0.0]])
        y = np.array([0])
        truth = cl.value("softmax+cross_entropy", z, y)
        z = z.astype(np.float32)
        exact, slope = cl.value_and_delta("softmax+cross_entropy", z, y, reduction="none")
        shifted = z[0] - z[0].max()
        total = np.exp(shifted).sum()
        usual, usual_slope = np.log(total) - shifted[0], np.exp(shifted[0]) / total - np.float32(1)
        figures = truth, usual, exact[0], usual_slope, slope[0, 0]
        lines.append(cells(str(margin), *(number(x + 0.0) for x in figures)))
    return "\n".join(lines)


def table(*titles: str) -> list[str]:
    return [cells(*titles), "|" + " --- |" * len(titles)]


def cells(*texts: str) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def code(text: str) -> str:
    return f"`{text}`"


def anchor(name: str) -> str:
    """The link to a heading, as GitHub makes it."""
    return f"[{name}](#{name.replace('+', '')})"


def behaviour(pair: cl.Pair) -> str:
    if pair.canonical:
        return f"canonical, δ = {pair.canonical_form}"
    return "starves" if pair.starves else "steady" if pair.steady else "fades"


def target(pair: cl.Pair) -> str:
    if pair.cost.labels_only:
        return "class, in order" if pair.activation.thresholds else "class"
    return "class, or probabilities" if pair.row else str(pair.target)


def catalogue() -> str:
    lines = table("pair", "v in", "y in", "value", "δ", "gradient")
    for pair in cl.pairs():
        formulas = pair.formula, pair.derivative, *([pair.second_derivative] if pair.two else [])
        value, *slopes = (code(text.split(",  ")[0]) for text in formulas)
        ranges = f"{pair.range}, {pair.second_range}" if pair.two else str(pair.range)
        lines.append(cells(anchor(pair.name), ranges, target(pair), value, " and ".join(slopes), behaviour(pair)))
    return "\n".join(lines)


def refused() -> str:
    """What the catalogue refuses, and why: taken from the errors."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for cost in COSTS:
        for activation in ACTIVATIONS:
            if ACTIVATIONS[activation].predict:  # it has only the costs that are written for it
                continue
            try:
                build(f"{activation}+{cost}", {})
            except InvalidValue as error:
                if COSTS[cost].rows_only or bool(ACTIVATIONS[activation].parts) != bool(COSTS[cost].second_domain):
                    continue  # one score, or two: the page says so
                given = error.got.split(" gives ")[1].removeprefix("v in ").removesuffix(" only")
                groups.setdefault((cost, error.expected, error.fix), []).append(f"{activation} {given}")
    lines = table("cost", "refused behind (where v lies)", "needs", "instead")
    for (cost, expected, fix), behind in groups.items():
        lines.append(cells(code(cost), ", ".join(behind), expected, fix))
    return "\n".join(lines)


def sections() -> str:
    return "\n\n".join(section(pair) for pair in cl.pairs())


def section(pair: cl.Pair) -> str:
    facts = {
        "Prediction": pair.predictions,
        "Target": target(pair) if pair.row else f"y in {pair.target}",
        "Parameters": ", ".join(
            f"{name} = {number(value)} ({parameter.meaning.rstrip('.')})"
            for (name, value), parameter in zip(
                pair.parameters.items(),
                [*pair.activation.parameters.values(), *pair.cost.parameters.values()],
                strict=True,
            )
        ),
        "Gradient": behaviour(pair),
        "Limits": pair.limits,
        "Reference": pair.reference,
    }
    listed = "\n".join(f"- {title}: {text}" for title, text in facts.items() if text)
    sums = "\n\n".join(
        f"```math\n{left} = {right}\n```"
        for left, right in (
            (r"\ell", pair.formula_latex),
            (slope(pair), pair.derivative_latex),
            (r"\delta_{1}", pair.second_derivative_latex),
        )
        if right
    )
    picture = f"![Value and δ of {pair.name} along its score]({small(pair).relative_to(DOCS).as_posix()})"
    return f"### {pair.name}\n\n{pair.summary}\n\n{sums}\n\n{picture}\n\n{listed}"


def slope(pair: cl.Pair) -> str:
    return r"\delta_{j}" if pair.row else r"\delta_{0}" if pair.two else r"\delta"


if __name__ == "__main__":
    main()
