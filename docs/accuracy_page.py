"""Makes docs/accuracy.md and its figure from benchmarks/results/accuracy.json; `costlayer bench accuracy` calls it."""

import json
import math
from pathlib import Path

import numpy as np

import costlayer as cl

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results" / "accuracy.json"
FIGURE = DOCS / "figures" / "accuracy.png"
QUANTITIES = {"value": "value", "delta": "δ", "curvature": "curvature"}
# What is aimed at: by type the bound in units in the last place, and which of the two figures it is for.
BOUNDS = {"float64": (4.0, "mixed"), "float32": (2.0, "mixed"), "float16": (2.0, "mixed"), "bfloat16": (2.0, "mixed")}
SCALAR_BOUND = 2.0
ALL = 1 << 32
SECTIONS = {
    "pairs": "every pair",
    "scalar": "one score, float32",
    "words": "the engine's own functions",
    "classes": "softmax+cross_entropy by classes",
    "others": "beside others",
    "bitwise": "the same bits",
    "limits": "at ±∞ and NaN",
    "reference": "the references",
    "curves": "the figure",
}
CLASS_BOUND = 4.0
Table = tuple[str, str, list[str], list[list[str]], str]
# Why a quantity is beyond its bound, as the points say at which it is worst.
CAUSES = (
    (
        "The gain is subnormal: φ' has few bits left, and times a large slope, as of an error of a million, it is a "
        "normal number again, with as few.",
        "sigmoid+mse δ, curvature; tanh+mse δ, curvature; elu+mse δ, curvature; softplus+mse δ, curvature; "
        "exp+mse δ, curvature; softplus+mape δ, curvature; softplus+msle δ; exp+msle δ, curvature; "
        "softplus+poisson curvature; softplus+negative_binomial curvature",
    ),
    (
        "Where it is worst, e^−|z|, or the normal density, is subnormal: it has few bits left, and times |z| it has no "
        "more of them.",
        "sigmoid+focal curvature; sigmoid+asymmetric curvature; probit+cross_entropy curvature",
    ),
    (
        "The curvature jumps at the kink |v − y| = delta, and v, once rounded, is on its other side.",
        "tanh+huber curvature; exp+huber curvature",
    ),
    ("v is beyond the largest number, and v/y would not be.", "exp+mape value, δ, curvature"),
    (
        "e^z is beyond the largest number, and (1 − y) e^z would not be.",
        "cloglog+cross_entropy value, δ, curvature",
    ),
    (
        "The errors of factors add up: the power gamma_neg makes a multiple of that of v − clip, and Φ is the quotient "
        "of φ and of φ/Φ, which is a polynomial.",
        "sigmoid+asymmetric value; probit+cross_entropy value",
    ),
    (
        "1/s² and w = (v − y)/s are divided by the two factors of s, whose errors add up; w² doubles their sum, and "
        "e^−w²/2 makes as many units of each as w² is large.",
        "identity_exp+gaussian curvature; identity_softplus+gaussian curvature; identity_softplus+laplace curvature; "
        "identity_exp+student_t curvature; identity_exp+crps curvature; identity_softplus+crps curvature",
    ),
    (
        "Two terms cancel where the result changes its sign: δ at v = y or thereabouts, that of a scale at an error as "
        "large, 1 − w² = 0. Each is right to a few units of itself, which are the more units of their difference the "
        "smaller that is.",
        "sigmoid+asymmetric δ; probit+cross_entropy δ; cauchit+cross_entropy δ, curvature; identity_exp+gaussian δ; "
        "identity_softplus+gaussian δ; identity_exp+laplace δ; identity_softplus+laplace δ; identity_exp+student_t δ; "
        "identity_softplus+student_t value, δ, curvature; identity_exp+crps value, δ; identity_softplus+crps value, δ",
    ),
    (
        "What is left of three logarithms of Γ is of the size of 1, and cancels: in the value where both shapes are "
        "near 1, in δ and curvature where a shape, or y, is tiny.",
        "exp_exp+beta value, δ, curvature; softplus_softplus+beta value, δ, curvature",
    ),
    (
        "The errors of v and of a logarithm add up, and the square doubles their sum; in 1/v² and 1/v³ that of v "
        "counts two and three times.",
        "softplus+msle value; exp+msle value; softplus+inverse_gaussian δ",
    ),
    (
        "It is a sum of terms of both signs, most of which cancel where it is worst.",
        "identity+cauchy curvature; identity+tukey curvature; softplus+gamma value, curvature; "
        "softplus+msle curvature; softplus+inverse_gaussian curvature; "
        "softplus+tweedie curvature; exp+inverse_gaussian curvature",
    ),
    (
        "Terms of the classes cancel: at ties of all scores, under targets that are nearly the prediction, or in a row "
        "that is sure, δ_j or curvature_j is a difference of sums over the row, each rounded.",
        "softmax+mse δ, curvature; softmax+mae δ, curvature; softmax+huber δ, curvature; "
        "softmax+binary_cross_entropy δ, curvature; softmax+focal value, δ, curvature; "
        "softmax+cross_entropy δ; softmax+poly1 δ, curvature; "
        "softmax+gce δ, curvature; softmax+kl value, δ; softmax+js δ, curvature; entmax15+fenchel_young value, δ",
    ),
)


