"""The engine under threads, in forked and in spawned processes: the same bits as alone, and never a hang."""

import itertools
import multiprocessing
import sys
import threading
from pathlib import Path
from typing import Any

import jobs
import numpy as np
import pytest
from jobs import PAIRS, digest, run

import costlayer as cl
from costlayer.engines import cpu

no_fork = pytest.mark.skipif(sys.platform == "win32", reason="no fork")
quiet_fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
KERNELS = list(itertools.product(PAIRS, ("float32", "float64")))


# Threads


@pytest.mark.parametrize("at_once", ["the same pair", "different pairs"])
def test_eight_threads_at_once(at_once):
    truth = [digest(*kernel) for kernel in KERNELS]
    found, together = [], threading.Barrier(8)

    def work(number):
        shift = number if at_once == "different pairs" else 0
        for step in range(2 * len(KERNELS)):
            k = (step + shift) % len(KERNELS)
            together.wait(60)
            found.append(digest(*KERNELS[k]) == truth[k])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * (8 * 2 * len(KERNELS))


def test_eight_threads_compile_different_pairs_at_once(tmp_path):
    script = """
import threading
from jobs import *
found, together = {}, threading.Barrier(8)
def work(number):
    together.wait()
    name = PAIRS[number % len(PAIRS)]
    found[number] = name, digest(name)
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(*(": ".join(found[number]) for number in range(8)), sep="\\n")
"""
    assert run(script, cache=tmp_path).splitlines() == [f"{name}: {digest(name)}" for name in PAIRS * 2]


# Processes


FORK = """
import os, signal, sys, threading
from jobs import *

def child(work):
    number = os.fork()
    if number == 0:
        signal.alarm(240)
        try:
            found = work()
        except BaseException as error:
            found = repr(error)
        os._exit(print(found, flush=True) or 0)
    os.waitpid(number, 0)
"""


@no_fork
@pytest.mark.parametrize("used_before", [False, True])
def test_parent_child_and_grandchild_of_a_fork(used_before):
    script = f"""
name = {PAIRS[0]!r}
if {used_before}:
    digest(name)
child(lambda: digest(name))
child(lambda: child(lambda: digest(name)) or digest(name))
thread = threading.Thread(target=child, args=(lambda: digest(name),))
thread.start()
thread.join()
print(digest(name))
"""
    assert run(FORK + script).splitlines() == [digest(PAIRS[0])] * 5


@no_fork
def test_a_fork_in_the_middle_of_other_threads_calls():
    script = f"""
name, stop, wrong = {PAIRS[0]!r}, threading.Event(), []
truth = digest(name)
def work():
    while not stop.is_set():
        if digest(name) != truth:
            wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
for _ in range(20):
    child(lambda: digest(name))
stop.set()
[t.join() for t in threads]
print(wrong or digest(name))
"""
    assert run(FORK + script).splitlines() == [digest(PAIRS[0])] * 21


@no_fork
def test_a_fork_while_another_thread_compiles(tmp_path):
    script = """
import numpy.random  # Python's own imports of another thread would be held for ever in a child
others = threading.Thread(target=lambda: [digest(name) for name in PAIRS[1:]])
others.start()
while others.is_alive():
    child(lambda: digest(PAIRS[0]))
others.join()
"""
    assert set(run(FORK + script, cache=tmp_path).splitlines()) == {digest(PAIRS[0])}


def test_a_large_array_when_the_interpreter_ends():
    """By then no thread can be started any more."""
    script = f"""
import atexit
from jobs import *
atexit.register(lambda: print(digest({PAIRS[0]!r})))
"""
    assert run(script) == digest(PAIRS[0])


def test_nobody_waits_for_the_work_of_other_threads(monkeypatch):
    """What is queued behind the long work of others is done by the one who asks."""
    from costlayer.engines import cpu

    begun, go_on = threading.Event(), threading.Event()
    cpu._pool(2)
    busy = [cpu._pool(1).submit(lambda: (begun.set(), go_on.wait(60))) for _ in range(cpu._most)]
    begun.wait(60)
    monkeypatch.setattr(cpu, "available_cores", lambda: 2)
    try:
        digest(PAIRS[0])
        assert not any(future.done() for future in busy)
    finally:
        go_on.set()


def test_one_pool_of_threads_serves_every_number():
    before = threading.active_count()
    for count in range(1, 20):
        cpu_threads(count)
    cpu_threads(None)
    assert threading.active_count() <= max(before, 0) + 19


