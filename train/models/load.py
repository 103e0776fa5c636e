"""From a folder or a Hub id to an adapter."""

from __future__ import annotations

from pathlib import Path

import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.entry_points import distribution_of
from invdpo.schemas.errors import ConfigError, ModelError
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.model_folder import (
    INDEX,
    check_settings,
    find_folder,
    model_errors,
    read_index,
)
from invdpo.train.models.base import FAMILIES, ModelAdapter
from invdpo.train.models.flow.aura_flow import AuraFlow
from invdpo.train.models.flow.base import FlowModel
from invdpo.train.models.flow.flux import Flux
from invdpo.train.models.flow.flux2_klein import Flux2Klein
from invdpo.train.models.flow.lumina2 import Lumina2
from invdpo.train.models.flow.qwen_image import QwenImage
from invdpo.train.models.flow.sana import Sana
from invdpo.train.models.flow.stable_diffusion_3 import StableDiffusion3
from invdpo.train.models.flow.z_image import ZImage
from invdpo.train.models.latent_model import LatentModel
from invdpo.train.models.sdxl import StableDiffusionXL
from invdpo.train.models.stable_diffusion import StableDiffusion

KNOWN: tuple[type[LatentModel], ...] = (
    *(StableDiffusion, StableDiffusionXL, StableDiffusion3),
    *(Flux, Flux2Klein, QwenImage, ZImage, AuraFlow, Lumina2, Sana),
)
for family in KNOWN:
    FAMILIES.register(family.pipeline)(family)


def load_adapter(
    config: TrainConfig, device: torch.device, *, weights: bool = True
) -> ModelAdapter:
    """The adapter for `config.model`, a diffusers folder or Hub id; components load when used.

    Frozen weights are kept in `config.dtype`; those that train are kept in float32. Without
    `weights` the configurations alone are downloaded.
    Raises `ModelError` for a folder without pipeline or without safetensors, and for a pipeline
    class without an adapter.
    """
    folder = find_folder(config.model) or _download(config.model, config.revision, weights)
    name = str(read_index(folder).get("_class_name"))
    if config.family is None and name not in FAMILIES:
        known = ", ".join(FAMILIES.names())
        raise ModelError(
            f"{config.model}: a {name}, which can't be trained. Models of {known} can. `invdpo "
            "curate` generates, annotates, scores and pairs images of any pipeline."
        )
    family = FAMILIES[config.family or name]
    weights_dtype = "float32" if config.tuning == "full" else config.dtype
    check_settings(folder)
    with model_errors(folder):
        adapter = family(folder, device, config.dtype, weights_dtype)
    if config.embedded_guidance != 1 and not adapter.embeds_guidance:
        raise ConfigError(
            f"embedded_guidance: found {config.embedded_guidance:g}, but {config.model} was not "
            "distilled with guidance; allowed: 1."
        )
    if config.inversion_guidance_scale != 1 and adapter.embeds_guidance:
        raise ConfigError(
            f"inversion_guidance_scale: found {config.inversion_guidance_scale:g}, but "
            f"{config.model} was distilled with guidance and takes it as an input. Leave it at 1, "
            "and see embedded_guidance; inversion works best with 1 there, too."
        )
    adapter.embedded_guidance = config.embedded_guidance
    adapter.max_sequence_length = _text_length(adapter, config)
    return adapter


def _text_length(adapter: ModelAdapter, config: TrainConfig) -> int | None:
    """The configured one. Raises `ConfigError` for one that the model does not take."""
    length = config.max_sequence_length
    if length is None:
        return None
    start = f"max_sequence_length: found {length}, but {config.model} is a {adapter.pipeline}"
    if not isinstance(adapter, FlowModel):
        text = "whose text encoders take a fixed number of tokens. Leave it out"
        raise ConfigError(f"{start}, {text}.")
    if adapter.most_tokens and length > adapter.most_tokens:
        raise ConfigError(f"{start}; allowed: up to {adapter.most_tokens}.")
    return length


def family_origin(adapter: ModelAdapter, config: TrainConfig) -> str | None:
    """Class and package of a family that a plug-in brought; None for one that comes with us."""
    point = FAMILIES.point(config.family or adapter.pipeline)
    return f"{point.value} {distribution_of(point) or ''}".strip() if point else None


def _download(model: str, revision: str | None, weights: bool) -> Path:
    from diffusers import DiffusionPipeline
    from huggingface_hub import snapshot_download

    try:
        if not weights:
            patterns = [INDEX, "*/*config.json"]
            return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
        return Path(DiffusionPipeline.download(model, revision=revision, use_safetensors=True))
    except hub_failures(ValueError) as error:
        raise ModelError(hub_failure(error, model, "model", revision)) from None
