"""The vocabulary, with its IEEE meanings."""

import math

import numpy as np
import pytest

from costlayer import words

INF, NAN = np.float64(np.inf), np.float64(np.nan)


def test_the_vocabulary_is_what_engines_bring():
    assert set(words.VOCABULARY) == set(words.__all__) - {"difference", "fixed", "product", "rounded_off"}
    assert all(callable(getattr(words, word)) for word in words.__all__)


def test_overflow_is_infinity():
    with np.errstate(all="ignore"):
        assert words.exp(np.float64(1000.0)) == INF
        assert words.log(np.float64(0.0)) == -INF
        assert words.log1p(np.float64(-1.0)) == -INF
        assert words.expm1(np.float64(-1000.0)) == -1.0


def test_maximum_minimum_and_sign_pass_nan_on():
    assert all(math.isnan(word(NAN, np.float64(0.0))) for word in (words.maximum, words.minimum))
    assert all(math.isnan(word(np.float64(0.0), NAN)) for word in (words.maximum, words.minimum))
    assert math.isnan(words.sign(NAN))
    assert [words.sign(np.float64(x)) for x in (-3.0, 0.0, 2.0)] == [-1.0, 0.0, 1.0]


def test_erf_is_of_numbers_and_of_arrays():
    x = np.array([[-INF, -0.5, 0.0], [1.5, INF, NAN]])
    np.testing.assert_allclose(words.erf(x), [[-1.0, -0.5204998778130465, 0.0], [0.9661051464753108, 1.0, NAN]])
    assert words.erf(np.float64(0.5)) == -words.erf(x)[0, 1]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(2.0, -3.0, -6.0), (0.0, INF, 0.0), (INF, 0.0, 0.0), (0.0, -INF, 0.0), (INF, -2.0, -INF), (0.0, 0.0, 0.0)],
)
def test_product_lets_nothing_times_infinity_be_nothing(a, b, expected):
    with np.errstate(all="ignore"):
        assert words.product(np.float64(a), np.float64(b)) == expected


def test_product_of_nan():
    assert math.isnan(words.product(NAN, np.float64(2.0)))
    assert math.isnan(words.product(np.float64(2.0), NAN))


def test_fixed_is_a_constant_but_for_nan():
    assert [words.fixed(2.0, z) for z in (-INF, np.float64(3.0), INF)] == [2.0, 2.0, 2.0]
    assert math.isnan(words.fixed(2.0, NAN))


def test_where_takes_the_second_for_a_comparison_with_nan():
    assert words.where(NAN > 0.0, 1.0, 2.0) == 2.0
    assert words.where(np.float64(1.0) > 0.0, 1.0, 2.0) == 1.0
