"""What each pair is asked for, and what its outputs are read as."""

import numpy as np
import pytest

from costlayer.catalogue import read_pair
from costlayer.errors import InvalidValue
from costlayer.sklearn.encoding import CONTRAST, Encoding

LABELS = np.array([0, 2, 1, 2])
NUMBERS = np.array([1.0, 2.0, 3.0, 6.0])


@pytest.mark.parametrize(
    ("name", "kind", "y", "classes", "wanted"),
    [
        ("softmax+mse", "classes", LABELS, 3, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]),
        ("sigmoid+mse", "classes", LABELS, 3, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]),
        ("tanh+mse", "classes", LABELS, 3, [[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [-1, -1, 1]]),
        ("sigmoid+cross_entropy", "binary", np.array([0, 1]), 2, [[0], [1]]),
        ("cloglog+cross_entropy", "binary", np.array([0, 1]), 2, [[0], [1]]),
        ("sigmoid+focal", "classes", LABELS, 3, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]),
        ("identity+hinge", "binary", np.array([0, 1]), 2, [[-1], [1]]),
        ("softmax+cross_entropy", "binary", np.array([0, 1]), 2, [[1, 0], [0, 1]]),
        ("sparsemax+fenchel_young", "classes", LABELS, 3, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]),
        ("exp+poisson", "count", NUMBERS, 0, [[1 / 3], [2 / 3], [1], [2]]),
        ("identity+mse", "real", NUMBERS, 0, ((NUMBERS - 3) / NUMBERS.std())[:, None]),
        ("sigmoid+cross_entropy", "fraction", NUMBERS / 10, 0, [[0.1], [0.2], [0.3], [0.6]]),
    ],
)
def test_what_is_asked_of_the_network(name, kind, y, classes, wanted):
    encoding = Encoding.fit(name, kind, y, y, classes)
    np.testing.assert_allclose(encoding.wanted(y), wanted, rtol=1e-6)
    given = encoding.encode(y)
    assert given.tolist() == (y.tolist() if name.startswith(("softmax", "sparsemax")) else encoding.wanted(y).tolist())
    perfect = encoding.wanted(y).astype(np.float64)
    if classes:
        assert encoding.decide(perfect).tolist() == y.tolist()
    else:
        np.testing.assert_allclose(encoding.values(perfect), y, rtol=1e-6)
    assert Encoding.read(encoding.record()) == encoding
    whole = {name: int(each) if each == 1.0 else each for name, each in encoding.record().items()}
    assert isinstance(Encoding.read(whole).scale, (float, tuple))


@pytest.mark.parametrize(
    ("name", "kind", "y", "classes"),
    [
        ("exp+poisson", "classes", LABELS, 3),
        ("exp+gamma", "binary", np.array([0, 1]), 2),
        ("class_scores+crammer_singer", "classes", LABELS, 3),
        ("ordinal+coral", "classes", LABELS, 3),
        ("conditional+corn", "classes", LABELS, 3),
        ("softmax+mse", "real", NUMBERS, 0),
        ("identity+hinge", "real", NUMBERS, 0),
        ("exp+gamma", "positive", np.array([0.0, 2.0]), 0),
        ("exp+poisson", "real", np.array([-1.0, 2.0]), 0),
        ("relu+mse", "real", np.array([-1.0, 2.0]), 0),
        ("sigmoid+mse", "real", np.array([0.0, 2.0]), 0),
        ("sigmoid+cross_entropy", "count", np.array([0.0, 2.0]), 0),
    ],
)
def test_a_pair_that_does_not_fit_is_refused_with_one_that_does(name, kind, y, classes):
    with pytest.raises(InvalidValue, match=rf"{name[:4]}.*Use .*{CONTRAST[kind][0][:4]}"):
        Encoding.fit(name, kind, y, y, classes)


@pytest.mark.parametrize("kind", ["real", "binary"])
def test_a_pair_of_two_scores_is_left_to_training(kind):
    with pytest.raises(
        InvalidValue, match=r"two scores per target.* Train it with .*CostLayer\('identity_exp\+laplace'"
    ):
        Encoding.fit("identity_exp+laplace", kind, NUMBERS, NUMBERS, 2)


def test_probabilities():
    y = np.array([0, 1])

    def probabilities(pair, kind, classes, v):
        return Encoding.fit(pair, kind, y, y, classes).probabilities(np.array(v, dtype=float))

    assert probabilities("sigmoid+mse", "binary", 2, [[0.25]]).tolist() == [[0.75, 0.25]]
    assert probabilities("tanh+mse", "binary", 2, [[0.5]]).tolist() == [[0.25, 0.75]]
    assert probabilities("cloglog+cross_entropy", "binary", 2, [[0.25]]).tolist() == [[0.75, 0.25]]
    np.testing.assert_allclose(probabilities("sigmoid+mse", "classes", 3, [[0.1, 0.2, 0.1]]), [[0.25, 0.5, 0.25]])
    np.testing.assert_allclose(probabilities("sigmoid+mse", "classes", 4, [[0, 0, 0, 0]]), [[0.25] * 4])
    assert probabilities("tanh+hinge", "binary", 2, [[0.5]]) is None
    assert probabilities("identity+mse", "binary", 2, [[0.5]]) is None


def test_a_pair_is_read_with_its_parameters():
    assert read_pair("identity+huber:delta=2").parameters["delta"] == 2.0
    with pytest.raises(InvalidValue, match="softmax"):
        read_pair("softmx+mse")
    with pytest.raises(InvalidValue, match="delta"):
        read_pair("identity+huber:dleta=2")
    with pytest.raises(InvalidValue, match="name=number"):
        read_pair("identity+huber:delta=wide")
