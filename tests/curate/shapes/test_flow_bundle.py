"""The bundled flow-matching model loads offline, does what its card says, and can be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from invdpo.curate.checkpoints.pipelines import find_model
from invdpo.curate.shapes import world
from invdpo.curate.shapes.bundle import flow_model_path
from invdpo.curate.shapes.scenes import sample_graph
from invdpo.curate.shapes.vision import observe
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.section import EMBEDDED_FLOW

ABSENT: dict[str, Any] = {"text_encoder_3": None, "tokenizer_3": None}


@pytest.fixture(scope="module")
def pipeline() -> Any:
    from diffusers import DiffusionPipeline

    loaded = DiffusionPipeline.from_pretrained(flow_model_path(), local_files_only=True, **ABSENT)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_weights_are_safetensors_and_small() -> None:
    files = [file for file in flow_model_path().rglob("*.*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 10 * 2**20
    assert {file.suffix for file in files} == {".json", ".md", ".safetensors"}


def test_it_is_stable_diffusion_3_in_float32(pipeline: Any) -> None:
    assert type(pipeline).__name__ == "StableDiffusion3Pipeline"
    assert type(pipeline.scheduler).__name__ == "FlowMatchEulerDiscreteScheduler"
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        assert {weight.dtype for weight in part.parameters()} == {torch.float32}
    assert {weight.dtype for weight in pipeline.transformer.parameters()} == {torch.float32}


def test_it_is_found_by_its_name() -> None:
    found = find_model(EMBEDDED_FLOW)
    assert (found.name, Path(found.location)) == (EMBEDDED_FLOW, flow_model_path())


def test_samples_follow_held_out_prompts_well_above_chance(pipeline: Any) -> None:
    """Of the facts asked for 24 images show at least half as many more than others' prompts ask.

    The model card has the figures.
    """
    rng = np.random.default_rng(5)
    wanted = [sample_graph(rng, "heldout") for _ in range(24)]
    images = pipeline(
        [world.caption(graph) for graph in wanted],
        num_inference_steps=8,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images
    assert images.shape == (24, 64, 64, 3)
    seen = [observe(np.rint(image * 255).astype(np.uint8)) for image in images]
    own, others = shown(wanted, seen), shown(wanted[1:] + wanted[:1], seen)
    assert own > 1.5 * others


def shown(wanted: list[SceneGraph], seen: list[SceneGraph]) -> float:
    """The mean share of wanted facts that the images show."""
    shares = [
        len(w.facts() & s.facts()) / len(w.facts()) for w, s in zip(wanted, seen, strict=True)
    ]
    return float(np.mean(shares))
