"""From a folder or a Hub id to an adapter."""

from __future__ import annotations

from pathlib import Path

import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ModelError, PluginError
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.model_folder import check_settings, find_folder, model_errors, read_index
from invdpo.train.models import sdxl, stable_diffusion
from invdpo.train.models.base import FAMILIES, ModelAdapter

FAMILIES.register("StableDiffusionPipeline")(stable_diffusion.StableDiffusion)
FAMILIES.register("StableDiffusionXLPipeline")(sdxl.StableDiffusionXL)


def load_adapter(config: TrainConfig, device: torch.device) -> ModelAdapter:
    """The adapter for `config.model`, a diffusers folder or Hub id; components load when used.

    Frozen weights are kept in `config.dtype`; those that train are kept in float32.
    Raises `ModelError` for a folder without pipeline or without safetensors, and for a pipeline
    class without an adapter.
    """
    folder = find_folder(config.model) or _download(config.model, config.revision)
    name = str(read_index(folder).get("_class_name"))
    try:
        family = FAMILIES[name]
    except PluginError:
        known = " and ".join(FAMILIES.names())
        raise ModelError(
            f"{config.model}: a {name}, which can't be trained. Models of {known} can, such as "
            "SD 1.5, SD 2.1 and SDXL base; flow-matching ones (SD 3, FLUX) can't yet."
        ) from None
    weights = "float32" if config.tuning == "full" else config.dtype
    check_settings(folder)
    with model_errors(folder):
        return family(folder, device, config.dtype, weights)


def _download(model: str, revision: str | None) -> Path:
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(model, revision=revision, use_safetensors=True))
    except hub_failures(ValueError) as error:
        raise ModelError(hub_failure(error, model, "model", revision)) from None
