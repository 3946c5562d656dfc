"""One pair explained: as text for the terminal, as a page that opens offline, and as a picture."""

from __future__ import annotations

from costlayer.catalogue import build, starvation
from costlayer.catalogue import pair as as_pair
from costlayer.errors import MissingExtra
from costlayer.explain.curves import TABLE, Curve, contrast, curve, number, setting, targets, wrong
from costlayer.pair import Pair

__all__ = ["html", "png", "sentence", "text"]


def text(pair: str | Pair) -> str:
    """Everything about a pair, and what it does at z = −10, −5, 0, 5 and 10 for each typical target.

    Arguments:
        pair: a pair or its name.

    Errors: `InvalidValue` for an unknown name or a combination that does not fit.

    >>> print(text("sigmoid+mse"))  # doctest: +ELLIPSIS
    sigmoid+mse
    ...
      target y = 0
          z          v      v − y      φ'(z)      value          δ  curvature
    ...
          5     0.9933     0.9933   0.006648     0.9867    0.01321   −0.01294
    ...
    """
    pair = _found(pair)
    parts = [pair.describe()]
    if pair.row:
        parts.append(f"  {setting(pair)}")
    elif pair.two:
        v = "location" if pair.cost.of_error else "mean a/(a + b)"
        parts.append(
            f"  Two scores (z, 0): v is the {v}; gain φ'(z), δ_0 and curvature are the first's, δ_1 is the second's."
        )
    else:
        parts.append("  Prediction v, error v − y, gain φ'(z), value, δ = ∂value/∂z, curvature = ∂²value/∂z².")
    parts += [_table(pair, truth) for truth in targets(pair)]
    return "\n\n".join([*parts, sentence(pair)])


def sentence(pair: str | Pair) -> str:
    """What the pair sends back at a typical wrong score, in a sentence.

    >>> sentence("sigmoid+cross_entropy")
    'At z = 5 with target 0 the error of sigmoid+cross_entropy is 0.9933 and it sends back δ = 0.9933; at z = −5 with target 1 the error is −0.9933 and δ = −0.9933.'
    """  # noqa: E501
    pair = _found(pair)
    if pair.starves:
        return starvation(pair)
    high, low = (curve(pair, wrong(pair, z), [z]) for z in (5.0, -5.0))

    def where(c: Curve) -> str:
        if pair.row:
            return f"t z = {number(c.z[0])}, where {c.truth_in_words},"
        if pair.two:
            return f"t the scores ({number(c.z[0])}, 0) with target {number(c.truth)}"
        return f"t z = {number(c.z[0])} with target {number(c.truth)}"

    return (
        f"A{where(high)} the error of {pair} is {number(high.error[0])} and it sends back δ = {number(high.delta[0])}; "
        f"a{where(low)} the error is {number(low.error[0])} and δ = {number(low.delta[0])}."
    )


def html(pair: str | Pair) -> str:
    """The pair as one page that loads nothing from outside: the picture that makes it plain, the formulas, the table.

    Beside the pair stands the one to use instead, or for a good pair one that starves.
    Errors: as for `text`; `MissingExtra` where plotly or latex2mathml is not installed.

    >>> page = html("sigmoid+mse")
    >>> page.startswith("<!doctype html>"), "sigmoid+cross_entropy" in page
    (True, True)
    """
    pair = _found(pair)
    try:
        from costlayer.explain.page import page
    except ModuleNotFoundError as error:
        raise _extra(error, "plotly", "latex2mathml") from error
    return page(contrast(pair))


def png(pair: str | Pair) -> bytes:
    """The picture of `html` as a PNG image, 1600 pixels wide.

    Errors: as for `text`; `MissingExtra` where matplotlib is not installed.

    >>> png("sigmoid+mse")[1:4]
    b'PNG'
    """
    pair = _found(pair)
    try:
        from costlayer.explain.picture import draw
    except ModuleNotFoundError as error:
        raise _extra(error, "matplotlib") from error
    return draw(contrast(pair))


def _found(pair: str | Pair) -> Pair:
    # by name without the warning of `costlayer.pair`: what it warns of is what is explained here
    return build(pair, {}) if isinstance(pair, str) else as_pair(pair)


def _extra(error: ModuleNotFoundError, *packages: str) -> Exception:
    package = (error.name or "").partition(".")[0]
    return MissingExtra(package, "study") if package in packages else error


def _table(pair: Pair, truth: float) -> str:
    c = curve(pair, truth, TABLE)
    columns = {"v": c.v, "v − y": c.error, "φ'(z)": c.gain, "value": c.value, **c.deltas, "curvature": c.curvature}
    lines = [f"  {c.truth_in_words}", f"  {'z':>5}" + "".join(f"{name:>11}" for name in columns)]
    lines += [
        f"  {number(z):>5}" + "".join(f"{number(column[i]):>11}" for column in columns.values())
        for i, z in enumerate(c.z)
    ]
    return "\n".join(lines)
