"""Published models as configurations, without weights: what `invdpo train --dry-run` counts.

Where the numbers are from: UNets, CLIPs and VAEs of SD 1.5 and SDXL, and the transformers of
FLUX.1, Qwen-Image and Z-Image, are the defaults of diffusers and transformers unless a value is
written here. What is written here was read in third parties' copies of the published files, not
on the Hub itself. Not verified at all: the vision part of Qwen-Image's text encoder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networks import CLIP_BIG_G, CLIP_L, SD15, SDXL

Component = tuple[str, dict[str, Any]]
"""Class and configuration."""
T5_XXL: Component = (
    "T5EncoderModel",
    {
        "vocab_size": 32128,
        "d_model": 4096,
        "d_ff": 10240,
        "d_kv": 64,
        "num_heads": 64,
        "num_layers": 24,
        "feed_forward_proj": "gated-gelu",
    },
)
QWEN25_VL: Component = (
    "Qwen2_5_VLForConditionalGeneration",
    {
        "text_config": {
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
        "vision_config": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 3584,
        },
    },
)
QWEN3_4B: Component = (
    "Qwen3Model",
    {
        "vocab_size": 151936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
    },
)


@dataclass(frozen=True)
class Published:
    """A pipeline, and the side of the images that it was made for."""

    name: str
    side: int
    pipeline: str
    denoiser: Component
    encoders: tuple[Component, ...]
    vae: Component
    scheduler: Component = ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0})

    def write(self, folder: Path) -> Path:
        """Save all configurations; the folder."""
        component = "unet" if "UNet" in self.denoiser[0] else "transformer"
        parts = {component: self.denoiser, "vae": self.vae}
        for number, encoder in enumerate(self.encoders, 1):
            parts["text_encoder" if number == 1 else f"text_encoder_{number}"] = encoder
        index: dict[str, Any] = {"_class_name": self.pipeline}
        for name, (kind, config) in parts.items():
            index[name] = ["transformers" if "text" in name else "diffusers", kind]
            _save(folder / name / "config.json", config)
        kind, config = self.scheduler
        index["scheduler"] = ["diffusers", kind]
        scheduler = folder / "scheduler" / "scheduler_config.json"
        _save(scheduler, {"_class_name": kind, **config})
        _save(folder / "model_index.json", index)
        return folder


def _save(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _vae(channels: int, **more: Any) -> Component:
    config = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": channels,
    }
    return "AutoencoderKL", config | more


def _sd3(name: str, layers: int, positions: int, dual: int) -> Published:
    transformer = {
        "sample_size": 128,
        "patch_size": 2,
        "in_channels": 16,
        "num_layers": layers,
        "num_attention_heads": layers,
        "attention_head_dim": 64,
        "joint_attention_dim": 4096,
        "caption_projection_dim": 64 * layers,
        "pooled_projection_dim": 2048,
        "out_channels": 16,
        "pos_embed_max_size": positions,
        "dual_attention_layers": tuple(range(dual)),
        "qk_norm": "rms_norm",
    }
    clips = tuple(("CLIPTextModelWithProjection", clip) for clip in (CLIP_L, CLIP_BIG_G))
    denoiser = ("SD3Transformer2DModel", transformer)
    vae = _vae(16, scaling_factor=1.5305, shift_factor=0.0609, **PLAIN)
    return Published(name, 1024, "StableDiffusion3Pipeline", denoiser, (*clips, T5_XXL), vae)


PLAIN = {"use_quant_conv": False, "use_post_quant_conv": False}
FLUX_VAE = _vae(16, scaling_factor=0.3611, shift_factor=0.1159, **PLAIN)
DDIM: Component = (
    "DDIMScheduler",
    {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
)
DYNAMIC: Component = (
    "FlowMatchEulerDiscreteScheduler",
    {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15},
)
PUBLISHED = (
    Published(
        "SD 1.5",
        512,
        "StableDiffusionPipeline",
        ("UNet2DConditionModel", {**SD15.unet, "in_channels": 4, "sample_size": 64}),
        (("CLIPTextModel", CLIP_L),),
        _vae(4),
        DDIM,
    ),
    Published(
        "SDXL",
        1024,
        "StableDiffusionXLPipeline",
        ("UNet2DConditionModel", {**SDXL.unet, "in_channels": 4, "sample_size": 128}),
        (("CLIPTextModel", CLIP_L), ("CLIPTextModelWithProjection", CLIP_BIG_G)),
        _vae(4),
        DDIM,
    ),
    _sd3("SD 3.5 medium", 24, 384, 13),
    _sd3("SD 3.5 large", 38, 192, 0),
    Published(
        "FLUX.1-dev",
        1024,
        "FluxPipeline",
        (
            "FluxTransformer2DModel",
            {
                "guidance_embeds": True,
                "in_channels": 64,
                "joint_attention_dim": 4096,
                "pooled_projection_dim": 768,
            },
        ),
        (("CLIPTextModel", CLIP_L), T5_XXL),
        FLUX_VAE,
        DYNAMIC,
    ),
    Published(
        "Qwen-Image",
        1024,
        "QwenImagePipeline",
        ("QwenImageTransformer2DModel", {"in_channels": 64, "joint_attention_dim": 3584}),
        (QWEN25_VL,),
        (
            "AutoencoderKLQwenImage",
            {"temperal_downsample": (False, True, True), "z_dim": 16}
            | {"latents_mean": [0.0] * 16, "latents_std": [1.0] * 16},
        ),
        DYNAMIC,
    ),
    Published(
        "Z-Image",
        1024,
        "ZImagePipeline",
        (
            "ZImageTransformer2DModel",
            {"in_channels": 16, "cap_feat_dim": 2560, "axes_lens": (1536, 512, 512)},
        ),
        (QWEN3_4B,),
        FLUX_VAE,
    ),
)
