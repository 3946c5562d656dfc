"""The picture, drawn by matplotlib: three panels over one axis of scores, and the figures at a typical wrong one."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from costlayer.explain.curves import AXIS, Contrast, Curve, limits, number, targets
from costlayer.explain.curves import curve as along
from costlayer.explain.reading import Panel, Reading, figure, panels, subtitle, title
from costlayer.pair import Pair

SOUND, STARVING, BOTH = "#0072B2", "#D55E00", "#33383F"  # blue and vermilion of Okabe and Ito's palette
INK, MUTED, GRID = "#17191C", "#5C636D", "#E3E6EA"


def draw(contrast: Contrast) -> bytes:
    """The contrast as a PNG image of 1600 × 1200 pixels."""
    file = BytesIO()
    figure_of(contrast).savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def figure_of(contrast: Contrast) -> Figure:
    drawn = Figure(figsize=(16, 12), dpi=100, facecolor="white")
    FigureCanvasAgg(drawn)
    drawn.text(0.045, 0.955, title(contrast), size=34, weight="bold", color=INK, va="center")
    drawn.text(0.045, 0.905, subtitle(contrast), size=21, color=MUTED, va="center")
    places = drawn.add_gridspec(3, 1, left=0.07, right=0.69, top=0.835, bottom=0.075, hspace=0.34)
    shown = panels(contrast)
    for i, panel in enumerate(shown):
        axes = drawn.add_subplot(places[i])
        _draw(axes, panel, contrast)
        if i < len(shown) - 1:
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("score z", size=21, color=MUTED)
        _read(axes, panel, contrast)
    return drawn


def small(pair: Pair) -> Figure:
    """Value and each δ of a pair along its scores, for each typical target: 880 × 240 pixels."""
    drawn = Figure(figsize=(11, 3), dpi=80, facecolor="white", layout="constrained")
    FigureCanvasAgg(drawn)
    curves = [along(pair, truth) for truth in targets(pair)]
    panels = [{"value": c.value, **c.deltas} for c in curves]
    for axes, name in zip(drawn.subplots(1, len(panels[0])), panels[0], strict=True):
        shown = [panel[name] for panel in panels]
        low, high = limits(shown, [float(np.interp(z, AXIS, y)) for y in shown for z in (-3.0, 3.0)])
        margin = 0.06 * (high - low)
        axes.set(xlim=(-10, 10), ylim=(low - margin, high + margin))
        axes.set_title(name, loc="left", size=13, color=INK)
        axes.set_xlabel("scores (z, 0)" if pair.two else "score z", size=11, color=MUTED)
        _plain(axes, 11)
        for c, y, ink in zip(curves, shown, (SOUND, STARVING, BOTH), strict=False):
            axes.plot(AXIS, y, color=ink, linewidth=2.5, label=c.truth_in_short)
    drawn.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=11)
    return drawn


def colour(contrast: Contrast, curve: Curve | None) -> str:
    if curve is None:
        return BOTH
    return STARVING if curve is contrast.starving else SOUND


def _draw(axes: Axes, panel: Panel, contrast: Contrast) -> None:
    span = panel.high - panel.low
    axes.set_xlim(-10, 10)
    axes.set_ylim(panel.low - 0.06 * span, panel.high + 0.08 * span)
    axes.set_title(panel.title, loc="left", size=23, color=INK, pad=10)
    _plain(axes, 19)
    axes.axvline(contrast.score, color=MUTED, linewidth=1.6, linestyle=(0, (4, 3)), zorder=1)
    for curve, truth in panel.truths:
        reading = next(r for r in panel.readings if r.of is curve)
        axes.axhline(truth, color=colour(contrast, curve), linewidth=1.8, linestyle=(0, (1, 2)))
        if curve is not contrast.other:
            axes.fill_between(AXIS, reading.y, truth, color=colour(contrast, curve), alpha=0.12, linewidth=0)
            _name_error(axes, reading, truth, contrast)
    for reading in sorted(panel.readings, key=lambda r: r.of is contrast.pair):  # the pair itself on top
        axes.plot(AXIS, reading.y, color=colour(contrast, reading.of), linewidth=4.5, solid_capstyle="round")
        axes.plot(
            contrast.score,
            reading.at,
            "o",
            markersize=15,
            color=colour(contrast, reading.of),
            markeredgecolor="white",
            markeredgewidth=2.5,
            zorder=5 + (reading.of is contrast.pair),
            clip_on=False,
        )


def _plain(axes: Axes, size: int) -> None:
    """A grid and figures, no frame."""
    axes.grid(color=GRID, linewidth=size / 16)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=size, colors=MUTED, length=0, pad=8)
    axes.set_xticks(range(-10, 11, 5), [number(z) for z in range(-10, 11, 5)])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(lambda y, _: number(y))
    for side in axes.spines.values():
        side.set_visible(False)


def _read(axes: Axes, panel: Panel, contrast: Contrast) -> None:
    """The figures at the typical wrong score, beside the panel in the colours of their curves."""

    def write(height: float, text: str, size: int, ink: str, weight: str = "normal") -> None:
        axes.text(1.05, height, text, transform=axes.transAxes, size=size, color=ink, weight=weight, va="top")

    write(0.99, panel.measures, 19, MUTED)
    for i, reading in enumerate(panel.readings):
        top, ink = 0.80 - i * 0.45, colour(contrast, reading.of)
        write(top, figure(reading.figure), 34, ink, "bold")
        write(top - 0.23, reading.whose, 19, ink)


def _name_error(axes: Axes, reading: Reading, truth: float, contrast: Contrast) -> None:
    z = 1.5 * contrast.score
    height = float(np.interp(z, AXIS, reading.y))
    axes.text(z, (height + truth) / 2, "error", size=21, color=colour(contrast, reading.of), ha="center", va="center")
