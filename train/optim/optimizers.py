"""The optimisers by name, and the memory that their states take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from invdpo.schemas.errors import ConfigError
from invdpo.schemas.plugins import require

OptimizerName = Literal["adamw", "adamw8bit", "adafactor"]
Stance = Literal["default", "force_eager"]

SMALLEST_8BIT, BLOCK_8BIT = 4096, 256
"""torchao's: tensors of fewer values, or not of whole blocks, keep states in 32 bits."""

ADAFACTOR_EPS = (1e-16, 1e-3)
"""Floors of the mean squared gradient and of a weight's root mean square.

torch's own first floor, 1.2e-7, is above the squared gradients of a network of millions of
weights whose gradient is clipped to norm 1, and would blunt their second moments.
"""


def make_optimizer(
    name: OptimizerName,
    parameters: list[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
) -> Optimizer:
    """The optimiser called `name` over `parameters`.

    - `adamw`: two float32 states a weight.
    - `adamw8bit`: the same in a quarter of the memory, by blocks of 256 values; tensors of fewer
      than 4096 values keep 32 bits. Its rate is a tensor: a scheduler may set it, a plain number
      in its place is refused by `step`. Raises `PluginError` without the extra `eightbit`.
    - `adafactor`: factored second moments over a tensor's last two dimensions, no first moment.
      Its learning rate is relative: step t moves a tensor by at most
      max(1e-3, RMS(w)) · min(learning_rate, 1/√t) in root mean square. So 1e-2 on weights of RMS
      0.02 is a step of 2e-4, and a LoRA's zero half starts with steps of 1e-5.

    Raises `ConfigError` for sharded weights and any but `adamw`: torch's Adafactor and torchao's
    8-bit states fail on them.
    """
    check_sharding(name, any(isinstance(p, DTensor) for p in parameters))
    if name == "adamw8bit":
        return _adamw8bit(parameters, learning_rate, weight_decay)
    if name == "adafactor":
        return torch.optim.Adafactor(
            parameters, learning_rate, weight_decay=weight_decay, eps=ADAFACTOR_EPS
        )
    return torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay)


def check_package(name: OptimizerName) -> None:
    """Raise `PluginError` when `name` needs a package that is not installed."""
    if name == "adamw8bit":
        require("torchao", "eightbit", "optimizer `adamw8bit`")


def check_sharding(name: OptimizerName, sharded: bool) -> None:
    """Raise `ConfigError` when `name` can't work on weights that devices share."""
    if sharded and name != "adamw":
        raise ConfigError(
            f"optimizer: found {name}, which does not work with weights that the strategy fsdp "
            "shards. Allowed with fsdp: adamw. Or use the strategy ddp."
        )


def state_bytes(name: OptimizerName, parameters: Sequence[Tensor]) -> int:
    """Bytes of the states that `name` keeps for float32 parameters of these shapes."""
    bytes_of = {"adamw": _plain_bytes, "adamw8bit": _8bit_bytes, "adafactor": _factored_bytes}[name]
    return sum(bytes_of(p.shape) for p in parameters)


def _adamw8bit(
    parameters: list[nn.Parameter], learning_rate: float, weight_decay: float
) -> Optimizer:
    check_package("adamw8bit")
    from torchao.optim import AdamW8bit

    class MaybeCompiled(AdamW8bit):  # type: ignore[misc, unused-ignore]  # untyped base
        """Compiles its step only where that works; elsewhere it is slower, with equal results."""

        def step(self, closure: Any = None) -> Any:
            with torch.compiler.set_stance(stance):
                return super().step(closure)

    stance: Stance = "default" if _compiles(parameters[0].device) else "force_eager"
    MaybeCompiled.__name__ = AdamW8bit.__name__  # which is in a saved state
    optimizer: Optimizer = MaybeCompiled(parameters, learning_rate, weight_decay=weight_decay)
    return optimizer


def _compiles(device: torch.device) -> bool:
    """Whether compiling works on `device`, by trying.

    Never on the CPU, where it needs a C++ compiler and takes longer than the steps would.
    """
    if device.type == "cpu":
        return False
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2, device=device))
    except (RuntimeError, OSError, ImportError):
        return False
    return True


def _plain_bytes(shape: torch.Size) -> int:
    return 2 * 4 * shape.numel()


def _8bit_bytes(shape: torch.Size) -> int:
    size = shape.numel()
    if size < SMALLEST_8BIT or size % BLOCK_8BIT:
        return _plain_bytes(shape)
    table = 256 * 4
    return 2 * (size + 4 * size // BLOCK_8BIT + table)


def _factored_bytes(shape: torch.Size) -> int:
    size = shape.numel()
    if len(shape) < 2:
        return 4 * size
    return 4 * (size // shape[-1] + size // shape[-2])
