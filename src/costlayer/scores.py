"""What may stand between the scores of classes and a softmax pair: a softcap, a temperature, an adjustment, a z-loss.

The cost sees s in place of z, and an example's value becomes its cost and z_loss times the square of logsumexp(s):

    s = softcap · tanh(z / softcap) / temperature + logit_adjustment

A prediction knows the softcap and the temperature only: the adjustment and the z-loss are for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from costlayer.catalogue import build
from costlayer.engines import reference
from costlayer.errors import InvalidValue
from costlayer.pair import POSITIVE, Interval, Pair

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_NON_NEGATIVE = Interval(0.0, np.inf)


class Options(TypedDict, total=False):
    """The options by name, as the fronts take them."""

    temperature: float
    softcap: float | None
    logit_adjustment: ArrayLike | None
    z_loss: float


@dataclass(frozen=True)
class Alteration:
    """From z to s, and back to derivatives by z; made by `alteration`, which checks what it is given."""

    temperature: float
    softcap: float | None
    adjustment: NDArray | None
    z_loss: float

    def scores(self, z: NDArray) -> tuple[NDArray, Any, Any]:
        """Of rows of scores in float64: s, and its first and second derivative by z, arrays or numbers."""
        gain, bend = 1.0, 0.0
        if self.softcap is not None:
            z, gain, bend = _tanh()(z / self.softcap)
            z *= self.softcap
            bend /= self.softcap
        s = z if self.temperature == 1.0 else z / self.temperature
        if self.adjustment is not None:
            s = s + self.adjustment
        return s, gain / self.temperature, bend / self.temperature

    def by_scores(self, gain: Any, bend: Any, slope: NDArray, curve: NDArray | None) -> tuple[NDArray, NDArray | None]:
        """δ and curvature by z, of those by s: the chain rule, where a gain of 0 lets nothing through."""
        if curve is not None:
            curve = _product(gain * gain, curve) + _product(bend, slope)
        return _product(gain, slope), curve

    def raw(self, s: NDArray) -> NDArray:
        """The raw scores z of which s is made."""
        check_classes(self.adjustment, len(s))
        z = s if self.adjustment is None else np.where(np.isfinite(self.adjustment), s - self.adjustment, 0.0)
        z = z * self.temperature
        if self.softcap is None:
            return z
        far = float(np.abs(z).max())
        if far >= self.softcap:
            raise InvalidValue(
                "softcap", f"{self.softcap:g}", f"one above {far:.4g}, the size of the best constant scores"
            )
        return self.softcap * np.arctanh(z / self.softcap)


def alteration(
    pair: Pair,
    temperature: float = 1.0,
    softcap: float | None = None,
    logit_adjustment: ArrayLike | None = None,
    z_loss: float = 0.0,
) -> Alteration | None:
    """What the options ask for; None if nothing.

    Errors: `InvalidValue` for what is no such number, and for a pair that is not behind a softmax.

    >>> from costlayer import pair
    >>> alteration(pair("softmax+cross_entropy")) is None
    True
    """
    _number("temperature", temperature, POSITIVE)
    if softcap is not None:
        _number("softcap", softcap, POSITIVE)
    _number("z_loss", z_loss, _NON_NEGATIVE)
    asked = {
        "temperature": temperature != 1.0,
        "softcap": softcap is not None,
        "logit_adjustment": logit_adjustment is not None,
        "z_loss": z_loss != 0.0,
    }
    if not any(asked.values()):
        return None
    if pair.activation.name != "softmax":
        raise InvalidValue(
            next(name for name in asked if asked[name]),
            f"one for {pair}",
            "a pair behind softmax, whose scores are those of classes",
            "Alter other scores before the cost: z / temperature.",
        )
    return Alteration(float(temperature), softcap, _adjustment(logit_adjustment), float(z_loss))


def check_classes(adjustment: Any, classes: int) -> None:
    """Refuse an adjustment that has not one number per class."""
    if adjustment is not None and len(adjustment) != classes:
        raise InvalidValue("logit_adjustment", f"shape ({len(adjustment)},)", f"{classes} numbers, one per class")


def z_loss_terms(s: NDArray, curvature: bool) -> tuple[NDArray, NDArray, NDArray | None]:
    """Of rows of scores: L² of L = logsumexp(s), and its first and second derivative by each of them.

    They are 2 L p and 2 p (p + L (1 − p)), where 1 − p of the likeliest class is the sum over the others.
    """
    best = s.argmax(axis=1)[:, None]
    top = np.take_along_axis(s, best, 1)
    odds = s - top
    if not np.isfinite(top).all():
        odds[s == top] = 0.0
    np.exp(odds, out=odds)
    np.put_along_axis(odds, best, 0.0, 1)
    crowd = odds.sum(axis=1, keepdims=True)
    total = 1.0 + crowd
    log = top + np.log1p(crowd)
    np.put_along_axis(odds, best, 1.0, 1)
    p = odds / total
    curve = None
    if curvature:
        q = 1.0 - p
        np.put_along_axis(q, best, crowd / total, 1)
        curve = 2.0 * _product(p, p + _product(log, q))
    return np.square(log[:, 0]), 2.0 * _product(p, log), curve


def _product(a: Any, b: Any) -> Any:
    """As in `costlayer.words`: nothing, where either is."""
    found = a * b
    if not np.isfinite(found).all():  # NaN may have come of nothing times infinity
        found[(a == 0.0) | (b == 0.0)] = 0.0
    return found


@cache
def _tanh() -> Any:
    """tanh and its derivatives over arrays, by the activation's own formula, which keeps the digits of a small gain."""
    return reference.bind(build("tanh+mse", {}), {**reference.WORDS, "where": np.where}).activation


def _number(name: str, given: Any, domain: Interval) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, float, np.number)) or float(given) not in domain:
        raise InvalidValue(name, repr(given), f"a number in {domain}")


def _adjustment(given: ArrayLike | None) -> NDArray | None:
    if given is None:
        return None
    found = np.asarray(given)
    if found.dtype.kind not in "iuf" or found.ndim != 1 or not len(found) or not np.all(found < np.inf):
        got = f"{found.tolist()}" if found.size < 10 else f"shape {found.shape} of {found.dtype}"
        raise InvalidValue("logit_adjustment", got, "one number below infinity per class", "For example: log priors.")
    if (found >= 0).all() and abs(found.sum(dtype=np.float64) - 1.0) < 1e-3:
        raise InvalidValue(
            "logit_adjustment",
            "numbers that add up to 1, as the shares of the classes do",
            "what is added to the scores of the classes",
            "Give the logarithms of the shares: numpy.log(shares), or costlayer.constant(pair, y).",
        )
    return found.astype(np.float64)
