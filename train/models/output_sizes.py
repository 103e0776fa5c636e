"""Bytes that a training writes to its output, from shapes alone: no weights are loaded."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.models.base import ModelAdapter
from invdpo.train.models.finetuning import check_targets, copied_files, target_layers
from invdpo.train.models.live_reference import kept_copy
from invdpo.train.optim.optimizers import state_bytes

FLOAT = 4
TENSOR_BYTES = 256
"""More than a tensor takes in the header of a safetensors file."""
STEP_BYTES, OTHER_BYTES = 2**13, 2**20
"""Of metrics for each step, for us and a tracker; and of card, curves and the like."""


def output_bytes(adapter: ModelAdapter, config: TrainConfig, done: int = 0) -> int:
    """The most that a training adds to its output after `done` steps, validation images aside.

    New weights and states are written before the older ones go. Raises `ConfigError` for LoRA
    targets that the model has not.
    """
    left = config.max_steps - done
    if left <= 0:
        return 0
    weights, state = _saved_bytes(adapter, config)
    most = 1 if done else 2
    validations = min(most, -(-left // config.validate_every))
    states = min(most, -(-left // (config.checkpoint_every or config.validate_every)))
    copies = left // config.save_every if config.save_every else 0
    return (validations + copies) * weights + states * state + left * STEP_BYTES + OTHER_BYTES


def _saved_bytes(adapter: ModelAdapter, config: TrainConfig) -> tuple[int, int]:
    """Bytes of the weights in the output, and of a state."""
    denoiser = adapter.empty_denoiser()
    if config.tuning == "lora":
        check_targets(denoiser, config.lora_targets)
        moving = list(lora_tensors(denoiser, config))
        weights = _bytes(moving)
    else:
        moving = list(denoiser.parameters())
        others = [path.stat().st_size for path in copied_files(adapter.folder)]
        weights = _bytes([*moving, *denoiser.buffers()]) + sum(others)
    copies = 1 + (config.ema_decay is not None) + (kept_copy(config) == "average")
    return weights, copies * _bytes(moving) + state_bytes(config.optimizer, moving) + _names(moving)


def lora_tensors(denoiser: nn.Module, config: TrainConfig) -> Iterator[Tensor]:
    """Both halves of each layer's LoRA, on no device."""
    for _, layer in target_layers(denoiser, config.lora_targets):
        kept, *rest = layer.weight.shape
        ones = [1] * (len(rest) - 1)
        yield torch.empty(config.lora_rank, *rest, device="meta")
        yield torch.empty(kept, config.lora_rank, *ones, device="meta")


def _bytes(tensors: list[Tensor]) -> int:
    return FLOAT * sum(tensor.numel() for tensor in tensors) + _names(tensors)


def _names(tensors: list[Tensor]) -> int:
    return TENSOR_BYTES * len(tensors)
