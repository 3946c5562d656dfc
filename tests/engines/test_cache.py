"""The kernels on disk: filled by several processes at once, damaged or unwritable, they cost time and no more."""

import json
import shutil
import sys

import pytest
from jobs import POINTWISE, ROWS, digest, finished, run, start

PAIRS = POINTWISE[:1] + ROWS[:1]  # what becomes of their files does not depend on what is in them

WARNED = f"""
import json, sys, warnings
from jobs import digest
PAIRS = {PAIRS}
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
    script = f"""
import os, sys, time
import numba
from jobs import digest
PAIRS = {PAIRS}
number, go = sys.argv[1], sys.argv[2]
open(go + "." + number, "w").close()
while not all(os.path.exists(go + "." + str(k)) for k in range(3)):
    time.sleep(0.001)
print(*(digest(name) for name in PAIRS))
"""
    processes = [start(script, k, tmp_path / "go", cache=tmp_path / "cache") for k in range(3)]
    truth = [digest(name) for name in PAIRS]
    assert [finished(process).split() for process in processes] == [truth] * 3
    before = contents(tmp_path / "cache")
    assert not [path for path in before if path.suffix not in (".py", ".nbc")]
    assert results(WARNED, cache=tmp_path / "cache") == []
    assert contents(tmp_path / "cache") == before


def test_a_cache_of_other_numbers_is_not_believed(cache):
    """Kernels of one source under the name of another: the sources are looked at, not only their names."""
    one, other = sorted((cache / "kernels").glob("*float32*.py"))[:2]
    text = one.read_text()
    one.write_text(other.read_text())
    assert results(WARNED, cache=cache) == []
    assert one.read_text() == text


def test_compiled_files_under_the_names_of_others_are_not_believed(cache):
    """Each has what another compiled: whole, with its digest, and wrong."""
    files = sorted((cache / "kernels").glob("*.nbc"))
    before = [path.read_bytes() for path in files]
    for path, other in zip(files, before[1:] + before[:1], strict=True):
        path.write_bytes(other)
    assert results(WARNED, cache=cache) == []
    assert [path.read_bytes()[:32] for path in files] != [other[:32] for other in before[1:] + before[:1]]


def turned(whole):
    """Bits turned where the machine code is: it would load, and do anything."""
    at = whole.index(b"\x7fELF") if b"\x7fELF" in whole else len(whole) // 2
    return whole[: at + 64] + bytes(byte ^ 0x5A for byte in whole[at + 64 : at + 1024]) + whole[at + 1024 :]


DAMAGE = {
    "garbage": lambda whole: b"\xff" * len(whole),
    "nothing": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "bits": turned,
}


@pytest.mark.parametrize("suffix", [".py", ".nbc"])
@pytest.mark.parametrize("damages", [("garbage", "nothing"), ("half", "bits")])
def test_damaged_files_are_written_again(cache, suffix, damages):
    """One file in one way, another in another."""
    before = contents(cache)
    paths = [path for path in before if path.suffix == suffix]
    damaged = {path: DAMAGE[damage](before[path]) for path, damage in zip(paths, damages, strict=True)}
    for path, damage in damaged.items():
        path.write_bytes(damage)
        assert damage != before[path]
    assert results(WARNED, cache=cache) == []
    again = contents(cache)
    assert again.keys() == before.keys()
    assert not [path for path in damaged if again[path] == damaged[path]]
    assert results(WARNED, cache=cache) == []
    assert contents(cache) == again


def test_a_damaged_file_of_a_second_signature(tmp_path):
    """The blocks of a large array are shared by threads, none of which may fail for it."""
    script = """
import numpy as np, costlayer as cl
z, y = np.ones(500_000), np.zeros(500_000)
print(cl.value("identity+mse", z[:3], y[:3]), cl.value_and_delta("identity+mse", z, y)[0])
"""
    assert run(script, cache=tmp_path) == "1.0 1.0"
    for path in (tmp_path / "kernels").glob("*.nbc"):
        path.write_bytes(path.read_bytes()[:500])
        assert run(script, cache=tmp_path) == "1.0 1.0"


# Root may write anywhere, so the system call is refused rather than the folder
READ_ONLY = """
import errno, os, sys
def refuse(event, given):
    writes = event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if (writes or event in ("os.mkdir", "os.rename")) and str(given[0]).startswith(tuple(sys.argv[1:])):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), given[0])
sys.addaudithook(refuse)
"""


def test_a_cache_that_is_only_read_is_used(cache, tmp_path):
    """It came with an image: nothing is compiled, nothing is written, here or in the home, and nothing is said."""
    no_compiler = "from numba.core import dispatcher\ndispatcher._FunctionCompiler.compile = None\n"
    before = contents(cache)
    home = tmp_path / "home"
    assert results(READ_ONLY + no_compiler + WARNED, cache, home, cache=cache, HOME=str(home)) == []
    assert contents(cache) == before
    assert not home.exists()


def test_an_empty_cache_that_cannot_be_written_costs_one_warning(tmp_path):
    (warned,) = results(READ_ONLY + WARNED, tmp_path, cache=tmp_path)
    assert warned[0] == "CacheWarning"
    assert "Read-only" in warned[1]
    assert "COSTLAYER_CACHE" in warned[1]
    assert contents(tmp_path) == {}


def test_a_user_without_a_home_costs_a_warning():
    homeless = "import pathlib\ndef home(): raise RuntimeError('Could not determine home directory.')\n"
    homeless += "pathlib.Path.home = home\n"
    (warned,) = results(homeless + WARNED, COSTLAYER_CACHE="", XDG_CACHE_HOME="", LOCALAPPDATA="")
    assert "COSTLAYER_CACHE" in warned[1]


@pytest.mark.parametrize("kind", ["a file", "nowhere"])
def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, kind):
    (tmp_path / "taken").write_text("")
    folder = tmp_path / "taken" if kind == "a file" else "/proc/none"
    (warned,) = results(WARNED, cache=folder)
    assert warned[0] == "CacheWarning"
    assert str(folder) in warned[1]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize("room", [100, 40_000])
def test_a_full_disk_costs_a_warning(tmp_path, room):
    """A limit on the size of files stands for the disk: nothing fits, or the sources fit and what is compiled not."""
    full = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    full += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
    (warned,) = results(full + WARNED, cache=tmp_path)
    assert warned[0] == "CacheWarning"
    assert {path.suffix for path in contents(tmp_path)} <= {".py", ".nbc"}  # no half a file is left
    assert results(WARNED, cache=tmp_path) == []  # and once there is room again, it is as if nothing had been
