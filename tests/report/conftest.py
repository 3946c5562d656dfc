"""Runs made up by the schema of the records: networks' scores are drawn, everything else is computed from them."""

import copy
import math

import numpy as np
import pytest

ACTIVATIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2),
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
}
LATEX = {
    "sigmoid+cross_entropy": (r"-\left[ y \ln \sigma(z) + (1-y) \ln (1-\sigma(z)) \right]", r"\sigma(z) - y"),
    "sigmoid+mse": (r"(\sigma(z) - y)^2", r"2 (\sigma(z) - y) \, \sigma(z) (1 - \sigma(z))"),
    "softmax+cross_entropy": (r"-\sum_j y_j \ln p_j , \quad p_j = \frac{e^{z_j}}{\sum_k e^{z_k}}", r"p_j - y_j"),
    "identity+mse": (r"(z - y)^2", r"2 (z - y)"),
}


def formula(pair):
    latex = LATEX.get(pair, (r"\ell(\varphi(z), y)", r"\ell'(v, y) \, \varphi'(z)"))
    out = {
        "summary": f"{pair} is a pair; where its gain cancels, the error itself goes back.",
        "formula": "l(phi(z), y)",
        "derivative": "l'(v, y) phi'(z)",
        "formula_latex": latex[0],
        "derivative_latex": latex[1],
        "reference": "Bishop, Pattern Recognition and Machine Learning (2006), section 4.3",
    }
    name = pair.partition("+")[0]
    if name in ACTIVATIONS:
        z = np.linspace(-12, 12, 121)
        value, gain = ACTIVATIONS[name]
        out["curve"] = {"z": z.tolist(), "v": value(z).tolist(), "gain": gain(z).tolist()}
    return out


def predictions(pair, z):
    return (
        np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        if pair.startswith("softmax")
        else ACTIVATIONS[pair.partition("+")[0]][0](z)
    )


def deltas(pair, z, v, y):
    if pair.endswith("cross_entropy"):
        return v - y
    inner = 2 * (v - y)
    if pair.startswith("softmax"):
        return v * (inner - (v * inner).sum(axis=1, keepdims=True))
    return inner * ACTIVATIONS[pair.partition("+")[0]][1](z)


def binned(values, n, low, high):
    counts, edges = np.histogram(values, bins=n, range=(low, high))
    return edges.tolist(), counts.tolist()


def snapshot(pair, seed, moment, epoch, z, v, y):
    error = np.abs(v - y).ravel()
    delta = np.abs(deltas(pair, z, v, y)).ravel()
    edges = np.linspace(0, 1 if y.max() <= 1 else float(error.max()), 21)
    place = np.clip(np.digitize(error, edges) - 1, 0, 19)
    count = np.bincount(place, minlength=20)
    with np.errstate(all="ignore"):
        mean = [float(delta[place == i].mean()) if count[i] else None for i in range(20)]
        gain = [
            float((delta[place == i] / np.maximum(error[place == i], 1e-12)).mean()) if count[i] else None
            for i in range(20)
        ]
    span = max(abs(float(z.min())), abs(float(z.max()))) * 1.02
    score_edges, score_counts = binned(z, 60, -span, span)
    return {
        "record": "snapshot",
        "pair": pair,
        "seed": seed,
        "moment": moment,
        "epoch": epoch,
        "scores": {"edges": score_edges, "counts": score_counts},
        "error": {"edges": edges.tolist(), "delta": mean, "gain": gain, "count": count.tolist()},
    }


def config(name, pairs, data, advice, seeds):
    return {
        "name": name,
        "created": "2025-10-01T14:05:00",
        "data": data,
        "advice": {
            "pair": advice,
            "kind": data["kind"],
            "reasons": [
                "The target has 10 classes, each row one of them.",
                "The rarest class has 174 rows, the commonest 183.",
            ],
            "alternatives": [["softmax+binary_cross_entropy", "when a row may belong to several classes"]],
            "avoid": [["sigmoid+mse", "its gradient is multiplied by the gain, 4.5e-05 at z = 10"]],
            "seen": {"values": 10, "missing": 0, "balance": {"largest": 183, "smallest": 174}},
        },
        "pairs": pairs,
        "formulas": {p: formula(p) for p in pairs},
        "settings": {
            "hidden": [64],
            "activation": "relu",
            "optimizer": "adam",
            "epochs": 60,
            "batch_size": 64,
            "seeds": seeds,
            "patience": 8,
        },
        "versions": {"costlayer": "0.1.0", "python": "3.12.3", "torch": "2.13.0+cpu"},
        "machine": "Linux, 2 cores",
    }


