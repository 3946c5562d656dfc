"""The page: what is to be seen, the picture to touch, the formulas and the table. Its looks are those of the report."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from costlayer.explain.curves import AXIS, TABLE, Contrast, Curve, curve, number, setting, targets
from costlayer.explain.reading import Panel, Reading, figure, panels, subtitle, title
from costlayer.pair import Pair
from costlayer.report import figures
from costlayer.report.page import POLICY, legend
from costlayer.report.script import SCRIPT
from costlayer.report.style import STYLE
from costlayer.report.text import Names, escape, math_markup

PLACES = ((0.72, 0.97), (0.36, 0.61), (0.0, 0.25))  # of the panels, from the top


def page(contrast: Contrast) -> str:
    from costlayer.explain import sentence

    pair, other = contrast.pair.pair, contrast.other.pair
    names = Names([contrast.sound.pair.name, contrast.starving.pair.name])  # the sound one blue, the other vermilion
    shown = panels(contrast)
    heading = escape(title(contrast))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{heading}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><p class="above">costlayer explain {escape(pair)}</p><h1>{heading}</h1><p>{names.mention(sentence(pair))}</p>
{_facts(shown, names)}</header>
<noscript><p class="notice">A script inside this file draws the picture; switch scripts on to see it.</p></noscript>
<section id="picture"><h2>What comes back from a wrong score</h2>
<p class="look">{names.mention(subtitle(contrast))}</p>{legend(names, [pair.name, other.name])}
{_plot(contrast, shown, names)}</section>
<section id="formulas"><h2>Formulas</h2><p class="look">z is the raw score, v = φ(z) the prediction, y the target; \
δ = ∂value/∂z is what goes back into the network.</p>
<div class="formulas">{_formulas(pair, names)}{_formulas(other, names)}</div></section>
<section id="figures"><h2>{names(pair.name)} in figures</h2>{_tables(pair)}</section>
<footer>Made by costlayer. This page holds everything it shows and loads nothing.</footer>
</main>
<script>{get_plotlyjs()}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _facts(shown: tuple[Panel, ...], names: Names) -> str:
    cells = "".join(
        f"<div><dt>{panel.measures[:1].upper() + panel.measures[1:]}</dt>"
        + "".join(f"<dd>{figure(r.figure)} <small>{_whose(r, names)}</small></dd>" for r in panel.readings)
        + "</div>"
        for panel in shown
    )
    return f'<dl class="facts">{cells}</dl>'


def _whose(reading: Reading, names: Names) -> str:
    return "both pairs" if reading.of is None else names(reading.of.pair.name)


def _plot(contrast: Contrast, shown: tuple[Panel, ...], names: Names) -> str:
    drawn = figures.figure([], "score z")
    for i, (panel, place) in enumerate(zip(shown, PLACES, strict=True)):
        axis = "y" if i == 0 else f"y{i + 1}"
        for reading in reversed(panel.readings):  # the pair itself on top
            drawn.add_traces(_traces(contrast, panel, reading, axis, names))
        span = panel.high - panel.low
        drawn["layout"][axis.replace("y", "yaxis")] = drawn["layout"]["yaxis"].to_plotly_json() | {
            "domain": place,
            "range": [panel.low - 0.08 * span, panel.high + 0.1 * span],
            "nticks": 5,
            "zeroline": True,
            "zerolinecolor": "var(--line)",
        }
        drawn.add_shape(
            type="line",
            x0=contrast.score,
            x1=contrast.score,
            y0=0,
            y1=1,
            xref="x",
            yref=f"{axis} domain",
            layer="above",
            line={"color": "var(--muted)", "width": 1, "dash": "dot"},
        )
        drawn.add_annotation(
            text=figures.label(panel.title, 60),
            xref="paper",
            x=0,
            xanchor="left",
            yref="paper",
            y=place[1] + 0.01,
            yanchor="bottom",
            showarrow=False,
            font={"size": 14, "color": "var(--ink)"},
        )
    drawn.update_xaxes(range=[-10, 10], tickvals=[-10, -5, 0, 5, 10], anchor="y3", hoverformat=".3~f")
    drawn.update_layout(hovermode="x", hoversubplots="axis", margin={"l": 44, "r": 14, "t": 4, "b": 44})
    what = "Along the score: the prediction with its error, the gain, and the size of what is sent back"
    return figures.plot([figures.View("", "", drawn)], 720, what)


def _traces(contrast: Contrast, panel: Panel, reading: Reading, axis: str, names: Names) -> list:
    colour = "var(--ink)" if reading.of is None else names.colour(reading.of.pair.name)
    group = None if reading.of is None else reading.of.pair.name
    shared = {"yaxis": axis, "legendgroup": group}
    out = []
    for of, truth in panel.truths:
        if of is reading.of:
            line = {"color": colour, "width": 1.5, "dash": "dot"}
            out.append(go.Scatter(x=[-10, 10], y=[truth] * 2, mode="lines", line=line, hoverinfo="skip", **shared))
    shaded = bool(out) and reading.of is not contrast.other
    name = reading.whose if reading.of else panel.title.partition(",")[0]
    out.append(
        go.Scatter(
            x=AXIS.tolist(),
            y=reading.y.tolist(),
            mode="lines",
            line={"color": colour, "width": 3, "simplify": False},
            fill="tonexty" if shaded else None,
            fillcolor="var(--flat)" if reading.of is None else names.soft(reading.of.pair.name),
            hovertemplate=f"{figures.label(name)} %{{y:.4~g}}<extra></extra>",
            **shared,
        )
    )
    # away from the middle of the figure, where the curves bend; of two that meet, one above and one below
    up = reading.at < (panel.low + panel.high) / 2
    first = panel.readings[0]
    if reading is not first and abs(reading.at - first.at) < 0.2 * (panel.high - panel.low):
        up = not up
    position = f"{'top' if up else 'bottom'} {'right' if contrast.score > 0 else 'left'}"
    out.append(
        go.Scatter(
            x=[contrast.score],
            y=[reading.at],
            mode="markers+text",
            marker={"size": 10, "color": colour, "line": {"color": "var(--paper)", "width": 2}},
            text=[figure(reading.figure)],
            textposition=position,
            textfont={"size": 14, "color": colour},
            cliponaxis=False,
            hoverinfo="skip",
            **shared,
        )
    )
    return out


def _formulas(pair: Pair, names: Names) -> str:
    given = ", ".join(f"{name} = {number(value)}" for name, value in pair.parameters.items())
    rows = [
        ("value", math_markup(pair.formula_latex, pair.formula)),
        ("δ_0" if pair.two else "δ", math_markup(pair.derivative_latex, pair.derivative)),
        ("δ_1", math_markup(pair.second_derivative_latex, pair.second_derivative) if pair.two else ""),
        ("parameters", escape(given)),
        ("prediction", escape(pair.predictions)),
        ("target", escape(pair.targets if pair.row else f"y in {pair.targets}")),
        ("limits", escape(pair.limits)),
    ]
    listed = "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in rows if text)
    return (
        f"<article><h4>{names.chip(pair.name)}</h4><p>{names.mention(pair.summary)}</p><dl>{listed}</dl>"
        f'<p class="reference">{escape(pair.reference)}</p></article>'
    )


def _tables(pair: Pair) -> str:
    look = "Two scores (z, 0); prediction, gain and curvature are the first's." if pair.two else setting(pair)
    return (f'<p class="look">{look}</p>' if look else "") + "".join(
        _table(curve(pair, truth, TABLE)) for truth in targets(pair)
    )


def _table(c: Curve) -> str:
    columns = {
        "z": c.z,
        "prediction v": c.v,
        "error v − y": c.error,
        "gain φ'(z)": c.gain,
        "value": c.value,
        **c.deltas,
        "curvature": c.curvature,
    }
    head = "".join(f'<th class="number">{name}</th>' for name in columns)
    rows = "".join(
        "<tr>" + "".join(f'<td class="number">{number(column[i])}</td>' for column in columns.values()) + "</tr>"
        for i in range(len(c.z))
    )
    words = c.truth_in_words[:1].upper() + c.truth_in_words[1:]
    return (
        f'<h3>{escape(words)}</h3><div class="scroll"><table class="wide"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
