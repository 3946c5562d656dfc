"""Pairs as objectives of LightGBM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costlayer.boosting.objective import Objective
from costlayer.errors import InvalidValue

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class LightGBMObjective(Objective):
    """`lgb.train(objective.params(), lgb.Dataset(x, y, init_score=objective.margin(start, len(y))),
    feval=objective.metric)`, or `LGBMRegressor(**objective.params()).fit(x, y, init_score=..., eval_metric=...)`."""

    library = "lightgbm"
    terms = {"z": "preds", "y": "label", "weight": "weight"}  # noqa: RUF012

    def __call__(self, first: ArrayLike, second: Any, weight: ArrayLike | None = None) -> tuple[NDArray, NDArray]:
        """Gradients and curvatures in the shape of the scores: of `(preds, train_data)` as `lgb.train` calls, or of
        `(y_true, y_pred, weight)` as the scikit-learn interface does."""
        return self.gradients(*_given(first, second, weight))

    def _damping(self) -> float:
        if self.classes is not None:
            return self.classes / (self.classes - 1.0)
        return math.exp(0.7) if self.pair.name == "exp+poisson" else 1.0

    def params(self, start: float | NDArray | None = None) -> dict[str, Any]:
        """The objective, `num_class`, and no metric beside the one that is handed over as `feval`.

        `start` has no parameter: it is given to each data set as `init_score=objective.margin(start, N)`, and after
        training to the model by `with_start`.
        """
        found: dict[str, Any] = {"objective": self, "metric": "none"}
        if self.width is not None:
            found["num_class"] = self.width
        return found

    @property
    def metric(self) -> LightGBMMetric:
        """For `feval` of `lgb.train`, or `eval_metric` of the scikit-learn interface."""
        return LightGBMMetric(self)

    def with_start(self, model: Any, start: float | NDArray) -> Any:
        """The model, with the scores that training started from put into its first trees: once, after training.

        LightGBM forgets the `init_score` of a data set, so that a model predicts without it wherever it is used.
        """
        booster = getattr(model, "booster_", model)
        if booster.params.get("linear_tree"):
            raise InvalidValue(
                "model", "one of linear trees", "trees of constant leaves", "Add the start to the scores of each call."
            )
        trees = booster.dump_model(num_iteration=1)["tree_info"]
        for tree, own in zip(trees, np.atleast_1d(start), strict=True):
            for leaf in range(tree["num_leaves"]):
                booster.set_leaf_output(
                    tree["tree_index"], leaf, booster.get_leaf_output(tree["tree_index"], leaf) + own
                )
        return model

    def scores(self, model: Any, x: Any) -> NDArray:
        """The raw scores of a Booster or of a model of the scikit-learn interface."""
        return model.predict(x, raw_score=True)


@dataclass(frozen=True)
class LightGBMMetric:
    """The mean cost, named as the pair is."""

    objective: LightGBMObjective

    def __call__(self, first: ArrayLike, second: Any, weight: ArrayLike | None = None) -> tuple[str, float, bool]:
        total, weights = self.objective.cost(*_given(first, second, weight))
        return self.objective.pair.name, total / weights if weights else 0.0, False


def _given(first: ArrayLike, second: Any, weight: ArrayLike | None) -> tuple[NDArray, NDArray, NDArray | None]:
    """Scores, targets and weights."""
    if hasattr(second, "get_label"):
        return np.asarray(first), second.get_label(), second.get_weight()
    return np.asarray(second), np.asarray(first), None if weight is None else np.asarray(weight)