def main() -> None:
    results = load()
    (DOCS / "accuracy.md").write_text(page(results), encoding="utf-8")
    FIGURE.write_bytes(figure(results))


def load() -> dict:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


# ---------------------------------------------------------------------------------------------------------- figures
def units(x: float | None) -> str:
    """A number of units as a table has it: 0.50, 12, 1.7e7, ∞."""
    if x is None:
        return "—"
    if math.isinf(x):
        return "∞"
    if x >= 1000:
        mantissa, _, exponent = f"{x:.1e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{x:.2f}" if x < 10 else f"{x:.0f}"


def cell(entry: dict | None) -> str:
    """Raw and mixed."""
    return "—" if entry is None else f"{units(entry['raw'])} / {units(entry['mixed'])}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def outside(found: dict[str, dict], bound: float, which: str) -> dict[str, list[str]]:
    """The pairs with a quantity beyond the bound, and the quantities."""
    beyond = {}
    for pair, entry in found.items():
        over = [QUANTITIES[q] for q in QUANTITIES if q in entry and entry[q][which] > bound]
        if over:
            beyond[pair] = over
    return beyond


# ----------------------------------------------------------------------------------------------------------- tables
def tables(results: dict) -> list[Table]:
    """Every table as the benchmark prints it: file, title, header, rows, notes."""
    made = [("accuracy", *summary(results))]
    made += [(f"accuracy_{kind}", *pairs(results, kind)) for kind in results["pairs"]]
    made += [("accuracy_scalar", *scalar(results)), ("accuracy_softmax", *classes(results))]
    made += [(f"accuracy_beside_{kind}", *beside(results, kind)) for kind in results["others"]]
    return [*made, ("accuracy_bitwise", *bitwise(results))]


def summary(results: dict):
    rows = []
    for kind, found in results["pairs"].items():
        bound, which = BOUNDS[kind]
        beyond = outside(found, bound, which)
        for quantity, title in QUANTITIES.items():
            entries = {pair: entry[quantity] for pair, entry in found.items() if quantity in entry}
            if entries:
                raw, mixed = (max(entries, key=lambda p, f=f: entries[p][f]) for f in ("raw", "mixed"))
                within = sum(title not in beyond.get(pair, []) for pair in entries)
                rows.append(
                    [
                        kind,
                        title,
                        f"{units(entries[raw]['raw'])} ({raw})",
                        f"{units(entries[mixed]['mixed'])} ({mixed})",
                        units(max((e["ends"] for e in entries.values() if "ends" in e), default=None)),
                        f"{within} of {len(entries)} within {bound:g} {which}",
                    ]
                )
    header = [
        "type",
        "quantity",
        "worst raw error, ulp",
        "worst mixed error, ulp",
        "worst raw error, y at an end",
        "pairs within the bound",
    ]
    return "Accuracy: the worst of every pair", header, rows, ""


