"""The page: its sections in order, each with what to look for and what it shows here."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs

from costlayer.report import figures
from costlayer.report.figures import View, plot
from costlayer.report.records import MOMENTS, Run, average, metric, quantile
from costlayer.report.script import SCRIPT
from costlayer.report.style import STYLE
from costlayer.report.text import Names, count, escape, listed, math_markup, measured, number, share

# Nothing from outside may load, whatever the records hold.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


def page(run: Run) -> str:
    names = Names(run.pairs)
    sections = [s for s in (make(run, names) for make in SECTIONS) if s is not None]
    title = f"{run.config.get('name') or 'study'}: which output activation and cost"
    links = "".join(f'<a href="#{s.anchor}">{escape(s.short)}</a>' for s in sections)
    body = "".join(
        f'<section id="{s.anchor}"><h2>{escape(s.title)}</h2>'
        + (f'<p class="look">{s.look}</p>' if s.look else "")
        + (f"<p>{s.shows}</p>" if s.shows else "")
        + s.body
        + "</section>"
        for s in sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header>{verdict(run, names)}<nav aria-label="On this page">{links}</nav></header>
<noscript><p class="notice">A script inside this file draws the figures; switch scripts on to see them.</p></noscript>
{body}
<footer>Made by costlayer{escape(" " + str((run.config.get("versions") or {}).get("costlayer") or "")).rstrip()}. \
This page holds everything it shows and loads nothing.</footer>
</main>
<script>{get_plotlyjs()}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


class Section:
    """One part of the page: what to look for, what it shows here, and the figures."""

    def __init__(self, anchor: str, short: str, title: str, look: str = "", shows: str = "", body: str = "") -> None:
        self.anchor, self.short, self.title, self.look, self.shows, self.body = anchor, short, title, look, shows, body


def legend(names: Names, pairs: list[str]) -> str:
    if len(pairs) < 2:
        return f'<div class="legend"><span class="chip">{names.chip(pairs[0])}</span></div>' if pairs else ""
    buttons = (
        f'<button type="button" aria-pressed="true" data-pair="{escape(p)}" title="Show or '
        f'hide">{names.chip(p)}</button>'
        for p in pairs
    )
    return f'<div class="legend">{"".join(buttons)}</div>'


def selector(word: str, views: list[str]) -> str:
    if len(views) < 2:
        return ""
    options = "".join(f"<option>{escape(v)}</option>" for v in views)
    return f'<label class="choose">{escape(word)} <select autocomplete="off">{options}</select></label>'


def grid(parts: list[str], least: int = 280) -> str:
    return f'<div class="plots" style="--least:{least}px">{"".join(f"<div>{p}</div>" for p in parts)}</div>'


def spoken(name: str) -> str:
    """A metric's name inside a sentence: accuracy, but AUC."""
    label = metric(name).label
    return escape(label if label[1:2].isupper() or not label[1:2].isalpha() else label[:1].lower() + label[1:])


def extremes(values: dict[str, float | None]) -> tuple[str, str] | None:
    """The pairs with the least and the greatest figure, when they differ."""
    known = {p: v for p, v in values.items() if v is not None}
    if len(known) < 2:
        return None
    low, high = min(known, key=lambda p: known[p]), max(known, key=lambda p: known[p])
    return (low, high) if known[low] != known[high] else None


# --- the verdict -----------------------------------------------------------------------------------------------------


def verdict(run: Run, names: Names) -> str:
    done = sum(len(rows) for rows in run.finals.values())
    planned = len(run.pairs) * run.seeds
    above = [
        f"costlayer study of {escape(run.config.get('name') or run.data.get('source') or 'a table')}",
        created(run),
    ]
    sentence = (run.verdict or {}).get("sentence")
    remark = (run.verdict or {}).get("remark")
    winner = run.winner
    notice = ""
    if run.verdict is None:
        trained = sum(len(rows) for by_seed in run.epochs.values() for rows in by_seed.values())
        heading = f"Interrupted: {count(done, 'training')} of {number(planned)} finished"
        without = [p for p in run.pairs if not run.finals[p]]
        notice = (
            f"The study was stopped before its verdict; this page shows what was done so far: "
            f"{count(trained, 'epoch')} of training"
            + (f", and no test result yet for {listed([names(p) for p in without])}" if without else "")
            + ". Run it again with <code>--resume</code> to go on where it stopped."
        )
        if winner and len(run.pairs) > 1 and done:
            best = next(r for r in run.ranking() if r.pair == winner)
            notice += (
                f" So far {names(winner)} is ahead, with {spoken(run.metric or '')} "
                f"{measured(best.mean, best.spread)} on the test rows."
            )
    else:
        if sentence:
            heading = names.mention(sentence)
        else:
            heading = f"{names(winner)} did best." if winner else "No pair finished."
        halted = [r for rows in run.finals.values() for r in rows if r.get("stopped") == "interrupted"]
        if halted:
            notice = (
                f"{count(len(halted), 'training was', 'trainings were')} interrupted; the figures use what was done."
            )
    long = " class=long" if len(sentence or "") > 100 else ""
    return (
        f'<p class="above">{" · ".join(a for a in above if a)}</p><h1{long}>{heading}</h1>'
        + (f"<p>{names.mention(remark)}</p>" if remark else "")
        + (f'<p class="notice">{notice}</p>' if notice else "")
        + facts(run, names)
        + ranking(run, names)
    )


