"""Draws the training scenes once and keeps them as one safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file

from embedded import data, text, words


class Training(NamedTuple):
    """N scenes as tensors."""

    images: torch.Tensor
    """N×H×W×3 uint8."""
    ids: torch.Tensor
    """N×T token ids."""
    places: torch.Tensor
    """N×S×4, see `text.targets`."""


def scenes(folder: Path, count: int, seed: int) -> Training:
    """The training scenes, from the file if it is there."""
    file = folder / f"scenes-{count}-{seed}.safetensors"
    if not file.exists():
        drawn = data.make("train", count, seed)
        made = Training(
            torch.from_numpy(drawn.images),
            text.tokens(words.build(), drawn.captions),
            text.targets(drawn.places),
        )
        save_file(made._asdict(), file)
    return Training(**load_file(file))
