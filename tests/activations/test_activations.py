"""Every activation: its formula, gain, range, inverse and flat scores agree with one another."""

import numpy as np
import pytest
from mpmath import mp

import truth
from costlayer import pairs
from costlayer.activations import ACTIVATIONS
from costlayer.costs import COSTS
from costlayer.evaluate import predict_and_gain
from costlayer.pair import Pair

POINTWISE = [
    Pair(activation, COSTS["mse"]) for activation in ACTIVATIONS.values() if not (activation.row or activation.parts)
]
every_activation = pytest.mark.parametrize("behind", POINTWISE, ids=lambda pair: pair.activation.name)


@every_activation
def test_the_printed_gain_is_the_derivative_of_the_printed_formula(behind):
    pair = behind
    with mp.workdps(truth.DIGITS):
        for z in truth.SCORES:
            v, gain, _ = truth.differences(lambda x: truth.predict(pair, x), mp.mpf(z))
            printed = truth.formula(pair.activation.gain, z=mp.mpf(z), v=v, **truth.given(pair))
            same = abs(printed - gain) <= mp.mpf("1e-100") * abs(gain) + mp.mpf("1e-860")
            assert same, z


@every_activation
def test_predictions_lie_in_the_range_and_reach_for_its_ends(behind):
    pair = behind
    with mp.workdps(truth.DIGITS):
        slow = (-1e305, 1e305) if pair.activation.name == "cauchit" else ()
        every = [truth.names(pair, mp.mpf(z), 0) for z in (*truth.SCORES, *slow)]
        found = [names["v"] for names in every]
        assert all(v in pair.range or names.get("rest", 0) > 0 for v, names in zip(found, every, strict=True))
        for end, reached in ((pair.range.low, min(found)), (pair.range.high, max(found))):
            near = abs(reached) >= 8 if mp.isinf(end) else abs(reached - end) < mp.mpf("1e-300")
            assert near


@every_activation
def test_flat_scores_are_those_where_the_gain_has_all_but_vanished(behind):
    pair = behind
    with mp.workdps(60):
        for z in (-5.0, 5.0):
            gain = truth.formula(
                pair.activation.gain, z=mp.mpf(z), v=truth.predict(pair, mp.mpf(z)), **truth.given(pair)
            )
            assert (gain < 0.0099) == (z in pair.activation.flat)
    assert bool(pair.activation.flat) == bool(pair.activation.instead)


def test_softmax_has_its_jacobian():
    """∂v_j/∂z_k = v_j (1 if j = k else 0 − v_k); the printed gain is its diagonal."""
    softmax, pair = ACTIVATIONS["softmax"], Pair(ACTIVATIONS["softmax"], COSTS["mse"])

    def along(z, j, k):
        return truth.differences(lambda x: truth.predict(pair, [*z[:k], x, *z[k + 1 :]])[j], z[k])[1]

    with mp.workdps(truth.DIGITS):
        for row in truth.ROWS:
            z = [mp.mpf(x) for x in row]
            v = truth.predict(pair, z)
            for j in range(len(z)):
                for k in range(len(z)):
                    right = v[j] * ((j == k) - v[k])
                    same = abs(along(z, j, k) - right) <= mp.mpf("1e-100") * abs(right) + mp.mpf("1e-110")
                    assert same, (row, j, k)
                assert truth.formula(softmax.gain, v=v, j=j) == v[j] * (1 - v[j])
                same = abs(truth.formula(softmax.formula, z=z, j=j, K=len(z)) - v[j]) <= mp.mpf("1e-900")
                assert same, (row, j)


@pytest.mark.parametrize("name", ["class_scores", "sparsemax", "entmax15", "ordinal", "conditional"])
def test_row_activations_have_their_gain(name):
    """∂v_j/∂z_j, as printed, by differences of what is printed, and as the engine says."""
    pair = next(pair for pair in pairs() if pair.activation.name == name)
    with mp.workdps(400):
        for row, _ in truth.rows(pair):
            z = [mp.mpf(x) for x in row]
            _, gains = predict_and_gain(pair, np.array([row]))
            names = truth.names_of(pair, z, [1])
            for j in range(len(z)):
                _, right, _ = truth.differences(
                    lambda x, j=j, z=z: truth.predict(pair, [*z[:j], x, *z[j + 1 :]])[j], z[j]
                )
                printed = truth.formula(pair.activation.gain, **(names | {"j": j}))
                same = abs(printed - right) <= mp.mpf("1e-50") * abs(right) + mp.mpf("1e-110")
                assert same, (row, j)
                truth.close(gains[0, j], right, right, np.float64, what=f"gain {j} at {row}")