def created(run: Run) -> str:
    text = str(run.config.get("created") or "")
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return escape(text)
    return f"{when.day} {when:%B %Y, %H:%M}"


def facts(run: Run, names: Names) -> str:
    winner, rows = run.winner, {r.pair: r for r in run.ranking()}
    out: list[tuple[str, str]] = []
    if winner and winner in rows:
        out.append(("Won" if run.verdict else "Ahead so far", names(winner)))
        if run.metric:
            out.append((f"{metric(run.metric).label}, test rows", measured(rows[winner].mean, rows[winner].spread)))
    advised = (run.verdict or {}).get("advised") or (run.config.get("advice") or {}).get("pair")
    if advised:
        same = "the same pair" if advised == winner else names.mention(advised)
        out.append(("Advised", same))
    seeds = (
        f"{count(len(run.pairs), 'pair')} × {count(run.seeds, 'seed')}" if run.seeds else count(len(run.pairs), "pair")
    )
    out.append(("Compared", seeds))
    if run.data.get("rows") is not None:
        kind = count(len(run.classes), "class", "classes") if run.classes else "values"
        out.append(("Data", f"{count(run.data['rows'], 'row')}, {kind}"))
    cells = "".join(f"<div><dt>{escape(term)}</dt><dd>{text}</dd></div>" for term, text in out)
    return f'<dl class="facts">{cells}</dl>' if out else ""


def ranking(run: Run, names: Names) -> str:
    rows = run.ranking()
    if not rows or not run.metric:
        return ""
    others = [m for m in run.metrics() if m != run.metric and any(run.final(p, m) for p in run.pairs)]
    everything = [v for r in rows for v in r.values]
    several = any(len(r.values) > 1 for r in rows)
    means = {m: {p: average(run.final(p, m)) for p in run.pairs} for m in others}
    starved = (run.verdict or {}).get("starved") or {}
    head = ["<th>pair</th>", f'<th class="number">{escape(metric(run.metric).label)}</th>']
    if several:
        head.append("<th>each seed</th>")
    head += [f'<th class="number">{escape(metric(m).label)}</th>' for m in others]
    if starved:
        head.append('<th class="number">starved</th>')
    head.append('<th class="number">learning rate</th>')

    def cell(text: str, best: bool = False) -> str:
        return f'<td class="number{" best" if best else ""}">{text}</td>'

    def leads(m: str, pair: str) -> bool:
        known = [v for v in means[m].values() if v is not None]
        best = (max if metric(m).higher_is_better else min)(known, default=None)
        return len(known) > 1 and means[m][pair] == best

    lines = []
    for place, r in enumerate(rows):
        cells = [f'<td class="first">{names.chip(r.pair)}</td>']
        cells.append(
            cell(measured(r.mean, r.spread) if r.mean is not None else "no result", place == 0 and r.mean is not None)
        )
        if several:
            cells.append(f"<td>{strip(r.values, everything, names.colour(r.pair))}</td>")
        cells += [cell(number(means[m][r.pair], 3), leads(m, r.pair)) for m in others]
        if starved:
            cells.append(cell(share(starved.get(r.pair))))
        cells.append(cell(number(figures.chosen_rate(run, r.pair), 3)))
        lines.append(f"<tr{' class=won' if place == 0 and r.mean is not None else ''}>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table '
        f'class="wide"><thead><tr>{"".join(head)}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        f'<p class="reference">Test rows{", mean ± standard deviation over the seeds" if several else ""}; '
        "the best in each column is bold."
        + (
            " Starved: of the outputs wrong by more than half during training, on validation rows, the share that sent "
            "back under 1\u202f% of their error."
            if starved
            else ""
        )
        + "</p>"
    )


