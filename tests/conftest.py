"""Every pair of the catalogue, by parametrisation: a new pair is tested without a new line."""

import numpy as np
import pytest

import costlayer as cl


@pytest.fixture(params=cl.pairs(), ids=str)
def pair(request):
    """Every pair there is, made without a warning."""
    return request.param


@pytest.fixture(params=[pair for pair in cl.pairs() if not pair.row], ids=str)
def pointwise_pair(request):
    return request.param


@pytest.fixture(params=[pair for pair in cl.pairs() if pair.row], ids=str)
def row_pair(request):
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param
