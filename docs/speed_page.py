"""Makes docs/speed.md and its figures from benchmarks/results: run it by `make docs`."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"
MEASURED = (
    "pairs",
    "drop_in",
    "breakdown",
    "growth",
    "cores",
    "precision",
    "upstream",
    "linear",
    "others",
    "reproducible",
    "startup",
)
NAMES = {
    "ours": "costlayer",
    "numpy": "costlayer on NumPy arrays",
    "eager": "torch eager",
    "compile": "torch.compile",
    "optax": "Optax",
    "scikit_learn": "scikit-learn",
    "chunked": "torch's linear_cross_entropy in chunks",
    "chunked_512": "the same in chunks of 512",
    "cut": "cut-cross-entropy",
    "liger": "Liger",
    "floor": "the floor",
}
OTHERS = ("eager", "compile", "optax", "scikit_learn", "chunked", "chunked_512", "cut", "liger")
STYLES = {  # colours of Okabe and Ito's palette
    "ours": {"color": "#0072B2", "linewidth": 4, "marker": "o", "markersize": 8, "zorder": 3},
    "eager": {"color": "#D55E00", "linewidth": 2.5, "marker": "s", "markersize": 6},
    "compile": {"color": "#009E73", "linewidth": 2.5, "marker": "^", "markersize": 7},
    "floor": {"color": "#5C636D", "linewidth": 2, "linestyle": (0, (2, 2))},
}
INK, MUTED, GRID = "#17191C", "#5C636D", "#E3E6EA"


def main() -> None:
    found = results()
    (DOCS / "speed.md").write_text(page(found), encoding="utf-8")
    for name, (draw, _) in FIGURES.items():
        if name in found:
            metadata = {"Software": None, "Comment": digest(found[name])}
            draw(found[name]["cases"]).savefig(DOCS / "figures" / f"{name}.png", metadata=metadata)


def results() -> dict[str, dict]:
    """What each benchmark kept, of those that were run."""
    files = {name: RESULTS / f"{name}.json" for name in MEASURED}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}


def page(found: dict[str, dict]) -> str:
    """docs/speed.md: the template with every <<name>> replaced. A name unknown or left over is an error."""
    parts = {name: section(name, found) for name in MEASURED}
    parts |= {"machine": machine(found), "bounds": bounds(found), "slower": slower(found)}
    used = set()

    def fill(match: re.Match) -> str:
        used.add(match[1])
        return parts[match[1]]

    text = re.sub(r"<<(\w+)>>", fill, (DOCS / "speed.template.md").read_text(encoding="utf-8"))
    if unused := parts.keys() - used:
        raise ValueError(f"docs/speed.template.md does not use {sorted(unused)}")
    return text


def section(name: str, found: dict[str, dict]) -> str:
    """What there is to a benchmark: its figure, what it says in sentences, its tables."""
    if name not in found:
        return f"Not measured yet: `costlayer bench {name}` does."
    parts = [f"![{FIGURES[name][1]}](figures/{name}.png)"] if name in FIGURES else []
    parts += [READINGS[name](found[name]["cases"])] if name in READINGS else []
    return "\n\n".join([*parts, tables((RESULTS / f"{name}.md").read_text(encoding="utf-8"))])


def tables(text: str) -> str:
    """A result file without its title, day and machine, its headings one step lower."""
    return re.sub(r"^#", "##", text.split("\n", 4)[4], flags=re.M).strip()


def digest(found: dict) -> str:
    """What a figure carries, so that a test can see whether it is of these numbers."""
    return hashlib.sha256(json.dumps(found["cases"], sort_keys=True).encode()).hexdigest()


# sentences


def machine(found: dict[str, dict]) -> str:
    """Where and when: once if everything was measured on one machine, else for each file."""
    if not found:
        return "Nothing has been measured yet: `make bench` does."
    of: dict[str, list[str]] = {}
    for name, kept in found.items():
        of.setdefault(kept["machine"], []).append(name)
    days = sorted({kept["day"] for kept in found.values()})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    lines = [f"Measured {when} on {', '.join(of)}."]
    if len(of) > 1:
        lines = [f"Measured {when} on several machines:", ""]
        lines += [f"- {', '.join(names)}: {name}." for name, names in of.items()]
    if partial := [name for name, kept in found.items() if not kept["whole"]]:
        lines += ["", f"**Interrupted, so that cases are missing: {', '.join(partial)}.**"]
    return "\n".join(lines)


def bounds(found: dict[str, dict]) -> str:
    if not found:
        return "Not yet held against what was measured."
    held = [bound for kept in found.values() for bound in kept["bounds"]]
    missed = [bound for bound in held if not bound["met"]]
    if not missed:
        return f"All {len(held)} bounds are met."
    lines = [f"{len(held) - len(missed)} of {len(held)} bounds are met. Missed:", ""]
    for bound in missed:
        ends = "at least" if bound["least"] else "at most"
        lines.append(f"- {bound['case']}, {bound['what']}: {figure(bound['found'])}; {ends} {bound['limit']:g} was set")
    return "\n".join(lines)


def slower(found: dict[str, dict]) -> str:
    """Every comparison of this page that costlayer loses."""
    lost: dict[tuple[str, str], list[str]] = {}
    compared = 0
    for name, kept in found.items():
        for case in kept["cases"]:
            seconds = case["seconds"]
            for other in OTHERS:
                if seconds.get("ours") is None or seconds.get(other) is None:
                    continue
                compared += 1
                if seconds[other] < seconds["ours"]:
                    times = f"{describe(case)} ({figure(seconds['ours'] / seconds[other])} times as long)"
                    lost.setdefault((name, other), []).append(times)
    if not lost:
        return f"In none of the {compared} comparisons on this page."
    lines = [f"In {sum(map(len, lost.values()))} of the {compared} comparisons on this page:", ""]
    lines += [f"- {name}, than {NAMES[other]}: {'; '.join(cases)}" for (name, other), cases in lost.items()]
    return "\n".join(lines)


def pairs_reading(cases: list[dict]) -> str:
    large = [case for case in cases if "floor" in case["seconds"]]
    small = [case for case in cases if "floor" not in case["seconds"]]
    lines = [
        f"On large arrays a step of costlayer takes {span(large, 'ours', 'floor')} times as long as the floor, one of "
        f"torch eager {span(large, 'eager', 'ours')} times as long as costlayer's, and one of torch.compile "
        f"{span(large, 'compile', 'ours')} times."
    ]
    if small:
        lines += ["On small arrays the calls count more than the arithmetic:"]
        lines += ["\n".join(f"- {describe(case)}: {listed(case['seconds'], 1e6, 'µs')}" for case in small)]
    return "\n\n".join(lines)


def drop_in_reading(cases: list[dict]) -> str:
    """How many of torch's classes a change of import makes faster or slower, by at least a tenth."""
    lines = []
    for size in ("small", "large"):
        ratios = [case["seconds"]["eager"] / case["seconds"]["ours"] for case in cases if case["case"] == size]
        faster, slower = sum(times > 1.1 for times in ratios), sum(times < 1 / 1.1 for times in ratios)
        lines.append(
            f"On {size} arrays {faster} of {len(ratios)} classes take less time than torch's, {slower} more, and the "
            "others as much, within a tenth."
        )
    return "\n\n".join(lines)