def strip(values: list[float], everything: list[float], colour: str) -> str:
    """A dot for each seed, on a scale that all rows of the table share."""
    if not values:
        return ""
    low, high = min(everything), max(everything)
    place: Callable[[float], float] = lambda v: 60.0 if high == low else 7 + 106 * (v - low) / (high - low)  # noqa: E731
    dots = "".join(
        f'<circle cx="{place(v):.1f}" cy="10" r="4.5" style="fill:{colour}" fill-opacity="0.65"/>' for v in values
    )
    title = escape(", ".join(number(v) for v in values))
    return (
        f'<svg class="strip" viewBox="0 0 120 20" role="img" aria-label="{title}"><title>{title}</title>'
        f'<line x1="0" y1="10" x2="120" y2="10" style="stroke:var(--grid)"/>{dots}</svg>'
    )


# --- training --------------------------------------------------------------------------------------------------------


def learning(run: Run, names: Names) -> Section | None:
    views = []
    shown = [m for m in run.metrics() if m != run.metric]
    for m in ([run.metric] if run.metric else []) + shown:
        drawn = figures.over_epochs(run, names, lambda r, m=m: (r.get("metrics") or {}).get(m), close=True)
        if drawn:
            better = "higher" if metric(m).higher_is_better else "lower"
            views.append(View(metric(m).label, f"{metric(m).label} on the validation rows, {better} is better", drawn))
    for key, word in (("validation_loss", "validation"), ("train_loss", "training")):
        drawn = figures.over_epochs(run, names, lambda r, key=key: r.get(key), log=True)
        if drawn:
            views.append(View(f"Cost, {word} rows", f"cost on the {word} rows, each pair in its own unit", drawn))
    if not views:
        return None
    band = (
        "The line is the mean over the seeds, the band one standard deviation; thin lines go on where some seeds ran "
        "longer. "
        if run.seeds > 1
        else ""
    )
    return Section(
        "learning",
        "Learning",
        "How fast each pair learns",
        "Look for curves that rise late or level off early: the network is the same, so what differs is the gradient "
        f"it is sent. {band}Costs differ in unit between pairs; compare the "
        "metrics, whose axis leaves out epoch 0.",
        learning_shows(run, names),
        legend(names, [p for p in run.pairs if run.epochs[p]])
        + selector("Show", [v.name for v in views])
        + plot(views, 360, f"{views[0].vertical} over the epochs, for {len(run.pairs)} pairs"),
    )


def learning_shows(run: Run, names: Names) -> str:
    name = run.metric
    if not name:
        return ""
    higher = run.higher_is_better
    best: dict[str, tuple[float, int]] = {}
    curves: dict[str, list[tuple[int, float]]] = {}
    for pair in run.pairs:
        s = run.series(pair, lambda r: (r.get("metrics") or {}).get(name))
        curves[pair] = [(e, m) for e, m in zip(s.epochs, s.mean, strict=True) if m is not None]
        if curves[pair]:
            value, epoch = (max if higher else min)((m, -e if higher else e) for e, m in curves[pair])
            best[pair] = (value, abs(epoch))
    word = spoken(name)
    if not best:
        return ""
    if len(best) == 1:
        pair, (value, epoch) = next(iter(best.items()))
        when = count(epoch, "epoch")
        return f"{names(pair)} is at its best after {when}: {word} {number(value)} on the validation rows."
    last, first = sorted(best, key=lambda p: best[p][0], reverse=not higher)[:: len(best) - 1]
    value, epoch = best[last]
    if abs(best[first][0] - value) < 0.002 * abs(best[first][0]):
        return f"All pairs come to about the same {word}: {number(value)} to {number(best[first][0])}."
    reached = next((e for e, m in curves[first] if (m >= value if higher else m <= value)), None)
    text = f"{names(last)} gets no further than {word} {number(value)}, after {count(epoch, 'epoch')}"
    if reached is not None and reached < epoch:
        text += f"; {names(first)} is there after {number(reached)} and goes on to {number(best[first][0])}"
    else:
        text += f"; the best, {names(first)}, reaches {number(best[first][0])} after {count(best[first][1], 'epoch')}"
    return text + "."


def gradient(run: Run, names: Names) -> Section | None:
    panels = figures.gradient_against_error(run, names)
    if not panels:
        return None
    parts = [
        f"<h4>{title} <small>{epochs_of(run, moment)}</small></h4>"
        + plot(views, 300, f"Gradient against error at the {moment} of training")
        for moment, views in panels
        for title in [{"start": "Before training", "middle": "Middle", "end": "End"}[moment]]
    ]
    return Section(
        "gradient",
        "Gradient",
        "What the network is told when it is wrong",
        "From left to right the output is more wrong; the height is the gradient |δ| that the cost layer sends back. "
        "A sound pair "
        "rises to the right. One that falls there says least where there is most to learn.",
        gradient_shows(run, names, panels[-1][0]),
        legend(names, [p for p in run.pairs if any(run.snapshots[p].values())])
        + selector("Show", [v.name for v in panels[0][1]])
        + grid(parts, 270),
    )


