"""Trains on the handwritten digits of scikit-learn with Keras: saves the model, loads it, and predicts."""

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # or jax: before keras is imported

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import costlayer
from costlayer.keras import CostLayerLoss, Prediction

PAIR = "softmax+cross_entropy"


def network(start: Any, width: int = 64) -> Any:
    """Ends in scores, which at first are `start`."""
    last: Any = keras.layers.Dense(len(start))
    hidden = keras.layers.Dense(width, activation="relu")
    model = keras.Sequential([keras.layers.Input((64,)), hidden, last])
    last.bias.assign(start)
    return model


def main(epochs: int = 20) -> tuple[float, float]:
    keras.utils.set_random_seed(0)
    digits: Any = load_digits()
    parts: Any = train_test_split(np.float32(digits.data / 16), digits.target, test_size=0.25, random_state=0)
    x, x_test, y, y_test = parts

    model = network(costlayer.constant(PAIR, y))
    model.compile(keras.optimizers.Adam(3e-3), CostLayerLoss(PAIR), metrics=["sparse_categorical_accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "digits.keras")
        again: Any = keras.saving.load_model(Path(folder) / "digits.keras")
    cost, _ = again.evaluate(x_test, y_test, verbose=0)

    served: Any = keras.Sequential([again, Prediction(PAIR)])
    probabilities = served.predict(x_test, verbose=0)
    accuracy = float((probabilities.argmax(axis=1) == y_test).mean())
    print(f"held out: accuracy {accuracy:.3f}, mean cost {cost:.4f}")
    return accuracy, cost


if __name__ == "__main__":
    main()
