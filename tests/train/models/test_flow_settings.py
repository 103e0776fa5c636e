"""What folders and options of flow-matching models may say, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, ModelError
from invdpo.train.distributed import ProcessGroup
from invdpo.train.models import load_adapter
from invdpo.train.models.finetuning import start_tuning
from invdpo.train.models.latent_model import LatentModel
from invdpo.train.splits import resolve_config
from tests import flow_pipelines
from tests.flow_pipelines import FLOW_PIPELINES

CPU = torch.device("cpu")


def test_the_published_solver_of_sana_steps_between_the_same_levels(tmp_path: Path) -> None:
    """Where Euler steps are too few to be the solver's, its σ and times are still ours."""
    from diffusers import DiffusionPipeline

    folder = flow_pipelines.sana(tmp_path / "model", solver_order=2)
    pipe: Any = DiffusionPipeline.from_pretrained(folder)
    adapter = load_adapter(TrainConfig(model=str(folder)), CPU)
    pipe.scheduler.set_timesteps(20)
    grid = adapter.process.grid(20, (4, 8, 8))
    torch.testing.assert_close(grid.levels.flip(0).float(), pipe.scheduler.sigmas)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"prediction_type": "epsilon"}, "prediction_type: found epsilon.*flow_prediction"),
        ({"use_flow_sigmas": False}, "use_flow_sigmas: found False.*True"),
    ],
)
def test_a_solver_of_diffusion_is_refused(
    tmp_path: Path, setting: dict[str, Any], text: str
) -> None:
    folder = flow_pipelines.sana(tmp_path / "model", solver_order=2)
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **setting}))
    with pytest.raises(ModelError, match=text):
        load_adapter(TrainConfig(model=str(folder)), CPU)


def test_another_scheduler_is_refused(tmp_path: Path) -> None:
    folder = flow_pipelines.sd3(tmp_path / "model")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({"_class_name": "DDIMScheduler"}))
    with pytest.raises(ModelError, match=r"found DDIMScheduler.*FlowMatchEulerDiscreteScheduler"):
        load_adapter(TrainConfig(model=str(folder)), CPU)


@pytest.mark.parametrize(
    ("guidance_embeds", "changes", "text"),
    [
        (True, {"inversion_guidance_scale": 3.5}, r"inversion_guidance_scale: found 3\.5"),
        (False, {"embedded_guidance": 3.5}, r"embedded_guidance: found 3\.5.*allowed: 1"),
    ],
)
def test_guidance_of_the_wrong_kind_is_refused(
    tmp_path: Path, guidance_embeds: bool, changes: dict[str, Any], text: str
) -> None:
    folder = flow_pipelines.flux(tmp_path / "model", guidance_embeds=guidance_embeds)
    with pytest.raises(ConfigError, match=text):
        load_adapter(TrainConfig(model=str(folder), **changes), CPU)


@pytest.mark.parametrize("family", ["flux_schnell", "flux2_klein_distilled"])
def test_models_distilled_without_guidance_get_none(tmp_path: Path, family: str) -> None:
    """By default validation images are generated with guidance."""
    config = TrainConfig(model=str(FLOW_PIPELINES[family](tmp_path / "model")))
    assert config.picture_guidance_scale > 1
    adapter = load_adapter(config, CPU)
    assert resolve_config(config, adapter).picture_guidance_scale == 1
    guided = config.model_copy(update={"inversion_guidance_scale": 2.0})
    with pytest.raises(ConfigError, match=r"inversion_guidance_scale: found 2.*without guidance"):
        resolve_config(guided, adapter)


@pytest.mark.parametrize(
    ("family", "most"), [("sd3", 512), ("flux", 512), ("lumina2", 512), ("qwen_image", 1024)]
)
def test_longer_texts_than_the_pipeline_takes_are_refused(
    tmp_path: Path, family: str, most: int
) -> None:
    from diffusers import DiffusionPipeline

    folder = FLOW_PIPELINES[family](tmp_path / "model")
    pipe: Any = DiffusionPipeline.from_pretrained(folder)
    with pytest.raises(ValueError, match=f"cannot be greater than {most}"):
        pipe("a cat", max_sequence_length=most + 1)
    config = TrainConfig(model=str(folder), max_sequence_length=most + 1)
    with pytest.raises(ConfigError, match=rf"found {most + 1}, .*allowed: up to {most}"):
        load_adapter(config, CPU)
    assert load_adapter(config.model_copy(update={"max_sequence_length": most}), CPU)


@pytest.mark.parametrize("family", sorted(FLOW_PIPELINES.keys() - {"flux2_dev"}))
def test_every_layer_of_attention_gets_a_lora(tmp_path: Path, family: str) -> None:
    """FLUX.2's blocks of one stream have a `to_out` where those of two have a list of that name."""
    config = TrainConfig(model=str(FLOW_PIPELINES[family](tmp_path / "model")), lora_rank=2)
    adapter = load_adapter(config, CPU)
    modules = adapter.empty_denoiser().named_modules()
    layers = {n for n, m in modules if isinstance(m, torch.nn.Linear)}
    wanted = {n for n in layers if re.search(r"(attn\d?|attention)\.", n)}
    config = resolve_config(config, adapter)
    tuning = start_tuning(adapter, config, ProcessGroup(CPU), keep_reference=False)
    assert {name.split(".lora_")[0] for name in tuning.named} == wanted


def test_the_kohya_names_are_for_unets(tmp_path: Path) -> None:
    folder = flow_pipelines.sd3(tmp_path / "model")
    config = TrainConfig(model=str(folder), lora_format="kohya")
    with pytest.raises(ConfigError, match=r"lora_format: found kohya.*StableDiffusion3Pipeline"):
        resolve_config(config, load_adapter(config, CPU))


def test_noise_weights_are_refused(tmp_path: Path) -> None:
    folder = flow_pipelines.sd3(tmp_path / "model")
    config = TrainConfig(model=str(folder), weighting="min_snr")
    with pytest.raises(ConfigError, match=r"weighting: found min_snr.*uniform, clean"):
        resolve_config(config, load_adapter(config, CPU))


@pytest.mark.parametrize("asked", [(512, 512), (1024, 1024), (768, 512), (1280, 768), (800, 1248)])
def test_the_size_at_which_sana_draws_is_the_pipelines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[int, int]
) -> None:
    """It takes the nearest that it knows, unless told otherwise, and resizes the image."""
    from diffusers import SanaPipeline

    class Drawn(Exception):
        """Enough is known."""

    def prepare(_self: Any, _batch: int, _channels: int, height: int, width: int, *_: Any) -> None:
        raise Drawn(width, height)

    folder = flow_pipelines.sana(tmp_path / "model")
    adapter = load_adapter(TrainConfig(model=str(folder)), CPU)
    assert isinstance(adapter, LatentModel)
    assert adapter.drawn_size(asked) == asked  # a model of no size that has a table
    adapter.denoiser_config["sample_size"] = 32
    pipe = SanaPipeline.from_pretrained(folder)
    pipe.transformer.register_to_config(sample_size=32)
    monkeypatch.setattr(SanaPipeline, "prepare_latents", prepare)
    with pytest.raises(Drawn) as drawn:
        pipe("a cat", width=asked[0], height=asked[1], num_inference_steps=1, guidance_scale=1.0)
    assert drawn.value.args == adapter.drawn_size(asked)
    assert (adapter.drawn_size(asked) == asked) == (asked in {(1024, 1024), (1280, 768)})
