"""The licence of a model, which applies to what is made with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from invdpo.data_cards.head import split_head
from invdpo.schemas.config.section import EMBEDDED_MODELS
from invdpo.schemas.errors import DataError
from invdpo.schemas.io.documents import read_file

Licence = dict[str, Any]
"""`license` as the Hub names it, and for `other` perhaps `license_name` and `license_link`."""

KEYS = ("license", "license_name", "license_link")
OTHER: Licence = {"license": "other"}
HUB = "https://huggingface.co"

_NAMED: dict[str, tuple[str, ...]] = {
    "apache-2.0": (
        *EMBEDDED_MODELS,
        "black-forest-labs/FLUX.1-schnell",
        "segmind/SSD-1B",
        "segmind/Segmind-Vega",
    ),
    "creativeml-openrail-m": (
        "CompVis/stable-diffusion-v1-4",
        "runwayml/stable-diffusion-v1-5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
    ),
    "openrail++": (
        "stabilityai/stable-diffusion-xl-base-1.0",
        "stabilityai/stable-diffusion-2-1",
        "stabilityai/stable-diffusion-2-1-base",
        "stabilityai/stable-diffusion-2",
        "PixArt-alpha/PixArt-XL-2-1024-MS",
        "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
    ),
}
_OWN: dict[str, tuple[str, ...]] = {
    "stabilityai-ai-community": (
        "stabilityai/stable-diffusion-3-medium-diffusers",
        "stabilityai/stable-diffusion-3.5-medium",
        "stabilityai/stable-diffusion-3.5-large",
        "stabilityai/stable-diffusion-3.5-large-turbo",
    ),
    "sai-nc-community": ("stabilityai/sdxl-turbo", "stabilityai/sd-turbo"),
    "flux-1-dev-non-commercial-license": ("black-forest-labs/FLUX.1-dev",),
}
"""Licences that the Hub knows as `other`, with a name and the model's own text."""

KNOWN: dict[str, Licence] = {
    model: {"license": name} for name, models in _NAMED.items() for model in models
} | {
    model: OTHER | {"license_name": name, "license_link": f"{HUB}/{model}"}
    for name, models in _OWN.items()
    for model in models
}
"""Licences of well-known models by their Hub id, as their pages there name them."""


def licence_of(models: Iterable[str], stated: Mapping[str, Licence] | None = None) -> Licence:
    """The licence of images of these models; `stated` holds what their own cards say.

    Several licences are listed together when the Hub knows all of them by name; anything unknown
    makes it `other`.
    """
    licences = [(stated or {}).get(model) or KNOWN.get(model, OTHER) for model in models]
    different = [licence for n, licence in enumerate(licences) if licence not in licences[:n]]
    if len(different) == 1:
        return dict(different[0])
    names = [licence["license"] for licence in different]
    if not names or "other" in names or not all(isinstance(name, str) for name in names):
        return dict(OTHER)
    return {"license": sorted(names)}


def read_licence(readme: Path | None) -> Licence:
    """The licence in the YAML head of a model's README; nothing if it states none."""
    if readme is None or not readme.is_file():
        return {}
    try:
        text = read_file(readme).decode(errors="replace")
        head, _ = split_head(text, str(readme))
    except DataError:
        return {}
    if not _is_text(head.get("license")):
        return {}
    return {key: head[key] for key in KEYS if _is_text(head.get(key))}


def _is_text(value: object) -> bool:
    """Whether it is a text or a list of texts."""
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) and text for text in texts)
