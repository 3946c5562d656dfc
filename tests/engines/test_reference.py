"""Plain Python floats against the truth."""

import numpy as np
import pytest

import accuracy
import costlayer as cl
import truth
from costlayer.engines import reference


def test_the_reference_is_right_to_a_few_units_in_the_last_place(pointwise_pair):
    terms = reference.terms(pointwise_pair)
    for z, y in accuracy.points(pointwise_pair):
        accuracy.check_pointwise(pointwise_pair, z, y, terms(z, y), np.float64)


def test_the_loops_run_in_plain_python_too(row_pair):
    """softmax_rows or written_rows as it stands, no compiler: the same source that the CPU engine compiles."""
    run = reference.kernel(row_pair, "written_rows" if row_pair.written else "softmax_rows")
    for z, goals in truth.rows(row_pair):
        for y in goals:
            outputs = np.empty(1), np.empty((1, len(z))), np.empty((1, len(z)))
            value, delta, curvature = outputs
            if row_pair.written:
                labelled = max(y) == 1.0
                targets = np.array([y.index(max(y))]), np.array([y])[:0] if labelled else np.array([y]), 1.0, 0.0
                arguments = (np.array([z]), *targets, np.ones(1), 1.0, len(y), 0.0, 1.0)
                rest = (None, np.empty(5 * len(z)))
            else:
                arguments, rest = (np.array([z]), None, np.array([y]), 1.0, 0.0, None, None, 1.0, 0.0, 1.0), ()
            total, bad = run(*arguments, *outputs, 0, 1, row_pair.values, *rest)
            assert bad == -1
            assert total == value[0]
            accuracy.check_row(row_pair, z, y, value[0], delta[0], curvature[0], np.float64)


def test_activation_gives_v_gain_and_bend(pointwise_pair):
    activation = reference.activation(pointwise_pair)
    for z in truth.SCORES:
        with truth.mp.workdps(truth.DIGITS):
            expected = truth.differences(lambda score: truth.predict(pointwise_pair, score), truth.mp.mpf(z))
            v, gain, bend = expected
            gain = truth.steep(pointwise_pair, z) * gain
            for got, right, scale in zip(
                activation(z), expected, (v, gain, truth.steep(pointwise_pair, z) * abs(bend) + abs(gain)), strict=True
            ):
                truth.close(got, right, scale, np.float64, what=f"z = {z}")


@pytest.mark.parametrize("z", [-8.0, -1.0, 1e-3, 0.5, 8.0])
def test_inverse_undoes_the_activation(pointwise_pair, z):
    if pointwise_pair.activation.name == "relu" and z < 0:
        return
    program = reference.bind(pointwise_pair)
    v, gain, _ = program.activation(np.float64(z), *pointwise_pair.activation_values)
    if gain == 0.0:  # v is 1, and says no more
        return
    back = program.inverse(v, *pointwise_pair.activation_values)
    assert abs(back - z) <= 8 * np.finfo(float).eps * (abs(v) / gain + abs(z))


def test_words_overflow_to_infinity_and_raise_nothing():
    assert reference.terms(cl.pair("exp+poisson"))(1000.0, 1.0) == (np.inf, np.inf, np.inf)
