"""A tiny random Stable Diffusion pipeline and small datasets for the trainer's tests."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from invdpo.schemas.tables import IMAGE
from invdpo.train.data import Pair, open_dataset

WORDS = [c + end for end in ("", "</w>") for c in ascii_lowercase]
WORDS += ["!</w>", "<|startoftext|>", "<|endoftext|>"]
PROMPTS = ("a red circle", "a blue square", "a green star above a red circle")


SIZE = (16, 16)


def build_pipeline(folder: Path, prediction_type: str = "epsilon", *, xl: bool = False) -> Path:
    """Save an untrained pipeline: 16x16 images, 4x4 latents, 24 channels at most."""
    import diffusers

    torch.manual_seed(0)
    parts: Any = diffusers
    words = folder.with_name(f"{folder.name}-words")
    common = {
        "vae": _vae(parts),
        "unet": _unet(parts, xl),
        "text_encoder": _text_encoder(),
        "tokenizer": _tokenizer(words),
        "scheduler": parts.DDIMScheduler(
            beta_schedule="scaled_linear",
            prediction_type=prediction_type,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    }
    if xl:
        second = {"text_encoder_2": _second_encoder(), "tokenizer_2": _tokenizer(words, "!</w>")}
        parts.StableDiffusionXLPipeline(**common, **second).save_pretrained(folder)
    else:
        parts.StableDiffusionPipeline(
            **common, safety_checker=None, feature_extractor=None, requires_safety_checker=False
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


def _unet(parts: Any, xl: bool) -> Any:
    size_conditioning = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 12,
        "transformer_layers_per_block": (1, 2),
        "use_linear_projection": True,
    }
    return parts.UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(16, 24),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16 + 20 if xl else 16,
        attention_head_dim=2,
        **(size_conditioning if xl else {}),
    )


def _text_encoder() -> Any:
    from transformers import CLIPTextModel

    return CLIPTextModel(_text_config(16, 2, 16))


def _second_encoder() -> Any:
    from transformers import CLIPTextModelWithProjection

    return CLIPTextModelWithProjection(_text_config(20, 3, 12))


def _text_config(width: int, layers: int, projection: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=len(WORDS),
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=projection,
        bos_token_id=WORDS.index("<|startoftext|>"),
        eos_token_id=WORDS.index("<|endoftext|>"),
    )


def _tokenizer(folder: Path, pad_token: str = "<|endoftext|>") -> Any:
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=16, pad_token=pad_token)


def pairs_of(dataset: Path, split: str = "train") -> list[Pair]:
    """The pairs of a split, to be fitted to the size of the tiny pipeline."""
    return [replace(pair, bucket=SIZE) for pair in open_dataset(dataset).pairs(split).pairs]


def png(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_pairs(dataset: Path, split: str, rows: list[dict[str, Any]], *texts: str) -> Path:
    """A shard of these rows; `texts` are columns of text beyond the four of every set."""
    table = pa.Table.from_pylist(
        rows,
        pa.schema(
            [
                ("pair_id", pa.string()),
                ("prompt", pa.string()),
                ("chosen", IMAGE),
                ("rejected", IMAGE),
                *((name, pa.string()) for name in texts),
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
