"""Where the trained models of the embedded world are."""

from __future__ import annotations

from pathlib import Path


def model_path() -> Path:
    """The text-to-image pipeline, a diffusers folder."""
    return Path(__file__).parent / "model"


def flow_model_path() -> Path:
    """The flow-matching text-to-image pipeline, a diffusers folder of Stable Diffusion 3's kind."""
    return Path(__file__).parent / "flow_model"


def clip_path() -> Path:
    """The CLIP model, an open_clip folder: `open_clip.create_model(f"local-dir:{clip_path()}")`."""
    return Path(__file__).parent / "clip"
