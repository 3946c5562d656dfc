"""JAX's switch for 64 bits is turned within a test alone, and no other test sees it."""

import jax
import numpy as np
import pytest


@pytest.fixture
def dtype(dtype):
    with jax.enable_x64(dtype == np.float64):
        yield dtype


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield
