"""Trains on the digits of scikit-learn with Keras: a model of scores, a pair as its loss, and predictions behind it."""

import os
import tempfile
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # or "jax"; before keras is imported

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import costlayer as cl
from costlayer.keras import CostLayerLoss, Prediction


def main(epochs: int = 20) -> tuple[float, float]:
    keras.utils.set_random_seed(0)
    digits: Any = load_digits()
    parts: Any = train_test_split(np.float32(digits.data / 16), digits.target, test_size=0.25, random_state=0)
    x, x_test, y, y_test = parts
    model: Any = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)])
    model.layers[-1].bias.assign(cl.constant("softmax+cross_entropy", y))  # at first it predicts the frequencies
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=CostLayerLoss("softmax+cross_entropy"),
        metrics=["sparse_categorical_accuracy"],
    )
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    cost, accuracy = model.evaluate(x_test, y_test, verbose=0)
    served: Any = keras.Sequential([model, Prediction("softmax+cross_entropy")])
    with tempfile.TemporaryDirectory() as folder:
        served.save(f"{folder}/digits.keras")
        again: Any = keras.saving.load_model(f"{folder}/digits.keras")
    probabilities = again.predict(x_test, verbose=0)
    sure = probabilities.max(axis=1).mean()
    print(f"held out: accuracy {accuracy:.3f}, mean cost {cost:.4f}; sure by {sure:.3f} on average")
    return accuracy, cost


if __name__ == "__main__":
    main()