def cpu_threads(count):
    cl.set_threads(count)
    digest(PAIRS[0])


@quiet_fork
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_pool_of_processes(method):
    truth = [digest(*kernel) for kernel in KERNELS]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap_async(digest, KERNELS).get(240) == truth
    assert [digest(*kernel) for kernel in KERNELS] == truth


LOADER = """
import sys, torch, numpy as np
from costlayer.torch import CostLayer
import loading
torch.manual_seed(0)
layer, w = CostLayer("sigmoid+cross_entropy"), torch.randn(1 << 19, requires_grad=True)
goal = (w.detach() > 0).float()

def train():
    loss = layer(2 * w, goal)
    loss.backward()
    with torch.no_grad():
        w.sub_(1e4 * w.grad)
        w.grad = None
    return loss.item()

first = train()
data = loading.Costs()
truth = [loading.collate([data[i], data[i + 1]]) for i in range(0, 8, 2)]
loader = torch.utils.data.DataLoader(
    data, batch_size=2, num_workers=2, collate_fn=loading.collate, multiprocessing_context=sys.argv[1], timeout=120
)
losses = []
for batch, expected in zip(loader, truth, strict=True):
    assert all(torch.equal(a, b) for a, b in zip(batch, expected, strict=True))
    losses.append(train())
assert losses == sorted(losses, reverse=True)
assert losses[0] < first
print("done")
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_data_loader_workers_after_and_during_training(method):
    """The dataset and the collation work out costs in the workers, the parent trains before and meanwhile."""
    pytest.importorskip("torch")
    assert run(LOADER, method) == "done"


def test_jobs_see_every_bit():
    """The digests above can tell results apart."""
    assert len({digest(*kernel) for kernel in KERNELS}) == len(KERNELS)
    z, y = jobs.example(PAIRS[0], "float32", (1000,))
    assert digest(PAIRS[0], size=1000) != digest(PAIRS[0], size=999)
    assert np.isfinite(z).all()
    assert ((y >= 0) & (y <= 1)).all()


# Interruption


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_in_a_long_kernel_leaves_a_usable_process(threads):
    """And nobody goes on writing into a gradient that the caller has given up."""
    script = f"""
import os, signal, threading, time
from jobs import *
cl.set_threads({threads})
names = {PAIRS!r}
truth = [digest(name) for name in names]
z = np.ones(1 << 23)
for name in ("sigmoid+mse", "exp+poisson"):
    pair = build(name, {{}})
    cl.value_and_delta(pair, z[:1], z[:1])
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        while True:
            cl.value_and_delta(pair, z, z)
    except KeyboardInterrupt:
        print(name)
assert [digest(name) for name in names] == truth
"""
    assert run(script).split() == ["sigmoid+mse", "exp+poisson"]


def test_ctrl_c_pressed_again_waits_for_the_other_threads_too():
    class Work:
        def __init__(self, interrupts):
            self.interrupts, self.finished = interrupts, False

        def cancel(self):
            return False

        def result(self):
            if self.interrupts:
                self.interrupts -= 1
                raise KeyboardInterrupt
            self.finished = True

    works: Any = [Work(1), Work(2), Work(0)]
    with pytest.raises(KeyboardInterrupt):
        cpu._join(works)
    assert all(work.finished for work in works)


# Memory


MEMORY = """
import torch
from pathlib import Path
from jobs import *
from costlayer.torch import CostLayer

def high_water():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

def grown(work):
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water()
    work()
    return high_water() - before
"""
has_high_water = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no high-water mark to read")


@has_high_water
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "shape"), [(PAIRS[0], (1 << 25,)), (PAIRS[2], (256, 1 << 17)), (PAIRS[2], (1 << 22, 8))]
)
def test_training_takes_the_gradient_and_a_few_mebibytes(name, shape, dtype):
    script = f"""
layer, shape = CostLayer({name!r}), {shape!r}
def step(shape):
    z = torch.zeros(shape, dtype=torch.{dtype}, requires_grad=True)
    y = torch.zeros(shape[0], dtype=torch.int64) if len(shape) > 1 else torch.zeros(shape, dtype=torch.{dtype})
    return lambda: layer(z, y).backward()
