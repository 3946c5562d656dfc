"""Pairs as objectives of CatBoost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costlayer.boosting.objective import Objective

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
        gradient, curvature = self.gradients(np.asarray(approxes), np.asarray(targets), weights)
        return -np.stack([gradient, curvature], axis=1)

    def calc_ders_multi(self, approx: NDArray, target: float, weight: float) -> tuple[list[float], list[list[float]]]:
        """The derivatives of one example of K classes: −gradient (K,) and −Hessian (K, K)."""
        z, y = np.asarray(approx)[None], np.array([target])
        (gradient,), (curvature,) = self.gradients(z, y, np.array([weight]))
        hessian = _of_margin(gradient, curvature, int(target)) if self._by_margin else np.diag(curvature)
        return (-gradient).tolist(), (-hessian).tolist()

    def params(self, start: float | NDArray | None = None) -> dict[str, Any]:
        """The objective as `loss_function`, its metric, and `class_names`, from 0 to K − 1; give names of your own for
        labels that are no numbers. Without any, CatBoost would take the labels for one number each.

        `start` has no parameter: it is given to each Pool as `baseline=objective.margin(start, N)`, and after training
        to the model by `with_start`.
        """
        found: dict[str, Any] = {"loss_function": self, "eval_metric": self.metric}
        if self.classes is not None:
            found["class_names"] = list(range(self.classes))
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


def _of_margin(gradient: NDArray, curvature: NDArray, label: int) -> NDArray:
    """The Hessian of a cost f(d) of the margin d of a class over the others, from its gradient and that of −z_label.

    With s the softmax over the others, ∂d/∂z is u = s − (one at the label), and the Hessian
    f'' u uᵀ + f' (diag s − s sᵀ).
    """
    slope = -gradient[label]
    s = gradient / slope if slope > 0.0 else np.zeros_like(gradient)
    s[label] = 0.0
    u = s.copy()
    u[label] = -1.0
    return curvature[label] * np.outer(u, u) + slope * (np.diag(s) - np.outer(s, s))