def epochs_of(run: Run, moment: str) -> str:
    """The epochs at which a moment's snapshots were taken."""
    seen = sorted({r["epoch"] for p in run.pairs for r in run.snapshots[p][moment] if r.get("epoch") is not None})
    if not seen:
        return ""
    return f"epoch {number(seen[0])}" if len(seen) == 1 else f"epochs {number(seen[0])} to {number(seen[-1])}"


def gradient_shows(run: Run, names: Names, moment: str) -> str:
    worst: dict[str, tuple[float, float, float, float]] = {}
    for pair in run.pairs:
        b = figures.error_bins(run, pair, moment)
        held = [i for i, (g, d) in enumerate(zip(b.gain, b.delta, strict=True)) if None not in (g, d)] if b else []
        if b and held:
            i = held[-1]
            worst[pair] = (b.edges[i], b.edges[i + 1], b.delta[i] or 0.0, b.gain[i] or 0.0)
    if not worst:
        return ""

    def told(pair: str) -> str:
        low, high, delta, gain = worst[pair]
        return (
            f"the most wrong outputs of {names(pair)} (|v − y| from {number(low, 3)} to {number(high, 3)}) "
            f"send back a mean |δ| of {number(delta, 3)}, "
            + (f"{share(gain)} of the error" if gain < 1.005 else f"{number(gain, 3)} times the error")
        )

    when = {"start": "Before training", "middle": "In the middle", "end": "At the end"}[moment]
    ends = extremes({p: w[3] for p, w in worst.items()})
    pair = next(iter(worst))
    return f"{when}, {told(ends[0])}; {told(ends[1])}." if ends else f"{when}, {told(pair)}."


def starved(run: Run, names: Names) -> Section | None:
    drawn = figures.over_epochs(run, names, lambda r: r.get("starved"), percent=True)
    if drawn is None:
        return None
    views = [View("of all outputs", "starved, of all outputs, validation rows", drawn)]
    of_wrong = figures.over_epochs(
        run, names, lambda r: r["starved"] / r["wrong"] if r.get("wrong") else None, percent=True
    )
    if of_wrong is not None:
        views.insert(0, View("of the wrong outputs", "starved, of outputs wrong by more than half", of_wrong))
    peak: dict[str, float | None] = {}
    when: dict[str, int] = {}
    for pair in run.pairs:
        s = run.starved(pair)
        known = [(m, e) for m, e in zip(s.mean, s.epochs, strict=True) if m is not None]
        if known:
            peak[pair], when[pair] = max(known, key=lambda k: (k[0], -k[1]))
    ends = extremes(peak)
    if ends:
        low, high = ends
        fed = [p for p in peak if peak[p] == 0]
        rest = (
            f"{listed([names(p) for p in fed])} {'never starves' if len(fed) == 1 else 'never starve'} an output"
            if fed
            else f"{names(low)} stays at or under {share(peak[low])}"
        )
        shows = f"{names(high)} starves most: {share(peak[high])} of its outputs at epoch {number(when[high])}. {rest}."
    else:
        value = next(iter(peak.values()))
        shows = (
            "No output was starved, in any pair."
            if not value
            else f"At most {share(value)} of the outputs were starved."
        )
    return Section(
        "starved",
        "Starved",
        "Outputs that are wrong and not told so",
        "The share of outputs that are wrong by more than half while under 1\u202f% of their error reaches the "
        "network. It should be 0.",
        shows,
        legend(names, list(peak))
        + (selector("Show", [v.name for v in views]) if len(views) > 1 else "")
        + plot(views, 280, "Share of starved outputs over epochs"),
    )


def scores(run: Run, names: Names) -> Section | None:
    parts = []
    for pair in run.pairs:
        drawn = figures.scores_on_curve(run, names, pair)
        if drawn is None:
            continue
        flat = figures.flat_share(run, pair, "end")
        note = f" <small>{share(flat)} on the flat part at the end</small>" if flat is not None else ""
        parts.append(
            f"<h4>{names.chip(pair)}{note}</h4>"
            + plot(
                [View("", "", drawn)], 230, f"Where the scores of {pair} lie at the start, middle and end of training"
            )
        )
    if not parts:
        return None
    curved = any(figures.curve(run, p) for p in run.pairs)
    line = (
        '<svg class="mark" viewBox="0 0 20 4" aria-hidden="true"><line x1="0" y1="2" x2="20" y2="2" '
        'style="stroke:var({})" stroke-width="2" stroke-dasharray="{}"/></svg>'
    )
    key = [
        line.format("--muted", "2 3") + "start",
        line.format("--ink", "6 4") + "middle",
        '<i style="background:var(--flat);border:1.5px solid var(--ink)"></i>end',
    ]
    if curved:
        key += [
            line.format("--ink", "") + "φ(z), right axis",
            '<i style="background:var(--flat)"></i>flat: gain φ′ under 0.01',
        ]
    return Section(
        "scores",
        "Scores",
        "Where the scores lie on the activation's curve",
        "Training pushes the scores z outwards. Where φ is flat its gain is near nothing: harmless for a cost that "
        "divides the "
        "gain out again, such as cross entropy; for others a score that is there on the wrong side stays there. "
        "A softmax output depends on how far its score is ahead of the others (less their log-sum-exp, of sparse "
        "probabilities less the best of them); there that is shown. Each histogram is scaled to its own tallest bar.",
        scores_shows(run, names),
        '<div class="key">' + "".join(f"<span>{k}</span>" for k in key) + "</div>" + grid(parts, 340),
    )


