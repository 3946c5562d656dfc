"""Boosted trees when some labels are wrong: the bundled digits, with labels of the training set drawn by lot.

    python examples/boosting.py [--library lightgbm] [--wrong 0.4] [--seeds 5] [--rounds 60]
    python examples/boosting.py --library xgboost --rounds 150

Cross entropy, which XGBoost and LightGBM have built in, follows every label, the wrong ones most of all. Generalised
cross entropy (Zhang and Sabuncu 2018), which neither has, lets go of labels that the trees find very unlikely. Both
grow from the same data by the same settings; the labels of the test set are all right. Of cross entropy the round that
is best on the test set is shown too, which nobody could have known: that is more than stopping early could give it.
"""

import argparse
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from costlayer.boosting import Objective, objective
from costlayer.errors import SaturationWarning

CLASSES = 10
# gce sends back little from labels that it does not believe: that is why it is taken here
warnings.filterwarnings("ignore", "softmax.gce starves", SaturationWarning)


def data(wrong: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The digits for training, a share of their labels replaced by a class drawn by lot, and those for testing."""
    x, y = load_digits(return_X_y=True)
    parts: Any = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y)
    x, x_test, y, y_test = parts
    random = np.random.default_rng(seed)
    return x, np.where(random.random(len(y)) < wrong, random.integers(0, CLASSES, len(y)), y), x_test, y_test


def accuracies(library: str, loss: Objective | str, rounds: int, x, y, x_test, y_test) -> np.ndarray:
    """The share of the test set that is right after each round, with a pair or a built-in objective."""
    scores = (_xgboost if library == "xgboost" else _lightgbm)(loss, rounds, x, y, x_test)
    return np.array([(z.argmax(axis=1) == y_test).mean() for z in scores])


def _xgboost(loss, rounds, x, y, x_test):
    import xgboost as xgb

    how = {"max_depth": 4, "eta": 0.1, "nthread": 2}
    train, test = xgb.DMatrix(x, y), xgb.DMatrix(x_test)
    if isinstance(loss, str):
        model = xgb.train({**how, "objective": loss, "num_class": CLASSES}, train, rounds)
    else:
        model = xgb.train({**how, **loss.params(loss.start(y))}, train, rounds, obj=loss)
    return [model.predict(test, output_margin=True, iteration_range=(0, k)) for k in range(1, rounds + 1)]


def _lightgbm(loss, rounds, x, y, x_test):
    import lightgbm as lgb

    how = {"num_leaves": 15, "learning_rate": 0.1, "num_threads": 2, "verbosity": -1}
    if isinstance(loss, str):
        model, start = lgb.train({**how, "objective": loss, "num_class": CLASSES}, lgb.Dataset(x, y), rounds), 0.0
    else:
        start = loss.start(y)
        train = lgb.Dataset(x, y, init_score=loss.margin(start, len(y)))
        model = lgb.train({**how, **loss.params()}, train, rounds)
    after = range(1, rounds + 1)
    return [np.asarray(model.predict(x_test, raw_score=True, num_iteration=k)) + start for k in after]


def compare(library: str, wrong: float, seeds: int, rounds: int) -> dict[str, np.ndarray]:
    """For each seed the accuracy with cross entropy, at its end and at its best, and with generalised cross entropy."""
    built_in = {"xgboost": "multi:softprob", "lightgbm": "multiclass"}[library]
    gce = objective("softmax+gce", library, classes=CLASSES)
    found: dict[str, list[float]] = {"built in": [], "built in, best round": [], "softmax+gce": []}
    for seed in range(seeds):
        parts = data(wrong, seed)
        theirs, ours = (accuracies(library, loss, rounds, *parts) for loss in (built_in, gce))
        for name, accuracy in zip(found, (theirs[-1], theirs.max(), ours[-1]), strict=True):
            found[name].append(accuracy)
    return {name: np.array(each) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--library", choices=["xgboost", "lightgbm"], default="lightgbm")
    parser.add_argument("--wrong", type=float, default=0.4, help="the share of labels drawn by lot")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    for name, accuracy in compare(given.library, given.wrong, given.seeds, given.rounds).items():
        each = " ".join(f"{a:.3f}" for a in accuracy)
        print(f"{name:22} {accuracy.mean():.3f}  (each: {each})")


if __name__ == "__main__":
    main()