def pairs(results: dict, kind: str):
    found = results["pairs"][kind]
    titles = [title for q, title in QUANTITIES.items() if any(q in entry for entry in found.values())]
    rows = [
        [pair, *(cell(entry.get(q)) for q, title in QUANTITIES.items() if title in titles), f"{entry['points']:,}"]
        for pair, entry in found.items()
    ]
    header = ["pair", *(f"{title}: raw / mixed" for title in titles), "points"]
    return f"Accuracy of every pair, {kind}, in ulp", header, rows, ""


def scalar(results: dict):
    rows = [
        [
            name,
            units(entry["worst"]),
            f"{entry['at']:.9g}",
            "all 2^32" if entry["inputs"] == ALL else f"{entry['inputs']:,}",
            kernel(entry),
            f"{entry['reference']:.1e}",
        ]
        for name, entry in results["scalar"].items()
    ]
    header = ["function", "worst error, ulp", "at", "float32 numbers tried", "kernel text"]
    header.append("reference against mpmath, ulp")
    return "Accuracy of functions of one score, float32", header, rows, ""


def kernel(entry: dict) -> str:
    """The hash of the kernel's text, and whether it was the same when all was last measured."""
    since = entry.get("since")
    if since is None or since["kernel"] == entry["kernel"]:
        return entry["kernel"]
    return f"{entry['kernel']}; since then {since['kernel']}: {units(since['worst'])} in {since['inputs']:,} numbers"


def words(results: dict):
    kinds = list(results["words"])
    names = list(dict.fromkeys(name for found in results["words"].values() for name in found))
    rows = [[name, *(units(results["words"][kind].get(name, {}).get("raw")) for kind in kinds)] for name in names]
    return ["function", *kinds], rows


def classes(results: dict):
    rows = []
    for kind, found in results["classes"].items():
        for case in found["costlayer"]:
            number, which = case.split("|")
            row = [kind, f"{int(number):,}", which]
            for name in found:
                entry = found[name][case]
                row.append(" / ".join(units(entry[part]) for part in ("value", "true", "delta")))
            rows.append(row)
    names = list(next(iter(results["classes"].values())))
    header = ["type", "classes", "rows", *names]
    return (
        "Accuracy of softmax+cross_entropy by classes: value / δ of the true class / worst δ, in ulp",
        header,
        rows,
        "",
    )


def beside(results: dict, kind: str):
    names = ["costlayer", *versions(results)]
    rows = []
    for pair, found in results["others"][kind].items():
        for quantity in ("value", "delta"):
            row = [pair, QUANTITIES[quantity]]
            for name in names:
                entry = found.get(name)
                if entry is None:
                    row.append("—")
                    continue
                everywhere, usual = (
                    entry["all"][quantity]["mixed"],
                    entry["usual"] and entry["usual"][quantity]["mixed"],
                )
                row.append(units(everywhere) + ("" if usual is None else f" ({units(usual)})"))
            rows.append(row)
    title = (
        f"Accuracy beside others, {kind}: worst mixed error in ulp over all scores (over |z| ≤ {results['usual']:g})"
    )
    return title, ["pair", "quantity", *names], rows, ""


def bitwise(results: dict):
    ways = list(next(iter(next(iter(results["bitwise"].values())).values())))
    rows = []
    for kind, found in results["bitwise"].items():
        row = [kind]
        for way in ways:
            differing = [pair for pair, entry in found.items() if not entry[way]]
            row.append(f"{len(found)} of {len(found)}" if not differing else "not: " + ", ".join(differing))
        rows.append(row)
    return "Pairs whose results are the same bit for bit", ["type", *ways], rows, ""


def shown(x: str | float) -> str:
    """A number as the page has it; infinities and NaN come as text."""
    return {"inf": "∞", "-inf": "−∞", "nan": "NaN"}.get(f"{float(x):.4g}", f"{float(x) + 0.0:.4g}".replace("-", "−"))


