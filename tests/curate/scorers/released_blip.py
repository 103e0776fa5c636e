"""A small ImageReward checkpoint with the released names, of numbers that any machine draws."""

from __future__ import annotations

import json
from pathlib import Path

import torch

VISION, TEXT, INNER, PATCHES, LONGEST = 128, 32, 48, 4, 40
CONFIG = {
    "hidden_size": TEXT,
    "intermediate_size": INNER,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 66,
    "max_position_embeddings": LONGEST,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}
HEAD = ((0, 24, TEXT), (2, 8, 24), (4, 8, 8), (6, 4, 8), (7, 1, 4))


def shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor, in the order in which they are drawn."""
    by_name: dict[str, tuple[int, ...]] = {
        "blip.visual_encoder.cls_token": (1, 1, VISION),
        "blip.visual_encoder.pos_embed": (1, PATCHES + 1, VISION),
        "blip.visual_encoder.patch_embed.proj.weight": (VISION, 3, 16, 16),
        "blip.visual_encoder.patch_embed.proj.bias": (VISION,),
    }
    for n in range(2):
        block = f"blip.visual_encoder.blocks.{n}"
        by_name |= _pair(f"{block}.norm1", VISION) | _pair(f"{block}.norm2", VISION)
        by_name |= _pair(f"{block}.attn.qkv", 3 * VISION, VISION)
        by_name |= _pair(f"{block}.attn.proj", VISION, VISION)
        by_name |= _pair(f"{block}.mlp.fc1", 4 * VISION, VISION)
        by_name |= _pair(f"{block}.mlp.fc2", VISION, 4 * VISION)
    by_name |= _pair("blip.visual_encoder.norm", VISION)
    words = "blip.text_encoder.embeddings"
    by_name |= {f"{words}.word_embeddings.weight": (66, TEXT)}
    by_name |= {f"{words}.position_embeddings.weight": (LONGEST, TEXT)}
    by_name |= _pair(f"{words}.LayerNorm", TEXT)
    for n in range(2):
        layer = f"blip.text_encoder.encoder.layer.{n}"
        for kind, width in (("attention", TEXT), ("crossattention", VISION)):
            by_name |= _pair(f"{layer}.{kind}.self.query", TEXT, TEXT)
            by_name |= _pair(f"{layer}.{kind}.self.key", TEXT, width)
            by_name |= _pair(f"{layer}.{kind}.self.value", TEXT, width)
            by_name |= _pair(f"{layer}.{kind}.output.dense", TEXT, TEXT)
            by_name |= _pair(f"{layer}.{kind}.output.LayerNorm", TEXT)
        by_name |= _pair(f"{layer}.intermediate.dense", INNER, TEXT)
        by_name |= _pair(f"{layer}.output.dense", TEXT, INNER)
        by_name |= _pair(f"{layer}.output.LayerNorm", TEXT)
    for index, out, into in HEAD:
        by_name |= _pair(f"mlp.layers.{index}", out, into)
    return by_name


def _pair(name: str, *weight: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def tensors() -> dict[str, torch.Tensor]:
    """Drawn in order from one generator, standard deviation .2; and what the score leaves out."""
    draw = torch.Generator().manual_seed(5)
    drawn = {name: 0.2 * torch.randn(shape, generator=draw) for name, shape in shapes().items()}
    return drawn | {
        "blip.text_encoder.embeddings.position_ids": torch.arange(LONGEST)[None],
        "blip.vision_proj.weight": torch.zeros(2, VISION),
        "blip.text_proj.weight": torch.zeros(2, TEXT),
    }


def save(folder: Path) -> Path:
    """Write the two files as they were released."""
    torch.save(tensors(), folder / "ImageReward.pt")
    (folder / "med_config.json").write_text(json.dumps(CONFIG))
    return folder
