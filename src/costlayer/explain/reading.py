"""What there is to see in a contrast, in words and figures, for the page and the picture alike."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from costlayer.explain.curves import Contrast, Curve, limits, number


@dataclass(frozen=True)
class Reading:
    """A curve of a panel, and what to read off it at the typical wrong score.

    Arguments:
        of: whose curve it is; None for one that both pairs have.
        figure: what is read off, such as the error.
        y: the curve along the scores.
        at: its height at the typical wrong score.
    """

    of: Curve | None
    figure: float
    y: NDArray
    at: float

    @property
    def whose(self) -> str:
        return "both pairs" if self.of is None else self.of.pair.name


@dataclass(frozen=True)
class Panel:
    """One quantity along z: its curves, the ends of its axis, and for the prediction the truths."""

    title: str
    measures: str
    readings: tuple[Reading, ...]
    low: float
    high: float
    truths: tuple[tuple[Curve | None, float], ...] = ()


def title(c: Contrast) -> str:
    pair = c.pair.pair
    if pair.starves:
        return f"{pair}: badly wrong, hardly corrected"
    if pair.canonical:
        return f"{pair} sends back {'the error itself' if pair.canonical == 1.0 else 'twice the error'}"
    if pair.steady:
        return f"{pair} pulls on, however wrong"
    sent = abs(c.pair.delta)
    if 2.0 * sent[-1 if c.score > 0.0 else 0] < sent.max():  # at the wrong end of the axis
        return f"{pair} lets go of what is far off"
    return f"{pair} does not fall silent"


def subtitle(c: Contrast) -> str:
    z = f"z = {number(c.score)}"
    if c.pair.pair.activation.thresholds:
        where = "The score z between two classes in order, the lower one true."
    elif c.pair.pair.row:
        where = "Scores (z, 0), the second class true."
    elif c.pair.truth == c.other.truth:
        where = f"The truth is {number(c.pair.truth)}, so {z} is far wrong."
    else:
        other = f"{number(c.other.truth)} for {c.other.pair}"
        where = f"The truth is {number(c.pair.truth)} ({other}), so {z} is far wrong."
    if c.pair.pair.two:
        where = f"Scores (z, 0). {where}"
    return where + (" Both pairs predict the same; only what comes back differs." if c.same_prediction else "")


def panels(c: Contrast) -> tuple[Panel, Panel, Panel]:
    """The prediction with its error, the gain, and what is sent back."""
    z = number(c.score)
    each = [(c.pair, c.pair, c.here), (c.other, c.other, c.there)]
    shown = [(None, c.pair, c.here)] if c.same_prediction else each
    prediction = [Reading(of, float(at.error[0]), along.v, float(at.v[0])) for of, along, at in shown]
    gain = [Reading(of, float(at.gain[0]), along.gain, float(at.gain[0])) for of, along, at in shown]
    sent = [Reading(of, abs(float(at.delta[0])), abs(along.delta), abs(float(at.delta[0]))) for of, along, at in each]
    pair = c.pair.pair
    v = "v of the first class" if pair.row else "Prediction v = φ(z)"
    if pair.activation.thresholds:
        v = "v, P(upper class)"
    if pair.two and not pair.cost.of_error:
        v = "Mean v = a/(a + b)"
    truths = tuple((of, along.truth) for of, along, _ in shown)
    return (
        _panel(f"{v}, and the error v − y", f"the error at z = {z}", prediction, truths),
        _panel("Gain φ'(z), the slope of the prediction", f"the gain at z = {z}", gain),
        _panel("What is sent back, |δ|", f"sent back at z = {z}", sent),
    )


def _panel(
    title: str, measures: str, readings: list[Reading], truths: tuple[tuple[Curve | None, float], ...] = ()
) -> Panel:
    low, high = limits([r.y for r in readings], [r.at for r in readings] + [y for _, y in truths])
    return Panel(title, measures, tuple(readings), low, high, truths)


def figure(x: float) -> str:
    """A figure as the headline shows it: 0.9933, 0.00665."""
    return number(x, 4 if abs(x) >= 0.1 else 3)
