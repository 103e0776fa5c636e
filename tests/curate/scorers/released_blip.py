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
    found: dict[str, tuple[int, ...]] = {
        "blip.visual_encoder.cls_token": (1, 1, VISION),
        "blip.visual_encoder.pos_embed": (1, PATCHES + 1, VISION),
        "blip.visual_encoder.patch_embed.proj.weight": (VISION, 3, 16, 16),
        "blip.visual_encoder.patch_embed.proj.bias": (VISION,),
    }
    for n in range(2):
        block = f"blip.visual_encoder.blocks.{n}"
        found |= _pair(f"{block}.norm1", VISION) | _pair(f"{block}.norm2", VISION)
        found |= _pair(f"{block}.attn.qkv", 3 * VISION, VISION)
        found |= _pair(f"{block}.attn.proj", VISION, VISION)
        found |= _pair(f"{block}.mlp.fc1", 4 * VISION, VISION)
        found |= _pair(f"{block}.mlp.fc2", VISION, 4 * VISION)
    found |= _pair("blip.visual_encoder.norm", VISION)
    words = "blip.text_encoder.embeddings"
    found |= {f"{words}.word_embeddings.weight": (66, TEXT)}
    found |= {f"{words}.position_embeddings.weight": (LONGEST, TEXT)}
    found |= _pair(f"{words}.LayerNorm", TEXT)
    for n in range(2):
        layer = f"blip.text_encoder.encoder.layer.{n}"
        for kind, width in (("attention", TEXT), ("crossattention", VISION)):
            found |= _pair(f"{layer}.{kind}.self.query", TEXT, TEXT)
            found |= _pair(f"{layer}.{kind}.self.key", TEXT, width)
            found |= _pair(f"{layer}.{kind}.self.value", TEXT, width)
            found |= _pair(f"{layer}.{kind}.output.dense", TEXT, TEXT)
            found |= _pair(f"{layer}.{kind}.output.LayerNorm", TEXT)
        found |= _pair(f"{layer}.intermediate.dense", INNER, TEXT)
        found |= _pair(f"{layer}.output.dense", TEXT, INNER)
        found |= _pair(f"{layer}.output.LayerNorm", TEXT)
    for place, out, into in HEAD:
        found |= _pair(f"mlp.layers.{place}", out, into)
    return found


def _pair(name: str, *weight: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def tensors() -> dict[str, torch.Tensor]:
    """Drawn in order from one generator, standard deviation .2; and what the score leaves out."""
    draw = torch.Generator().manual_seed(5)
    found = {name: 0.2 * torch.randn(shape, generator=draw) for name, shape in shapes().items()}
    return found | {
        "blip.text_encoder.embeddings.position_ids": torch.arange(LONGEST)[None],
        "blip.vision_proj.weight": torch.zeros(2, VISION),
        "blip.text_proj.weight": torch.zeros(2, TEXT),
    }


def save(folder: Path) -> Path:
    """Write the two files as they were released."""
    torch.save(tensors(), folder / "ImageReward.pt")
    (folder / "med_config.json").write_text(json.dumps(CONFIG))
    return folder
