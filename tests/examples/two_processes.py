"""Two processes that take a step together, under transformers' Trainer and under Accelerate."""

import os
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))


def work(rank: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "TRANSFORMERS_VERBOSITY": "error"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "0", "OMP_NUM_THREADS": "1"}  # asked for, and not used
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    from steps import by_accelerate, by_trainer

    found = {
        "compute_loss_func": by_trainer(folder, 1, processes=2).state_dict(),
        "the model": by_trainer(folder, 1, processes=2, linear=True).state_dict(),
        "a mean in each process": by_trainer(folder, 1, processes=2, average_tokens_across_devices=False).state_dict(),
        "accelerate": by_accelerate(processes=2),
    }
    if not rank:
        torch.save(found, sys.argv[1])
    dist.barrier()
    os._exit(0)  # without taking the group apart, as in tests/torch/distributed.py


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, (folder,), nprocs=2)
    print("done")
