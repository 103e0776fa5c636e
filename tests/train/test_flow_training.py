"""Whole trainings of flow-matching models: every family, every source of noise, both tunings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from invdpo.schemas.config.train import TrainConfig
from invdpo.train import train
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.data import open_dataset
from invdpo.train.diagnostics.estimate import estimate
from invdpo.train.diagnostics.inversion_check import check_inversion
from invdpo.train.models import load_adapter
from invdpo.train.models.base import MASK, STATES
from tests import flow_pipelines
from tests.train.tiny import pairs_of

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "sd3": flow_pipelines.sd3,
    "flux": flow_pipelines.flux,
    "flux2-klein": flow_pipelines.flux2_klein,
    "qwen-image": flow_pipelines.qwen_image,
    "z-image": flow_pipelines.z_image,
    "aura-flow": flow_pipelines.aura_flow,
    "lumina2": flow_pipelines.lumina2,
    "sana": flow_pipelines.sana,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def model(name: str) -> Path:
        if name not in made:
            made[name] = FAMILIES[name](tmp_path_factory.mktemp("model") / name)
        return made[name]

    return model


def config_of(model: Path, **changes: Any) -> TrainConfig:
    given: dict[str, Any] = {
        "model": str(model),
        "resolution": 32,
        "num_inversion_steps": 4,
        "num_points": 2,
        "batch_size": 2,
        "max_steps": 2,
        "lora_rank": 2,
        "warmup_steps": 0,
        "learning_rate": 1e-3,
        "trackers": (),
        "device": "cpu",
        "unet_batch_size": 4,
    }
    return TrainConfig(**{**given, **changes})


def run(dataset: Path, out: Path, config: TrainConfig) -> list[dict[str, float]]:
    metrics: list[Any] = []
    train(dataset, out, config, progress=False, on_step=metrics.append)
    return metrics


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_loss_is_ln_2_and_a_step_moves(
    models: Any, dataset: Path, tmp_path: Path, family: str
) -> None:
    """E_0 of phase one belongs to the points of phase two: before the first step all is equal."""
    metrics = run(dataset, tmp_path / "out", config_of(models(family)))
    assert metrics[0]["loss"] == pytest.approx(0.693147, abs=1e-3)
    assert metrics[0]["grad_norm"] > 0
    assert metrics[1]["loss"] != metrics[0]["loss"]
    weights = load_file(tmp_path / "out" / "pytorch_lora_weights.safetensors")
    assert all(name.startswith("transformer.") for name in weights)
    assert any(weight.abs().max() > 0 for name, weight in weights.items() if "lora_B" in name)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": "fresh"},
        {"noise": "own"},
        {"fresh_noise": 0.8},
        {"residual": "implied"},
        {"residual": "implied", "inversion_corrections": 1, "cache_points": 2},
        {"weighting": "clean", "inversion_guidance_scale": 2.0},
        {"objective": "diffusion-dpo"},
        {"objective": "diffusion-dpo", "tuning": "full", "loser_scaling": 0.5},
        {"dtype": "bfloat16", "gradient_checkpointing": True},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_every_objective_trains_a_flow(
    models: Any, dataset: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    near = 0.05 if changes.get("dtype") else 1e-3
    metrics = run(dataset, tmp_path / "out", config_of(models("sd3"), **changes))
    assert metrics[0]["loss"] == pytest.approx(0.693147, abs=near)
    assert metrics[0]["grad_norm"] > 0


def test_sft_lowers_the_error_of_winners(models: Any, dataset: Path, tmp_path: Path) -> None:
    config = config_of(
        models("sd3"), objective="sft", tuning="full", max_steps=8, batch_size=6, num_points=4
    )
    metrics = run(dataset, tmp_path / "out", config)
    assert metrics[-1]["loss"] < metrics[0]["loss"]


@pytest.mark.parametrize("family", ["sd3", "qwen-image"])
def test_a_stopped_training_goes_on_bit_for_bit(
    models: Any, dataset: Path, tmp_path: Path, family: str
) -> None:
    changes = {"max_steps": 4, "checkpoint_every": 2, "validate_every": 4}
    config = config_of(models(family), **changes)
    run(dataset, tmp_path / "whole", config)

    class Stop(Exception):
        pass

    def stop(metrics: Any) -> None:
        if metrics["step"] == 3:
            raise Stop

    with pytest.raises(Stop):
        train(dataset, tmp_path / "cut", config, progress=False, on_step=stop)
    train(dataset, tmp_path / "cut", config, progress=False)
    whole, cut = (
        load_file(tmp_path / name / "pytorch_lora_weights.safetensors") for name in ("whole", "cut")
    )
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.parametrize("family", ["qwen-image", "z-image", "lumina2", "sana"])
def test_only_valid_tokens_are_stored(
    models: Any, dataset: Path, tmp_path: Path, family: str
) -> None:
    """Each prompt comes out of the cache as it went in, and no batch is padded beyond its own."""
    config = config_of(models(family))
    adapter = load_adapter(config, torch.device("cpu"))
    cache = open_cache(tmp_path, adapter, config)
    pairs = pairs_of(dataset)
    CacheBuilder(adapter, config, cache).encode(open_dataset(dataset), {"train": pairs})
    prompts = sorted({pair.prompt for pair in pairs}, key=len)
    assert len(prompts) > 1
    together = cache.conditioning(prompts)
    lengths = together[MASK].sum(1).tolist()
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1] == together[STATES].shape[1]
    for prompt, row, length in zip(prompts, together[STATES], lengths, strict=True):
        alone = adapter.encode_prompts([prompt])
        assert alone[STATES].shape[1] == length
        torch.testing.assert_close(row[:length], alone[STATES][0], atol=1e-5, rtol=1e-5)
        assert cache.conditioning([prompt])[STATES].shape[1] == length


@pytest.mark.parametrize("family", ["flux", "qwen-image"])
def test_images_are_drawn_on_the_way(
    models: Any, dataset: Path, tmp_path: Path, family: str
) -> None:
    config = config_of(models(family), pictures_every=2, picture_guidance_scale=4.0)
    run(dataset, tmp_path / "out", config)
    names = sorted(path.name for path in (tmp_path / "out" / "pictures").glob("*.png"))
    assert names == ["step-000000.png", "step-000002.png"]


def test_a_bucket_has_a_grid_of_its_own(models: Any, tmp_path: Path) -> None:
    """FLUX.1-dev shifts σ by the image's size."""
    adapter = load_adapter(config_of(models("flux")), torch.device("cpu"))
    process = adapter.process
    small, large = (process.grid(4, (4, side, side)).levels for side in (16, 64))
    assert (large[1:-1] > small[1:-1]).all()