def limits(results: dict) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """What the tables have for pairs of one score, of a whole row, and of two scores per target."""
    pointwise, rows, two = [], [], []
    for pair, entry in ((pair, entry) for pair, entries in results["limits"].items() for entry in entries):
        value, delta = entry["value"], entry["delta"]
        if "scores" in entry:
            scores = "(" + ", ".join(map(shown, entry["scores"])) + ")"
            of_them = two if len(entry["scores"]) == 2 else rows
            of_them.append([pair, scores, shown(value), "(" + ", ".join(map(shown, delta)) + ")"])
        else:
            at = [f"{shown(a)}, {shown(b)}" for a, b in zip(value, delta, strict=True)]
            pointwise.append([pair, shown(entry["y"]), *at])
    return pointwise, rows, two


# ------------------------------------------------------------------------------------------------------------- page
def page(results: dict) -> str:
    """docs/accuracy.md."""
    pointwise, rows, two = limits(results)
    beside_them = ", ".join(f"{name} {version}" for name, version in versions(results).items())
    fewer = max(results["runs"][run]["fewer"] for run in runs_of(results, "others"))
    parts = [
        "# How accurate",
        "<!-- Made by docs/accuracy_page.py from benchmarks/results/accuracy.json: run `costlayer bench accuracy`. -->",
        "Every number on this page was measured by [benchmarks/accuracy.py](../benchmarks/accuracy.py); "
        f"{when(results)}"
        + (" ([what was when](#when-and-on-what))" if len(results["runs"]) > 1 else "")
        + (f"; beside {beside_them}." if beside_them else "."),
        f"![Errors of δ in float32, costlayer's and torch's]({FIGURE.relative_to(DOCS).as_posix()})",
        curve_reading(results),
        "## What is measured",
        WHAT,
        *thinned(results),
        references(results),
        "## Every pair",
        markdown(*summary(results)[1:3]),
        "\n".join(f"- {line}" for line in pair_reading(results)),
        *unmeasured(results),
        "Why, where a bound is missed:",
        markdown(*causes(results)),
        *(folded(f"{kind}: every pair", markdown(*pairs(results, kind)[1:3])) for kind in results["pairs"]),
        "## One score, float32",
        scalar_reading(results),
        markdown(*scalar(results)[1:3]),
    ]
    if results["words"]:
        parts += [
            "The engine's own functions, over scores of every binade, stored in each type: worst error in ulp.",
            markdown(*words(results)),
        ]
    parts += [
        "## softmax+cross_entropy, 2 to 200,000 classes",
        class_reading(results),
        folded("value / δ of the true class / worst δ, raw, in ulp", markdown(*classes(results)[1:3])),
        "## Beside others",
        f"The same targets and references, and one in {fewer} of the scores; for rows the same "
        "rows. The first figure is the worst mixed error in ulp over all of these, the one in brackets that over |z| ≤ "
        f"{results['usual']:g}; — where there is no such loss or the package was not installed. torch is its own loss "
        "of raw scores where it has one, else its activation and then its cost; Optax is under JAX; scikit-learn's "
        "losses are the private ones of its linear models and boosted trees." + flushed(results),
        *(folded(kind, markdown(*beside(results, kind)[1:3])) for kind in results["others"]),
        "## The same bits",
        "The results of 1, 2, 3 and 5 threads; of contiguous and strided scores; of elements that start at another "
        "place; and of batches of other sizes, compared bit for bit (for threads the summed value too). Pairs for "
        "which all are the same:",
        markdown(*bitwise(results)[1:3]),
        "## At ±∞ and NaN",
        "What the engine answers, value and δ, in float32; a test holds it to that.",
        folded("pairs of one score", markdown(["pair", "y", "z = −∞", "z = ∞", "z = NaN"], pointwise)),
        folded("rows of three scores, the first class the true one", markdown(["pair", "scores", "value", "δ"], rows)),
        folded("two scores, y = 0.25", markdown(["pair", "scores", "value", "δ"], two)),
        "## When, and on what",
        markdown(["day", "machine", "what was measured"], provenance(results)),
    ]
    return "\n\n".join(parts) + "\n"


def runs_of(results: dict, section: str = "") -> list[int]:
    """The runs that the entries of a section, or of all, are of."""
    parts = [entries for name, entries in results["made"].items() if name.startswith(section)]
    return sorted({run for entries in parts for run in entries.values()})


