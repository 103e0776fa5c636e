"""Writes a trained pipeline as a diffusers folder with half-precision safetensors."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


def export(
    folder: Path,
    *,
    vae: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
) -> None:
    """Save the pipeline so that it loads as float32 from files of half the size."""
    halved = [copy.deepcopy(part).to(torch.float16) for part in (vae, encoder, unet)]
    StableDiffusionPipeline(
        vae=halved[0],
        text_encoder=halved[1],
        tokenizer=tokenizer,
        unet=halved[2],
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)
    _tidy(folder, "text_encoder")


def export_flow(
    folder: Path,
    *,
    vae: AutoencoderKL,
    encoders: list[CLIPTextModelWithProjection],
    tokenizer: CLIPTokenizer,
    transformer: SD3Transformer2DModel,
    scheduler: FlowMatchEulerDiscreteScheduler,
) -> None:
    """The same for the flow pipeline, which has no T5."""
    halved = [copy.deepcopy(part).to(torch.float16) for part in (vae, *encoders, transformer)]
    halved[0].register_to_config(shift_factor=0.0)  # that pipeline adds it, none or not
    StableDiffusion3Pipeline(
        vae=halved[0],
        text_encoder=halved[1],
        text_encoder_2=halved[2],
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
        transformer=halved[3],
        scheduler=scheduler,
    ).save_pretrained(folder, safe_serialization=True)
    _tidy(folder, "text_encoder", "text_encoder_2")


def _tidy(folder: Path, *encoders: str) -> None:
    # The dtype that the configuration names is the one that transformers loads.
    for name in encoders:
        _change(folder / name / "config.json", dtype="float32")
    _change(folder / "vae" / "config.json", _name_or_path="")


def _change(config: Path, **values: str) -> None:
    """Set some values of a configuration file."""
    content = json.loads(config.read_text()) | values
    config.write_text(json.dumps(content, indent=2) + "\n")
