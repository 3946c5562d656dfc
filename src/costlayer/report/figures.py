"""The figures, as plotly figures whose colours are the page's CSS variables: the page's script paints them."""

import html
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from costlayer.report.records import MOMENTS, Run, average, finite, pooled_edges, rebin
from costlayer.report.text import Names

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif'
_OF_ROWS = ("softmax+", "sparsemax+", "entmax15+")  # where one score says nothing by itself
FEW = 10  # outputs in a bin of a reliability diagram, under which its height is mostly chance
FLAT = 0.01  # a gain under this is called flat, as in the definition of starved


@dataclass(frozen=True)
class View:
    """One way to draw a plot: its name in the selector, what the vertical axis shows, the figure."""

    name: str
    vertical: str
    figure: go.Figure


def plot(views: list[View], height: int, describe: str, *, width: int | None = None, widest: int | None = None) -> str:
    """A plot of the page: the views as JSON, and the place where the script draws the chosen one."""
    text = json.dumps(
        [{"name": v.name, "vertical": v.vertical, "figure": v.figure.to_plotly_json()} for v in views], allow_nan=False
    )
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    style = (
        f"height:{height}px" + (f";min-width:{width}px" if width else "") + (f";max-width:{widest}px" if widest else "")
    )
    return (
        f'<div class="plot"><script type="application/json">{text}</script>'
        f'<p class="vertical">{html.escape(views[0].vertical)}</p>'
        f'<div class="scroll"><div class="canvas" style="{style}" role="img" '
        f'aria-label="{html.escape(describe)}"></div></div></div>'
    )


def label(text: Any, longest: int = 40) -> str:
    """Text inside a figure: plotly reads tags and entities in it."""
    text = str(text)
    return html.escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def figure(traces: list[Any], x: str, **layout: Any) -> go.Figure:
    axis = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--line)",
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
        "ticks": "",
        "title": {"standoff": 8},
    }
    shared = {
        "template": {},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": "var(--muted)"},
        "margin": {"l": 44, "r": 14, "t": 8, "b": 44},
        "showlegend": False,
        # A finger on a figure scrolls the page.
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "var(--paper)",
            "bordercolor": "var(--line)",
            "font": {"family": FONT, "size": 12, "color": "var(--ink)"},
        },
        "xaxis": axis | {"title": {"text": x, "standoff": 8}, "showline": True},
        "yaxis": axis,
    }
    drawn = go.Figure(traces, shared)
    return drawn.update_layout(**layout)


def over_epochs(run: Run, names: Names, get, *, percent=False, log=False, close=False) -> go.Figure | None:
    """A figure of the epoch records, a line a pair: mean, band of one standard deviation, what longer runs add.

    With `close` the axis spans what comes after epoch 0, so that pairs which end close together can be told apart.
    """
    traces, highest, lowest, later = [], 0.0, math.inf, []
    for pair in run.pairs:
        s = run.series(pair, get)
        known = [m for m in s.mean if m is not None]
        if not known:
            continue
        highest, lowest = max(highest, *known), min(lowest, *known)
        lines = [(s.epochs, s.mean), *s.tails]
        later += [v for epochs, values in lines for e, v in zip(epochs, values, strict=True) if v is not None and e > 0]
        line = {"color": names.colour(pair), "width": 2.25, "dash": names.dash(pair)}
        if any(d is not None for d in s.spread):
            bounds = [
                (e, m, d) for e, m, d in zip(s.epochs, s.mean, s.spread, strict=True) if m is not None and d is not None
            ]
            # On a logarithmic axis a band cannot reach below zero; there it ends at half the mean.
            low = [max(m - d, m / 2) if log else m - d for _, m, d in bounds]
            high = [m + d for _, m, d in bounds]
            traces.append(
                go.Scatter(
                    x=[e for e, _, _ in bounds] + [e for e, _, _ in reversed(bounds)],
                    y=high + low[::-1],
                    fill="toself",
                    fillcolor=names.soft(pair),
                    line={"width": 0},
                    mode="lines",
                    hoverinfo="skip",
                    legendgroup=pair,
                    name="spread",
                )
            )
        for epochs, values in s.tails:
            traces.append(
                go.Scatter(
                    x=epochs,
                    y=values,
                    mode="lines",
                    line=line | {"width": 1},
                    opacity=0.55,
                    hoverinfo="skip",
                    legendgroup=pair,
                    name="one seed",
                )
            )
        value = "%{y:.1%}" if percent else "%{y:.4g}"
        traces.append(
            go.Scatter(
                x=s.epochs,
                y=s.mean,
                mode="lines+markers" if len(known) < 3 else "lines",
                line=line,
                marker={"color": names.colour(pair)},
                legendgroup=pair,
                name=label(pair),
                hovertemplate=f"{label(pair)} {value}<extra></extra>",
            )
        )
    if not traces:
        return None
    drawn = figure(traces, "epoch", hovermode="x unified")
    if percent:
        drawn.update_yaxes(
            tickformat=".0%" if highest >= 0.05 else ".2~%",
            range=[-0.02 * max(highest, 0.01), max(highest * 1.15, 0.01)],
        )
    if close and len(later) > 1 and (room := 0.08 * (max(later) - min(later))) > 0:
        drawn.update_yaxes(range=[min(later) - room, max(later) + room])
    if log and lowest > 0 and highest > 3 * lowest:
        drawn.update_yaxes(type="log", tickformat=".3~g", dtick=1 if highest > 100 * lowest else "D2")
    return drawn


