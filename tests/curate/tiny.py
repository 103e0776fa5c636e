"""A text-to-image pipeline of random weights, as small as diffusers allows, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from invdpo.schemas.config import Config

LENGTH = 128


def save_pipeline(folder: Path) -> Path:
    """Write the pipeline to `folder` in diffusers' layout: images of 16×16 pixels."""
    import diffusers
    import torch

    torch.manual_seed(0)
    parts: Any = diffusers
    pipeline = parts.StableDiffusionPipeline(
        vae=autoencoder(),
        unet=parts.UNet2DConditionModel(
            sample_size=2,
            block_out_channels=(8, 8),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        text_encoder=text_encoder(),
        tokenizer=save_tokenizer(folder.with_name(f"{folder.name}-vocabulary")),
        scheduler=parts.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def autoencoder(channels: int = 4, sample_size: int = 16, **more: Any) -> Any:
    """Of 8 pixels a latent."""
    import diffusers

    parts: Any = diffusers
    return parts.AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=2,
        sample_size=sample_size,
        latent_channels=channels,
        **more,
    )


def text_encoder(*, projected: bool = False, **changes: int) -> Any:
    """CLIP's, with a projection or without."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    sizes: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": LENGTH,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        "projection_dim": 16,
    }
    kind: Any = CLIPTextModelWithProjection if projected else CLIPTextModel
    return kind(CLIPTextConfig(**sizes | changes))


def save_tokenizer(folder: Path) -> Any:
    """Spells words out letter by letter, so that it needs no vocabulary."""
    from transformers import CLIPTokenizer

    tokens = ["<|startoftext|>", "<|endoftext|>"]
    tokens += [letter + end for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({t: n for n, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=LENGTH)


def tiny_config(model: Path, **sections: dict[str, Any]) -> Config:
    """12 prompts with 2 candidates each, one sampling step, batches of 4; judges are named."""
    values: dict[str, dict[str, Any]] = {
        "prompts": {"num_prompts": 12},
        "generate": {
            "model": str(model),
            "num_candidates": 2,
            "num_inference_steps": 1,
            "batch_size": 4,
        },
        "annotate": {"annotators": ["shapes"]},
        "score": {"scorers": ["composition"], "annotator": "shapes", "clip_model": "embedded"},
    }
    for section, changes in sections.items():
        values.setdefault(section, {}).update(changes)
    return Config.model_validate(values)
