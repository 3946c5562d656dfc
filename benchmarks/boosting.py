"""The time of a boosting round with a pair, beside that of the library's own objective."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from _measure import Results, cores, figure, interleaved, ratio

from costlayer.boosting import objective

EXAMPLES, FEATURES, CLASSES, ROUNDS = 100_000, 20, 5, 10
LIMIT = 1.3  # times the built-in objective
FEWER = 10_000  # examples for CatBoost's classes, which are handed over one at a time
CATBOOST = {
    "iterations": ROUNDS,
    "random_strength": 0,
    "bootstrap_type": "No",
    "boosting_type": "Plain",
    "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1,
    "leaf_estimation_backtracking": "No",
    "metric_period": ROUNDS,
    "boost_from_average": False,
    "allow_writing_files": False,
    "verbose": False,
}
THREADS = cores()
CASES = [  # library, pair, built-in objective, threads
    ("xgboost", "sigmoid+cross_entropy", "binary:logistic", THREADS),
    ("xgboost", "identity+mse", "reg:squarederror", THREADS),
    ("xgboost", "exp+poisson", "count:poisson", THREADS),
    ("xgboost", "softmax+cross_entropy", "multi:softprob", THREADS),
    ("lightgbm", "sigmoid+cross_entropy", "binary", THREADS),
    ("lightgbm", "identity+mse", "regression", THREADS),
    ("lightgbm", "exp+poisson", "poisson", THREADS),
    ("lightgbm", "softmax+cross_entropy", "multiclass", THREADS),
    ("catboost", "sigmoid+cross_entropy", "Logloss", THREADS),
    ("catboost", "identity+mse", "RMSE", THREADS),
    ("catboost", "exp+poisson", "Poisson", THREADS),
    ("catboost", "softmax+cross_entropy", "MultiClass", THREADS),
    ("catboost", "sigmoid+cross_entropy", "Logloss", 1),
    ("catboost", "identity+mse", "RMSE", 1),
    ("catboost", "exp+poisson", "Poisson", 1),
    ("catboost", "softmax+cross_entropy", "MultiClass", 1),
]
NOTES = (
    f"{EXAMPLES:,} examples of {FEATURES} features ({FEWER:,} for softmax with CatBoost), {CLASSES} classes for "
    "softmax; trees by each library's defaults, for CatBoost without its random parts and with one Newton step for "
    "each leaf. Data that the library has prepared for training are at hand, and so are compiled kernels; no metric is "
    f"computed but CatBoost's at the first and the last round. The time of {ROUNDS} rounds, divided by {ROUNDS}; "
    "medians of interleaved runs. Both objectives are seen to grow the same trees first: their scores agree.\n\n"
    "CatBoost calls Python for some hundred examples at a time (`calc_ders_range`), and where there are several "
    "classes for each example by itself, several times a round (`calc_ders_multi`), from all its threads, which wait "
    "for each other there. *Calls alone* is the time of a round with an objective that returns constants: no objective "
    "in Python can be faster. With one thread nobody waits. For softmax pairs XGBoost and LightGBM are the libraries "
    "to use."
)


def main() -> None:
    with Results(
        "boosting", "A boosting round with a pair and with the built-in objective", NOTES, len(CASES)
    ) as results:
        rows = results.table(
            ["library", "pair", "built-in", "threads", "built-in, ms", "costlayer, ms", "calls alone, ms", "ratio"]
        )
        for library, pair, built_in, threads in CASES:
            case = f"{library} {pair}, {threads} threads"
            results.begin(case)
            cases = dict(_cases(library, pair, built_in, threads))
            seconds = {name: s and s / ROUNDS for name, s in interleaved(cases, budget=10.0).items()}
            results.cases.append(
                {"library": library, "pair": pair, "built_in": built_in, "threads": threads, "seconds": seconds}
            )
            found = results.bound(
                f"{library} {pair}", "time of a round, by that of the built-in objective",
                ratio(seconds["costlayer"], seconds["built_in"]), LIMIT,
            )  # fmt: skip
            times = (figure(seconds.get(name), 1e3) for name in ("built_in", "costlayer", "calls_alone"))
            rows.append([library, pair, built_in, str(threads), *times, found])


def _cases(library: str, pair: str, built_in: str, threads: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What trains with either, seen to give the same scores."""
    random = np.random.default_rng(0)
    few = library == "catboost" and pair.startswith("softmax")
    x = random.normal(size=(FEWER if few else EXAMPLES, FEATURES)).astype(np.float32)
    truth = x[:, 0] + np.sin(2 * x[:, 1]) + 0.5 * x[:, 2] * x[:, 3]
    y = {
        "sigmoid+cross_entropy": truth + random.logistic(size=len(x)) > 0,
        "identity+mse": truth + random.normal(size=len(x)),
        "exp+poisson": random.poisson(np.exp(truth / 2)),
        "softmax+cross_entropy": np.digitize(truth, [-1.5, -0.5, 0.5, 1.5]),
    }[pair].astype(np.float32)
    ours = objective(pair, library, classes=CLASSES if pair.startswith("softmax") else None)
    start = ours.margin(np.zeros(CLASSES) if ours.classes else 0.0, len(x))
    train = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}[library]
    train = train(ours, built_in, x, y, start, threads)
    a, b = (train[name]() for name in ("built_in", "costlayer"))
    apart = np.abs(a - b).max()
    if not apart < 1e-3 * np.abs(a).max():
        raise ArithmeticError(f"{library} with {pair} and with {built_in} differ by {apart} in their scores")
    for name, run in train.items():
        yield name, partial(run, scores=False)


