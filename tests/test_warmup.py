"""Compiling beforehand: what was named is then found in the cache."""

import os
import subprocess
import sys

import pytest

import costlayer as cl
from costlayer.errors import InvalidValue
from costlayer.warmup import warm_up

FIRST_USE = """
import sys, numpy as np, costlayer as cl
from costlayer.warmup import warm_up
warm_up(cl.pair(sys.argv[1]), sys.argv[2])
loaded = [module for name, module in sys.modules.items() if name.startswith("costlayer_kernels")]
stats = [value.stats for module in loaded for value in vars(module).values() if getattr(value, "signatures", None)]
print(sum(sum(each.cache_misses.values()) for each in stats), sum(sum(each.cache_hits.values()) for each in stats))
"""


def called(cache, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "COSTLAYER_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("pair", "dtype"),
    [("identity+mse", "float64"), ("softmax+cross_entropy", "bfloat16"), ("identity_exp+laplace", "float32")],
)
def test_what_was_compiled_is_found(tmp_path, pair, dtype):
    done = called(tmp_path, "-m", "costlayer", "warmup", pair, "--dtype", dtype)
    assert done.returncode == 0, done.stderr
    assert f"{pair} {dtype}" in done.stdout
    assert str(tmp_path) in done.stderr.replace("\n", "")
    misses, hits = map(int, called(tmp_path, "-c", FIRST_USE, pair, dtype).stdout.split())
    assert misses == 0
    assert hits >= 2  # with δ, and predictions


@pytest.mark.parametrize("wrong", [["identity+msee"], ["identity+mse", "--dtype", "int8"]])
def test_a_name_that_is_none_is_refused(tmp_path, wrong):
    done = called(tmp_path, "-m", "costlayer", "warmup", *wrong)
    assert done.returncode == 2
    assert wrong[-1] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "taken").write_text("")
    done = called(tmp_path / "taken", "-m", "costlayer", "warmup", "identity+mse")
    assert done.returncode == 2
    assert "COSTLAYER_CACHE" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_type_that_is_none_is_refused():
    with pytest.raises(InvalidValue, match="dtype"):
        warm_up(cl.pair("identity+mse"), "float8")