def growth_reading(cases: list[dict]) -> str:
    lines = []
    for pair, own in by_pair(cases).items():
        first, last = own[0], own[-1]
        lines.append(
            f"{pair}: at {first['size']:,} scores {listed(first['seconds'], 1e6, 'µs')}; at {last['size']:,} "
            f"{listed(last['seconds'], 1e3, 'ms')}. costlayer is {faster_from(own, 'eager')} and "
            f"{faster_from(own, 'compile')}."
        )
    return "\n\n".join(lines)


def faster_from(cases: list[dict], other: str) -> str:
    """From which size on, if from any, nothing measured is slower than the other."""
    size = None
    for case in reversed([case for case in cases if case["seconds"].get(other) is not None]):
        if case["seconds"]["ours"] > case["seconds"][other]:
            break
        size = case["size"]
    if size is None:
        return f"not faster than {NAMES[other]} at the largest size"
    smallest = size == cases[0]["size"]
    return f"faster than {NAMES[other]} " + ("at every size" if smallest else f"from {size:,} scores on")


def cores_reading(cases: list[dict]) -> str:
    lines = []
    for pair, own in by_pair(cases).items():
        alone, all_ = own[0], own[-1]
        gains = (
            f"{NAMES[name]} {figure(seconds / all_['seconds'][name])}"
            for name, seconds in alone["seconds"].items()
            if seconds and all_["seconds"].get(name)
        )
        lines.append(f"{pair}, times as fast with {all_['threads']} threads as with one: {', '.join(gains)}.")
    return "\n\n".join(lines)


