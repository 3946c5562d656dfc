"""Two processes, each with part of the batch, have the gradient of the whole one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).with_name("distributed.py")
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="no gloo"
)


def test_parts_of_a_batch_in_two_processes_make_the_gradient_of_the_whole():
    """By DDP and by FSDP2."""
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "the same gradient", done.stderr
