"""The bundled models load by the ordinary calls, offline, and do what their cards say."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from invdpo.curate.shapes import world
from invdpo.curate.shapes.bundle import clip_path, model_path
from invdpo.curate.shapes.layout import layout
from invdpo.curate.shapes.render import render
from invdpo.curate.shapes.scenes import sample_graph
from invdpo.curate.shapes.vision import observe
from invdpo.schemas import SceneGraph

GUIDANCE = 4.0


@cache
def pipeline() -> Any:
    from diffusers import DiffusionPipeline

    loaded = DiffusionPipeline.from_pretrained(model_path(), local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_weights_are_safetensors_and_small() -> None:
    files = [file for folder in (model_path(), clip_path()) for file in folder.rglob("*.*")]
    assert sum(file.stat().st_size for file in files if file.is_file()) <= 12 * 2**20
    assert not [file for file in files if file.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]


def test_the_pipeline_is_stable_diffusion_in_float32() -> None:
    loaded = pipeline()
    assert type(loaded).__name__ == "StableDiffusionPipeline"
    assert loaded.safety_checker is None
    assert loaded.scheduler.config.prediction_type == "epsilon"
    for part in (loaded.vae, loaded.text_encoder, loaded.unet):
        assert {weight.dtype for weight in part.parameters()} == {torch.float32}


def test_every_word_is_one_token_and_the_longest_caption_fits() -> None:
    tokenizer = pipeline().tokenizer
    assert all(len(tokenizer(word).input_ids) == 3 for word in world.words())
    rng = np.random.default_rng(0)
    captions = [world.caption(sample_graph(rng, "train")) for _ in range(500)]
    assert max(len(ids) for ids in tokenizer(captions).input_ids) < tokenizer.model_max_length


def test_unknown_text_is_spelt_out() -> None:
    assert len(pipeline().tokenizer("Zwölf Äpfel, 猫!").input_ids) > 6


def test_samples_follow_held_out_prompts_well_above_chance() -> None:
    """48 samples; the model card has the figure, here is only a floor far below it."""
    rng = np.random.default_rng(5)
    wanted = [sample_graph(rng, "heldout") for _ in range(48)]
    images = pipeline()(
        [world.caption(graph) for graph in wanted],
        num_inference_steps=20,
        guidance_scale=GUIDANCE,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images
    assert images.shape == (48, 64, 64, 3)
    seen = [observe(np.rint(image * 255).astype(np.uint8)) for image in images]
    assert sum(map(right, wanted, seen)) >= 48 * 0.25


def right(wanted: SceneGraph, seen: SceneGraph) -> bool:
    """Whether exactly the wanted objects are there and all relations hold."""
    phrases = [sorted(item.phrase for item in graph.items) for graph in (wanted, seen)]
    return phrases[0] == phrases[1] and wanted.facts() <= seen.facts()


@pytest.mark.parametrize(
    ("wrong", "floor"),
    [("a {c2} {s1} {r} a {c1} {s2}", 0.75), ("a {c3} {s1} {r} a {c2} {s2}", 0.95)],
    ids=["colours swapped", "one colour changed"],
)
def test_clip_prefers_right_captions(wrong: str, floor: float) -> None:
    """Relations are not asked for: its card says that it guesses them."""
    pictures, right_captions, wrong_captions = pairs(wrong, 200)
    import open_clip

    name = f"local-dir:{clip_path()}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    with torch.no_grad():
        image = model.eval().encode_image(torch.stack([preprocess(p) for p in pictures]), True)
        better = model.encode_text(tokenizer(right_captions), True)
        worse = model.encode_text(tokenizer(wrong_captions), True)
    assert ((image * better).sum(1) > (image * worse).sum(1)).float().mean() >= floor


def pairs(wrong: str, count: int) -> tuple[list[Any], list[str], list[str]]:
    """Held-out images of two objects of different colours, with right and wrong captions."""
    from PIL import Image

    rng = np.random.default_rng(6)
    found: list[tuple[Any, str, str]] = []
    while len(found) < count:
        graph = sample_graph(rng, "heldout")
        if len(graph.items) > 2 or graph.items[0].attributes == graph.items[1].attributes:
            continue
        picture = Image.fromarray(render(layout(graph, rng), rng))
        found.append((picture, world.caption(graph), wrong.format(**names(graph))))
    images, better, worse = (list(column) for column in zip(*found, strict=True))
    return images, better, worse


def names(graph: SceneGraph) -> dict[str, str]:
    """The words of a graph of two objects in one relation, and a colour that it lacks."""
    (one, two), relation = graph.items, graph.relations[0].relation
    return {
        "c1": one.attributes[0],
        "c2": two.attributes[0],
        "c3": next(c for c in world.COLOURS if c not in one.attributes + two.attributes),
        "s1": one.label,
        "s2": two.label,
        "r": world.PHRASES[relation],
    }