def precision_reading(cases: list[dict]) -> str:
    lines = []
    for pair, own in by_pair(cases).items():
        gains = (
            f"{case['type']}{', mean,' if case.get('reduction') == 'mean' else ''} "
            f"{figure(case['seconds']['float32'] / case['seconds']['ours'])}"
            for case in own
            if case["type"] != "float32"
        )
        lines.append(f"{pair}, times as fast as costlayer's own float32: {', '.join(gains)}.")
    return "\n\n".join(lines)


def upstream_reading(cases: list[dict]) -> str:
    return "\n\n".join(
        f"{pair}: torch eager takes {span(own, 'eager', 'ours')} times as long as costlayer, torch.compile "
        f"{span(own, 'compile', 'ours')} times; costlayer's slowest layout takes "
        f"{figure(max(c['seconds']['ours'] for c in own) / min(c['seconds']['ours'] for c in own))} times as long as "
        "its fastest."
        for pair, own in by_pair(cases).items()
    )


def linear_reading(cases: list[dict]) -> str:
    """What the two element types, growth and the parts of a step come to."""
    lines = []
    for case in (case for case in cases if case["case"] in ("float32", "bfloat16")):
        seconds, memory = case["seconds"], case["mebibytes"]
        rest = {name: s for name in OTHERS if (s := seconds.get(name)) is not None}
        best = min((name for name in rest if name != "eager"), key=rest.__getitem__)
        lines.append(
            f"In {case['case']} a step of costlayer takes {figure(seconds['ours'] / seconds['floor'])} times as long "
            f"as its three products. torch eager takes {figure(rest['eager'] / seconds['ours'])} times as long as "
            f"costlayer, and the fastest of the others, {NAMES[best]}, {figure(rest[best] / seconds['ours'])} times. "
            f"costlayer takes {figure(memory['ours'])} MiB for it, of which "
            f"{figure(linear_gradients(case))} are the gradients; torch eager {figure(memory['eager'])}."
        )
    for axis in "NDV":
        own = [case for case in cases if case["case"].startswith(f"{axis} = ")]
        if own and all(case["mebibytes"] for case in own):
            first, last = own[0], own[-1]
            lines.append(
                f"From {first['case']} to {last['case']} a step of costlayer grows from "
                f"{figure(1e3 * first['seconds']['ours'])} to {figure(1e3 * last['seconds']['ours'])} ms and from "
                f"{figure(first['mebibytes']['ours'])} to {figure(last['mebibytes']['ours'])} MiB, one of torch eager "
                f"from {figure(1e3 * first['seconds']['eager'])} to {figure(1e3 * last['seconds']['eager'])} ms and "
                f"from {figure(first['mebibytes']['eager'])} to {figure(last['mebibytes']['eager'])} MiB."
            )
    return "\n\n".join(lines)


def linear_gradients(case: dict) -> float:
    """The mebibytes of the gradients, that of W in float32."""
    n, d, v = case["shape"]
    return d * (n * {"float32": 4, "bfloat16": 2}[case["dtype"]] + 4 * v) / 2**20


def others_reading(cases: list[dict]) -> str:
    lines = []
    for case in cases:
        known = {name: s for name, s in case["seconds"].items() if s is not None}
        best, second = sorted(known, key=known.__getitem__)[:2]
        lines.append(
            f"- {describe(case)}: {NAMES[best]} is the fastest, and {NAMES[second]} takes "
            f"{figure(known[second] / known[best])} times as long"
        )
    return "\n".join(lines)


