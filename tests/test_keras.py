"""The Keras front, under each back end: as keras settles on one when it is imported, each has a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("keras_cases.py")


def _run(back_end, *command):
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, *command],
        env={**surroundings, "KERAS_BACKEND": back_end, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("back_end", ["torch", "jax"])
def test_all_cases_pass(back_end):
    done = _run(back_end, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", str(CASES))
    assert not done.returncode, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize("back_end", ["numpy", "tensorflow"])
def test_other_back_ends_are_refused(back_end):
    done = _run(back_end, "-c", "from costlayer.keras import CostLayerLoss; CostLayerLoss('identity+mse')")
    assert "KERAS_BACKEND: got " in done.stderr.splitlines()[-1], done.stderr
    assert "torch or jax" in done.stderr
