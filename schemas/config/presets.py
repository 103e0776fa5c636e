"""Presets: complete configurations that come with the package, by name."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

from invdpo.schemas.errors import ConfigError

FOLDER = Path(__file__).parent / "presets"
FLOW = "stablediffusion3"
"""In the names of Stable Diffusion 3 and 3.5."""


def preset_names() -> list[str]:
    """The names that `preset_path` takes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """The YAML file of a preset. Raises `ConfigError` that lists the valid names."""
    if name not in (names := preset_names()):
        raise ConfigError(f"--preset: found {name!r}; allowed: {', '.join(names)}.")
    return FOLDER / f"{name}.yaml"


def preset_comment(name: str) -> str:
    """What a preset's file says of itself at its beginning. Raises as `preset_path`."""
    lines = preset_path(name).read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines)
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in comment)


def fitting_preset(model: str, pipeline: str = "") -> str | None:
    """The preset whose sampling suits a model: by its pipeline's class, or else by its name.

    None for a pipeline that no preset is for, such as FLUX.
    """
    name = re.sub(r"[-_]", "", pipeline or model.rpartition("/")[2]).lower()
    if "xl" in name:
        return "sdxl"
    if FLOW in name:
        return "sd35-medium"
    return None if pipeline and not pipeline.startswith("StableDiffusion") else "sd15"
