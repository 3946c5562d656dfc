"""A network in plain JAX, trained by Optax: what the example promises."""

import numpy as np
import pytest

pytest.importorskip("optax")
from optax_training import scores, train
from sklearn.datasets import load_digits

import costlayer as cl
from costlayer.errors import InvalidValue


def test_a_network_learns_the_digits_from_the_best_constant_on():
    x, y = load_digits(return_X_y=True)
    x = np.float32(x / 16.0)
    network, costs = train(x[:1200], y[:1200], epochs=4)
    share = np.bincount(y[:1200]) / 1200
    assert costs[0] == pytest.approx(-(share * np.log(share)).sum(), abs=0.05)  # the entropy, but for the last weights
    assert costs[-1] < 0.4
    assert (np.asarray(scores(network, x[1200:])).argmax(1) == y[1200:]).mean() > 0.85
    at_first = cl.constant("softmax+cross_entropy", y[:1200])
    assert network["bias"].shape == at_first.shape


def test_a_label_that_is_no_class_is_refused_before_a_compiled_step_hides_it():
    with pytest.raises(InvalidValue, match=r"y\[1\]: got class -1"):
        train(np.ones((4, 3), np.float32), np.array([0, -1, 2, 1]))
