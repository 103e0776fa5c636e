"""Every flow-matching family against its own pipeline, on small random weights.

What is compared: latents after Euler steps, the noise an image was drawn from, conditioning alone
and in a padded batch, the round trip of images, and tuned weights as diffusers loads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train.data.buckets import fit
from invdpo.train.distributed import ProcessGroup
from invdpo.train.inversion import own_noise, regenerate
from invdpo.train.models import ModelAdapter, load_adapter
from invdpo.train.models.base import STATES
from invdpo.train.models.finetuning import start_tuning
from invdpo.train.models.flow.base import FlowModel, unpack
from invdpo.train.models.latent_model import to_pixels
from invdpo.train.models.reference import Reference
from invdpo.train.schedule import Shape
from invdpo.train.splits import resolve_config
from tests import flow_pipelines

CPU = torch.device("cpu")
PROMPTS = ["a red circle", "a blue square to the left of a much larger yellow triangle"]
STEPS, SIDE, SIZE = 4, 64, (96, 64)


@dataclass(frozen=True)
class Case:
    """A family's small pipeline, and the arguments that turn its guidance off."""

    make: Callable[[Path], Path]
    unguided: dict[str, Any]
    guided: dict[str, Any] | None = None
    """Arguments for guidance of scale 3, in families that let us have it as it is."""
    embedded: float = 1.0


