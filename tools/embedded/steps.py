"""What all training loops share: the learning rate's course, and a line now and then."""

from __future__ import annotations

import math
import time

import torch

EVERY = 100
"""Steps between two lines."""


def cosine(step: int, steps: int, *, warm_up: int, last: float = 0.02) -> float:
    """A factor of the learning rate: rises over `warm_up`, then falls to `last` along a cosine."""
    fall = (1 + math.cos(math.pi * step / steps)) / 2
    return min(1.0, (step + 1) / warm_up) * (last + (1 - last) * fall)


class Progress:
    """Prints the mean loss of every `EVERY` steps, and the seconds since the start."""

    def __init__(self, name: str, steps: int) -> None:
        self.name, self.steps = name, steps
        self.begin, self.total = time.monotonic(), 0.0

    def show(self, step: int, loss: torch.Tensor) -> None:
        """Take note of one step's loss; `step` counts from 0."""
        self.total += loss.item()
        if (step + 1) % EVERY == 0:
            seconds = time.monotonic() - self.begin
            mean = self.total / EVERY
            line = f"{self.name} step {step + 1}/{self.steps} loss {mean:.4f} {seconds:.0f} s"
            print(line, flush=True)
            self.total = 0.0
