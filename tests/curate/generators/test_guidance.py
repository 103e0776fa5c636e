"""What guidance means to each family: our images are those of the pipeline called by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invdpo.curate.generate import Generate
from invdpo.curate.generators.guidance import FAMILIES as DIFFERENT
from invdpo.curate.generators.guidance import passes
from invdpo.curate.generators.pipeline import ImageGenerator, ImageRequest
from invdpo.schemas import ConfigError
from invdpo.schemas.config.generate import GenerateConfig
from tests.curate.pipelines import sdxl
from tests.curate.tiny import save_pipeline
from tests.flow_pipelines import FLOW_PIPELINES

PROMPTS = ["a red circle", "two blue stars"]
SIZE = (32, 32)
UNBINNED = {"use_resolution_binning": False}
"""Without it SANA knows no size this small."""
Values = dict[str, Any]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Name of a family -> its pipeline, made when it is first asked for."""
    import torch

    class Folders(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            torch.manual_seed(0)
            folder = tmp_path_factory.mktemp("models") / name / "pipeline"
            folder.parent.mkdir()
            {"sd": save_pipeline, "sdxl": sdxl, **FLOW_PIPELINES}[name](folder)
            self[name] = folder
            return folder

    return Folders()


def settings(folder: Path, **more: Any) -> GenerateConfig:
    values = {"num_inference_steps": 2, "batch_size": 2, "device": "cpu", "num_candidates": 1}
    values |= {"width": SIZE[0], "height": SIZE[1]}
    return GenerateConfig.model_validate({"model": str(folder), **values, **more})


def ours(folder: Path, **more: Any) -> np.ndarray[Any, Any]:
    generator = ImageGenerator(settings(folder, **more))
    requests = [ImageRequest(prompt, seed, SIZE) for seed, prompt in enumerate(PROMPTS)]
    return np.stack([np.asarray(picture) for picture in generator(requests)])


def by_hand(folder: Path, **arguments: Any) -> np.ndarray[Any, Any]:
    """The pipeline as its own documentation calls it, its convolutions laid out as ours."""
    import diffusers
    import torch

    absent: Values = {}
    if folder.parent.name == "sd3_without_t5":
        absent = {"text_encoder_3": None, "tokenizer_3": None}
    with torch.inference_mode():
        pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(folder, **absent)
        pipeline.set_progress_bar_config(disable=True)
        for name in {"unet", "vae"} & {*pipeline.components}:
            if folder.parent.name != "qwen_image":
                getattr(pipeline, name).to(memory_format=torch.channels_last)
        output = pipeline(
            prompt=[*PROMPTS],
            generator=[torch.Generator().manual_seed(seed) for seed, _ in enumerate(PROMPTS)],
            num_inference_steps=2,
            width=SIZE[0],
            height=SIZE[1],
            output_type="np",
            **arguments,
        )
    return np.asarray(output.images)


DULL = {"negative_prompt": ["dull", "dull"]}
TRUE_CFG = {"negative_prompt": "dull", "pipeline_options": {"true_cfg_scale": 3}}
CASES: list[tuple[str, Values, Values]] = [
    ("sd", {"guidance_scale": 4}, {"guidance_scale": 4}),
    ("sd", {"negative_prompt": "dull"}, {"guidance_scale": 4, **DULL}),
    ("sdxl", {"guidance_scale": 4}, {"guidance_scale": 4}),
    ("sdxl", {"negative_prompt": "dull"}, {"guidance_scale": 4, **DULL}),
    ("sdxl", {"pipeline_options": {"guidance_rescale": 0.7}}, {"guidance_rescale": 0.7}),
    ("sd3", {"guidance_scale": 7}, {"guidance_scale": 7}),
    ("sd3_without_t5", {"negative_prompt": "dull"}, {"guidance_scale": 4, **DULL}),
    ("flux", {"guidance_scale": 3.5}, {"guidance_scale": 3.5}),
    ("flux", TRUE_CFG, {"guidance_scale": 4, "true_cfg_scale": 3, **DULL}),
    ("flux_schnell", {"guidance_scale": 1}, {}),
    ("flux_schnell", {"guidance_scale": 0}, {}),
    ("flux_schnell", {"guidance_scale": 1, **TRUE_CFG}, {"true_cfg_scale": 3, **DULL}),
    ("flux2_dev", {"guidance_scale": 2.5}, {"guidance_scale": 2.5}),
    ("flux2_klein", {"guidance_scale": 3}, {"guidance_scale": 3}),
    ("flux2_klein_distilled", {"guidance_scale": 1}, {"guidance_scale": 1}),
    ("qwen_image", {}, {"true_cfg_scale": 4, "negative_prompt": [" ", " "]}),
    ("qwen_image", {"negative_prompt": "dull"}, {"true_cfg_scale": 4, **DULL}),
    ("qwen_image", {"guidance_scale": 1}, {}),
    ("z_image", {"guidance_scale": 3}, {"guidance_scale": 3}),
    ("z_image", {"guidance_scale": 0}, {"guidance_scale": 0}),
    ("z_image", {"negative_prompt": "dull"}, {"guidance_scale": 4, **DULL}),
    ("sana", {"pipeline_options": UNBINNED}, {"guidance_scale": 4, **UNBINNED}),
    ("lumina2", {"guidance_scale": 3}, {"guidance_scale": 3}),
    ("lumina2", {"pipeline_options": {"cfg_trunc_ratio": 0.5}}, {"cfg_trunc_ratio": 0.5}),
    ("aura_flow", {"guidance_scale": 3}, {"guidance_scale": 3}),
]
"""Family, our options, and the arguments that they mean."""


@pytest.mark.parametrize(
    ("family", "options", "meant"), CASES, ids=[f"{name}-{more}" for name, more, _ in CASES]
)
def test_pictures_are_those_of_the_arguments_meant(
    folders: Mapping[str, Path], family: str, options: Values, meant: Values
) -> None:
    if set(meant) <= {"guidance_rescale", "cfg_trunc_ratio"}:
        meant = {"guidance_scale": 4, **meant}
    made = ours(folders[family], **options)
    assert np.isfinite(made).all()
    np.testing.assert_array_equal(made, by_hand(folders[family], **meant))


@pytest.mark.parametrize(
    "family", ["sd3", "flux", "flux2_dev", "flux2_klein", "qwen_image", "z_image"]
)
def test_more_guidance_is_another_picture(folders: Mapping[str, Path], family: str) -> None:
    more, less = (ours(folders[family], guidance_scale=scale) for scale in (4, 1))
    assert np.abs(more - less).max() > 1 / 255


def test_every_class_of_the_table_exists_and_takes_its_arguments() -> None:
    import inspect

    import diffusers

    for name, family in DIFFERENT.items():
        taken = inspect.signature(getattr(diffusers, name).__call__).parameters
        assert {family.argument, family.free} <= set(taken)
        assert family.empty is None or "negative_prompt" in taken


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        (
            "flux_schnell",
            {},
            r"guidance_scale: found 4, but this model of FluxPipeline was distilled "
            r"without guidance \(guidance_embeds of its transformer is false\). Allowed: up to 1. "
            "Give --guidance-scale 1",
        ),
        ("flux2_klein_distilled", {"guidance_scale": 3}, r"found 3, .*is_distilled"),
        ("flux", {"negative_prompt": "dull"}, "Add --pipeline-option true_cfg_scale=4, or leave"),
        (
            "flux",
            {"negative_prompt": "dull", "pipeline_options": {"true_cfg_scale": 1}},
            "FluxPipeline uses it with classifier-free guidance only",
        ),
        ("flux_schnell", {"guidance_scale": 1, "negative_prompt": "x"}, "true_cfg_scale=4"),
        ("flux", {"pipeline_options": {"true_cfg_scale": 4}}, "Give --negative-prompt too"),
        ("flux2_dev", {"negative_prompt": "x"}, "Flux2Pipeline takes none"),
        ("flux2_klein", {"negative_prompt": "x"}, "Flux2KleinPipeline takes none"),
        ("sdxl", {"guidance_scale": 1, "negative_prompt": "x"}, r"above 1 \(found 1\)"),
        ("qwen_image", {"guidance_scale": 1, "negative_prompt": "x"}, r"above 1 \(found 1\)"),
        ("z_image", {"guidance_scale": 0, "negative_prompt": "x"}, r"above 0 \(found 0\)"),
    ],
)
def test_what_a_pipeline_would_ignore_is_refused(
    folders: Mapping[str, Path], family: str, options: Values, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        ours(folders[family], **options)


def test_a_model_that_embeds_its_guidance_sees_no_negative_prompt(
    folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As latent consistency models do, which are pipelines of Stable Diffusion."""
    from invdpo.curate.generators.guidance import Guidance

    monkeypatch.setattr(Guidance, "_of_denoiser", lambda *_: 256)
    with pytest.raises(ConfigError, match="This model has none: use another model, or leave"):
        ours(folders["sd"], negative_prompt="x")


def test_a_pipeline_that_takes_no_guidance_is_refused(
    folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    parts: Any = diffusers

    def plain(self: Any, prompt: str) -> None: ...

    monkeypatch.setattr(parts.StableDiffusionXLPipeline, "__call__", plain)
    with pytest.raises(ConfigError, match="StableDiffusionXLPipeline takes no guidance_scale"):
        ours(folders["sdxl"])


def test_refused_before_anything_is_drawn(folders: Mapping[str, Path]) -> None:
    rows = iter([{"prompt_id": "p", "prompt": "a red circle", "status": "ok"}])
    with pytest.raises(ConfigError, match="true_cfg_scale=4"):
        next(Generate(settings(folders["flux"], negative_prompt="x"))(rows))


@pytest.mark.parametrize(
    ("pipeline", "scale", "expected"),
    [
        ("StableDiffusionPipeline", 4.0, 2),
        ("StableDiffusion3Pipeline", 1.0, 1),
        ("FluxPipeline", 3.5, 1),
        ("QwenImagePipeline", 4.0, 2),
        ("ZImagePipeline", 0.5, 2),
        ("", 2.0, 2),
    ],
)
def test_calls_of_the_denoiser_are_counted(pipeline: str, scale: float, expected: int) -> None:
    assert passes(pipeline, scale) == expected
