"""The processes that train together, as `torchrun` or `accelerate launch` started them.

Every process holds all pairs' names, draws the same steps and takes its share of each; what it
finds out is put at its place in a table of zeros and summed, so that all know the same. Gradients
are summed once a step. All processes must see the same disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train.optim.optimizers import check_sharding

PATIENCE = timedelta(days=1)
"""How long processes wait for each other: filling a cache takes some of them longer."""
BUCKET = 2**26
"""About how many numbers are summed over processes in one call."""


@dataclass
class ProcessGroup:
    """One process among its peers; alone unless a launcher started several."""

    device: torch.device
    rank: int = 0
    world: int = 1
    sharded: bool = False
    """Whether the processes share the weights, too (FSDP 2)."""
    state: Any = None
    """accelerate's, when there are several."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.state:
            self.state.wait_for_everyone()

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes of tensors of equal shape, on the CPU."""
        if not self.state:
            return values.cpu()
        from accelerate.utils import reduce

        summed: Tensor = reduce(values.to(self.device), reduction="sum")
        return summed.cpu()

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes; shards have been summed already."""
        if not self.state or self.sharded:
            return
        for some in _buckets([p.grad for p in parameters if p.grad is not None]):
            flat = torch.cat([grad.flatten() for grad in some])
            torch.distributed.all_reduce(flat)
            parts = torch.split(flat, [grad.numel() for grad in some])
            for grad, summed in zip(some, parts, strict=True):
                grad.copy_(summed.view_as(grad))


def start_processes(config: TrainConfig) -> ProcessGroup:
    """Join the processes that a launcher started, if it did; each on a device of its own.

    Raises `ConfigError` for a device there isn't, and for options that don't go together.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ProcessGroup(pick_device(config.device))
    from accelerate import PartialState

    sharded = config.strategy == "fsdp"
    check_sharding(config.optimizer, sharded)
    cpu = config.device == "cpu" or not torch.cuda.is_available()
    if config.device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"device: found {config.device!r}, but {world} processes share the devices out "
            "themselves; allowed: auto, cpu, cuda."
        )
    if sharded and config.dtype == "float16":
        raise ConfigError("dtype: found float16; with strategy fsdp allowed: bfloat16, float32.")
    state: Any = PartialState(cpu=cpu, timeout=PATIENCE)
    return ProcessGroup(state.device, state.process_index, state.num_processes, sharded, state)


def pick_device(name: str) -> torch.device:
    """`auto` is the first accelerator, else the CPU. Raises `ConfigError` for an unknown name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"device: found {name!r}, no use on this machine ({first}).") from None


def shard(unet: nn.Module, team: ProcessGroup) -> None:
    """Let the processes share the weights block by block (FSDP 2); gathered while a block works."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    unet.to(memory_format=torch.contiguous_format)  # shards are cut from contiguous tensors alone
    mesh = init_device_mesh(team.device.type, (team.world,))
    for block in [m for m in unet.modules() if type(m).__name__ in BLOCKS]:
        fully_shard(block, mesh=mesh)
    fully_shard(unet, mesh=mesh)


BLOCKS = ("BasicTransformerBlock", "ResnetBlock2D")
"""Modules whose weights are gathered together."""


def _buckets(grads: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    some: list[Tensor] = []
    for grad in grads:
        some.append(grad)
        if sum(g.numel() for g in some) >= BUCKET:
            yield some
            some = []
    if some:
        yield some
