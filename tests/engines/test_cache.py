"""The kernels on disk: filled by several processes at once, damaged or unwritable, they cost time and no more."""

import json
import shutil
import sys

import pytest
from jobs import PAIRS, digest, finished, run, start

WARNED = """
import json, sys, warnings
from jobs import *
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    found = [digest(name) for name in PAIRS]
    again = [digest(name) for name in PAIRS]
assert found == again
print(json.dumps([found, [[each.category.__name__, str(each.message)] for each in seen]]))
"""


def results(script, *arguments, **others):
    """The results and the warnings of a process that uses every pair, as they should be and as they are."""
    found, warned = json.loads(run(script, *arguments, **others))
    assert found == [digest(name) for name in PAIRS]
    return warned


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache with the kernels of every pair."""
    folder = tmp_path_factory.mktemp("filled")
    assert results(WARNED, cache=folder) == []
    return folder


@pytest.fixture
def cache(filled, tmp_path):
    """One to damage."""
    return shutil.copytree(filled, tmp_path / "cache")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_processes_that_fill_the_cache_at_the_same_moment(tmp_path):
    script = """
import os, sys, time
import numba
from jobs import *
number, go = sys.argv[1], sys.argv[2]
open(f"{go}.{number}", "w").close()
while not all(os.path.exists(f"{go}.{k}") for k in range(4)):
    time.sleep(0.001)
print(*(digest(name) for name in PAIRS))
"""
    processes = [start(script, k, tmp_path / "go", cache=tmp_path / "cache") for k in range(4)]
    truth = [digest(name) for name in PAIRS]
    assert [finished(process).split() for process in processes] == [truth] * 4
    before = contents(tmp_path / "cache")
    assert not [path for path in before if path.suffix not in (".py", ".nbi", ".nbc")]
    assert results(WARNED, cache=tmp_path / "cache") == []
    assert contents(tmp_path / "cache") == before


def test_a_cache_of_other_numbers_is_not_believed(cache):
    """Kernels of one source under the name of another: the sources are looked at, not only their names."""
    one, other = sorted((cache / "kernels").glob("*float32*.py"))[:2]
    text = one.read_text()
    one.write_text(other.read_text())
    assert results(WARNED, cache=cache) == []
    assert one.read_text() == text


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["garbage", "nothing", "half"])
def test_damaged_files_of_the_compiler_cost_a_warning(cache, suffix, damage):
    for path in (cache / "kernels").rglob(f"*{suffix}"):
        whole = path.read_bytes()
        path.write_bytes({"garbage": b"\xff" * len(whole), "nothing": b"", "half": whole[: len(whole) // 2]}[damage])
    (warned,) = results(WARNED, cache=cache)
    assert warned[0] == "CacheWarning"
    assert str(cache) in warned[1]
    assert "COSTLAYER_CACHE" in warned[1]


@pytest.mark.parametrize("kind", ["a file", "nowhere"])
def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, kind):
    (tmp_path / "taken").write_text("")
    folder = tmp_path / "taken" if kind == "a file" else "/proc/none"
    (warned,) = results(WARNED, cache=folder)
    assert warned[0] == "CacheWarning"
    assert str(folder) in warned[1]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_costs_a_warning(tmp_path):
    """A limit on the size of files stands for the disk: the sources fit, what is compiled does not."""
    full = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    full += "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))\n"
    (warned,) = results(full + WARNED, cache=tmp_path)
    assert warned[0] == "CacheWarning"
    assert results(WARNED, cache=tmp_path) == []  # and once there is room again, it is as if nothing had been
