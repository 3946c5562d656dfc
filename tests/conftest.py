"""The pairs of the catalogue, by parametrisation: a new one is tested without a new line."""

import os

import numpy as np
import pytest

from costlayer import catalogue
from costlayer.costs import COSTS
from covering import PAIRS, TWO_COVERING

os.environ.setdefault("KERAS_BACKEND", "torch")  # that of TensorFlow is Keras's default


@pytest.fixture(autouse=True)
def catalogue_as_it_was():
    """A cost that a test registers goes with it."""
    yield
    for name in catalogue.OWN:
        del COSTS[name]
    if catalogue.OWN:
        catalogue.OWN.clear()
        catalogue._catalogue.cache_clear()


@pytest.fixture(params=PAIRS, ids=str)
def pair(request):
    """A pair of one score per output, made without a warning."""
    return request.param


@pytest.fixture(params=TWO_COVERING, ids=str)
def two_score_pair(request):
    return request.param


@pytest.fixture(params=[pair for pair in PAIRS if not pair.row], ids=str)
def pointwise_pair(request):
    return request.param


@pytest.fixture(params=[pair for pair in PAIRS if pair.row], ids=str)
def row_pair(request):
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param