def scores_shows(run: Run, names: Names) -> str:
    flat = {p: figures.flat_share(run, p, "end") for p in run.pairs}
    ends = extremes(flat)
    if ends:
        low, high = ends
        return (
            f"At the end, {share(flat[high])} of the scores of {names(high)} lie on the flat part of its curve, "
            f"and {share(flat[low])} of those of {names(low)}."
        )
    widths: dict[str, tuple[float, float]] = {}
    for pair in run.pairs:
        moments = [s for m in MOMENTS if (s := figures.scores(run, pair, m)) and sum(s.counts)]
        spans = [
            (b - a)
            for s in moments
            if (a := quantile(s.edges, s.counts, 0.05)) is not None
            and (b := quantile(s.edges, s.counts, 0.95)) is not None
        ]
        if len(spans) > 1:
            widths[pair] = (spans[0], spans[-1])
    if not widths:
        return ""
    pair = max(widths, key=lambda p: widths[p][1])
    return (
        f"The scores of {names(pair)} spread widest: nine in ten lie within {number(widths[pair][0], 3)} at the start "
        f"and within {number(widths[pair][1], 3)} at the end."
    )


def layers(run: Run, names: Names) -> Section | None:
    depth = figures.layers(run)
    parts, medians = [], {}
    for i in range(depth):
        drawn = figures.over_epochs(run, names, figures.gradient_norm(i), log=True)
        if drawn is None:
            continue
        word = "output layer" if i == depth - 1 else "first layer" if i == 0 else f"layer {i + 1}"
        parts.append(f"<h4>{word}</h4>" + plot([View("", "", drawn)], 230, f"Gradient norm of the {word} over epochs"))
    if not parts:
        return None
    for pair in run.pairs:
        medians[pair] = figures.middle(run.series(pair, figures.gradient_norm(0)).mean)
    ends = extremes(medians)
    shows = ""
    if ends:
        shows = (
            f"Over the epochs the first layer gets a median gradient norm of {number(medians[ends[0]], 3)} with "
            f"{names(ends[0])} and "
            f"{number(medians[ends[1]], 3)} with {names(ends[1])}."
        )
    return Section(
        "layers",
        "Layers",
        "The gradient in each layer",
        "The norm of the gradient that arrives in each layer. A pair's scale is part of its cost, which the learning "
        "rate makes up for; "
        "look for a gradient that dies while the outputs are still wrong.",
        shows,
        legend(names, [p for p in run.pairs if run.epochs[p]]) + grid(parts, 290),
    )


# --- results ---------------------------------------------------------------------------------------------------------


def calibration(run: Run, names: Names) -> Section | None:
    found = {p: c for p in run.pairs if (c := figures.calibration(run, p))}
    if not found:
        return None
    error = {p: average(run.final(p, "ece")) for p in found}
    parts = [
        f"<h4>{names.chip(p)}"
        + (f" <small>calibration error {number(error[p], 3)}</small>" if error[p] is not None else "")
        + "</h4>"
        + plot([View("", "how often it is true", figures.reliability(c, names, p))], 260, f"Reliability diagram of {p}")
        for p, c in found.items()
    ]
    ends, shows = extremes(error), ""
    if ends:
        worst = found[ends[1]]
        rows = [
            (p, o, n)
            for p, o, n in zip(worst.predicted, worst.observed, worst.count, strict=True)
            if p is not None and o is not None
        ]
        total = sum(n for *_, n in rows)
        if total:
            said, true = (sum(r[i] * r[2] for r in rows) / total for i in (0, 1))
            lean = (
                f": it says {share(said)} on average, and {share(true)} come true" if abs(said - true) > 0.005 else ""
            )
            shows = (
                f"{names(ends[0])} is nearest to what comes true (calibration error {number(error[ends[0]], 3)}), "
                f"{names(ends[1])} farthest ({number(error[ends[1]], 3)}){lean}."
            )
    return Section(
        "calibration",
        "Calibration",
        "Whether a probability means what it says",
        "On the dotted line, of the outputs that say 80\u202f%, 80\u202f% come true. Below the line a pair is too "
        "sure of itself, above it not sure enough. "
        f"The bars count the outputs; bins of under {figures.FEW} are faint.",
        shows,
        grid(parts, 340 if len(parts) in (2, 4) else 270),
    )