def reproducible_reading(cases: list[dict]) -> str:
    placed = [case for case in cases if "same" in case]
    same = {name: sum(case["same"][name] for case in placed) for name in ("ours", "eager")}
    orders = ", ".join(
        f"{figure(case['seconds']['fixed'] / case['seconds']['any'])} times ({describe(case)})"
        for case in cases
        if "fixed" in case["seconds"]
    )
    return (
        f"Of {len(placed)} cases costlayer gives the same bits in {same['ours']}, torch eager in {same['eager']}. Such "
        "strides and places cost what the brackets say."
        + (f" With its order of sums a kernel takes {orders} as long as with any order." if orders else "")
        + " That was to cost nothing, and does not quite. Blocks of a fixed size cost a pointwise pair a little. The "
        "exponentials of a long row are split into two parts, whose sums are exact in any order, so that neither the "
        "width of a vector nor the place of a row shows in the last bit: three more additions for each."
    )


def breakdown_reading(cases: list[dict]) -> str:
    lines = []
    for case in cases:
        seconds = case["seconds"]
        share = {name: figure(100 * s / seconds["step"]) for name, s in seconds.items()}
        if "copy" in seconds:
            lines.append(
                f"- {describe(case)}: of a step the kernel is {share['kernel']} %. A copy of the scores would take "
                f"{share['copy']} %, and their exponentials alone {share['exponentials']} %"
            )
        else:
            most = figure(100 * seconds["empty"] / seconds["eager"])
            own = figure(100 * (1 - (seconds["kernel"] + seconds["empty"]) / seconds["step"]))
            lines.append(
                f"- {describe(case)}: of a step the kernel is {share['kernel']} %. A `torch.autograd.Function` that "
                f"does nothing takes {share['empty']} %, which is {most} % of torch eager's whole step. The rest, "
                f"{own} %, is costlayer's own Python"
            )
    return "\n".join(lines)


def startup_reading(cases: list[dict]) -> str:
    imports = {case["import"]: case["seconds"]["import"] for case in cases if "import" in case}
    lines = []
    if {"numba", "costlayer", "numpy"} <= imports.keys():
        lines.append(
            f"The first use of a pair includes the import of Numba, by itself {figure(imports['numba'])} s. Of the "
            f"{figure(imports['costlayer'])} s of `import costlayer` NumPy takes {figure(imports['numpy'])}."
        )
    for case in cases:
        if "parts" in case:
            seconds = case["seconds"]
            parts = ", ".join(f"{name} {figure(s)} s" for name, s in case["parts"].items())
            lines.append(
                f"Of a first use of {case['pair']} from the cache, {figure(seconds['cached'])} s: {parts}. "
                f"Compiling it instead takes {figure(seconds['cold'] - seconds['cached'])} s more."
            )
    return "\n\n".join(lines)


READINGS = {
    "pairs": pairs_reading,
    "drop_in": drop_in_reading,
    "breakdown": breakdown_reading,
    "growth": growth_reading,
    "cores": cores_reading,
    "precision": precision_reading,
    "upstream": upstream_reading,
    "linear": linear_reading,
    "others": others_reading,
    "reproducible": reproducible_reading,
    "startup": startup_reading,
}


def by_pair(cases: list[dict]) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = {}
    for case in cases:
        groups.setdefault(case["pair"], []).append(case)
    return groups


def describe(case: dict) -> str:
    """A case in words: its pair, and what sets it apart."""
    shape = [" × ".join(f"{n:,}" for n in case["shape"])] if "shape" in case else []
    size = [f"{case['size']:,}"] if "size" in case else []
    threads = [f"{case['threads']} thread" + "s" * (case["threads"] > 1)] if "threads" in case else []
    other = [case[key] for key in ("type", "layout", "case") if key in case]
    return ", ".join([" ".join([case["pair"], *shape, *size]), *threads, *other])


def span(cases: Iterable[dict], above: str, below: str) -> str:
    """From the least to the largest ratio of two times."""
    ratios = sorted(c["seconds"][above] / c["seconds"][below] for c in cases if c["seconds"].get(above) is not None)
    if not ratios:
        return "—"
    low, high = figure(ratios[0]), figure(ratios[-1])
    return low if low == high else f"{low} to {high}"


def listed(seconds: dict, scale: float, unit: str) -> str:
    return ", ".join(f"{NAMES[name]} {figure(scale * s)} {unit}" for name, s in seconds.items() if s is not None)


def figure(number: float) -> str:
    """Three digits."""
    return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:#.3g}".rstrip(".")


# figures