def versions(results: dict) -> dict[str, str]:
    """Of what was measured beside costlayer: the last of each."""
    return {name: version for run in runs_of(results, "others") for name, version in _versions(results, run)}


def _versions(results: dict, run: int):
    return results["runs"][run]["versions"].items()


def part_of(table: str) -> str:
    """What a table's entries are called in `made`: "accuracy_beside_float32" has those of "others float32"."""
    _, _, rest = table.partition("_")
    named = {"": "pairs", "softmax": "classes"}
    return named.get(rest) or (rest if rest in SECTIONS else rest.replace("beside_", "others "))


def when(results: dict, part: str = "") -> str:
    """The days and machines of a part of the entries, or of all."""
    part = f"pairs {part}" if part in results["pairs"] else part
    runs = [results["runs"][run] for run in runs_of(results, part)]
    days = sorted({run["day"] for run in runs})
    machines = list(dict.fromkeys(run["machine"] for run in runs))
    at = ", ".join(days) if len(days) < 3 else f"{days[0]} to {days[-1]}"
    on = machines[0] if len(machines) == 1 else f"{len(machines)} machines"
    return f"{at}, {on}" + (f", in {len(runs)} runs" if len(runs) > 1 else "")


def provenance(results: dict) -> list[list[str]]:
    """For each run what of the page it made: of every kind of measurement, how many of its entries."""
    rows = []
    for number, run in enumerate(results["runs"]):
        said = []
        for section, title in SECTIONS.items():
            parts = {
                name.removeprefix(section).strip(): entries
                for name, entries in results["made"].items()
                if name.split()[0] == section
            }
            counts = {kind: list(entries.values()).count(number) for kind, entries in parts.items()}
            each = [
                f"{f'{kind} ' if kind else ''}{count} of {len(parts[kind])}" for kind, count in counts.items() if count
            ]
            said += [f"{title}: {', '.join(each)}"] if each else []
        rows.append([run["day"], run["machine"], "; ".join(said)])
    return rows


def thinned(results: dict) -> list[str]:
    thin = max(results["runs"][run]["thin"] for run in runs_of(results, "pairs"))
    return [f"Some of these figures are of a quick look: one in {thin} of the scores."] if thin > 1 else []


def references(results: dict) -> str:
    """How far the references are from the printed formulas, and where they are these themselves."""
    known = [off for off in results["reference"].values() if off is not None]
    unknown = [pair for pair, off in results["reference"].items() if off is None]
    said = (
        f"The references of {len(known)} pairs are formulas of their own, and within {max(known):.1e} units of float64 "
        "of the printed formulas, taken to 1000 digits (`reference` in the results)."
    )
    return said + (
        f" Of {', '.join(unknown)} there are none: the reference is the printed formula itself, to 300 digits or more, "
        "with differences for derivatives, and fewer points are tried."
        if unknown
        else ""
    )


def flushed(results: dict) -> str:
    """What explains many of Optax' figures, at one of them."""
    entry = results["others"].get("float32", {}).get("identity+mse", {}).get("Optax")
    if entry is None or entry["all"]["value"]["mixed"] < 1e6:
        return ""
    value = entry["all"]["value"]
    return (
        " XLA, on which JAX runs, takes subnormal numbers for 0 on the CPU, as it goes and as a result: identity+mse "
        f"in float32 is off by {units(value['mixed'])} units at z = {value['mixed_at'][0]:.3g}, "
        f"y = {value['mixed_at'][1]:g}, whose square is one. A score or a gain that small is lost in the same way."
    )