def mistakes(run: Run, names: Names) -> Section | None:
    """The confusion matrix for classes, the residuals for values: the winner's first."""
    order = sorted(run.pairs, key=lambda p: p != run.winner)
    matrices = {p: m for p in order if (m := figures.confusion(run, p)) is not None}
    if matrices:
        pair, matrix = next(iter(matrices.items()))
        size = len(matrix)
        height = min(760, max(330, 34 * size + 90)) if size <= 34 else 10 * size + 110
        width = (
            None if size <= 12 else 30 * size + 90 if size <= 20 else 20 * size + 90 if size <= 34 else 10 * size + 90
        )
        views = [View(p, "truth", figures.confusion_map(run, m)) for p, m in matrices.items()]
        return Section(
            "mistakes",
            "Mistakes",
            f"What is taken for what{'' if len(views) > 1 else ', with ' + pair}",
            "A row is what is true, a column what was predicted; the diagonal is right. The colour is the share of "
            "the row.",
            confusion_shows(run, names, pair, matrix),
            selector("Pair", [v.name for v in views])
            + plot(views, height, f"Confusion matrix of {pair}", width=width, widest=64 * size + 120)
            + commonest(run, matrix, pair, names),
        )
    drawn = {p: f for p in order if (f := figures.residuals(run, names, p)) is not None}
    if not drawn:
        return None
    pair = next(iter(drawn))
    held = next(r["residuals"] for r in run.finals[pair] if r.get("residuals"))
    values = [v for v in held["residual"] if v is not None]
    shows = ""
    if values:
        half, most = np.quantile(np.abs(values), [0.5, 0.9])
        shows = (
            f"With {names(pair)}, half of the residuals are within ±\u00a0{number(float(half), 3)}, "
            f"nine in ten within ±\u00a0{number(float(most), 3)}."
        )
    views = [View(p, "residual, test rows of one seed", f) for p, f in drawn.items()]
    return Section(
        "mistakes",
        "Residuals",
        "What is left over",
        "Each point is a test row. A cloud of even height around the line is what one hopes for; a bend means "
        "something the "
        "network has not learned, a funnel means that the spread grows with the value.",
        shows,
        selector("Pair", [v.name for v in views]) + plot(views, 340, f"Residuals of {pair} against its predictions"),
    )


def worst_confusions(matrix: np.ndarray, limit: int) -> list[tuple[int, int, float]]:
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(i), len(matrix)) for i in order]
    return [(i, j, float(wrong[i, j])) for i, j in pairs if wrong[i, j] > 0]


def confusion_shows(run: Run, names: Names, pair: str, matrix: np.ndarray) -> str:
    total, right = float(matrix.sum()), float(np.trace(matrix))
    over = f" over {count(len(run.finals[pair]), 'seed')}" if len(run.finals[pair]) > 1 else ""
    text = f"With {names(pair)}, {number(total - right)} of {number(total)} test outputs{over} are wrong"
    if worst := worst_confusions(matrix, 1):
        classes = figures.class_names(run, len(matrix))
        i, j, n = worst[0]
        text += f"; most often <b>{escape(classes[i])}</b> is taken for <b>{escape(classes[j])}</b> ({number(n)}×)"
    return text + "."


def commonest(run: Run, matrix: np.ndarray, pair: str, names: Names) -> str:
    """With many classes the cells are too small to read, and the mistakes are listed too."""
    worst = worst_confusions(matrix, 8)
    if len(matrix) <= 20 or not worst:
        return ""
    classes, rows = figures.class_names(run, len(matrix)), matrix.sum(axis=1)
    lines = "".join(
        f'<tr><td>{escape(classes[i])}</td><td>{escape(classes[j])}</td><td class="number">{number(n)}</td>'
        f'<td class="number">{share(n / rows[i])}</td></tr>'
        for i, j, n in worst
    )
    return (
        f"<h3>The commonest mistakes of {names(pair)}</h3>"
        '<div class="scroll"><table><thead><tr><th>truth</th><th>taken for</th><th class="number">times</th>'
        f'<th class="number">of the class</th></tr></thead><tbody>{lines}</tbody></table></div>'
    )