# How high a pair gets, how fast, how far its scores go, how slowly it learns at first.
CHARACTER = {
    "softmax+cross_entropy": (0.981, 4.0, 9.0, 0),
    "sigmoid+cross_entropy": (0.978, 4.5, 8.0, 0),
    "softmax+mse": (0.972, 7.0, 7.0, 1),
    "sigmoid+mse": (0.947, 12.0, 6.0, 4),
    "softmax+mae": (0.90, 16.0, 6.0, 4),
    "softmax+huber": (0.965, 8.0, 7.0, 2),
    "sigmoid+huber": (0.941, 12.0, 6.0, 4),
    "softmax+binary_cross_entropy": (0.979, 4.2, 9.0, 0),
}


def classes_run(
    pairs=("softmax+cross_entropy", "sigmoid+cross_entropy", "softmax+mse", "sigmoid+mse"),
    seeds=3,
    classes=10,
    epochs=60,
):
    """A study of classes: config and records."""
    names = [str(i) for i in range(classes)] if classes <= 10 else [f"species number {i}" for i in range(classes)]
    data = {
        "source": "digits",
        "rows": 1797,
        "rows_without_target": 0,
        "target": "digit",
        "kind": "classes",
        "classes": names,
        "columns": [
            {
                "name": f"pixel_{i // 8}_{i % 8}",
                "kind": "number",
                "action": "missing filled with the median; scaled",
                "features": 1,
            }
            for i in range(61)
        ],
        "dropped": [{"name": f"pixel_{i}_0", "why": "holds one value only"} for i in range(3)],
        "features": 61,
        "split": {"train": 1077, "validation": 360, "test": 360},
    }
    records = []
    for p, pair in enumerate(pairs):
        best, pace, reach, lag = CHARACTER[pair]
        for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2):
            score = 0.15 + 0.4 * (math.log10(rate) + 2.6 - 0.12 * p) ** 2
            records.append(
                {"record": "rate", "pair": pair, "learning_rate": rate, "score": score if rate < 2e-2 or p else None}
            )
        chosen = 3e-3
        for seed in range(seeds):
            rng = np.random.default_rng([p, seed])
            truth = rng.integers(classes, size=360)
            y = np.eye(classes)[truth]
            noise = rng.normal(size=y.shape)
            last = min(epochs, int(epochs - 12 * rng.random()))

            def scores_at(epoch, y=y, noise=noise, reach=reach, pace=pace, lag=lag, best=best):
                done = 1 - math.exp(-max(epoch - lag, 0.05 * epoch) / pace)
                # sigmoid+mse first learns that most targets are 0, and sinks to where its gain is nothing.
                sunk = 4.5 * math.exp(-((epoch - 6) ** 2) / 40) if pair == "sigmoid+mse" and epoch else 0.0  # noqa: B023
                center = 0.0 if pair.startswith("softmax") else -2.2 - 0.3 * reach * done - sunk  # noqa: B023
                return (
                    center + done * reach * (y - 0.1) + noise * (0.3 + done * reach * 0.24 * (1 + 6 * (0.985 - best)))
                )

            for epoch in range(last + 1):
                z = scores_at(epoch)
                v = predictions(pair, z)
                right = float((v.argmax(1) == truth).mean())
                error, delta = np.abs(v - y), np.abs(deltas(pair, z, v, y))
                wiggle = 1 + 0.03 * rng.normal()
                loss = (
                    float(-(y * np.log(np.clip(v, 1e-9, 1))).sum(1).mean())
                    if "cross" in pair
                    else float(((v - y) ** 2).mean())
                )
                records.append(
                    {
                        "record": "epoch",
                        "pair": pair,
                        "seed": seed,
                        "epoch": epoch,
                        "train_loss": loss * 0.8 * wiggle,
                        "validation_loss": loss * wiggle,
                        "metrics": {
                            "accuracy": right,
                            "macro_f1": right * 0.998,
                            "log_loss": loss * 1.1,
                            "brier": float(((v - y) ** 2).sum(1).mean()),
                            "ece": 0.02 + 0.05 * math.exp(-epoch / 8),
                            "auc": None,
                        },
                        "gradient_norm": [float(delta.mean()) * 2.1 * wiggle, float(delta.mean()) * 6.0 / wiggle],
                        "starved": float(((error > 0.5) & (delta < 0.01 * error)).mean()),
                        "seconds": 0.08,
                    }
                )
                if epoch in (0, last // 2, last):
                    moment = {0: "start", last: "end"}.get(epoch, "middle")
                    records.append(snapshot(pair, seed, moment, epoch, z, v, y))
            confusion = np.zeros((classes, classes), int)
            np.add.at(confusion, (truth, v.argmax(1)), 1)
            confidence, hit = v.max(1), (v.argmax(1) == truth).astype(float)
            place = np.clip((confidence * 10).astype(int), 0, 9)
            n = np.bincount(place, minlength=10)
            mean = lambda x, place=place, n=n: [float(x[place == i].mean()) if n[i] else None for i in range(10)]  # noqa: E731
            records.append(
                {
                    "record": "final",
                    "pair": pair,
                    "seed": seed,
                    "epoch": last - 8,
                    "learning_rate": chosen,
                    "metrics": {
                        "accuracy": right,
                        "macro_f1": right * 0.997,
                        "log_loss": loss,
                        "brier": 0.03 + p * 0.01,
                        "ece": 0.011 + 0.02 * p,
                        "auc": None,
                    },
                    "calibration": {"predicted": mean(confidence), "observed": mean(hit), "count": n.tolist()},
                    "confusion": confusion.tolist(),
                    "residuals": None,
                    "regions": None,
                    "stopped": "early" if last < epochs else "epochs",
                    "seconds": 4.9,
                }
            )
    records.append(
        verdict(
            records, pairs, "accuracy", True, "softmax+cross_entropy" if "softmax+cross_entropy" in pairs else pairs[0]
        )
    )
    return config("digits", list(pairs), data, pairs[0], seeds), records


def verdict(records, pairs, metric, higher, advised):
    rows = []
    for pair in pairs:
        values = [r["metrics"][metric] for r in records if r["record"] == "final" and r["pair"] == pair]
        rows.append(
            {
                "pair": pair,
                "mean": float(np.mean(values)),
                "spread": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "values": values,
            }
        )
    rows.sort(key=lambda r: -r["mean"] if higher else r["mean"])
    difference = abs(rows[0]["mean"] - rows[1]["mean"]) if len(rows) > 1 else None
    return {
        "record": "verdict",
        "winner": rows[0]["pair"],
        "advised": advised,
        "metric": metric,
        "higher_is_better": higher,
        "ranking": rows,
        "difference": difference,
        "larger_than_spread": False,
        "sentence": f"{rows[0]['pair']} won with {metric} {rows[0]['mean']:.3f} on the test rows, over "
        f"{len(rows[0]['values'])} seeds; "
        + (
            f"{rows[1]['pair']} follows {difference:.3f} behind, less than the spread between seeds."
            if len(rows) > 1
            else "it was the only pair."
        ),
    }


def values_run(seeds=3):
    """A study of values: two pairs of a regression."""
    pairs = ["identity+mse", "identity+huber"]
    data = {
        "source": "houses.csv",
        "rows": 2930,
        "rows_without_target": 4,
        "target": "price",
        "kind": "real",
        "classes": None,
        "columns": [
            {"name": "area", "kind": "number", "action": "missing filled with the median; scaled", "features": 1},
            {
                "name": "<b>street</b>",
                "kind": "category",
                "action": "one feature a level, 3 rare levels grouped",
                "features": 9,
            },
            {"name": "sold", "kind": "date", "action": "year, month and weekday", "features": 3},
        ],
        "dropped": [{"name": "id", "why": "a different value in every row"}],
        "features": 13,
        "split": {"train": 1756, "validation": 585, "test": 585},
    }
    records = []
    for p, pair in enumerate(pairs):
        tried = {1e-3: 1.2, 1e-2: 0.2, 1e-1: None}
        records += [{"record": "rate", "pair": pair, "learning_rate": r, "score": s} for r, s in tried.items()]
        for seed in range(seeds):
            rng = np.random.default_rng([9, p, seed])
            y = rng.gamma(3.0, 60.0, size=(400, 1))
            noise = rng.normal(size=y.shape) * 18
            for epoch in range(31):
                done = 1 - math.exp(-epoch / (5 + 2 * p))
                v = 180 + done * (y - 180) * 0.95 + noise
                error = np.abs(v - y)
                r2 = float(1 - ((v - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())
                metrics = {
                    "r2": r2,
                    "mae": float(error.mean()),
                    "rmse": float((error**2).mean() ** 0.5),
                    "poisson_deviance": None,
                }
                records.append(
                    {
                        "record": "epoch",
                        "pair": pair,
                        "seed": seed,
                        "epoch": epoch,
                        "train_loss": metrics["rmse"] ** 2 * 0.9,
                        "validation_loss": metrics["rmse"] ** 2,
                        "metrics": metrics,
                        "gradient_norm": [2.0 + done, 1.0, 0.5],
                        "starved": 0.0,
                        "seconds": 0.1,
                    }
                )
                if epoch in (0, 15, 30):
                    records.append(
                        snapshot(
                            "identity+mse", seed, {0: "start", 15: "middle", 30: "end"}[epoch], epoch, v / 60, v, y
                        )
                        | {"pair": pair}
                    )
            records.append(
                {
                    "record": "final",
                    "pair": pair,
                    "seed": seed,
                    "epoch": 30,
                    "learning_rate": 0.01,
                    "metrics": metrics,
                    "calibration": None,
                    "confusion": None,
                    "residuals": {"predicted": v[:, 0].tolist(), "residual": (y - v)[:, 0].tolist()},
                    "regions": None,
                    "stopped": "epochs",
                    "seconds": 3.2,
                }
            )
    records.append(verdict(records, pairs, "r2", True, "identity+huber"))
    return config("houses", pairs, data, "identity+huber", seeds), records


def plane_run():
    """Two features and three classes: decision regions."""
    settings, records = classes_run(("softmax+cross_entropy", "sigmoid+mse"), seeds=1, classes=3, epochs=20)
    x, y = np.linspace(-2, 2, 40), np.linspace(-1, 3, 40)
    rng = np.random.default_rng(3)
    points = rng.uniform([-2, -1], [2, 3], size=(80, 2))
    for k, r in enumerate(r for r in records if r["record"] == "final"):
        inside = lambda a, b, k=k: np.where(a**2 + (b - 1) ** 2 < 1 - 0.3 * k, 0, np.where(a + 0.4 * b > 0.4, 1, 2))  # noqa: E731
        r["regions"] = {
            "x": {"name": "petal <width>", "values": x.tolist()},
            "y": {"name": "petal length", "values": y.tolist()},
            "prediction": inside(x[None, :], y[:, None]).tolist(),
            "points": {
                "x": points[:, 0].tolist(),
                "y": points[:, 1].tolist(),
                "target": inside(points[:, 0], points[:, 1], 0).tolist(),
            },
        }
    settings["data"]["classes"] = ["setosa", "versicolor", "virginica"]
    return settings, records


MADE: dict = {}


@pytest.fixture
def made():
    """A run by the name of its maker and its arguments; each test gets its own copy."""

    def make(maker, *args, **kwargs):
        key = (maker, repr(args), repr(kwargs))
        if key not in MADE:
            MADE[key] = globals()[maker](*args, **kwargs)
        return copy.deepcopy(MADE[key])

    return make
