"""Pairs as objectives of gradient boosting: XGBoost, LightGBM and CatBoost."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, overload

from costlayer.boosting.catboost import CatBoostObjective as CatBoostObjective
from costlayer.boosting.lightgbm import LightGBMObjective as LightGBMObjective
from costlayer.boosting.objective import Objective as Objective
from costlayer.boosting.xgboost import XGBoostObjective as XGBoostObjective
from costlayer.catalogue import pair as as_pair
from costlayer.errors import InvalidValue, MissingExtra, nearest
from costlayer.pair import Pair

__all__ = ["CatBoostObjective", "LightGBMObjective", "Objective", "XGBoostObjective", "objective"]

OBJECTIVES = {kind.library: kind for kind in (XGBoostObjective, LightGBMObjective, CatBoostObjective)}


@overload
def objective(
    pair: str | Pair, library: Literal["xgboost"], classes: int | None = ..., **how: float
) -> XGBoostObjective: ...
@overload
def objective(
    pair: str | Pair, library: Literal["lightgbm"], classes: int | None = ..., **how: float
) -> LightGBMObjective: ...
@overload
def objective(
    pair: str | Pair, library: Literal["catboost"], classes: int | None = ..., **how: float
) -> CatBoostObjective: ...
@overload
def objective(pair: str | Pair, library: str, classes: int | None = ..., **how: float) -> Objective: ...
def objective(pair: str | Pair, library: str, classes: int | None = None, **how: float) -> Objective:
    """A pair as the custom objective of a library for gradient boosting.

    Arguments:
        pair: a pair or its name.
        library: "xgboost", "lightgbm" or "catboost".
        classes: how many classes there are, for pairs whose targets are class indices; None for the others.
        how: `scale`, `damping`, `flat` and `floor` of the gradients and curvatures that the trees are grown by, as
            `costlayer.boosting.objective.Objective` describes them. By their defaults the trees are those of the
            library's own objective, where it has one.

    Returns an object that the library takes for an objective, and that knows what goes with it: `params`, `start`,
    `margin`, `metric`, `scores` and `predict`.
    Errors: `InvalidValue` for an unknown library, for a pair that it cannot express, with the reason, and for a number
    out of its interval; `MissingExtra` where the library is not installed.

    >>> import numpy as np
    >>> focal = objective("sigmoid+focal", "lightgbm")
    >>> start = focal.start(np.array([1.0, 0.0, 0.0, 0.0]))
    >>> focal.params()["metric"]
    'none'
    >>> np.round(focal.predict(start + np.array([0.0, 1.0])), 3)
    array([0.306, 0.545])
    """
    if library not in OBJECTIVES:
        known = "one of " + ", ".join(map(repr, OBJECTIVES))
        raise InvalidValue("library", repr(library), known, nearest(library, OBJECTIVES))
    if find_spec(library) is None:
        raise MissingExtra(library, "boosting")
    return OBJECTIVES[library](as_pair(pair), classes, **how)
