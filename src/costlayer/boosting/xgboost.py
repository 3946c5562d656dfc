"""Pairs as objectives of XGBoost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costlayer.boosting.objective import Objective

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class XGBoostObjective(Objective):
    """`xgb.train(objective.params(start), dtrain, obj=objective, custom_metric=objective.metric)`, or
    `XGBRegressor(objective=objective, eval_metric=objective.metric, **objective.params(start))`."""

    library = "xgboost"
    terms = {"z": "preds", "y": "label", "weight": "weight"}  # noqa: RUF012

    def __call__(
        self, first: ArrayLike, second: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[NDArray, NDArray]:
        """Gradients and curvatures in the shape of the scores: of `(preds, dtrain)` as `xgb.train` calls, or of
        `(y_true, y_pred)` as the scikit-learn interface does."""
        return self.gradients(*_given(first, second, sample_weight))

    def _damping(self) -> float:
        return 2.0 if self.pair.row else math.exp(0.7) if self.pair.name == "exp+poisson" else 1.0

    def params(self, start: float | NDArray | None = None) -> dict[str, Any]:
        """`num_class`, no metric by default (it would be that of raw scores), `base_score`, which becomes part of the
        model (several scores from XGBoost 3.1 on), and for exp+poisson `max_delta_step`, as count:poisson has it."""
        found: dict[str, Any] = {"disable_default_eval_metric": True}
        if self.width is not None:
            found["num_class"] = self.width
        if self.pair.name == "exp+poisson":
            found["max_delta_step"] = 0.7
        if start is not None:
            found["base_score"] = np.asarray(start).tolist()
        return found

    @property
    def metric(self) -> XGBoostMetric:
        """For `custom_metric` of `xgb.train`, or `eval_metric` of the scikit-learn interface."""
        return XGBoostMetric(self)

    def scores(self, model: Any, x: Any) -> NDArray:
        """The raw scores of a Booster for a DMatrix, or of a model of the scikit-learn interface for an array."""
        return model.predict(x, output_margin=True)


@dataclass(frozen=True)
class XGBoostMetric:
    """The mean cost, named as the pair is."""

    objective: XGBoostObjective

    @property
    def __name__(self) -> str:
        return self.objective.pair.name

    def __call__(self, first: ArrayLike, second: Any, sample_weight: ArrayLike | None = None) -> Any:
        total, weight = self.objective.cost(*_given(first, second, sample_weight))
        mean = total / weight if weight else 0.0
        return (self.__name__, mean) if hasattr(second, "get_label") else mean


def _given(first: ArrayLike, second: Any, weight: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray | None]:
    """Scores, targets and weights."""
    if hasattr(second, "get_label"):
        return np.asarray(first), second.get_label(), second.get_weight()
    return np.asarray(second), np.asarray(first), None if weight is None else np.asarray(weight)
