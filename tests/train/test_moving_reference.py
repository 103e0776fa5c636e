"""A reference that follows the weights: what it is after each step, and after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.models.live_reference import LiveReference


class _Tuning:
    """The least that a reference needs of what is trained."""

    def __init__(self) -> None:
        self.denoiser = nn.Linear(1, 1, bias=False)
        self.parameters = list(self.denoiser.parameters())

    def set(self, value: float) -> None:
        with torch.no_grad():
            self.parameters[0].fill_(value)


def _seen(reference: LiveReference) -> float:
    with reference() as network:
        return next(network.parameters()).item()


def test_the_average_moves_towards_the_weights_and_gives_them_back() -> None:
    """Steps 1 and 2 with decay 0.1: d = 0.1 both times, as the cap of the start is higher."""
    tuning = _Tuning()
    tuning.set(1.0)
    reference = LiveReference(tuning, TrainConfig(reference_decay=0.1))  # type: ignore[arg-type]
    assert _seen(reference) == 1.0
    tuning.set(2.0)
    reference.follow(1)
    assert _seen(reference) == pytest.approx(0.1 * 1 + 0.9 * 2)
    assert tuning.parameters[0].item() == 2.0
    state = reference.state(["w"])
    again = LiveReference(tuning, TrainConfig(reference_decay=0.1))  # type: ignore[arg-type]
    again.restore(["w"], state)
    assert _seen(again) == _seen(reference)


def test_one_tied_to_the_start_stays_there(tmp_path: Path) -> None:
    tuning = _Tuning()
    tuning.set(1.0)
    config = TrainConfig(objective="diffusion-dpo", start_from=str(tmp_path), reference="start")
    reference = LiveReference(tuning, config)  # type: ignore[arg-type]
    tuning.set(5.0)
    reference.follow(1)
    assert _seen(reference) == 1.0
    assert reference.state(["w"]) == {}
