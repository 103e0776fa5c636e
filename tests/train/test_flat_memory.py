"""The exact mode's graphs do not grow with the number of inversion steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.batches import Batch
from invdpo.train.gradient import accumulate
from invdpo.train.models import Conditioning, load_adapter
from invdpo.train.objective import OBJECTIVES


class Kept:
    """A tensor that autograd keeps, counted while it lives."""

    now = peak = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        Kept.now += tensor.nbytes
        Kept.peak = max(Kept.peak, Kept.now)

    def __del__(self) -> None:
        Kept.now -= self.tensor.nbytes


def peak(pipeline: Path, points: int) -> int:
    adapter = load_adapter(TrainConfig(model=str(pipeline)), torch.device("cpu"))
    parameters = list(adapter.denoiser.requires_grad_(True).parameters())
    x, encoded = torch.randn(1, 2, points, 4, 4, 4), adapter.encode_prompts(["a red circle"])
    batch = Batch(
        x,
        torch.randn_like(x),
        torch.arange(points)[None] * 12,
        torch.ones(1, points),
        torch.zeros(1, 2, points),
        encoded,
    )

    def predict(x: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        return adapter.predict(adapter.denoiser, x, t, conditioning)

    Kept.now = Kept.peak = 0
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        accumulate(predict, batch, OBJECTIVES["inversion-dpo"](1.0), parameters, 4, 1.0)
    return Kept.peak


def test_80_steps_keep_what_10_steps_keep(pipeline: Path) -> None:
    few, many = peak(pipeline, 10), peak(pipeline, 80)
    assert few > 100_000
    assert many == pytest.approx(few, rel=0.01)