def test_a_dry_run_and_a_check_of_the_inversion(models: Any, dataset: Path, tmp_path: Path) -> None:
    config = config_of(models("sd3"))
    counted = estimate(dataset, tmp_path / "out", config)
    assert counted.measured is not None
    assert counted.cache_forwards == counted.lacking.trajectories * (
        5 + 4
    )  # 4 steps, and the fresh noise at each point
    rows = [
        check_inversion(dataset, config.model_copy(update={"inversion_corrections": n}), 2).rows
        for n in (0, 2)
    ]
    assert [row.steps for row in rows[0]] == [2, 4, 8]
    plain, corrected = (row[-1].latent_error for row in rows)
    assert corrected < plain


@pytest.mark.parametrize(
    ("changes", "told"),
    [({}, True), ({"noise": "fresh"}, False), ({"objective": "diffusion-dpo"}, False)],
    ids=["inversion", "fresh", "diffusion-dpo"],
)
def test_an_inversion_with_embedded_guidance_is_warned_of(
    models: Any, dataset: Path, tmp_path: Path, changes: dict[str, Any], told: bool
) -> None:
    config = config_of(models("flux"), embedded_guidance=3.5, max_steps=1, num_points=1, **changes)
    notes = train(dataset, tmp_path / "out", config, progress=False).notes
    assert any("found 3.5; models distilled with guidance invert badly" in n for n in notes) == told


def test_the_report_names_the_family(models: Any, dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path / "out", config_of(models("z-image")))
    report = json.loads((tmp_path / "out" / "training.json").read_text())
    assert report["pipeline"] == "ZImagePipeline"
    assert report["config"]["weighting"] == "uniform"
    assert report["config"]["lora_targets"] == ["to_q", "to_k", "to_v", "to_out.0"]