WHOLE = {"use_resolution_binning": False}
OFF, ON = {"guidance_scale": 1.0}, {"guidance_scale": 3.0}
CASES = {
    "sd3": Case(flow_pipelines.sd3, OFF, ON),
    "sd3-without-t5": Case(lambda folder: flow_pipelines.sd3(folder, with_t5=False), OFF, ON),
    "flux-dev": Case(flow_pipelines.flux, {"guidance_scale": 2.5}, embedded=2.5),
    "flux-schnell": Case(
        lambda folder: flow_pipelines.flux(folder, guidance_embeds=False), {"guidance_scale": 0.0}
    ),
    "flux2-klein": Case(flow_pipelines.flux2_klein, OFF, ON),
    "flux2-klein-distilled": Case(
        lambda folder: flow_pipelines.flux2_klein(folder, distilled=True), OFF
    ),
    "qwen-image": Case(flow_pipelines.qwen_image, {"true_cfg_scale": 1.0}),
    "z-image": Case(flow_pipelines.z_image, {"guidance_scale": 0.0}, {"guidance_scale": 2.0}),
    "aura-flow": Case(flow_pipelines.aura_flow, OFF, ON),
    "lumina2": Case(flow_pipelines.lumina2, OFF, {**ON, "cfg_normalization": False}),
    "sana": Case(flow_pipelines.sana, {**OFF, **WHOLE}, {**ON, **WHOLE}),
    "sana-by-first-order": Case(
        lambda folder: flow_pipelines.sana(folder, solver_order=1),
        {**OFF, **WHOLE},
        {**ON, **WHOLE},
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.make(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Any:
    from diffusers import DiffusionPipeline

    return quiet(DiffusionPipeline.from_pretrained(folder, **absent(folder)))


def absent(folder: Path) -> dict[str, None]:
    """Components that the index names without a class; diffusers wants to be told."""
    index = json.loads((folder / "model_index.json").read_text())
    return {name: None for name, kind in index.items() if kind == [None, None]}


def quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def config_of(folder: Path, case: Case, **changes: Any) -> TrainConfig:
    return TrainConfig(
        model=str(folder), resolution=SIDE, embedded_guidance=case.embedded, lora_rank=2, **changes
    )


def drawn(pipe: Any, case: Case, shape: Shape, **given: Any) -> tuple[Tensor, Tensor]:
    """Latents of this shape and images of both prompts, without classifier-free guidance."""
    latents: list[Tensor] = []

    def keep(_pipe: Any, _step: int, _time: Any, now: dict[str, Tensor]) -> dict[str, Tensor]:
        latents.append(now["latents"])
        return now

    images = pipe(
        prompt=[*PROMPTS],
        width=SIZE[0],
        height=SIZE[1],
        num_inference_steps=STEPS,
        generator=[torch.Generator().manual_seed(seed) for seed in (3, 4)],
        output_type="pt",
        callback_on_step_end=keep,
        **{**case.unguided, **given},
    ).images
    return unpacked(latents[-1].float(), shape), images.float()


def unpacked(latents: Tensor, shape: Shape) -> Tensor:
    """Latents that may be tokens, each of one position or of a square of four."""
    if latents.ndim == 3:
        one = latents.shape[-1] == shape[0]
        return latents.mT.reshape(-1, *shape) if one else unpack(latents, shape)
    return latents.reshape(-1, *shape)


def euler(adapter: ModelAdapter, **guidance: Any) -> Tensor:
    """From the noise of the seeds, with our own σ grid and our own encodings."""
    shape = adapter.latent_shape(SIZE)
    noise = own_noise([3, 4], torch.zeros(2, *shape))
    reference = Reference(adapter, adapter.encode_prompts(PROMPTS), **guidance)
    return regenerate(reference, adapter.process, noise, adapter.process.grid(STEPS, shape))


def test_euler_steps_of_our_velocity_are_the_pipelines(folder: Path, case: Case, pipe: Any) -> None:
    adapter = load_adapter(config_of(folder, case), CPU)
    theirs, _ = drawn(pipe, case, adapter.latent_shape(SIZE))
    torch.testing.assert_close(euler(adapter), theirs, atol=1e-5, rtol=1e-5)
    assert (theirs - own_noise([3, 4], theirs)).abs().max() > 0.01


def test_texts_are_as_long_as_the_images_were_drawn_with(
    folder: Path, case: Case, pipe: Any
) -> None:
    adapter = load_adapter(config_of(folder, case, max_sequence_length=24), CPU)
    given = {"max_sequence_length": 24}
    theirs, _ = drawn(pipe, case, adapter.latent_shape(SIZE), **given)
    torch.testing.assert_close(euler(adapter), theirs, atol=1e-5, rtol=1e-5)
    usual = load_adapter(config_of(folder, case), CPU)
    prompt = " ".join(PROMPTS * 3)
    assert adapter.is_truncated([prompt]) >= usual.is_truncated([prompt])
    if not adapter.lengths_vary:
        assert not torch.equal(euler(adapter), euler(usual))


def test_guidance_leads_away_from_the_pipelines_negative(
    folder: Path, case: Case, pipe: Any
) -> None:
    if case.guided is None:
        pytest.skip("this pipeline guides in a way of its own, or not at all")
    adapter = load_adapter(config_of(folder, case), CPU)
    theirs, _ = drawn(pipe, case, adapter.latent_shape(SIZE), **case.guided)
    empty = adapter.encode_prompts([None, None])
    ours = euler(adapter, empty=empty, scale=3.0, samples=4)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (ours - euler(adapter)).abs().max() > 0.01


def test_prompts_and_none_of_them_are_encoded_in_any_order(folder: Path, case: Case) -> None:
    adapter = load_adapter(config_of(folder, case), CPU)
    prompts = [None, PROMPTS[1], None, PROMPTS[0]]
    single = [adapter.encode_prompts([prompt]) for prompt in prompts]
    for name, value in adapter.encode_prompts(prompts).items():
        for row, alone in zip(value, (one[name][0] for one in single), strict=True):
            torch.testing.assert_close(row[: len(alone)], alone, atol=1e-5, rtol=1e-5)
            assert not adapter.lengths_vary or not row[len(alone) :].any()


def test_shapes_of_a_prompt_follow_from_the_configuration(folder: Path, case: Case) -> None:
    adapter = load_adapter(config_of(folder, case), CPU)
    assert isinstance(adapter, FlowModel)
    encoded = adapter.encode_prompts([PROMPTS[0]])
    shapes = adapter.prompt_shapes(encoded[STATES].shape[1])
    assert {name: (value.shape, value.dtype) for name, value in shapes.items()} == {
        name: (value.shape, value.dtype) for name, value in encoded.items()
    }


def test_the_grid_is_the_pipelines_for_every_size(folder: Path, case: Case, pipe: Any) -> None:
    adapter = load_adapter(config_of(folder, case), CPU)
    grids = []
    for side in (SIDE, 2 * SIDE):
        size = {"height": side, "width": side, "num_inference_steps": 7, "output_type": "latent"}
        pipe(prompt=PROMPTS[0], **{**case.unguided, **size})
        theirs = pipe.scheduler.sigmas
        grid = adapter.process.grid(7, adapter.latent_shape((side, side)))
        torch.testing.assert_close(grid.levels.flip(0).float(), theirs, atol=1e-6, rtol=0)
        assert grid.levels[0].item() == 0
        assert grid.levels[-1].item() == pytest.approx(1, abs=1e-3)
        assert (grid.levels.diff() > 0).all()
        grids.append(grid.levels)
    dynamic = adapter.scheduler_config.get("use_dynamic_shifting")  # type: ignore[attr-defined]
    assert torch.equal(*grids) != bool(dynamic)


def test_training_levels_are_spread_as_those_of_a_sampler(folder: Path, case: Case) -> None:
    """However far beyond any sampler's steps T is, the noisy half isn't left out."""
    adapter = load_adapter(config_of(folder, case), CPU)
    training = adapter.process.training_levels(adapter.latent_shape(SIZE)).levels
    assert len(training) == 1000
    assert training.median() > 0.49


def test_a_prompt_alone_is_the_prompt_in_a_padded_batch(folder: Path, case: Case) -> None:
    adapter = load_adapter(config_of(folder, case), CPU)
    shape = adapter.latent_shape(SIZE)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    sigma, together = torch.tensor([0.3, 0.8]), adapter.encode_prompts(PROMPTS)
    with torch.no_grad():
        both = adapter.predict(adapter.denoiser, x, sigma, together)
        for i, prompt in enumerate(PROMPTS):
            alone = adapter.encode_prompts([prompt])
            one = adapter.predict(adapter.denoiser, x[i : i + 1], sigma[i : i + 1], alone)
            torch.testing.assert_close(one[0], both[i], atol=1e-4, rtol=1e-4)


def test_latents_are_the_scaled_mode_and_come_back(folder: Path, case: Case, pipe: Any) -> None:
    adapter = load_adapter(config_of(folder, case), CPU)
    noise = torch.randint(256, (*SIZE[::-1], 3), dtype=torch.uint8, generator=seeded())
    image = fit(Image.fromarray(noise.numpy()), SIZE)
    latent = adapter.encode_images([image])["latent"]
    assert latent.shape[1:] == adapter.latent_shape(SIZE)
    latents, theirs = drawn(pipe, case, latent.shape[1:])
    ours = adapter.decode_latents(latents) / 2 + 0.5
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    pixels = to_pixels(image.image)[None]
    frames = pixels[:, :, None] if adapter.vae_dimensions == 5 else pixels  # type: ignore[attr-defined]
    with torch.no_grad():
        encoded = pipe.vae.encode(frames)
        raw = encoded.latent_dist.mode() if "latent_dist" in encoded else encoded.latent
        back = pipe.vae.decode(raw).sample.reshape(pixels.shape).clamp(-1, 1)
    torch.testing.assert_close(adapter.decode_latents(latent), back, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_tuned_weights_load_into_diffusers_and_change_the_image(
    folder: Path, case: Case, pipe: Any, tmp_path: Path, kind: str
) -> None:
    from diffusers import DiffusionPipeline

    config = config_of(folder, case, tuning=kind)
    adapter = load_adapter(config, CPU)
    config = resolve_config(config, adapter)
    tuning = start_tuning(adapter, config, ProcessGroup(CPU), keep_reference=False)
    with torch.no_grad():
        for parameter in tuning.parameters:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=seeded()))
    tuning.save(tmp_path / "tuned")
    if kind == "lora":
        loaded: Any = DiffusionPipeline.from_pretrained(folder, **absent(folder))
        loaded.load_lora_weights(tmp_path / "tuned")
    else:
        loaded = DiffusionPipeline.from_pretrained(tmp_path / "tuned", **absent(folder))
    shape = adapter.latent_shape(SIZE)
    (after, _), (before, _) = drawn(quiet(loaded), case, shape), drawn(pipe, case, shape)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(euler(adapter), after, atol=1e-4, rtol=1e-4)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def test_every_usual_target_is_a_layer(folder: Path, case: Case) -> None:
    config = config_of(folder, case, lora_targets=("to_q", "nothing"))
    adapter = load_adapter(config, CPU)
    with pytest.raises(ConfigError, match="no layer of this model is called nothing"):
        start_tuning(adapter, config, ProcessGroup(CPU), keep_reference=False)
    usual = resolve_config(config_of(folder, case), adapter).lora_targets
    assert usual == adapter.lora_targets
    assert resolve_config(config_of(folder, case), adapter).weighting == "uniform"


def test_long_prompts_are_told(folder: Path, case: Case) -> None:
    adapter = load_adapter(config_of(folder, case), CPU)
    assert adapter.is_truncated(["a b", "many words " * 2000]) == [False, True]