def regions(run: Run, names: Names) -> Section | None:
    drawn = {p: f for p in run.pairs if (f := figures.regions(run, p)) is not None}
    if not drawn:
        return None
    found = next(r["regions"] for p in drawn for r in run.finals[p] if r.get("regions"))
    parts = [
        f"<h4>{names.chip(p)}</h4>"
        + plot(
            [View("", str(found["y"].get("name", "")), f)], 320, f"What {p} predicts over the plane of the two features"
        )
        for p, f in drawn.items()
    ]
    key = "".join(
        f'<span><i style="background:var(--class-{i % 10})"></i>{escape(c)}</span>'
        for i, c in enumerate((run.classes or [])[:30])
    )
    wrong = {p: w for p in drawn if (w := misplaced(run, p)) is not None}
    shows, ends = "", extremes({p: w[0] / w[1] for p, w in wrong.items() if w[1]})
    if ends:
        (a, n), (b, m) = wrong[ends[0]], wrong[ends[1]]
        shows = (
            f"In another class's region: {count(a, 'point')} of {number(n)} with {names(ends[0])}, "
            f"{number(b)} of {number(m)} with {names(ends[1])}."
        )
    return Section(
        "regions",
        "Regions",
        "What is predicted where",
        "The colour of the plane is the prediction, that of the points the truth; a point that stands out from its "
        "ground is a mistake. One seed.",
        shows,
        (f'<div class="key">{key}</div>' if key else "") + grid(parts, 320),
    )


def misplaced(run: Run, pair: str) -> tuple[int, int] | None:
    """How many of the points lie in a cell that predicts another class."""
    found = next((r["regions"] for r in run.finals[pair] if r.get("regions")), None)
    points = (found or {}).get("points") or {}
    if not found or not run.classes or not points.get("x"):
        return None
    xs, ys = np.asarray(found["x"]["values"], float), np.asarray(found["y"]["values"], float)
    known = [p for p in zip(points["x"], points["y"], points["target"], strict=True) if None not in p]
    wrong = 0
    for x, y, t in known:
        wrong += found["prediction"][int(np.abs(ys - y).argmin())][int(np.abs(xs - x).argmin())] != t
    return wrong, len(known)


# --- how it was done -------------------------------------------------------------------------------------------------


def rates(run: Run, names: Names) -> Section | None:
    searched = [p for p in run.pairs if run.rates[p]]
    if not searched:
        return None
    drawn = figures.learning_rates(run, names)
    chosen = {p: r for p in searched if (r := figures.chosen_rate(run, p)) is not None}
    by_rate: dict[float, list[str]] = {}
    for p, r in chosen.items():
        by_rate.setdefault(r, []).append(names(p))
    shows = "; ".join(f"{number(r, 3)} for {listed(by_rate[r])}" for r in sorted(by_rate))
    shows = f"Chosen: {shows}." if shows else "No rate has been chosen yet."
    diverged = {p: sum(r.get("score") is None for r in run.rates[p]) for p in searched}
    if any(diverged.values()):
        shows += " Diverged: " + listed([f"{names(p)} at {count(n, 'rate')}" for p, n in diverged.items() if n]) + "."
    return Section(
        "rates",
        "Learning rate",
        "The learning rate, picked for each pair",
        "Every pair went through the same short search, so that none loses for want of a fitting step; the large "
        "point was taken. Lower is better.",
        shows,
        legend(names, searched) + plot([View("", "score of a short run", drawn)], 300, "Score of each learning rate")
        if drawn
        else "",
    )


def formulas(run: Run, names: Names) -> Section | None:
    parts = []
    for pair in run.pairs:
        f = run.formulas.get(pair)
        if not f:
            continue
        parts.append(
            f"<article><h4>{names.chip(pair)}</h4>"
            + (f"<p>{names.mention(f['summary'])}</p>" if f.get("summary") else "")
            + "<dl>"
            + "".join(
                f"<dt>{word}</dt><dd>{markup}</dd>"
                for word, key in (("value", "formula"), ("delta = ∂value/∂z", "derivative"))
                if (markup := math_markup(f.get(f"{key}_latex"), f.get(key)))
            )
            + "</dl>"
            + (f'<p class="reference">{escape(f["reference"])}</p>' if f.get("reference") else "")
            + "</article>"
        )
    if not parts:
        return None
    return Section(
        "formulas",
        "Formulas",
        "The pairs",
        "z is the raw score, v = φ(z) the prediction, y the target; δ is what goes back into the network for each "
        "score.",
        "",
        f'<div class="formulas">{"".join(parts)}</div>',
    )


