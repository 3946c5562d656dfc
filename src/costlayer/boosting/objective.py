"""What the objectives of all libraries have in common.

A library that boosts trees hands over the scores z of the trees so far, and takes back the gradient and the curvature
of the cost by each score. With their sums G and H over the examples in a leaf, the leaf gets −G / (H + λ), and splits
are chosen by G² / (H + λ). So the curvature decides how far a step goes, and has to be positive.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from costlayer.constant import constant
from costlayer.errors import InvalidType, InvalidValue
from costlayer.evaluate import are_shares, as_array, evaluate, predict_and_gain, scores
from costlayer.pair import NON_NEGATIVE, POSITIVE, Interval, Pair

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

INTERVALS = {"scale": POSITIVE, "damping": POSITIVE, "flat": NON_NEGATIVE, "floor": POSITIVE}


@dataclass(frozen=True)
class Objective(ABC):
    """A pair as the objective of a library; made by `costlayer.boosting.objective`. Frozen, comparable, picklable.

    The gradient of an example is `scale · weight · δ`, and its curvature

        h = max(scale · damping · weight · c, floor),   where c = ∂²ℓ/∂z² if that is positive, else `flat`.

    Arguments:
        pair: the pair.
        classes: how many classes there are; None for a pair without.
        scale: multiplies gradient and curvature; what regularises the trees by H, such as λ, counts for more with a
            smaller one. By default 1, but 1/k for a canonical pair, δ = k (v − y): so that of the squared error is
            v − y, as it is in the libraries.
        damping: multiplies the curvature alone, so that steps are shorter. By default what the library has itself: for
            scores of K classes 2 in XGBoost, which bounds the Hessian of a row by twice its diagonal, and K/(K − 1) in
            LightGBM; for exp+poisson e^0.7 in both; else 1.
        flat: the curvature where an example has a gradient and the cost does not curve upwards: 1 by default, as in the
            libraries for absolute errors, quantiles, hinge and, in LightGBM, far errors of huber. It is the largest
            curvature that huber, cauchy and tukey have, so that what is far off is never moved by more than its
            gradient.
        floor: the least curvature, 1e-16 by default as in XGBoost.
    """

    pair: Pair
    classes: int | None = None
    scale: float | None = None
    damping: float | None = None
    flat: float = 1.0
    floor: float = 1e-16

    library: ClassVar[str]
    terms: ClassVar[dict[str, str]]  # what the library calls z, y and weight

    def __post_init__(self) -> None:
        if self.pair.row != (self.classes is not None):
            raise InvalidValue(
                "classes",
                str(self.classes),
                f"how many classes there are, for {self.pair}" if self.pair.row else f"None, as {self.pair} has none",
            )
        if self.classes is not None and (
            isinstance(self.classes, bool) or not isinstance(self.classes, (int, np.integer)) or self.classes < 2
        ):
            raise InvalidValue("classes", repr(self.classes), "a whole number of at least 2")
        if self.pair.closed and self.pair.closed.falling:
            raise self.cannot(
                "its scores are a falling row, and trees give each score by itself", "Use conditional+corn."
            )
        if self.pair.two:  # measured: the leaves of gaussian and laplace run away, where nothing regularises them
            raise self.cannot(
                "the curvature by a scale, or by a location, vanishes where its gradient does not",
                "Use identity+quantile or identity+expectile, once for each level.",
            )
        if self.scale is None:
            object.__setattr__(self, "scale", 1.0 / (self.pair.canonical or 1.0))
        if self.damping is None:
            object.__setattr__(self, "damping", self._damping())
        for name, interval in INTERVALS.items():
            _check_number(name, getattr(self, name), interval)

    def cannot(self, why: str, instead: str) -> InvalidValue:
        """The error for a pair that the library cannot express."""
        return InvalidValue("pair", f"'{self.pair}', where {why}", f"a pair that {self.library} can express", instead)

    @abstractmethod
    def _damping(self) -> float:
        """What the library multiplies the curvature of such a pair by."""

    @abstractmethod
    def params(self, start: float | NDArray | None = None) -> dict[str, Any]:
        """The parameters of the library that go with this objective, and with the scores to start from."""

    @property
    @abstractmethod
    def metric(self) -> Any:
        """The weighted mean cost of the pair as a metric of the library: less is better."""

    @abstractmethod
    def scores(self, model: Any, x: Any) -> NDArray:
        """The raw scores that a trained model of the library gives for examples x."""

    @property
    def width(self) -> int | None:
        """How many scores an example has; None for a single one, which has no axis of its own."""
        return None if self.classes is None else self.classes - self.pair.activation.thresholds

    def start(self, y: ArrayLike, weight: ArrayLike | None = None) -> float | NDArray:
        """The constant scores with the least cost, from which the first tree starts: a float, or (scores,).

        Arguments:
            y: the targets (N,) as the library has them; classes may be floats.
            weight: (N,), 0 or more.

        Without it a custom objective starts from 0 (XGBoost's from 0.5), where the library's own starts from the mean.
        """
        y = as_array(self.terms["y"], y)
        with self._in_terms_of_library():
            return constant(self.pair, self._targets(y, y.shape), weight, self.classes)

    def margin(self, start: float | NDArray, examples: int) -> NDArray:
        """The scores to start from, for so many examples: (N,) or (N, scores), as data sets take them.

        XGBoost calls it `base_margin`, LightGBM `init_score`, CatBoost `baseline`.
        """
        return np.tile(np.asarray(start, np.float64), (examples, 1) if np.ndim(start) else examples)

    def predict(self, scores_: ArrayLike) -> NDArray:
        """The predictions φ(z): for classes their probabilities.

        Arguments:
            scores_: raw scores (N,) or (N, scores), as `scores` gives them.

        Errors: `InvalidValue` for scores of another shape, and for what is probabilities already.
        """
        z = scores(scores_)
        if are_shares(z, room=1e-5):
            raise InvalidValue(
                "scores",
                "rows that add up to 1, as probabilities do",
                "raw scores",
                "Use scores(model, x) to have them, not predict_proba.",
            )
        self._check_shape("scores", z)
        return predict_and_gain(self.pair, z, with_gain=False)[0]

    def gradients(self, z: NDArray, y: NDArray, weight: NDArray | None) -> tuple[NDArray, NDArray]:
        """The gradient and the positive curvature of each score, in its shape and type."""
        self._check_shape(self.terms["z"], z)
        weight = None if weight is None or not len(weight) else weight
        of_gradient = self.pair.activation.name == "softmax" and self.pair.canonical == 1.0
        with self._in_terms_of_library():
            y = self._targets(y, z.shape)
            found = evaluate(self.pair, z, y, weight, reduction="sum", curvature=not of_gradient)
        gradient, curvature = found.delta, found.curvature
        own = None if weight is None else weight if z.ndim == weight.ndim else weight[:, None]
        if of_gradient:  # p (1 − p), where |δ| is p or 1 − p: a tenth of the time that the loop for curvatures takes
            size = np.abs(gradient)
            curvature = size * (1.0 - (size if own is None else size / np.where(own > 0, own, 1)))
        elif curvature.min(initial=np.inf) <= 0.0:
            flat = (curvature <= 0.0) & (gradient != 0.0)
            np.copyto(curvature, self.flat * (1.0 if own is None else own), where=flat)
        for array, factor in ((gradient, self.scale), (curvature, self.scale * self.damping)):  # type: ignore[operator]
            if factor != 1.0:
                array *= factor
        np.maximum(curvature, self.floor, out=curvature)
        return gradient, curvature

    def cost(self, z: NDArray, y: NDArray, weight: NDArray | None) -> tuple[float, float]:
        """The sum of the weighted costs of the pair, and that of the weights."""
        self._check_shape(self.terms["z"], z)
        weight = None if weight is None or not len(weight) else weight
        with self._in_terms_of_library():
            y = self._targets(y, z.shape)
            found = evaluate(self.pair, z, y, weight, reduction="weighted_mean", empty="zero", delta=False, apart=True)
        return float(found.value), found.denominator

    def _check_shape(self, name: str, z: NDArray) -> None:
        """Refuse scores of another number than the pair has; several targets of one score each are as many columns."""
        if self.width is None and z.ndim == 2:
            return
        if z.shape[1:] != (() if self.width is None else (self.width,)):
            expected = "(N,)" if self.width is None else f"(N, {self.width})"
            fix = "" if self.width is None else "Train with the parameters that params() gives."
            raise InvalidValue(name, f"shape {z.shape}", f"scores of shape {expected} for {self.pair}", fix)

    def _targets(self, y: NDArray, shape: tuple[int, ...]) -> NDArray:
        """Targets as the pair takes them: libraries have classes as floats, and several targets in one run."""
        if self.classes is None:
            return y.reshape(shape) if y.size == np.prod(shape) else y
        if y.dtype.kind == "f":
            whole = y.astype(np.int64, copy=False) if np.isfinite(y).all() else np.zeros(y.shape, np.int64)
            if (wrong := whole != y).any():
                index = int(np.argmax(wrong))
                raise InvalidValue(f"y[{index}]", f"{y[index]}", f"a class from 0 to {self.classes - 1}")
            return whole
        return y

    @contextmanager
    def _in_terms_of_library(self) -> Iterator[None]:
        """Errors name the arguments as the library does."""
        try:
            yield
        except (InvalidValue, InvalidType) as error:
            name, bracket, index = error.argument.partition("[")
            if name not in self.terms:
                raise
            named = self.terms[name] + bracket + index
            raise type(error)(named, error.got, error.expected, error.fix) from None


def _check_number(name: str, value: Any, interval: Interval) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise InvalidType(name, repr(value), "a number")
    if float(value) not in interval:
        raise InvalidValue(name, repr(value), f"a number in {interval}")