def _xgboost(ours, built_in: str, x, y, start, threads: int) -> dict[str, Callable]:
    import xgboost as xgb

    data = xgb.QuantileDMatrix(x, y, base_margin=start)
    how = {"nthread": threads, **({"num_class": CLASSES} if ours.classes else {}), "disable_default_eval_metric": True}

    def train(params, scores=True, **obj):
        model = xgb.train({**how, **params}, data, ROUNDS, **obj)
        return model.predict(data, output_margin=True) if scores else model

    return {
        "built_in": partial(train, {"objective": built_in}),
        "costlayer": partial(train, ours.params(), obj=ours),
    }


def _lightgbm(ours, built_in: str, x, y, start, threads: int) -> dict[str, Callable]:
    import lightgbm as lgb

    how = {"num_threads": threads, "verbosity": -1, "metric": "none", "force_col_wise": True}
    data = lgb.Dataset(x, y, init_score=start, free_raw_data=False, params=how).construct()

    def train(params, scores=True):
        model = lgb.train({**how, **params}, data, ROUNDS)
        return model.predict(x, raw_score=True) if scores else model

    theirs = {"objective": built_in, **({"num_class": CLASSES} if ours.classes else {})}
    return {"built_in": partial(train, theirs), "costlayer": partial(train, ours.params())}


def _catboost(ours, built_in: str, x, y, start, threads: int) -> dict[str, Callable]:
    import catboost as cb

    data = cb.Pool(x, y, baseline=start)
    data.quantize()

    def train(params, scores=True):
        model = cb.CatBoost({**CATBOOST, "thread_count": threads, **params}).fit(data)
        return model.predict(x, prediction_type="RawFormulaVal") if scores else model

    theirs = {"loss_function": built_in}
    alone = {**ours.params(), "loss_function": Constants(ours.classes or 1)}
    return {
        "built_in": partial(train, theirs),
        "costlayer": partial(train, ours.params()),
        "calls_alone": partial(train, alone),
    }


class Constants:
    """An objective of CatBoost that computes nothing."""

    no_jit = True

    def __init__(self, classes: int) -> None:
        self.one = [1.0 - j for j in range(classes)], (-np.eye(classes)).tolist()

    def calc_ders_range(self, approxes, targets, weights):
        found = np.full((len(approxes), 2), -1.0)
        found[::2, 0] = 1.0
        return found

    def calc_ders_multi(self, approx, target, weight):
        return self.one


if __name__ == "__main__":
    main()
