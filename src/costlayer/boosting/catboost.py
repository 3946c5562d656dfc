"""Pairs as objectives of CatBoost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from costlayer.boosting.objective import Objective
from costlayer.engines import cpu
from costlayer.pair import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CatBoostObjective(Objective):
    """`CatBoost(objective.params()).fit(Pool(x, y, baseline=objective.margin(start, len(y))))`, or CatBoostClassifier
    and CatBoostRegressor likewise.

    CatBoost wants the derivatives of what grows as the model gets better: −gradient and −curvature.
    """

    library = "catboost"
    terms = {"z": "approxes", "y": "target", "weight": "weight"}  # noqa: RUF012
    no_jit = True  # CatBoost would have Numba compile the methods below, and warn that it cannot

    def __deepcopy__(self, memo: dict) -> CatBoostObjective:
        return self  # it is frozen; CatBoost copies parameters, and scikit-learn's clone wants the same ones back

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pair.activation.thresholds:
            raise self.cannot(
                "K classes have K − 1 scores, and CatBoost gives each class one",
                "Use xgboost or lightgbm, or a softmax pair.",
            )

    def _damping(self) -> float:
        return 2.0 if self.pair.row and not self._by_margin else 1.0  # only the diagonal of the Hessian is known

    @property
    def _by_margin(self) -> bool:
        """Whether the cost goes by the margin of the class, which says the whole Hessian."""
        return bool(self.pair.closed and self.pair.closed.margin)

    def calc_ders_range(self, approxes: NDArray, targets: NDArray, weights: NDArray | None) -> NDArray:
        """The derivatives of a run of examples, (N, 2): −gradient and −curvature."""
        z, y = np.asarray(approxes), np.asarray(targets)
        if (found := self._direct(z, y, weights)) is None:
            found = np.stack(self.gradients(z, y, weights))
            np.negative(found, out=found)
        return found.T

    def _direct(self, z: NDArray, y: NDArray, weights: NDArray | None) -> NDArray | None:
        """The same straight from the compiled loop, (2, N): CatBoost asks for some hundred examples at a time, for
        which checks take longer than arithmetic. None for what needs more: `gradients` has it then, or the error.
        """
        if self.width is not None or self.pair.target.ends_only or self.damping != 1.0:
            return None
        loop, parameters, low, high = _loop(self.pair, "pointwise")
        size = len(z)
        found = np.empty((3, size))
        value, gradient, curvature = found[0], found[1], found[2]
        weight = _ones(size) if weights is None else np.asarray(weights, np.float64)
        scale = -self.scale  # type: ignore[operator]
        given = z, np.asarray(y, np.float64), weight, scale, low, high, False
        _, bad = loop(*given, value, gradient, curvature, 0, size, parameters, value)
        least = -curvature.max(initial=-np.inf)
        if bad >= 0 or least <= 0.0:
            return None
        if least < self.floor:
            np.minimum(curvature, -self.floor, out=curvature)
        return found[1:]

    def calc_ders_multi(self, approx: NDArray, target: float, weight: float) -> tuple[list[float], list[list[float]]]:
        """The derivatives of one example of K classes: −gradient (K,) and −Hessian (K, K)."""
        z, label = np.array(approx, np.float64, ndmin=2), int(target)
        if not (self._by_margin and label == target and 0 <= label < z.shape[1] == self.classes):
            (gradient,), (curvature,) = self.gradients(z, np.array([target]), np.array([weight], np.float64))
            return (-gradient).tolist(), np.diag(-curvature).tolist()
        loop, parameters, *_ = _loop(self.pair, "margin_rows")
        both = np.empty((2, *z.shape))
        gradient, curvature = both[0], both[1]
        given = z, np.array([label]), np.array([weight], np.float64), self.scale, np.empty(1)
        loop(*given, gradient, curvature, 0, 1, parameters)
        hessian = np.empty((z.shape[1], z.shape[1]))
        flat = self.flat * weight * self.scale  # type: ignore[operator]
        _negate_by_margin()(gradient[0], curvature[0, label], label, flat, self.damping, self.floor, hessian)
        return gradient[0].tolist(), hessian.tolist()

    def params(self, start: float | NDArray | None = None) -> dict[str, Any]:
        """The objective as `loss_function`, its metric, and `class_names`, from 0 to K − 1; give names of your own for
        labels that are no numbers. Without any, CatBoost would take the labels for one number each.

        `start` has no parameter: it is given to each Pool as `baseline=objective.margin(start, N)`, and after training
        to the model by `with_start`.
        """
        found: dict[str, Any] = {"loss_function": self, "eval_metric": self.metric}
        if self.classes is not None:
            found["class_names"] = tuple(range(self.classes))
        return found

    @property
    def metric(self) -> CatBoostMetric:
        """For `eval_metric` or `custom_metric`."""
        return CatBoostMetric(self)

    def with_start(self, model: Any, start: float | NDArray) -> Any:
        """The model, with the scores that training started from as its bias: once, after training.

        CatBoost forgets the `baseline` of a Pool, so that a model predicts without it wherever it is used.
        """
        scale, bias = model.get_scale_and_bias()
        model.set_scale_and_bias(scale, (np.asarray(bias) + start).tolist())
        return model

    def scores(self, model: Any, x: Any) -> NDArray:
        """The raw scores of a model for an array or a Pool."""
        return model.predict(x, prediction_type="RawFormulaVal")


@dataclass(frozen=True)
class CatBoostMetric:
    """The mean cost."""

    objective: CatBoostObjective
    no_jit = True

    def __deepcopy__(self, memo: dict) -> CatBoostMetric:
        return self

    def is_max_optimal(self) -> bool:
        """Less is better."""
        return False

    def evaluate(self, approxes: Sequence[NDArray], target: NDArray, weight: NDArray | None) -> tuple[float, float]:
        """The sum of the weighted costs and that of the weights, of one array of scores for each class."""
        z = np.stack(approxes, axis=1) if self.objective.classes is not None else np.asarray(approxes[0])
        return self.objective.cost(z, np.asarray(target), weight)

    def get_final_error(self, error: float, weight: float) -> float:
        """The mean of the sums."""
        return error / weight if weight else 0.0


@cache
def _loop(pair: Pair, loop: str) -> tuple[Any, tuple[float, ...], float, float]:
    """A compiled loop of a pair, its parameters, and the bounds of its targets."""
    parameters = cpu.typed(pair, "float64", pair.values)
    return cpu.kernel(pair, loop, "float64").compiled, parameters, *pair.target.bounds(np.float64)


@lru_cache(maxsize=8)
def _ones(size: int) -> NDArray:
    return np.ones(size)


@cache
def _negate_by_margin() -> Callable[..., None]:
    from numba import njit

    @njit(error_model="numpy")
    def negate(gradient, curvature, label, flat, damping, floor, hessian):
        """Makes −gradient of the gradient, and −Hessian, of a cost f(d) of the margin d of a class over the others, of
        which f'' is given.

        With s the softmax over the others, ∂d/∂z is u = s − (one at the label), and the Hessian
        f'' u uᵀ + f' (diag s − s sᵀ).
        """
        slope = -gradient[label]
        if curvature <= 0.0 and slope != 0.0:
            curvature = flat
        curvature *= damping
        for j in range(len(gradient)):
            gradient[j] = -gradient[j]
        for j in range(len(gradient)):
            a = 0.0 if j == label or slope == 0.0 else -gradient[j] / slope
            c = -1.0 if j == label else a
            for k in range(len(gradient)):
                b = 0.0 if k == label or slope == 0.0 else -gradient[k] / slope
                d = -1.0 if k == label else b
                hessian[j, k] = slope * a * b - curvature * c * d
            hessian[j, j] -= slope * a + floor

    return negate
