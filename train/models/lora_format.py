"""The file of a LoRA: its tensors' names for diffusers or for kohya's readers, and its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.documents import MAX_LISTS, read_json
from invdpo.schemas.io.hub import is_hub_id

FILE = "pytorch_lora_weights.safetensors"
SIDES = {"lora_A": "lora_down", "lora_B": "lora_up"}
RENAMED = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
"""Layers of SDXL that readers of kohya's names know by the original model's names alone."""
BASES = {
    768: ("sd_v1", "stable-diffusion-v1/lora"),
    1024: ("sd_v2", "stable-diffusion-v2-512/lora"),
    2048: ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora"),
}
"""Width of the text that the UNet looks at -> the base model's kind in the words of kohya's scripts
and of ModelSpec."""


def save_lora(
    folder: Path,
    layers: Mapping[str, Tensor],
    denoiser: Any,
    config: TrainConfig,
    component: str = "unet",
) -> None:
    """Write the file. `layers` are PEFT's: `NAME.lora_A.weight` and `NAME.lora_B.weight`.

    `component` is the denoiser's name in the pipeline.
    """
    from safetensors.torch import save

    named = kohya_names(layers)
    if config.lora_format == "diffusers":
        named = diffusers_names(layers, component)
    tensors = {key: tensor.contiguous() for key, tensor in named.items()}
    (folder / FILE).write_bytes(in_order(save(tensors, metadata=metadata(denoiser, config))))


def in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted: the library has another order each time.

    Equal trainings end in equal files, and a push sends nothing twice.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    head = read_json(content[8:end], FILE, dict, max_bytes=MAX_LISTS)
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def diffusers_names(layers: Mapping[str, Tensor], component: str = "unet") -> dict[str, Tensor]:
    """As `pipeline.load_lora_weights` reads them.

    Older versions know attention layers by `lora.down` alone. All others are called `lora_A`, and a
    file of both is applied by half: the names are those of its first tensor, or are dropped.
    Versions that know a `transformer` know `lora_A` everywhere.
    """
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers

    convert: Any = convert_state_dict_to_diffusers  # untyped
    older = convert(dict(layers))
    newer = component != "unet" or any(f".{side}." in key for key in older for side in SIDES)
    return {f"{component}.{key}": tensor for key, tensor in (layers if newer else older).items()}


def kohya_names(layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As ComfyUI and A1111 read them, and diffusers too: with the alpha of each layer, its rank."""
    named = {}
    for key, tensor in layers.items():
        layer, side = key.removesuffix(".weight").rsplit(".", 1)
        stem = f"lora_unet_{RENAMED.get(layer, layer).replace('.', '_')}"
        named[f"{stem}.{SIDES[side]}.weight"] = tensor
        if side == "lora_A":
            named[f"{stem}.alpha"] = torch.tensor(float(len(tensor)))
    return named


def metadata(denoiser: Any, config: TrainConfig) -> dict[str, str]:
    """What other programs show of a LoRA, under the names that they look for."""
    rank = str(config.lora_rank)
    known = {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "ss_sd_model_name": base_name(config),
    }
    version, architecture = BASES.get(getattr(denoiser.config, "cross_attention_dim", 0), ("", ""))
    if version:
        known |= {
            "ss_base_model_version": version,
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": architecture,
        }
    return known


def base_name(config: TrainConfig) -> str:
    """The base model as it may be published: a Hub id with its revision, or a folder's own name."""
    path = Path(config.model)
    if path.exists() or not is_hub_id(config.model):
        return path.resolve().name
    return f"{config.model}@{config.revision}" if config.revision else config.model
