"""What `accelerator.py` measures, cell by cell, until the time is up.

Shapes: K points, M samples a graph, C x H x W the latent.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from counting import flops
from machine import Machine
from networks import add_lora, trained
from torch import Tensor, nn

from invdpo.train.batches import Batch
from invdpo.train.gradient import accumulate
from invdpo.train.objective import OBJECTIVES

Row = tuple[str, ...]
CELLS = (
    "tuning",
    "checkpointing",
    "K",
    "samples a graph",
    "seconds a pair",
    "optimiser's step, s",
    "peak GiB",
    "fraction of the matrix rate",
)
LARGEST = ("tuning", "checkpointing", "most samples a graph", "seconds a sample", "peak GiB")
ROUNDS = (("lora", False), ("lora", True), ("full", True), ("full", False))
"""The commonest first, since the end may be left out."""
POINTS = (1, 4, 8)
MOST = 128
"""Samples a graph beyond which nobody asks."""
OBJECTIVE = OBJECTIVES["inversion-dpo"](2000.0)


class Round:
    """One way of training on a machine: the network on the device, its optimiser, and steps."""

    def __init__(self, machine: Machine, tuning: str, checkpointing: bool) -> None:
        self.machine, self.network = machine, machine.network
        self.unet = on_device(machine, torch.bfloat16 if tuning == "lora" else torch.float32)
        if tuning == "lora":
            add_lora(self.unet, 16)
        if checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.parameters = trained(self.unet)
        fused = machine.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(self.parameters, 1e-6, fused=fused)
        self.told = self.network.conditioning(1, machine.device, torch.float32)

    def predict(self, x: Tensor, t: Tensor, _: object) -> Tensor:
        """Noise of x (M, C, H, W) at timesteps t (M,), in float32."""
        told = _spread(self.told, len(x))
        with torch.autocast(self.machine.device.type, torch.bfloat16):
            x = x.contiguous(memory_format=torch.channels_last)
            made: Tensor = self.unet(x, t, **told).sample
        return made.float()

    def pair(self, points: int, limit: int) -> None:
        """The gradient of one pair with K = `points`, at most `limit` samples a graph."""
        side, device = self.network.side // 8, self.machine.device
        x = torch.randn(1, 2, points, 4, side, side, device=device)
        batch = Batch(
            x=x,
            target=torch.randn_like(x),
            timesteps=torch.arange(1, points + 1, device=device)[None] * (999 // points),
            weight=torch.ones(1, points, device=device),
            reference_error=torch.ones(1, 2, points, device=device),
            conditioning={},
        )
        self.optimizer.zero_grad(set_to_none=True)
        accumulate(self.predict, batch, OBJECTIVE, self.parameters, limit, 1.0)

    def seconds(self, points: int, limit: int, times: int) -> tuple[float, float] | None:
        """Of a pair and of an optimiser step, the medians of several; none if memory runs out."""
        self.optimizer.zero_grad(set_to_none=True)
        self.machine.forget()
        try:
            self.pair(points, limit)
            self.optimizer.step()
            found = []
            for _ in range(times):
                gradient = self.machine.timed(lambda: self.pair(points, limit))
                found.append((gradient, self.machine.timed(self.optimizer.step)))
        except torch.OutOfMemoryError:
            return None
        return median(f[0] for f in found), median(f[1] for f in found)


def measure(machine: Machine, rate: float) -> tuple[list[Row], list[Row], list[str]]:
    """Rows of both tables, and notes on what was left out."""
    cells: list[Row] = []
    largest: list[Row] = []
    notes: list[str] = []
    ideal = {t: flops(machine.network, t) / rate for t in ("lora", "full")}
    for tuning, checkpointing in ROUNDS:
        name = (tuning, "yes" if checkpointing else "no")
        if machine.late():
            notes.append(f"Out of time: {tuning}, checkpointing {name[1]} left out.")
            continue
        machine.forget()
        try:
            step = Round(machine, tuning, checkpointing)
            most, row = _largest(machine, step)
        except torch.OutOfMemoryError:
            most, row = 0, ("0: out of memory", "–", "–")
        largest.append((*name, *row))
        for points in POINTS if most else ():
            if machine.late():
                notes.append(f"Out of time: {tuning}, checkpointing {name[1]}, K = {points}.")
                continue
            cells.append((*name, str(points), *_cell(step, points, most, ideal[tuning])))
        del step
    return cells, largest, notes


def _cell(step: Round, points: int, most: int, ideal: float) -> Row:
    """`ideal`: seconds a sample at the matrix rate."""
    limit = min(2 * points, most)
    found = step.seconds(points, limit, 3 if step.machine.accelerated else 1)
    if found is None:
        return (str(limit), "out of memory", "–", "–", "–")
    fraction = 2 * points * ideal / found[0]
    times = (f"{found[0]:.3f}", f"{found[1]:.3f}")
    return (str(limit), *times, step.machine.peak(), f"{fraction:.2g}")


def _largest(machine: Machine, step: Round) -> tuple[int, Row]:
    """The most samples that fit into a graph, beside an optimiser with its moments in place."""
    most = MOST if machine.accelerated else 4
    seconds: dict[int, tuple[float, str]] = {}

    def fits(samples: int) -> bool:
        found = step.seconds(max(1, samples // 2), samples, 1)
        if found is not None:
            seconds[samples] = found[0], machine.peak()
        return found is not None

    count = search(fits, most, machine.late)
    if not count:
        return 0, ("0: out of memory", "–", "–")
    label = f"{count} (more not tried)" if count == most or machine.late() else str(count)
    return count, (label, f"{seconds[count][0] / count:.4f}", seconds[count][1])


def search(fits: Callable[[int], bool], most: int, late: Callable[[], bool]) -> int:
    """The largest even number, or 1, that fits: doubled up to `most`, then halved in between.

    0 when not even 1 fits. Being late ends it with the largest found so far.
    """
    good, bad, trial = 0, most + 2, 1
    while trial <= most and not late():
        if not fits(trial):
            bad = trial
            break
        good, trial = trial, 2 * trial
    while good > 1 and bad - good > 2 and bad <= most and not late():
        middle = (good + bad) // 4 * 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def on_device(machine: Machine, dtype: torch.dtype) -> Any:
    """The network with random weights, made where it is used, for a processor takes minutes."""
    with torch.device("meta"):
        unet = machine.network.build()
    unet = nn.Module.to(unet, dtype).to_empty(device=machine.device).train()
    for module in unet.modules():
        for name, p in module.named_parameters(recurse=False):
            if isinstance(module, nn.GroupNorm | nn.LayerNorm):
                nn.init.constant_(p, float(name == "weight"))
            else:
                nn.init.normal_(p, std=0.02)
    return unet.to(memory_format=torch.channels_last)


def _spread(told: dict[str, Any], count: int) -> dict[str, Any]:
    return {
        name: _spread(value, count)
        if isinstance(value, dict)
        else value.expand(count, *value.shape[1:])
        for name, value in told.items()
    }
