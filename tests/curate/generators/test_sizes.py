"""Sizes that a pipeline can generate; all others are refused before an image is made."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from invdpo.curate.generate import Generate
from invdpo.curate.generators.sizes import check_sizes
from invdpo.schemas import ConfigError
from invdpo.schemas.config.generate import GenerateConfig
from tests.curate.tiny import save_pipeline
from tests.flow_pipelines import FLOW_PIPELINES


def drawn(folder: Path, *resolutions: str) -> list[tuple[int, int]]:
    """Sizes of the first eight images of a prompt, each of which has one of these."""
    values = {"num_inference_steps": 2, "batch_size": 1, "device": "cpu", "guidance_scale": 1}
    given = {"model": str(folder), "num_candidates": 8, "resolutions": resolutions}
    rows = iter([{"prompt_id": "p", "prompt": "a red circle", "status": "ok"}])
    made = Generate(GenerateConfig.model_validate({**values, **given}))(rows)
    return [(row["width"], row["height"]) for row in made]


@pytest.mark.parametrize(
    "family", ["sd3", "flux", "flux2_klein", "qwen_image", "z_image", "lumina2", "aura_flow"]
)
def test_whole_tokens_are_generated_and_others_refused(tmp_path: Path, family: str) -> None:
    """FLUX made 32 of 40 without a word; SD 3 raised the same error at each image."""
    folder = FLOW_PIPELINES[family](tmp_path / "model")
    assert {*drawn(folder, "48x32", "32x48")} == {(48, 32), (32, 48)}
    said = (
        r"resolution: found 40x32, but \w+ generates sides of multiples of 16. Give 32x32 or 48x32"
    )
    with pytest.raises(ConfigError, match=said):
        drawn(folder, "32x32", "40x32")


def test_a_unet_takes_whole_positions_of_the_latent(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_pipeline(folder)
    assert {*drawn(folder, "24x16")} == {(24, 16)}
    with pytest.raises(ConfigError, match=r"found 20x4.*multiples of 8. Give 16x8 or 24x8"):
        drawn(folder, "20x4")


class Binning:
    """A pipeline that resizes the nearest size it knows, unless told otherwise."""

    vae_scale_factor = 32
    transformer = SimpleNamespace(config=SimpleNamespace(patch_size=(1, 1)))

    def __call__(self, prompt: str, use_resolution_binning: bool = True) -> None: ...


@pytest.mark.parametrize(
    ("options", "refused"), [({}, False), ({"use_resolution_binning": False}, True)]
)
def test_sizes_that_are_made_by_resizing(options: dict[str, Any], refused: bool) -> None:
    config = GenerateConfig(resolutions=("1000x1000",), pipeline_options=options)
    if not refused:
        check_sizes(Binning(), config)
        return
    with pytest.raises(ConfigError, match=r"Give 992x992 or 1024x1024"):
        check_sizes(Binning(), config)
