"""The noise that each family's pipeline starts from is what the seed of an image gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.inversion import own_noise
from invdpo.train.models import load_adapter
from tests.flow_pipelines import FLOW_PIPELINES
from tests.train.models.test_flow_families import absent, unpacked

SEEDS = [3, 2**62 + 1]
SIZE = (64, 32)
UNBINNED = {"SanaPipeline": {"use_resolution_binning": False}}


class Started(Exception):
    """Enough is known."""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", sorted(FLOW_PIPELINES.keys() - {"flux2_dev"}))
def test_own_noise_is_the_pipelines_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, dtype: str
) -> None:
    """In half precision, after the same rounding."""
    from diffusers import DiffusionPipeline

    folder = FLOW_PIPELINES[family](tmp_path / "model")
    kind = getattr(torch, dtype)
    pipe: Any = DiffusionPipeline.from_pretrained(folder, dtype=kind, **absent(folder))
    prepare = type(pipe).prepare_latents

    def keep(self: Any, *given: Any, **named: Any) -> None:
        raise Started(prepare(self, *given, **named))

    monkeypatch.setattr(type(pipe), "prepare_latents", keep)
    with pytest.raises(Started) as started:
        pipe(
            prompt=["a red circle", "a blue square"],
            generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
            width=SIZE[0],
            height=SIZE[1],
            guidance_scale=1.0,
            **UNBINNED.get(type(pipe).__name__, {}),
        )
    (latents,) = started.value.args
    theirs: Tensor = latents[0] if isinstance(latents, tuple) else latents
    shape = load_adapter(TrainConfig(model=str(folder)), torch.device("cpu")).latent_shape(SIZE)
    ours = own_noise(SEEDS, torch.zeros(len(SEEDS), *shape))
    assert theirs.dtype in (kind, torch.float32)
    assert torch.equal(unpacked(theirs, shape), ours.to(theirs.dtype))