@dataclass(frozen=True)
class ErrorBins:
    """A pair's outputs at one moment by how wrong they are, over the seeds; bins without an output hold None."""

    edges: list[float]
    delta: list[float | None]
    gain: list[float | None]
    count: list[float]

    @property
    def centres(self) -> list[float]:
        return [(a + b) / 2 for a, b in zip(self.edges, self.edges[1:], strict=False)]


def error_bins(run: Run, pair: str, moment: str) -> ErrorBins | None:
    found = [e for r in run.snapshots[pair][moment] if (e := r.get("error")) and len(e.get("edges") or []) > 1]
    if not found:
        return None
    edges = pooled_edges([e["edges"] for e in found])

    def mean_of(key: str) -> list[float | None]:
        amount, weight = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
        for e in found:
            n = [float(c) if x is not None else 0.0 for c, x in zip(e["count"], e[key], strict=True)]
            weight += rebin(e["edges"], n, edges)
            amount += rebin(e["edges"], [c * (x or 0.0) for c, x in zip(n, e[key], strict=True)], edges)
        return [float(a / w) if w > 1e-9 else None for a, w in zip(amount, weight, strict=True)]

    counts = np.sum([rebin(e["edges"], e["count"], edges) for e in found], axis=0).tolist()
    if len(found) == 1:
        return ErrorBins(edges, found[0]["delta"], found[0]["gain"], counts)
    return ErrorBins(edges, mean_of("delta"), mean_of("gain"), counts)


def gradient_against_error(run: Run, names: Names) -> list[tuple[str, list[View]]]:
    """For each moment: mean |δ| against |v − y|, and the share of the error that gets through."""
    bins = {(p, m): b for p in run.pairs for m in MOMENTS if (b := error_bins(run, p, m))}
    delta = [d for b in bins.values() for d in b.delta if d is not None]
    gains = [g for b in bins.values() for g in b.gain if g]
    if not delta:
        return []
    right = max(b.edges[-1] for b in bins.values())
    # Shares that are exactly 0 are drawn on the floor of the logarithmic axis.
    floor = 10.0 ** math.floor(math.log10(min(gains)) - 0.2) if gains else 1e-6
    out = []
    for moment in MOMENTS:
        drawn: dict[str, list[Any]] = {"delta": [], "gain": []}
        for pair in run.pairs:
            if (pair, moment) not in bins:
                continue
            b = bins[pair, moment]
            style = {
                "mode": "lines+markers",
                "line": {"color": names.colour(pair), "width": 2, "dash": names.dash(pair)},
                "marker": {"color": names.colour(pair), "size": 5},
                "legendgroup": pair,
                "name": label(pair),
                "connectgaps": True,
            }
            hover = (
                f"<b>{label(pair)}</b><br>|v − y| near %{{x:.3g}}<br>"
                "%{customdata[0]}<br>%{customdata[1]} outputs<extra></extra>"
            )
            for key, values in (("delta", b.delta), ("gain", b.gain)):
                word = "mean |δ|" if key == "delta" else "|δ| / |v − y|"
                notes = [
                    [f"{word} {v:.3g}" if v is not None else "", f"{c:,.0f}"]
                    for v, c in zip(values, b.count, strict=True)
                ]
                y = values if key == "delta" else [None if v is None else max(v, floor) for v in values]
                drawn[key].append(go.Scatter(x=b.centres, y=y, customdata=notes, hovertemplate=hover, **style))
        if not drawn["delta"]:
            continue
        linear = figure(drawn["delta"], "how wrong: |v − y|")
        linear.update_yaxes(range=[-0.03 * max(delta), 1.08 * max(max(delta), 1e-12)])
        log = figure(drawn["gain"], "how wrong: |v − y|")
        top = math.log10(max([*gains, 1.0])) + 0.15
        log.update_yaxes(
            type="log", range=[math.log10(floor) - 0.1, top], tickformat=".0e" if floor < 1e-4 else ".3~g", nticks=6
        )
        for f in (linear, log):
            f.update_xaxes(range=[-0.02 * right, 1.03 * right], nticks=6)
        out.append(
            (
                moment,
                [
                    View("gradient |δ|", "mean |δ|", linear),
                    View("share of the error that gets through", "|δ| / |v − y|", log),
                ],
            )
        )
    return out