WHAT = """An **ulp**, a unit in the last place, is the distance between neighbouring numbers of the type at the exact
result: 2⁻²³ of it or less in float32, 2⁻⁵² in float64, 2⁻¹⁰ in float16, 2⁻⁷ in bfloat16; below the smallest normal
number it is the smallest subnormal. The best that any program can do everywhere is ½. Infinity counts as the power of
two beyond the largest number, so that to overflow too early is an error; an answer that is no number counts as ∞.

Two figures for everything:

- **raw**: the distance to the exact result, in ulp of the exact result.
- **mixed**: the distance to the nearest of the exact results for scores within 1 ulp of z and targets within 1 ulp of
  y; a target at the end of its interval, or of the predictions', is taken as exact. Where a result crosses zero, as
  v − y does at v = y, or jumps, as the slope of an absolute error does there, a program that rounds on its way cannot
  keep the raw error bounded; the mixed one it can. A cost of v − y counts as 0 where v − y changes its sign within
  those ulps. It is looked for at the 512 points of the largest raw error, and at
  512 more where that is largest less what one ulp of z makes.

Scores come from every binade of the type, subnormal to huge, of both signs, and from around every score at which a way
of computing may change its branch, saturate, overflow or underflow; targets lie at the ends and inside; and scores and
targets are paired so that v − y, or the argument of a branch, is as near to nothing as the type allows. The exact
results have 128 bits, by formulas written for that and not shared with costlayer. The value of a half is counted in
units of the half, whatever the type it is returned in. Pairs of a whole row are measured on rows of 2 to 5 scores,
random, sure, wrong, tied and huge, those of softmax against derivatives written out in mpmath; softmax+cross_entropy
with class targets on rows of up to 200,000. Of two scores per target, random ones of many sizes are tried, with errors
small and large beside the scale, or fractions about the mean and far from it. Curvature is not measured for halves: the
layer that takes them does not give it."""


def folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def listed(beyond: dict[str, list[str]]) -> str:
    return "; ".join(f"{pair} ({', '.join(quantities)})" for pair, quantities in beyond.items())


def pair_reading(results: dict) -> list[str]:
    """What the summary says, type by type, true for whatever was measured."""
    lines = []
    for kind, found in results["pairs"].items():
        bound, which = BOUNDS[kind]
        beyond = outside(found, bound, which)
        if beyond:
            lines.append(
                f"**{kind}**: {len(found) - len(beyond)} of {len(found)} pairs keep within {bound:g} ulp ({which}) in "
                f"all that was tried. Beyond it: {listed(beyond)}."
            )
        else:
            lines.append(
                f"**{kind}**: all {len(found)} pairs keep within {bound:g} ulp ({which}) in all that was tried."
            )
    return lines


def causes(results: dict) -> tuple[list[str], list[list[str]]]:
    """Each cause, and the quantities beyond their bound that it explains, with the worst mixed error in each type."""
    missed = {}
    for kind, found in results["pairs"].items():
        bound, which = BOUNDS[kind]
        for pair, quantities in outside(found, bound, which).items():
            for q, title in QUANTITIES.items():
                if title in quantities:
                    missed.setdefault((pair, title), []).append(f"{kind} {units(found[pair][q][which])}")
    rows = []
    for cause, text in CAUSES:
        of = [(pair, q) for entry in text.split("; ") for pair, _, qs in [entry.partition(" ")] for q in qs.split(", ")]
        explained = [f"{pair} {q} ({', '.join(missed.pop((pair, q)))})" for pair, q in of if (pair, q) in missed]
        rows += [[cause, "; ".join(explained)]] if explained else []
    if missed:
        rows.append(["Not looked into.", "; ".join(f"{p} {q} ({', '.join(at)})" for (p, q), at in missed.items())])
    return ["cause", "quantities beyond the bound, mixed error in ulp"], rows


def unmeasured(results: dict) -> list[str]:
    """Which pairs of the catalogue are not among the results."""
    missing = [str(pair) for pair in cl.pairs() if str(pair) not in results["pairs"]["float32"]]
    if not missing:
        return []
    return [
        "Not measured, but held to a few ulp of 1000 digits by the tests, at fewer points (`tests/accuracy.py`, "
        f"`tests/engines/test_two_scores.py`, `tests/test_rows.py`): {', '.join(missing)}."
    ]