def growth_figure(cases: list[dict]) -> Figure:
    drawn, panels = _panels("A step from a hundred to a hundred million scores", by_pair(cases))
    for axes, (pair, own) in zip(panels, by_pair(cases).items(), strict=True):
        _lines(axes, pair, [case["size"] for case in own], own)
        axes.set_xlabel("scores", size=15, color=MUTED)
        axes.set_xscale("log")
    return drawn


def cores_figure(cases: list[dict]) -> Figure:
    drawn, panels = _panels("A step with one thread, and with more", by_pair(cases))
    for axes, (pair, own) in zip(panels, by_pair(cases).items(), strict=True):
        threads = [case["threads"] for case in own]
        shape = " × ".join(f"{n:,}" for n in own[0]["shape"])
        _lines(axes, f"{pair}, {shape}", threads, own)
        axes.set_xlabel("threads", size=15, color=MUTED)
        axes.set_xscale("log", base=2)
        axes.set_xticks(threads, [str(n) for n in threads])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    return drawn


def linear_figure(cases: list[dict]) -> Figure:
    """Time above memory, by N, D and V."""
    drawn = Figure(figsize=(15, 11), dpi=100, facecolor="white")
    FigureCanvasAgg(drawn)
    drawn.text(0.06, 0.96, "A last linear map of more rows, features and classes", size=24, weight="bold", color=INK)
    panels = drawn.subplots(2, 3, sharex="col", sharey="row")
    drawn.subplots_adjust(left=0.07, right=0.97, top=0.86, bottom=0.08, wspace=0.08, hspace=0.16)
    titles = {"N": "examples, N", "D": "features, D", "V": "classes, V"}
    for row, (key, unit, scale) in enumerate((("seconds", "s", 1.0), ("mebibytes", "B", 2.0**20))):
        for axes, (axis, title) in zip(panels[row], titles.items(), strict=True):
            own = [case for case in cases if case["case"].startswith(f"{axis} = ")]
            sizes = [case["shape"]["NDV".index(axis)] for case in own]
            shown = [{"seconds": {name: s and scale * s for name, s in case[key].items()}} for case in own]
            _lines(axes, "time of a step" if row == 0 else "extra memory", sizes, shown, unit, top=0.94)
            axes.set_xscale("log", base=2)
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes.minorticks_off()
            axes.yaxis.set_major_locator(LogLocator())
            if row == 1:
                axes.set_xlabel(title, size=15, color=MUTED)
    return drawn


FIGURES = {
    "growth": (growth_figure, "Time of a step from a hundred to a hundred million scores"),
    "cores": (cores_figure, "Time of a step with one thread and with more"),
    "linear": (linear_figure, "Time and memory of a step with a last linear map by examples, features and classes"),
}


def _panels(title: str, pairs: dict) -> tuple[Figure, list]:
    drawn = Figure(figsize=(15, 7.5), dpi=100, facecolor="white")
    FigureCanvasAgg(drawn)
    drawn.text(0.06, 0.94, title, size=24, weight="bold", color=INK, va="center")
    panels = drawn.subplots(1, len(pairs), sharey=True, squeeze=False)[0]
    drawn.subplots_adjust(left=0.07, right=0.97, top=0.76, bottom=0.11, wspace=0.08)
    return drawn, list(panels)


def _lines(axes, title: str, x: list, cases: list[dict], unit: str = "s", top: float = 0.91) -> None:
    for name, style in STYLES.items():
        times = [case["seconds"].get(name) for case in cases]
        if any(s is not None for s in times):
            shown = [float("nan") if s is None else s for s in times]
            axes.plot(x, shown, label=NAMES[name], solid_capstyle="round", **style)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(EngFormatter(unit))
    axes.set_title(title, loc="left", size=17, color=INK, pad=12)
    axes.grid(color=GRID, linewidth=1.1)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=13, colors=MUTED, length=0, which="both", pad=6)
    for side in axes.spines.values():
        side.set_visible(False)
    place = axes.get_subplotspec()
    if place.is_first_col() and place.is_first_row():
        axes.figure.legend(
            *axes.get_legend_handles_labels(),
            loc="upper left",
            bbox_to_anchor=(0.055, top),
            ncols=len(STYLES),
            frameon=False,
            fontsize=15,
            labelcolor=INK,
        )


if __name__ == "__main__":
    main()