step((2, *shape[1:]))()
print(grown(step(shape)) - np.prod(shape) * {2 if dtype == "bfloat16" else 4})
"""
    assert int(run(MEMORY + script)) < 8 << 20


@has_high_water
@pytest.mark.parametrize(
    ("dtype", "bytes_each"), [("float32", (4, 4, 4, 4, 4)), ("bfloat16", (16, 12, 12, 2, 8))], ids=str
)
def test_options_take_the_gradient_and_a_few_mebibytes(dtype, bytes_each):
    """Of bfloat16, where they ask for float32: the scores, the gradient, the targets and weights of single scores."""
    script = f"""
import torch
n, kind = 1 << 24, torch.{dtype}
z, weight = torch.zeros(n, dtype=kind, requires_grad=True), torch.ones(n, dtype=kind)
rows, weights = z.detach().view(-1, 8).requires_grad_(), weight[: n // 8]
y, label = torch.zeros(n, dtype=kind), torch.zeros(n // 8, dtype=torch.int64)
each = dict(class_weight=torch.ones(8), ignore_index=-100)
for pair, given, options in [
    ({PAIRS[0]!r}, (z, y, weight), {{}}),
    ({PAIRS[0]!r}, (z, y), dict(ignore_index=-100)),
    ({PAIRS[0]!r}, (z, y), dict(class_weight=torch.ones(2), label_smoothing=0.1, pos_weight=torch.tensor(2.0))),
    ({PAIRS[2]!r}, (rows, label, weights), each),
    ({PAIRS[2]!r}, (rows, label), dict(label_smoothing=0.1, **each)),
]:
    layer, scores = CostLayer(pair, **options), given[0]
    small = given[0][:8].detach().requires_grad_(), *(part[:8] for part in given[1:])
    layer(*small).backward()
    print(grown(lambda: layer(*given).backward()))
    scores.grad = None
"""
    for found, each in zip(map(int, run(MEMORY + script).split()), bytes_each, strict=True):
        assert found - each * (1 << 24) < 8 << 20


@has_high_water
@pytest.mark.parametrize(("name", "shape"), [(PAIRS[0], (1 << 24,)), (PAIRS[2], (256, 1 << 16))])
def test_numpy_takes_the_gradient_and_a_few_mebibytes(name, shape):
    script = f"""
z, y = np.zeros({shape!r}), np.zeros({shape[0]}, {"np.int64" if len(shape) > 1 else "float"})
cl.value_and_delta({name!r}, z[:2], y[:2])
print(grown(lambda: cl.value_and_delta({name!r}, z, y)) - z.nbytes)
"""
    assert int(run(MEMORY + script)) < 8 << 20


def free_memory():
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


@pytest.mark.large
@pytest.mark.skipif(free_memory() < 16 << 30, reason="asks for 14 GiB, though it touches few of them")
@pytest.mark.parametrize(("name", "width"), [(PAIRS[0], 1), (PAIRS[2], 3), (PAIRS[2], 200)])
def test_more_elements_than_32_bits_can_count(name, width, monkeypatch):
    """Of these the first block and the last are worked out: the memory between them is never touched."""
    torch = pytest.importorskip("torch")
    from costlayer.torch import CostLayer

    def ends(stop, *others):
        return (0, (others[0] - 1) // others[1] * others[1]) if others else range(stop)

    monkeypatch.setattr(cpu, "range", ends, raising=False)
    n = ((1 << 31) + 3) // width + 1
    z = torch.from_numpy(np.zeros((n, width) if width > 1 else n, np.uint16)).view(torch.bfloat16)  # torch.zeros fills
    y = torch.from_numpy(np.zeros(n, np.int64 if width > 1 else np.uint16))
    y = y if width > 1 else y.view(torch.bfloat16)
    z.view(-1)[-1] = 8.0
    z.requires_grad_()
    loss = CostLayer(name, reduction="sum")(z, y)
    loss.backward()
    step = max(1, cpu.BLOCK // width)
    usual, last = (np.log(width), np.log(width - 1 + np.exp(8))) if width > 1 else (np.log(2), np.log1p(np.exp(8)))
    assert loss.item() == pytest.approx((step + (n - 1) % step) * usual + last, rel=1e-6)
    for found, few in ((z.grad[:3], z[:3]), (z.grad[-3:], z[-3:])):
        right = torch.softmax(few.detach().float(), -1) if width > 1 else torch.sigmoid(few.detach().float())
        if width > 1:
            right[:, 0] -= 1
        torch.testing.assert_close(found.float(), right, rtol=0.01, atol=0)
