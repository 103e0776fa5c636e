"""A tiny random Stable Diffusion pipeline and small data sets for the trainer's tests."""

from __future__ import annotations

import io
import json
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from invdpo.schemas.tables import IMAGE

WORDS = [c + end for end in ("", "</w>") for c in ascii_lowercase]
WORDS += ["<|startoftext|>", "<|endoftext|>"]
PROMPTS = ("a red circle", "a blue square", "a green star above a red circle")


def build_pipeline(folder: Path, prediction_type: str = "epsilon") -> Path:
    """Save an untrained pipeline: 16x16 pictures, 4x4 latents, 24 channels at most."""
    import diffusers

    torch.manual_seed(0)
    parts: Any = diffusers
    parts.StableDiffusionPipeline(
        vae=_vae(parts),
        unet=_unet(parts),
        text_encoder=_text_encoder(),
        tokenizer=_tokenizer(folder.with_name(f"{folder.name}-words")),
        scheduler=parts.DDIMScheduler(
            beta_schedule="scaled_linear",
            prediction_type=prediction_type,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def _vae(parts: Any) -> Any:
    return parts.AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=16,
        scaling_factor=0.5,
    )


def _unet(parts: Any) -> Any:
    return parts.UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(16, 24),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=2,
    )


def _text_encoder() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=16,
        bos_token_id=len(WORDS) - 2,
        eos_token_id=len(WORDS) - 1,
    )
    return CLIPTextModel(config)


def _tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=16)


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_pairs(dataset: Path, split: str, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(
        rows,
        pa.schema(
            [
                ("pair_id", pa.string()),
                ("prompt", pa.string()),
                ("chosen", IMAGE),
                ("rejected", IMAGE),
            ]
        ),
    )
    path = dataset / "data" / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def row(number: int, chosen: bytes | None = None, rejected: bytes | None = None) -> dict[str, Any]:
    return {
        "pair_id": f"pair{number}",
        "prompt": PROMPTS[number % len(PROMPTS)],
        "chosen": {"bytes": chosen or png(2 * number), "path": None},
        "rejected": {"bytes": rejected or png(2 * number + 1), "path": None},
    }
