"""How many threads share the work is the user's to say, and changes no bit of the result."""

import threading

import numpy as np
import pytest

import costlayer as cl
from costlayer.engines import cpu
from costlayer.errors import InvalidValue


@pytest.fixture(autouse=True)
def _as_before():
    yield
    cl.set_threads(None)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_number_that_is_none_is_refused(count):
    with pytest.raises(InvalidValue, match="count"):
        cl.set_threads(count)


def test_none_is_one_per_core():
    cl.set_threads(7)
    assert cpu.get_threads() == 7
    cl.set_threads(None)
    assert cpu.get_threads() == cpu.available_cores()


@pytest.mark.parametrize(("said", "asked"), [(1, None), (2, None), (3, None), (3, 1), (1, 3), (3, 2)])
def test_that_many_threads_share_the_work(said, asked):
    """Each block waits until as many as may be are at work together: with fewer threads this would never end."""
    count = min(said, asked or said)
    together, seen = threading.Barrier(count), set()

    def kernel(start, stop, parameters):
        together.wait(60)
        seen.add(threading.get_ident())
        return float(start), -1

    cl.set_threads(said)
    total, bad = cpu.share(cpu.Loop("activate", np.float64, kernel), 6 * cpu.BLOCK, 1, (), (), asked)
    assert (total, bad) == (15 * cpu.BLOCK, -1)
    assert len(seen) == count


def test_any_number_gives_the_same_bits():
    z, y = np.linspace(-3, 3, 8 * cpu.BLOCK), np.zeros(8 * cpu.BLOCK)
    found = []
    for count in (1, 2, 3):
        cl.set_threads(count)
        found.append(cl.value_and_delta("identity+mse", z, y))
    assert found[0][0] == found[1][0] == found[2][0]
    assert (found[0][1] == found[1][1]).all()


def test_torchs_own_number_is_asked_for(monkeypatch):
    import torch

    from costlayer.torch import CostLayer

    asked, found, before = [], cpu.share, torch.get_num_threads()
    monkeypatch.setattr(cpu, "share", lambda *given: asked.append(given[-1]) or found(*given))
    torch.set_num_threads(1)
    try:
        CostLayer("identity+mse")(torch.zeros(4), torch.zeros(4))
    finally:
        torch.set_num_threads(before)
    assert asked == [1]
