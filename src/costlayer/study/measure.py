"""What is measured of a network's outputs: metrics, calibration, starvation, and where the scores lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from costlayer.sklearn.encoding import Encoding

STARVED_GAIN = 0.01
"""An output is starved when it is wrong by more than half the target's span and less than this share of its error
reaches the score."""

HIGHER_IS_BETTER = {
    "accuracy": True,
    "macro_f1": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "auc": True,
    "r2": True,
    "mae": False,
    "rmse": False,
    "poisson_deviance": False,
}
"""Every metric, and whether more of it is better."""

_CLASSES, _NUMBERS = tuple(HIGHER_IS_BETTER)[:6], tuple(HIGHER_IS_BETTER)[6:]
_BINS = 10


def metrics(encoding: Encoding, y: np.ndarray, v: np.ndarray) -> dict[str, float | None]:
    """The metrics of outputs `v` (N, outputs) for targets `y` (N,), in the target's own units; None where undefined.

    Classes: accuracy, macro F1, log loss, Brier score (for two classes the squared error of one probability, for more
    the sum over the classes), expected calibration error, and the area under the ROC curve (one against the rest,
    averaged over the classes). Numbers: R², MAE, RMSE, Poisson deviance.
    """
    if not np.isfinite(v).all():
        return dict.fromkeys(_CLASSES if encoding.classes else _NUMBERS)
    found = _of_classes(encoding, y, v) if encoding.classes else _of_numbers(y, encoding.values(v))
    return {name: number(value) for name, value in found.items()}


def number(value: Any) -> float | None:
    """A float for the records, where NaN and infinity are null."""
    return None if value is None or not np.isfinite(value) else float(value)


def _of_classes(encoding: Encoding, y: np.ndarray, v: np.ndarray) -> dict[str, Any]:
    counts = confusion(encoding, y, v)
    hit, truth, said = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    met = truth + said > 0
    found: dict[str, Any] = {
        "accuracy": hit.sum() / len(y),
        "macro_f1": (2 * hit[met] / (truth + said)[met]).mean(),
        "log_loss": None,
        "brier": None,
        "ece": None,
    }
    p = encoding.probabilities(v)
    if p is not None:
        of_truth = np.clip(p[np.arange(len(y)), y], np.finfo(np.float64).eps, 1.0)
        wrong = p.copy()
        wrong[np.arange(len(y)), y] -= 1
        squared = (wrong**2).sum(axis=1)
        _, observed, predicted, count = _reliability(y, p)
        found["log_loss"] = -np.log(of_truth).mean()
        found["brier"] = squared.mean() / (2 if encoding.classes == 2 else 1)
        found["ece"] = np.abs(observed - predicted) @ count / len(y)
    found["auc"] = _auc(y, v if p is None else p, encoding.classes)
    return found


def _auc(y: np.ndarray, v: np.ndarray, classes: int) -> float | None:
    """The chance that a row of a class scores higher than a row of another, ties counting half; mean over classes."""
    counts = np.bincount(y, minlength=classes)
    if (counts == 0).any() or (counts == len(y)).any():
        return None
    ranks = rankdata(v, axis=0)
    of = [1] if classes == 2 else np.arange(classes)
    own, counts = np.array([ranks[y == k, k if len(of) > 1 else -1].sum() for k in of]), counts[of]
    return float(((own - counts * (counts + 1) / 2) / (counts * (len(y) - counts))).mean())


def _of_numbers(y: np.ndarray, v: np.ndarray) -> dict[str, Any]:
    squared = (y - v) ** 2
    spread = ((y - y.mean()) ** 2).mean()
    deviance = None
    if y.min() >= 0 and v.min() > 0:
        deviance = 2 * (np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / v), 0) - y + v).mean()
    return {
        "r2": 1 - squared.mean() / spread if spread else None,
        "mae": np.abs(y - v).mean(),
        "rmse": np.sqrt(squared.mean()),
        "poisson_deviance": deviance,
    }


def confusion(encoding: Encoding, y: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How often each class (row) was taken for each (column), (K, K)."""
    k = encoding.classes
    return np.bincount(y * k + encoding.decide(v), minlength=k * k).reshape(k, k)


