"""The error when a device is out of memory: what was tried, and which settings take less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ModelError
from invdpo.schemas.io.text import count_noun, format_bytes
from invdpo.train.models.live_reference import copy_bytes
from invdpo.train.optim.optimizers import OptimizerName, state_bytes

NOTABLE = 0.02
"""Share of the memory that a change must save to be worth a line."""

TEXTS = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""In the text of torch's errors that have no class of their own, in lower case."""


@dataclass(frozen=True)
class Setting:
    """What determines the memory of a training step."""

    samples: int
    dtype: str
    full: bool
    optimizer: OptimizerName
    weights: int
    """Bytes of all the network's weights in memory."""
    moving: Sequence[Tensor]
    """The parameters in training; only their shapes are used."""
    averaged: bool
    extrapolated: bool
    reference: int
    """Bytes of what is kept for a reference that is asked in every step."""
    checkpointing: bool
    devices: int
    sharded: bool
    """Whether the devices share what each of them holds otherwise."""

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        weights: int,
        network: int,
        moving: Sequence[Tensor],
        *,
        samples: int = 1,
        devices: int = 1,
        sharded: bool = False,
    ) -> Self:
        """That of a configuration; `network` is the network's number of parameters."""
        trained = sum(p.numel() for p in moving)
        return cls(
            samples=samples,
            dtype=config.dtype,
            full=config.tuning == "full",
            optimizer=config.optimizer,
            weights=weights,
            moving=moving,
            averaged=config.ema_decay is not None,
            extrapolated=config.extrapolation > 0,
            reference=copy_bytes(config, network, trained) if moving else 0,
            # without anything that moves there is no graph to save
            checkpointing=config.gradient_checkpointing or not moving,
            devices=devices,
            sharded=sharded,
        )

    def parts(self) -> dict[str, int]:
        """Fixed bytes: those on a device before the first image, by what they hold."""
        copy = 4 * sum(p.numel() for p in self.moving)
        sizes = {
            "weights": self.weights,
            "gradients": copy,
            f"{self.optimizer}'s states": state_bytes(self.optimizer, self.moving),
            "averages": copy if self.averaged else 0,
            "weights of the start": copy if self.extrapolated else 0,
            "reference": self.reference,
        }
        share = self.devices if self.sharded else 1
        return {name: size // share for name, size in sizes.items() if size}

    def fixed_bytes(self) -> int:
        """Bytes on a device before the first image."""
        return sum(self.parts().values())


def advice(now: Setting, device_bytes: int | None) -> str:
    """The text of an out-of-memory error: what was tried, then what takes less, least harm first.

    `device_bytes` is the memory of one device, None if unknown.
    """
    parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in now.parts().items())
    if device_bytes is not None and now.fixed_bytes() >= device_bytes:
        return "\n".join([_overfull(now, parts, device_bytes), *_fixed_lines(now, device_bytes)])
    room = "the device" if device_bytes is None else f"a device of {format_bytes(device_bytes)}"
    graph = f"{count_noun(now.samples, 'UNet sample')} in one graph"
    first = (
        f"Out of memory on {room}: {graph} did not fit beside {parts}. Try these changes, the "
        "least harmful first:"
    )
    return "\n".join([first, *(f"  {line}" for line in _graph_lines(now, device_bytes))])


@contextmanager
def out_of_memory(text: Callable[[], str]) -> Iterator[None]:
    """Turn a device's or the machine's lack of memory into a `ModelError` with `text()`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and not any(words in str(error).lower() for words in TEXTS):
            raise
        raise ModelError(text()) from error


def _overfull(now: Setting, parts: str, device_bytes: int) -> str:
    return (
        f"Out of memory: {parts} are {format_bytes(now.fixed_bytes())} before the first image, "
        f"but the device has {format_bytes(device_bytes)}: no unet_batch_size is small enough. "
        "Memory after each change, the least harmful first:"
    )


def _fixed_lines(now: Setting, device_bytes: int) -> Iterator[str]:
    """A line for each change of the fixed memory, with the bytes it leads to."""
    changes = list(_fixed_changes(now, device_bytes))
    for line, after in changes:
        enough = after.fixed_bytes() < device_bytes
        yield f"  {line}: {format_bytes(after.fixed_bytes())}{'' if enough else ', still too much'}"
    if any(after.fixed_bytes() < device_bytes for _, after in changes):
        return
    pairs = [
        f"  {first} and {second}: {format_bytes(after.fixed_bytes())}"
        for first, between in changes
        for second, after in _fixed_changes(between, device_bytes)
        if after.fixed_bytes() < device_bytes
    ]
    yield from pairs[:1] or ["  That is not enough: use a device with more memory."]


def _graph_lines(now: Setting, device_bytes: int | None) -> Iterator[str]:
    """Changes that make room for a graph, least harm first."""
    if now.samples > 1:
        yield f"unet_batch_size: {now.samples // 2} (the same results)"
    if not now.checkpointing:
        yield "gradient_checkpointing: true (the same results; each forward pass is done twice)"
    if now.dtype == "float32":
        kept = "of what a graph stores" if now.full else "of what a graph stores and of the weights"
        yield f"dtype: bfloat16 (half {kept})"
    changes = list(_fixed_changes(now, device_bytes))
    for shared in (False, True):
        if shared:
            yield "resolution: a lower one (a graph grows with the number of pixels)"
        for line, after in changes:
            if (after.sharded != now.sharded) == shared and after.dtype == now.dtype:
                freed = format_bytes(now.fixed_bytes() - after.fixed_bytes())
                yield f"{line} (frees {freed}{' a device' if shared else ''})"


def _fixed_changes(now: Setting, device_bytes: int | None) -> Iterator[tuple[str, Setting]]:
    """Changes that lower the fixed memory notably, least harm first."""
    for line, after in _all_changes(now, device_bytes):
        if now.fixed_bytes() - after.fixed_bytes() >= NOTABLE * now.fixed_bytes():
            yield line, after


def _all_changes(now: Setting, device_bytes: int | None) -> Iterator[tuple[str, Setting]]:
    if now.dtype == "float32" and not now.full:
        half = replace(now, dtype="bfloat16", weights=now.weights // 2)
        yield "dtype: bfloat16", half
    names: tuple[OptimizerName, ...] = ("adafactor", "adamw8bit")
    if now.full and not now.sharded:
        for name in names:
            yield f"optimizer: {name}", replace(now, optimizer=name)
    if now.full:
        frozen = now.weights // (1 if now.dtype == "float32" else 2)
        yield "tuning: lora", replace(now, full=False, weights=frozen, moving=[], reference=0)
    if not now.sharded:
        count = now.devices
        if count == 1:
            count = 2 if device_bytes is None else max(2, now.fixed_bytes() // device_bytes + 1)
        adamw = "" if now.optimizer == "adamw" else " with optimizer adamw"
        after = replace(now, sharded=True, devices=count, optimizer="adamw")
        yield f"strategy: fsdp{adamw} on {count} devices", after
