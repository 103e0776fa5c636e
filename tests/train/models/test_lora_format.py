"""What other programs are told of a LoRA."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.models.lora_format import metadata


@pytest.mark.parametrize(
    ("width", "version", "architecture"),
    [
        (768, "sd_v1", "stable-diffusion-v1/lora"),
        (2048, "sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora"),
        (24, None, None),
    ],
)
def test_the_base_model_is_known_by_the_width_of_its_texts(
    width: int, version: str | None, architecture: str | None
) -> None:
    denoiser = SimpleNamespace(config=SimpleNamespace(cross_attention_dim=width))
    told = metadata(denoiser, TrainConfig(model="lab/base", lora_rank=8))
    assert told.get("ss_base_model_version") == version
    assert told.get("modelspec.architecture") == architecture
    assert (told["ss_network_dim"], told["ss_network_alpha"]) == ("8", "8")