@dataclass(frozen=True)
class Scores:
    """Where a pair's scores lie at one moment, over the seeds."""

    edges: list[float]
    counts: list[float]


def scores(run: Run, pair: str, moment: str) -> Scores | None:
    found = [s for r in run.snapshots[pair][moment] if (s := r.get("scores")) and len(s.get("edges") or []) > 1]
    if not found:
        return None
    edges = pooled_edges([s["edges"] for s in found])
    return Scores(edges, np.sum([rebin(s["edges"], s["counts"], edges) for s in found], axis=0).tolist())


def curve(run: Run, pair: str) -> dict | None:
    """The activation's curve, where the records carry one."""
    found = (run.formulas.get(pair) or {}).get("curve")
    return found if found and found.get("z") and found.get("v") else None


def flat_zones(curve: dict, low: float, high: float) -> list[tuple[float, float]]:
    """Stretches of z between low and high where the gain is under FLAT."""
    if not curve.get("gain"):
        return []
    z = np.linspace(low, high, 400)
    flat = np.interp(z, curve["z"], [g or 0.0 for g in curve["gain"]]) < FLAT
    steps = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
    return [(float(z[a]), float(z[b - 1])) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def flat_share(run: Run, pair: str, moment: str) -> float | None:
    """The share of a pair's scores where its activation is flat."""
    c, s = curve(run, pair), scores(run, pair, moment)
    if c is None or s is None or not sum(s.counts) or not c.get("gain"):
        return None
    if all(g is None or g >= FLAT for g in c["gain"]):
        return None
    cumulated = np.concatenate([[0.0], np.cumsum(s.counts)])
    zones = flat_zones(c, s.edges[0], s.edges[-1])
    inside = sum(np.interp(b, s.edges, cumulated) - np.interp(a, s.edges, cumulated) for a, b in zones)
    return float(inside / cumulated[-1])


def scores_on_curve(run: Run, names: Names, pair: str) -> go.Figure | None:
    """Histograms of the scores at the three moments, each scaled to its tallest bar, with φ(z) laid over."""
    found = {m: s for m in MOMENTS if (s := scores(run, pair, m)) and max(s.counts) > 0}
    if not found:
        return None
    colour = names.colour(pair)
    style: dict[str, dict] = {
        "start": {"line": {"color": "var(--muted)", "width": 1.5, "dash": "dot", "shape": "hv"}},
        "middle": {"line": {"color": colour, "width": 1.5, "dash": "dash", "shape": "hv"}},
        "end": {
            "line": {"color": colour, "width": 1.5, "shape": "hv"},
            "fill": "tozeroy",
            "fillcolor": names.soft(pair),
        },
    }
    traces, low, high = [], math.inf, -math.inf
    for moment in reversed(list(found)):
        s = found[moment]
        density = [c / (b - a) for c, a, b in zip(s.counts, s.edges, s.edges[1:], strict=False)]
        heights = [d / max(density) for d in density]
        held = [i for i, h in enumerate(heights) if h > 0.002]
        low, high = min(low, s.edges[held[0]]), max(high, s.edges[held[-1] + 1])
        traces.append(
            go.Scatter(
                x=s.edges,
                y=[*heights, 0.0],
                mode="lines",
                name=moment,
                meta=s.counts,
                hovertemplate=f"{moment}: %{{y:.0%}} of the tallest bar near z = %{{x:.3g}}<extra></extra>",
                **style[moment],
            )
        )
    padding = 0.03 * (high - low)
    low, high = low - padding, high + padding
    drawn = figure(traces, "score less the others" if pair.startswith(_OF_ROWS) else "score z")
    drawn.update_xaxes(range=[low, high], nticks=8)
    drawn.update_yaxes(range=[0, 1.12], showticklabels=False, showgrid=False)
    drawn.update_layout(margin={"l": 14, "r": 14})
    c = curve(run, pair)
    if c:
        seen = [v for z, v in zip(c["z"], c["v"], strict=True) if low <= z <= high and finite(v)]
        if seen:
            room = 0.08 * (max(seen) - min(seen)) or 0.5
            drawn.add_trace(
                go.Scatter(
                    x=c["z"],
                    y=c["v"],
                    mode="lines",
                    name="φ(z)",
                    yaxis="y2",
                    line={"color": "var(--ink)", "width": 1.5},
                    hovertemplate="φ(%{x:.3g}) = %{y:.4g}<extra></extra>",
                )
            )
            drawn.update_layout(
                margin={"r": 40},
                yaxis2={
                    "overlaying": "y",
                    "side": "right",
                    "range": [min(seen) - room, max(seen) + room],
                    "showgrid": False,
                    "zeroline": False,
                    "fixedrange": True,
                    "automargin": True,
                    "tickmode": "auto",
                    "nticks": 5,
                },
            )
        for a, b in flat_zones(c, low, high):
            drawn.add_shape(
                type="rect", x0=a, x1=b, y0=0, y1=1, yref="paper", layer="below", line_width=0, fillcolor="var(--flat)"
            )
    return drawn


@dataclass(frozen=True)
class Calibration:
    predicted: list[float | None]
    observed: list[float | None]
    count: list[float]


def calibration(run: Run, pair: str) -> Calibration | None:
    """A pair's reliability, bin by bin over the seeds."""
    found = [c for r in run.finals[pair] if (c := r.get("calibration")) and c.get("count")]
    if not found:
        return None
    if len(found) == 1:
        return Calibration(found[0]["predicted"], found[0]["observed"], found[0]["count"])
    if len({len(c["count"]) for c in found}) > 1:
        # Bins that differ between seeds cannot be averaged; they are drawn one after the other.
        rows = sorted(
            (p, o, n)
            for c in found
            for p, o, n in zip(c["predicted"], c["observed"], c["count"], strict=True)
            if p is not None and o is not None
        )
        return Calibration([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    merged: list[tuple[float | None, float | None, float]] = []
    for i in range(len(found[0]["count"])):
        held = [
            (c["predicted"][i], c["observed"][i], c["count"][i])
            for c in found
            if c["count"][i] and None not in (c["predicted"][i], c["observed"][i])
        ]
        n = sum(h[2] for h in held)
        merged.append(
            (sum(h[0] * h[2] for h in held) / n, sum(h[1] * h[2] for h in held) / n, n) if n else (None, None, 0)
        )
    return Calibration([m[0] for m in merged], [m[1] for m in merged], [m[2] for m in merged])


def reliability(c: Calibration, names: Names, pair: str) -> go.Figure:
    kept = [(p, o, n) for p, o, n in zip(c.predicted, c.observed, c.count, strict=True) if None not in (p, o) and n]
    top = max((k[2] for k in kept), default=1)
    bars = go.Bar(
        x=[k[0] for k in kept],
        y=[k[2] for k in kept],
        width=0.02,
        yaxis="y2",
        marker={"color": "var(--line)", "line": {"width": 0}},
        hovertemplate="%{y:,.0f} outputs near %{x:.2f}<extra></extra>",
        name="count",
    )
    diagonal = go.Scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": "var(--muted)", "width": 1, "dash": "dot"},
        hoverinfo="skip",
        name="ideal",
    )

    def points(rows: list, name: str, **style: Any) -> go.Scatter:
        sizes = [4 + 7 * (k[2] / top) ** 0.5 for k in rows]
        return go.Scatter(
            x=[k[0] for k in rows],
            y=[k[1] for k in rows],
            customdata=[k[2] for k in rows],
            line={"color": names.colour(pair), "width": 2},
            marker={"color": names.colour(pair), "size": sizes, "opacity": 1},
            name=name,
            hovertemplate="said %{x:.3f}, true %{y:.3f}<br>%{customdata:,.0f} outputs<extra></extra>",
            **style,
        )

    # A bin of a few outputs is mostly chance: it is shown faintly, and the line passes it by.
    many = [k for k in kept if k[2] >= FEW] or kept
    few = [k for k in kept if k not in many]
    drawn = figure(
        [
            bars,
            diagonal,
            points(few, "few", mode="markers", opacity=0.45),
            points(many, label(pair), mode="lines+markers"),
        ],
        "predicted probability",
    )
    drawn.update_xaxes(range=[-0.03, 1.03], dtick=0.25)
    drawn.update_yaxes(range=[-0.03, 1.06], dtick=0.25)
    return drawn.update_layout(
        yaxis2={"overlaying": "y", "side": "right", "range": [0, 4.5 * top], "visible": False, "fixedrange": True}
    )


def confusion(run: Run, pair: str) -> np.ndarray | None:
    """A pair's confusion matrix, added up over the seeds: rows truth, columns predicted."""
    found = [np.asarray(m) for r in run.finals[pair] if (m := r.get("confusion"))]
    return sum(found[1:], found[0]) if found else None


def class_names(run: Run, size: int) -> list[str]:
    names = run.classes or []
    return names if len(names) == size else [str(i) for i in range(size)]


def confusion_map(run: Run, matrix: np.ndarray) -> go.Figure:
    size = len(matrix)
    names = [label(n, 18) for n in class_names(run, size)]
    every = max(1, math.ceil(size / 34))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # A note a cell would make the page heavy with a hundred classes; there hover shows the classes' numbers.
    named = size <= 34
    notes = [
        [[n, names[i], names[j]] if named else n for j, n in enumerate(row)] for i, row in enumerate(matrix.tolist())
    ]
    what = (
        "%{customdata[0]} of truth %{customdata[1]} taken for %{customdata[2]}"
        if named
        else "%{customdata} of truth no. %{y} taken for no. %{x}"
    )
    heat = go.Heatmap(
        z=shares.tolist(),
        customdata=notes,
        zmin=0,
        zmax=1,
        # Steep at the low end: mistakes are rare, and they are what one looks for.
        colorscale=[[0, "var(--heat-0)"], [0.02, "var(--heat-1)"], [0.2, "var(--heat-2)"], [1, "var(--heat-3)"]],
        showscale=False,
        xgap=1 if named else 0,
        ygap=1 if named else 0,
        text=[[f"{n:g}" if n else "" for n in row] for row in matrix.tolist()] if size <= 20 else None,
        texttemplate="%{text}" if size <= 20 else None,
        hovertemplate=what + "<br>%{z:.1%} of the row<extra></extra>",
        x=list(range(size)),
        y=list(range(size)),
    )
    drawn = figure([heat], "predicted")
    ticks = {"tickvals": list(range(0, size, every)), "ticktext": names[::every], "showgrid": False, "showline": False}
    drawn.update_xaxes(**ticks, tickangle=0 if max(map(len, names)) <= 3 else -45)
    drawn.update_yaxes(**ticks, autorange="reversed")
    return drawn


def residuals(run: Run, names: Names, pair: str) -> go.Figure | None:
    found = next((r["residuals"] for r in run.finals[pair] if r.get("residuals")), None)
    if not found:
        return None
    points = go.Scatter(
        x=found["predicted"],
        y=found["residual"],
        mode="markers",
        marker={"color": names.colour(pair), "size": 5, "opacity": 0.5},
        name=label(pair),
        hovertemplate="predicted %{x:.4g}<br>residual %{y:.4g}<extra></extra>",
    )
    drawn = figure([points], "predicted")
    drawn.add_shape(type="line", x0=0, x1=1, xref="paper", y0=0, y1=0, line={"color": "var(--ink)", "width": 1})
    return drawn


def regions(run: Run, pair: str) -> go.Figure | None:
    """What a pair's network predicts over the plane of its two features, with test points on it."""
    found = next((r["regions"] for r in run.finals[pair] if r.get("regions")), None)
    if not found:
        return None
    x, y = found["x"], found["y"]
    classes = run.classes
    points = found.get("points") or {}
    style: dict[str, Any] = {"size": 6, "line": {"color": "var(--paper)", "width": 1}}
    if classes:
        k = len(classes)
        z = found["prediction"]
        colours = [f"var(--class-{i % 10}-soft)" for i in range(k)]
        scale = [[e, colours[i]] for i in range(k) for e in (i / k, (i + 1) / k)]
        bounds = {"zmin": -0.5, "zmax": k - 0.5}
        text = [[label(classes[int(v)]) if v is not None and 0 <= int(v) < k else "" for v in row] for row in z]
        heat_extra = {"text": text, "hovertemplate": "%{text}<extra></extra>"}
        target = points.get("target") or []
        style["color"] = [f"var(--class-{int(t) % 10})" for t in target]
        note = [label(classes[int(t)]) for t in target]
    else:
        target = points.get("target") or []
        values = [v for row in found["prediction"] for v in row if v is not None] + [t for t in target if t is not None]
        scale = [[0, "var(--heat-0)"], [0.5, "var(--heat-2)"], [1, "var(--heat-3)"]]
        bounds = {"zmin": min(values), "zmax": max(values)}
        heat_extra = {"hovertemplate": "predicted %{z:.4g}<extra></extra>"}
        style |= {"color": target, "colorscale": scale, "cmin": bounds["zmin"], "cmax": bounds["zmax"]}
        note = [f"{t:.4g}" if t is not None else "" for t in target]
    traces: list[Any] = [
        go.Heatmap(
            x=x["values"],
            y=y["values"],
            z=found["prediction"],
            colorscale=scale,
            showscale=False,
            **bounds,
            **heat_extra,
        )
    ]
    if points.get("x"):
        traces.append(
            go.Scatter(
                x=points["x"],
                y=points["y"],
                mode="markers",
                marker=style,
                text=note,
                hovertemplate="truth %{text}<extra></extra>",
            )
        )
    drawn = figure(traces, label(x.get("name", "")))
    drawn.update_xaxes(showgrid=False)
    return drawn.update_yaxes(showgrid=False)


def learning_rates(run: Run, names: Names) -> go.Figure | None:
    """The search's score at each learning rate, the chosen one larger; rates that diverged have no point."""
    scored = {p: [(r["learning_rate"], r.get("score")) for r in run.rates[p]] for p in run.pairs if run.rates[p]}
    known = [s for rows in scored.values() for _, s in rows if s is not None]
    if not known:
        return None
    traces = []
    for pair, rows in scored.items():
        chosen = chosen_rate(run, pair)
        traces.append(
            go.Scatter(
                x=[r for r, _ in rows],
                y=[s for _, s in rows],
                mode="lines+markers",
                line={"color": names.colour(pair), "width": 2, "dash": names.dash(pair)},
                marker={
                    "color": names.colour(pair),
                    "size": [14 if r == chosen else 6 for r, _ in rows],
                    "line": {"color": "var(--paper)", "width": [2 if r == chosen else 0 for r, _ in rows]},
                    "opacity": 1,
                },
                legendgroup=pair,
                name=label(pair),
                hovertemplate=f"<b>{label(pair)}</b><br>learning rate %{{x}}<br>score %{{y:.4g}}<extra></extra>",
            )
        )
    drawn = figure(traces, "learning rate")
    drawn.update_xaxes(type="log", dtick=1, exponentformat="power")
    if min(known) > 0 and max(known) > 20 * min(known):
        drawn.update_yaxes(type="log", tickformat=".3~g")
    return drawn


def chosen_rate(run: Run, pair: str) -> float | None:
    """The learning rate a pair was trained with; before any training ended, the best of the search."""
    used = next((r["learning_rate"] for r in run.finals[pair] if r.get("learning_rate") is not None), None)
    scored = [(r["score"], r["learning_rate"]) for r in run.rates[pair] if r.get("score") is not None]
    return used if used is not None else min(scored)[1] if scored else None


def layers(run: Run) -> int:
    """How many layers the gradient norms name."""
    norms = [len(r.get("gradient_norm") or []) for s in run.epochs.values() for rs in s.values() for r in rs]
    return max(norms, default=0)


def gradient_norm(layer: int):
    def get(record: dict) -> float | None:
        norms = record.get("gradient_norm") or []
        return norms[layer] if layer < len(norms) else None

    return get


def middle(values: list[float | None]) -> float | None:
    known = sorted(v for v in values if v is not None)
    return average([known[(len(known) - 1) // 2], known[len(known) // 2]]) if known else None
