"""The presets: each is a whole, valid configuration, found by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.presets import fitting_preset, preset_names, preset_path


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_valid_configuration(name: str) -> None:
    assert load_config(preset_path(name)) != Config()


@pytest.mark.parametrize(
    ("preset", "model", "pipeline"),
    [
        ("sd15", "folder", "StableDiffusionPipeline"),
        ("sdxl", "folder", "StableDiffusionXLPipeline"),
        ("sd35-medium", "folder", "StableDiffusion3Pipeline"),
        (None, "sdxl", "FluxPipeline"),
        ("sd15", "an/xl", "StableDiffusionPipeline"),
        ("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", ""),
        ("sdxl", "segmind/SSD-XL", ""),
        ("sd35-medium", "stabilityai/stable-diffusion-3.5-large", ""),
        ("sd15", "xlabs/some", ""),
    ],
)
def test_the_preset_that_suits_a_model(preset: str | None, model: str, pipeline: str) -> None:
    assert fitting_preset(model, pipeline) == preset


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_tunes_no_model_of_its_own_on_anothers_images(name: str) -> None:
    """`run --preset sdxl --model MINE` and `train` would have tuned SDXL on the images of MINE."""
    assert "model" not in load_config(preset_path(name)).train.model_fields_set


def test_an_unknown_preset_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"found '\.\./x'; allowed: .*compositional-11k"):
        preset_path("../x")


def test_a_preset_stands_for_the_workspace_and_is_overridden(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "invdpo.yaml").write_text("generate: {num_candidates: 9, seed: 7}\n")
    (tmp_path / "mine.yaml").write_text("pair: {min_margin: 0.5}\n")
    words = ["curate", "prompts", str(work), "--preset", "compositional-11k-embedded"]
    words += ["--config", str(tmp_path / "mine.yaml"), "--num-prompts", "3"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    found, preset = (
        load_config(work / "invdpo.yaml"),
        load_config(preset_path("compositional-11k-embedded")),
    )
    assert found.generate.num_candidates == preset.generate.num_candidates != 9
    assert (found.generate.seed, found.pair.min_margin, found.prompts.num_prompts) == (0, 0.5, 3)
