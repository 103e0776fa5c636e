"""BLIP as ImageReward was released: a ViT, and a BERT that attends to it, in transformers' classes.

The released names of the tensors are translated; every tensor is used, or named in `UNUSED`.
Legend: B images or texts, P patches and the class token, L tokens, W the text encoder's width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.checkpoints.weights import fill
from invdpo.schemas import ModelError
from invdpo.schemas.io.model_folder import read_settings
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.io.weights import check_loaded

if TYPE_CHECKING:
    import torch

VISION, TEXT = "blip.visual_encoder.", "blip.text_encoder."
HEAD = "mlp."
UNUSED = re.compile(r"blip\.(vision|text)_proj\.|.*position_ids$")
"""Tensors of the checkpoint that don't affect the score."""
TRANSLATION = (
    ("cls_token", "embeddings.class_embedding"),
    ("pos_embed", "embeddings.position_embedding"),
    ("patch_embed.proj", "embeddings.patch_embedding"),
    ("norm1", "layer_norm1"),
    ("norm2", "layer_norm2"),
    ("attn.qkv", "self_attn.qkv"),
    ("attn.proj", "self_attn.projection"),
    ("blocks.", "encoder.layers."),
)
HEAD_WIDTH = 64
"""Numbers of each attention head of the ViT, in all released sizes."""


class Blip(NamedTuple):
    """Both networks, and the side of the images that the ViT takes."""

    vision: Any
    text: Any
    size: int

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """The ViT's last hidden state, B×3×size×size to B×P×width."""
        states: torch.Tensor = self.vision(pixel_values=pixels).last_hidden_state
        return states

    def encode_texts(
        self, tokens: Mapping[str, torch.Tensor], image_states: torch.Tensor
    ) -> torch.Tensor:
        """The first token of each text, encoded with attention to its image, B×W."""
        import torch

        image_mask = torch.ones(
            image_states.shape[:-1], dtype=torch.long, device=image_states.device
        )
        output = self.text(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            encoder_hidden_states=image_states,
            encoder_attention_mask=image_mask,
        )
        first: torch.Tensor = output.last_hidden_state[:, 0]
        return first


def build(tensors: Mapping[str, torch.Tensor], text_config: Path, source: Path) -> Blip:
    """The networks with the tensors of a checkpoint that was read from `source`.

    Sizes follow from the tensors and the released `med_config.json`. Raises `ModelError` naming
    what is missing, unexpected, or of another size.
    """
    vision = _build_vision(tensors, source)
    unknown = [n for n in tensors if not n.startswith((VISION, TEXT, HEAD)) and not UNUSED.match(n)]
    check_loaded(source, {"missing_keys": (), "unexpected_keys": unknown})
    fill(vision, {_translate(n): v for n, v in _with_prefix(tensors, VISION).items()}, source)
    text = _build_text(text_config, vision.config.hidden_size)
    fill(text, _with_prefix(tensors, TEXT), source)
    return Blip(vision.eval(), text.eval(), vision.config.image_size)


def _with_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix) and not UNUSED.match(name)
    }


def _translate(name: str) -> str:
    for old, new in TRANSLATION:
        name = name.replace(old, new)
    return re.sub(r"^norm\.", "post_layernorm.", name)


def _build_vision(tensors: Mapping[str, torch.Tensor], source: Path) -> Any:
    from transformers import BlipVisionConfig, BlipVisionModel

    try:
        patches = tensors[f"{VISION}patch_embed.proj.weight"]
        positions = tensors[f"{VISION}pos_embed"].shape[1] - 1
        inner = tensors[f"{VISION}blocks.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise ModelError(f"{source}: not an ImageReward checkpoint; it lacks {error}.") from None
    width, patch = patches.shape[0], patches.shape[-1]
    depth = len({n.split(".")[3] for n in tensors if n.startswith(f"{VISION}blocks.")})
    config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=depth,
        num_attention_heads=max(1, width // HEAD_WIDTH),
        image_size=patch * round(positions**0.5),
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    return BlipVisionModel(config)


def _build_text(path: Path, vision_width: int) -> Any:
    from transformers import BlipTextConfig, BlipTextModel

    try:
        released = read_settings(path)
        config = BlipTextConfig(
            **{
                name: released[name]
                for name in (
                    "hidden_size",
                    "intermediate_size",
                    "num_hidden_layers",
                    "num_attention_heads",
                    "vocab_size",
                    "max_position_embeddings",
                    "layer_norm_eps",
                    "hidden_act",
                )
            },
            encoder_hidden_size=vision_width,
            is_decoder=True,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{path}: not a configuration of BLIP's text encoder ({describe_error(error)})."
        ) from None
    return BlipTextModel(config, add_pooling_layer=False)
