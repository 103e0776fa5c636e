"""The processes that train together, as `torchrun` or `accelerate launch` started them.

Every process knows all pairs, draws the same steps and takes its share of each; its results go
into its own rows of a table of zeros, and the tables are summed, so that all processes have the
same. Gradients are summed once a step. All processes must see the same disk.
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

TIMEOUT = timedelta(days=1)
"""How long processes wait for each other: filling a cache takes some of them longer."""
CHUNK = 2**26
"""About how many numbers are summed over processes in one call."""
BLOCKS = (
    *("BasicTransformerBlock", "ResnetBlock2D", "JointTransformerBlock"),
    *("FluxTransformerBlock", "FluxSingleTransformerBlock"),
    *("Flux2TransformerBlock", "Flux2SingleTransformerBlock"),
    *("QwenImageTransformerBlock", "ZImageTransformerBlock"),
    *("AuraFlowJointTransformerBlock", "AuraFlowSingleTransformerBlock"),
    *("Lumina2TransformerBlock", "SanaTransformerBlock"),
)
"""Modules whose weights are gathered together."""


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
    def is_main(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def pairs_per_step(self, config: TrainConfig) -> int:
        """Of all processes together."""
        return config.batch_size * config.gradient_accumulation_steps * self.world

    def shares(self, count: int) -> tuple[list[int], list[int]]:
        """This process's indices of 0 .. count-1, and those of them that count for another one.

        All processes have equally many, since those that share weights make equally many calls.
        """
        positions = range(self.rank, -(-count // self.world) * self.world, self.world)
        return [n % count for n in positions], [n % count for n in positions if n >= count]

    def wait(self) -> None:
        """Return when all processes have called this."""
        if self.state:
            self.state.wait_for_everyone()

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes of tensors of equal shape, on the CPU."""
        if not self.state:
            return values.cpu()
        from accelerate.utils import reduce

        summed: Tensor = reduce(values.to(self.device), reduction="sum")
        return summed.cpu()

    def largest(self, value: int) -> int:
        """Of the values that the processes have, none below 0."""
        if self.world == 1:
            return value
        values = torch.zeros(self.world)
        values[self.rank] = value
        return int(self.total(values).max())

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes; shards have been summed already."""
        if not self.state or self.sharded:
            return
        for chunk in _chunks([p.grad for p in parameters if p.grad is not None]):
            flat = torch.cat([grad.flatten() for grad in chunk])
            torch.distributed.all_reduce(flat)
            parts = torch.split(flat, [grad.numel() for grad in chunk])
            for grad, summed in zip(chunk, parts, strict=True):
                grad.copy_(summed.view_as(grad))


def start_processes(config: TrainConfig) -> ProcessGroup:
    """Join the processes that a launcher started, if it did; each on a device of its own.

    Raises `ConfigError` for a device that does not exist, and for options that exclude each other.
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
            f"device: found {config.device!r}, but {world} processes each get a device of their "
            "own; allowed: auto, cpu, cuda."
        )
    if sharded and config.dtype == "float16":
        raise ConfigError("dtype: found float16; allowed with strategy fsdp: bfloat16, float32.")
    state: Any = PartialState(cpu=cpu, timeout=TIMEOUT)
    return ProcessGroup(state.device, state.process_index, state.num_processes, sharded, state)


def pick_device(name: str) -> torch.device:
    """`auto` is the first accelerator, else the CPU. Raises `ConfigError` for an unknown name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, ValueError):
        cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
        allowed = ", ".join(["auto", "cpu", *cuda])
        raise ConfigError(f"device: {name!r} is not available. Available: {allowed}.") from None


def shard(denoiser: nn.Module, group: ProcessGroup) -> None:
    """Let the processes share the weights (FSDP 2); a block's are gathered while it computes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # shards are cut from contiguous tensors alone
    denoiser.to(memory_format=torch.contiguous_format)
    mesh = init_device_mesh(group.device.type, (group.world,))
    for block in [m for m in denoiser.modules() if type(m).__name__ in BLOCKS]:
        fully_shard(block, mesh=mesh)
    # else the outermost weights stay gathered after a forward, and those put into the shards
    # since then, as averages are for a while, would not be seen
    fully_shard(denoiser, mesh=mesh, reshard_after_forward=True)


def _chunks(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    chunk: list[Tensor] = []
    for gradient in gradients:
        chunk.append(gradient)
        if sum(g.numel() for g in chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