def scalar_reading(results: dict) -> str:
    found = results["scalar"]
    whole = [name for name, entry in found.items() if entry["inputs"] == ALL]
    later = [name for name in whole if found[name].get("since", found[name])["kernel"] != found[name]["kernel"]]
    beyond = [f"{name} ({units(e['worst'])})" for name, e in found.items() if e["worst"] > SCALAR_BOUND]
    tried = {
        True: "Each was tried on every one of the 4,294,967,296 float32 numbers, infinities and NaN too.",
        False: f"{len(whole)} of {len(found)} were tried on every one of the 4,294,967,296 float32 numbers, the "
        "others on a sample around the ends of every binade.",
    }[len(whole) == len(found)]
    held = (
        f"Beyond {SCALAR_BOUND:g} ulp: {', '.join(beyond)}."
        if beyond
        else f"None is off by more than {SCALAR_BOUND:g} ulp."
    )
    same = (
        "The text of the kernel that was tried on all numbers is named by its hash; when all was last measured it was "
        "the same."
        if not later
        else "The text of the kernel that was tried on all numbers is named by its hash. It has changed since for "
        f"{', '.join(later)}; of the new text a sample was tried, and found nothing worse."
    )
    return f"{tried} {held}" + (f" {same}" if whole else "")


def class_reading(results: dict) -> str:
    lines = [
        "Rows of normal scores; sure and wrong by margins of 5 to 80; all scores equal; one score of up to 1e30; nine "
        "of ten scores −∞. Errors are raw; where the difference d of two scores is itself rounded in the type, that "
        "alone makes up to about d/2 ulp of exp(d)."
    ]
    for kind, found in results["classes"].items():
        worst = {
            name: max((max(entry.values()), case) for case, entry in cases.items()) for name, cases in found.items()
        }
        own, case = worst["costlayer"]
        number, which = case.split("|")
        inside = sum(max(entry.values()) <= CLASS_BOUND for entry in found["costlayer"].values())
        others = "; ".join(f"{name} {units(off)}" for name, (off, _) in worst.items() if name != "costlayer")
        lines.append(
            f"- **{kind}**: {inside} of {len(found['costlayer'])} kinds of rows within {CLASS_BOUND:g} ulp; the worst, "
            f"{units(own)} ulp, in rows of {int(number):,} classes ({which})."
            + (f" Worst of the others: {others}." if others else "")
        )
    return "\n".join([lines[0], "", *lines[1:]])


def curve_reading(results: dict) -> str:
    said = []
    for pair, curve in results["curves"].items():
        most = {name: max(curve[name]) for name in ("costlayer", "torch")}
        said.append(f"{pair}: at most {units(most['costlayer'])} ulp here, {units(most['torch'])} in torch")
    return (
        "Error of δ in float32. Left, sigmoid+cross_entropy under the target 1, along the score; right, "
        "softmax+cross_entropy with 1000 classes, δ of the true class along its margin. "
        "All digits are lost at the grey line, 2²⁴ ulp. "
        + "; ".join(said) + "."
    )  # fmt: skip


def figure(results: dict) -> bytes:
    """The two curves of errors, as PNG."""
    import io

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(1, 2, figsize=(9.6, 3.4), sharey=True, layout="constrained")
    titles = {
        "sigmoid+cross_entropy": "score z, target 1",
        "softmax+cross_entropy": "margin of the true class, 1000 classes",
    }
    for axis, (pair, along) in zip(axes, titles.items(), strict=True):
        curve = results["curves"][pair]
        for name, colour in (("torch", "#c44e52"), ("costlayer", "#2a6f97")):
            axis.plot(curve["line"], np.maximum(curve[name], 0.02), ".", ms=2.5, color=colour, label=name)
        axis.axhline(2.0**24, color="0.6", lw=0.8)
        axis.axhline(0.5, color="0.8", lw=0.8)
        axis.set(title=pair, xlabel=along, yscale="log", ylim=(0.015, 1e9))
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[0].set_ylabel("error of δ, ulp of float32")
    axes[0].legend(frameon=False, markerscale=4, loc="upper left")
    out = io.BytesIO()
    drawing.savefig(out, format="png", dpi=150, metadata={"Software": None})
    plt.close(drawing)
    return out.getvalue()


if __name__ == "__main__":
    main()