def _reliability(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bins of equal width: how sure the network was there, how often it came true, how many rows."""
    if p.shape[1] == 2:
        sure, true = p[:, 1], y == 1
    else:
        sure, true = p.max(axis=1), p.argmax(axis=1) == y
    at = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    count = np.bincount(at, minlength=_BINS)
    full = count > 0
    predicted = np.bincount(at, sure, _BINS)[full] / count[full]
    observed = np.bincount(at, true, _BINS)[full] / count[full]
    return full, observed, predicted, count[full]


def calibration(encoding: Encoding, y: np.ndarray, v: np.ndarray) -> dict[str, list] | None:
    """Predicted against observed frequency in ten bins of equal width: of the second class when there are two, else of
    the predicted class; empty bins are left out. None for numbers and for outputs that are no probabilities."""
    p = encoding.probabilities(v) if encoding.classes else None
    if p is None or not np.isfinite(p).all():
        return None
    _, observed, predicted, count = _reliability(y, p)
    return {"predicted": predicted.tolist(), "observed": observed.tolist(), "count": count.tolist()}


def residuals(encoding: Encoding, y: np.ndarray, v: np.ndarray, most: int = 2000) -> dict[str, list] | None:
    """Predicted values and y − predicted, of at most `most` rows; None for classes."""
    if encoding.classes:
        return None
    rows = np.random.default_rng(0).permutation(len(y))[:most]
    predicted = encoding.values(v[rows])
    return {
        "predicted": [number(value) for value in predicted],
        "residual": [number(value) for value in y[rows] - predicted],
    }


def starved(encoding: Encoding, y: np.ndarray, v: np.ndarray, delta: np.ndarray) -> tuple[float, float]:
    """The share of outputs that are starved, and the share that are wrong by more than half the target's span.

    Starved are those of the wrong ones, |v − y| > span / 2, of whose error less than 0.01 reaches the score,
    |δ| / |v − y| < 0.01.
    """
    error = encoding.error(v, y)
    wrong = error > encoding.span / 2
    return float((wrong & (np.abs(delta) < STARVED_GAIN * error)).mean()), float(wrong.mean())


def snapshot(encoding: Encoding, y: np.ndarray, z: np.ndarray, v: np.ndarray, delta: np.ndarray) -> dict[str, Any]:
    """Where the scores lie, and how much of each error reaches them: `scores` and `error` of a snapshot record.

    One score of a softmax says nothing by itself; in its place stands what it is ahead of the others, the log-odds of
    its output, of which the output is the sigmoid. So do the scores of sparse probabilities: there it is the best of
    the others that counts.
    """
    alone = log_odds if encoding.pair.startswith("softmax+") else lead if encoding.index else np.float64
    counts, edges = np.histogram(alone(z), bins=40)
    error, size = encoding.error(v, y).ravel(), np.abs(delta.astype(np.float64)).ravel()
    bins = 20
    at = np.minimum(error / encoding.span * bins, bins - 1).astype(np.int64)
    count = np.bincount(at, minlength=bins)
    gain = np.divide(size, error, out=np.zeros_like(size), where=error > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_delta, mean_gain = np.bincount(at, size, bins) / count, np.bincount(at, gain, bins) / count
    return {
        "scores": {"edges": edges.tolist(), "counts": counts.tolist()},
        "error": {
            "edges": np.linspace(0, encoding.span, bins + 1).tolist(),
            "delta": [number(value) for value in mean_delta],
            "gain": [number(value) for value in mean_gain],
            "count": count.tolist(),
        },
    }


def lead(z: np.ndarray) -> np.ndarray:
    """Each score less the best of the others, float64 (N, K).

    >>> lead(np.array([[1.0, 0.0, -2.0]]))
    array([[ 1., -1., -3.]])
    """
    z = z.astype(np.float64)
    second, best = np.partition(z, -2, axis=1)[:, -2:].T[:, :, None]
    return z - np.where(np.arange(z.shape[1]) == z.argmax(axis=1)[:, None], second, best)


def log_odds(z: np.ndarray) -> np.ndarray:
    """ln(v / (1 − v)) of each softmax output: its score less the logsumexp of the others, float64 (N, K).

    >>> log_odds(np.array([[1.0, 0.0]]))
    array([[ 1., -1.]])
    """
    z = z.astype(np.float64)
    best = z.argmax(axis=1)[:, None]
    rest = z.copy()
    np.put_along_axis(rest, best, -np.inf, axis=1)
    top, rest = np.take_along_axis(z, best, axis=1), np.logaddexp.reduce(rest, axis=1)[:, None]
    log_v = z - np.logaddexp(top, rest)
    with np.errstate(divide="ignore"):
        odds = log_v - np.log1p(-np.exp(log_v))
    np.put_along_axis(odds, best, top - rest, axis=1)  # where 1 − v has no digits
    return odds
