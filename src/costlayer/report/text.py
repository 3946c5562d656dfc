"""Text for the page: everything that comes from the data passes through here and is escaped on the way."""

import html
import math
import re
from html.parser import HTMLParser
from typing import Any

from latex2mathml.converter import convert

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Marks in style.py: --pair-0 … and the dashes that tell apart what colour alone might not.
COLOURS = 8
DASHES = ("solid", "dash", "dot")
DASH_ARRAYS = ("", "6 4", "2 3")
# What the LaTeX converter makes of formulas; anything else in its output came through from the text.
MATHML = re.compile(
    r"m(ath|row|i|n|o|s|text|space|frac|sqrt|root|style|su[bp]|subsup|under|over|underover|table|tr|td)"
)


def escape(text: Any) -> str:
    return html.escape(str(text))


def number(x: Any, digits: int = 4) -> str:
    """A figure to read: four significant digits, thousands apart, powers of ten written out."""
    if not isinstance(x, (int, float)) or isinstance(x, bool):
        return "–" if x is None else escape(x)
    if not math.isfinite(x):
        return "–"
    if isinstance(x, int) or (x == int(x) and abs(x) < 1e6):
        return f"{int(x):,}".replace(",", "\u202f").replace("-", "−")
    if abs(x) >= 10**digits and abs(x) < 1e9:
        return f"{x:,.0f}".replace(",", "\u202f").replace("-", "−")
    text = f"{x:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        power = "10" + str(int(exponent)).translate(SUPERSCRIPT)
        text = power if mantissa == "1" else f"{mantissa} × {power}"
    return text.replace("-", "−")


def measured(mean: float | None, spread: float | None) -> str:
    """mean ± spread, to the second digit of the spread."""
    if mean is None:
        return "–"
    if spread is None or not math.isfinite(spread):
        return number(mean)
    if spread == 0:
        return f"{number(mean)}\u00a0±\u00a00"
    places = max(0, min(5, 1 - math.floor(math.log10(spread))))
    return f"{mean:.{places}f}\u00a0±\u00a0{spread:.{places}f}".replace("-", "−")


def share(x: float | None) -> str:
    """A share as a percentage."""
    if x is None:
        return "–"
    if 0 < x < 0.001:
        return "under 0.1\u202f%"
    return f"{100 * x:.1f}".removesuffix(".0") + "\u202f%"


def count(n: int, one: str, many: str | None = None) -> str:
    return f"{number(n)} {one if n == 1 else many or one + 's'}"


def listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""


def foldable(pair: str) -> str:
    """A pair's name; one too long for a phone's column may fold after the plus."""
    return escape(pair).replace("+", "+<wbr>") if len(pair) > 22 else escape(pair)


def math_markup(latex: str | None, plain: str | None) -> str:
    """A formula as MathML, read out as its plain text; the plain text itself where there is no usable LaTeX."""
    text = escape(plain or latex or "")
    if latex:
        try:
            markup = convert(latex).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "", 1)
        except Exception:  # the converter raises its own errors, IndexError and others on LaTeX it cannot read
            markup = ""
        # The converter passes tags inside \text{…} through as they are.
        if markup and all(MATHML.fullmatch(tag) for tag in _Tags.of(markup)):
            return f'<div class="formula" role="math" aria-label="{text}">{markup}</div>'
    return f'<div class="formula"><code>{text}</code></div>' if text else ""


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag if all(not name.startswith("on") for name, _ in attrs) else "script")

    @classmethod
    def of(cls, markup: str) -> set[str]:
        parser = cls()
        parser.feed(markup)
        return parser.seen


class Names:
    """The pairs' names in running text, each with its own colour and dash everywhere on the page."""

    def __init__(self, pairs: list[str]) -> None:
        self.index = {pair: i for i, pair in enumerate(pairs)}
        longest_first = sorted(map(re.escape, map(escape, pairs)), key=len, reverse=True)
        self.pattern = re.compile(rf"(?<![\w+])({'|'.join(longest_first)})(?![\w+])") if pairs else None
        self.by_escaped = {escape(pair): pair for pair in pairs}

    def colour(self, pair: str) -> str:
        return f"var(--pair-{self.index[pair] % COLOURS})"

    def soft(self, pair: str) -> str:
        return f"var(--pair-{self.index[pair] % COLOURS}-soft)"

    def dash(self, pair: str) -> str:
        return DASHES[self._style(pair)]

    def _style(self, pair: str) -> int:
        # From the fifth pair on the hues come close to each other for some readers.
        return min(self.index[pair] // 4, len(DASHES) - 1)

    def mark(self, pair: str) -> str:
        """A short piece of the pair's line."""
        array = DASH_ARRAYS[self._style(pair)]
        dashes = f' stroke-dasharray="{array}"' if array else ""
        return (
            f'<svg class="mark" viewBox="0 0 20 4" aria-hidden="true"><line x1="0" y1="2" x2="20" y2="2" '
            f'style="stroke:{self.colour(pair)}" stroke-width="4"{dashes}/></svg>'
        )

    def __call__(self, pair: str) -> str:
        """A pair's name in a sentence."""
        if pair not in self.index:
            return f'<span class="pair">{escape(pair)}</span>'
        return f'<span class="pair" style="--c:{self.colour(pair)}">{foldable(pair)}</span>'

    def chip(self, pair: str) -> str:
        return f'<span class="chip">{self.mark(pair)}<span>{foldable(pair)}</span></span>'

    def mention(self, text: Any) -> str:
        """A text of the records, escaped, with the pairs it names in their colours."""
        safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
        return self.pattern.sub(lambda m: self(self.by_escaped[m[0]]), safe) if self.pattern else safe
