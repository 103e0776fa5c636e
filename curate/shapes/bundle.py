"""Where the trained models of the embedded world are."""

from __future__ import annotations

from pathlib import Path

from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_FLOW


def model_path() -> Path:
    """The text-to-image pipeline, a diffusers folder."""
    return Path(__file__).parent / "model"


def flow_model_path() -> Path:
    """The flow-matching text-to-image pipeline, a diffusers folder of Stable Diffusion 3's kind."""
    return Path(__file__).parent / "flow_model"


def bundled(model: str) -> Path | None:
    """The folder of a model that comes with the package, by its name; None for any other."""
    return {EMBEDDED: model_path(), EMBEDDED_FLOW: flow_model_path()}.get(model)


def clip_path() -> Path:
    """The CLIP model, an open_clip folder: `open_clip.create_model(f"local-dir:{clip_path()}")`."""
    return Path(__file__).parent / "clip"
