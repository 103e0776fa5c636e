"""One training as a process: `python -m tests.train.worker DATA OUT CACHE CONFIG [STEP]`.

With STEP the process kills itself when it receives that step's metrics. With the environment
variable SMOOTH its steps are those of `tests.train.smooth`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import InvdpoError
from invdpo.train import train
from tests.train.smooth import smooth_steps


def main(data: str, out: str, cache: str, config: str, kill_at: str = "0") -> None:
    def kill_at_step(metrics: Mapping[str, float]) -> None:
        if metrics["step"] == int(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)

    if os.environ.get("SMOOTH"):
        smooth_steps(pytest.MonkeyPatch())
    try:
        train(
            Path(data),
            Path(out),
            TrainConfig.model_validate_json(config),
            cache_dir=Path(cache),
            progress=False,
            on_step=kill_at_step,
        )
    except InvdpoError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def save_shares(folder: str) -> None:
    """Gather tensors of 1 and of 3 rows, and save them as weights are."""
    import torch
    import torch.distributed as dist
    from huggingface_hub import save_torch_state_dict
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    from invdpo.train.checkpoint.optimizer_state import gather

    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    whole = {f"{rows}": torch.arange(rows * 8.0).reshape(rows, 8) for rows in (1, 3)}
    weights = {n: gather(distribute_tensor(t, mesh, [Shard(0)])) for n, t in whole.items()}
    if dist.get_rank() == 0:
        save_torch_state_dict(weights, folder, filename_pattern="weights{suffix}.safetensors")
    dist.destroy_process_group()


def swap_shares(folder: str) -> None:
    """Save what shared weights come to before, during and after a swap, without a backward."""
    import torch
    import torch.distributed as dist
    from safetensors.torch import save_file

    from invdpo.train.distributed import ProcessGroup, shard
    from invdpo.train.optim.ema import swapped

    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    network = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.ones_(network.weight)
    shard(network, ProcessGroup(torch.device("cpu"), rank, world, sharded=True))
    parameters, x = list(network.parameters()), torch.ones(1, 2)
    with torch.no_grad():
        seen = {"before": network(x)}
        with swapped(parameters, [2 * p.detach() for p in parameters]):
            seen["during"] = network(x)
        seen["after"] = network(x)
    if rank == 0:
        save_file(seen, Path(folder) / "seen.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