def advice(run: Run, names: Names) -> Section | None:
    a = run.config.get("advice")
    if not a:
        return None

    def items(rows: list[Any] | None) -> str:
        return "<ul>" + "".join(f"<li>{r}</li>" for r in rows) + "</ul>" if rows else ""

    def known(key: str) -> list[str]:
        return [f"{names(p)}: {names.mention(w)}" for p, w in a.get(key) or []]

    body = items([names.mention(r) for r in a.get("reasons") or []])
    for key, title in (("alternatives", "When to prefer another"), ("avoid", "What to avoid")):
        if known(key):
            body += f"<h3>{title}</h3>{items(known(key))}"
    if a.get("seen"):
        body += f"<details><summary>What was seen in the target</summary>{described(a['seen'])}</details>"
    winner = run.winner
    shows = f"{names.mention(a.get('pair') or 'No pair')} was named"
    if a.get("pair") and winner and run.verdict:
        shows += ", and it won" if a["pair"] == winner else f"; {names(winner)} won"
    return Section(
        "advice",
        "Advice",
        "What the data alone suggested",
        "The choice made from the target's values before any training.",
        shows + ".",
        body,
    )


def described(table: dict) -> str:
    """Settings and the like as a list of terms."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{escape(k)} {text(v)}" for k, v in list(value.items())[:20]) + (
                " …" if len(value) > 20 else ""
            )
        if isinstance(value, list | tuple):
            return ", ".join(text(v) for v in value[:20]) + (" …" if len(value) > 20 else "")
        if isinstance(value, bool):
            return "yes" if value else "no"
        return "none" if value is None else number(value)

    rows = "".join(f"<dt>{escape(str(k).replace('_', ' '))}</dt><dd>{text(v)}</dd>" for k, v in table.items())
    return f'<dl class="pairs-of">{rows}</dl>'


def preparation(run: Run, names: Names) -> Section | None:
    d = run.data
    if not d:
        return None
    columns, dropped = d.get("columns") or [], d.get("dropped") or []
    split = d.get("split") or {}
    shows = []
    if d.get("source") is not None:
        shows.append(
            f"From {escape(d['source'])}"
            + (f", target <b>{escape(d['target'])}</b>" if d.get("target") is not None else "")
        )
    if columns:
        shows.append(f"{count(len(columns), 'column')} made {count(d.get('features') or 0, 'feature')}")
    if d.get("rows_without_target") is not None:
        n = d["rows_without_target"]
        shows.append(
            f"{count(n, 'row')} without a target {'was' if n == 1 else 'were'} left out"
            if n
            else "no row lacked its target"
        )
    if split:
        shows.append("split into " + listed([f"{number(n)} {escape(k)}" for k, n in split.items()]) + " rows")
    body = ""
    if columns:
        rows = "".join(
            "<tr>"
            + "".join(f"<td>{escape(c.get(key, ''))}</td>" for key in ("name", "kind", "action"))
            + f'<td class="number">{number(c.get("features"))}</td></tr>'
            for c in columns
        )
        table = (
            '<div class="scroll"><table><thead><tr><th>column</th><th>kind</th><th>what was done</th><th '
            'class="number">features</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )
        body += (
            table
            if len(columns) <= 14
            else f"<details><summary>All {count(len(columns), 'column')}</summary>{table}</details>"
        )
    if dropped:
        body += "<h3>Columns left out</h3><ul>" + "".join(
            f"<li><b>{escape(c.get('name', ''))}</b>: {escape(c.get('why', ''))}</li>" for c in dropped
        )
        body += "</ul>"
    if run.classes:
        listing = ", ".join(escape(c) for c in run.classes)
        body += (
            f"<p><span class=look>Classes:</span> {listing}</p>"
            if len(run.classes) <= 20
            else f"<details><summary>All {len(run.classes)} classes</summary><p>{listing}</p></details>"
        )
    text = "; ".join(shows)
    return Section(
        "data", "Data", "The data and its preparation", "", text[:1].upper() + text[1:] + "." if text else "", body
    )


def settings(run: Run, names: Names) -> Section | None:
    blocks = []
    if run.settings:
        blocks.append(f"<div><h3>Settings</h3>{described(run.settings)}</div>")
    about = dict(run.config.get("versions") or {})
    if run.config.get("machine"):
        about["machine"] = run.config["machine"]
    spent = sum(r["seconds"] for rows in run.finals.values() for r in rows if r.get("seconds") is not None)
    if spent:
        about["training time, seconds"] = round(spent, 1)
    if about:
        blocks.append(f"<div><h3>Versions and machine</h3>{described(about)}</div>")
    if not blocks:
        return None
    return Section(
        "settings", "Settings", "How to get the same again", body=f'<div class="columns">{"".join(blocks)}</div>'
    )


SECTIONS: tuple[Callable[[Run, Names], Section | None], ...] = (
    learning,
    gradient,
    starved,
    scores,
    layers,
    calibration,
    mistakes,
    regions,
    rates,
    formulas,
    advice,
    preparation,
    settings,
)
