"""Two processes that train together: each has part of the batch, and together they have the gradient of the whole."""

import os
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from costlayer.torch import CostLayer, CrossEntropyLoss

CLASSES, WIDTH, SIZES = 5, 4, (3, 8)  # examples of each process: unequal, and some are ignored


def batch():
    torch.manual_seed(0)
    network = nn.Linear(WIDTH, CLASSES)
    x, y = torch.randn(sum(SIZES), WIDTH), torch.randint(CLASSES, (sum(SIZES),))
    y[[1, 4]] = -100
    return network, x, y


def whole():
    """The gradient in one process."""
    network, x, y = batch()
    CostLayer("softmax+cross_entropy", ignore_index=-100)(network(x), y).backward()
    return network.weight.grad


def work(rank, path):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    for way in ("DDP", "FSDP2"):
        train(rank, way)
    dist.barrier()
    # without taking the group apart: torch's destructor holds the interpreter's lock while it waits for a thread that
    # may itself wait for that lock to drop the last all-reduce
    os._exit(0)


def train(rank, way):
    network, x, y = batch()
    start = sum(SIZES[:rank])
    x, y = x[start : start + SIZES[rank]], y[start : start + SIZES[rank]]
    layer = CostLayer("softmax+cross_entropy", ignore_index=-100)
    model = DistributedDataParallel(network) if way == "DDP" else fully_shard(network)
    total, count = layer.sum_and_count(model(x), y)
    dist.all_reduce(count)
    (total / count * 2).backward()  # both average over the two processes
    found = network.weight.grad
    found = found.full_tensor() if way != "DDP" else found
    torch.testing.assert_close(found, whole())
    network.zero_grad()  # the same by torch's name, with a count of one's own
    (CrossEntropyLoss(reduction="sum")(model(x), y) / count * 2).backward()
    again = network.weight.grad
    torch.testing.assert_close(again.full_tensor() if way != "DDP" else again, found)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, (f"{folder}/meet",), nprocs=2)
    print("the same gradient")
