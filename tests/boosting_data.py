"""Small data with every kind of target, for the tests of gradient boosting."""

import numpy as np

N, CLASSES = 600, 4
_random = np.random.default_rng(0)
X = _random.normal(size=(N, 6))
TRUTH = X[:, 0] + np.sin(2 * X[:, 1]) + 0.5 * X[:, 2] * X[:, 3]
WEIGHT = _random.uniform(0.5, 1.5, N)
TARGETS = {
    "yes_or_no": (_random.random(N) < 1 / (1 + np.exp(-TRUTH))).astype(float),
    "share": np.clip(_random.normal(0.5 + TRUTH / 8, 0.1), 0, 1),
    "class": np.digitize(TRUTH + _random.normal(0, 0.3, N), [-1.0, 0.0, 1.0]),
    "number": 3 * TRUTH + _random.normal(size=N),
    "count": _random.poisson(np.exp(TRUTH / 2)).astype(float),
    "positive": _random.gamma(2.0, np.exp(TRUTH / 2) / 2) + 1e-3,
}
LOGITS = np.log(np.bincount(TARGETS["class"]) / N)  # of the classes: a start that differs from class to class
