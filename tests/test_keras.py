"""Keras takes its back end once, at its import: each has a process of its own for the cases in keras_cases.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras")

TESTS = Path(__file__).parent


def run(*command, **environment):
    given = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=given, cwd=TESTS.parent)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_cases(backend):
    pytest.importorskip(backend)
    done = run("-m", "pytest", "-n", "0", str(TESTS / "keras_cases.py"), KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_other_back_ends_are_named(backend):
    """TensorFlow is not installed here, so that Keras itself cannot be imported."""
    done = run("-c", "import costlayer.keras as k; k.Prediction('identity+mse')", KERAS_BACKEND=backend)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("costlayer.errors.InvalidValue: KERAS_BACKEND: got ")
    assert backend in last
    assert "'torch' or 'jax'" in last


@pytest.mark.parametrize("package", ["keras", "torch"])
def test_a_missing_package_is_said(package):
    command = f"import sys; sys.modules[{package!r}] = None; import costlayer.keras"
    done = run("-c", command, KERAS_BACKEND="torch")
    assert f"MissingExtra: {package}: " in done.stderr
    assert f"pip install 'costlayer[{package}]'" in done.stderr
