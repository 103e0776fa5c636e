"""Presets: whole configurations that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path

from invdpo.schemas.errors import ConfigError

FOLDER = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The names that `preset_path` takes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """The YAML file of a preset. Raises `ConfigError` that lists the valid names."""
    if name not in (names := preset_names()):
        raise ConfigError(f"--preset: found {name!r}; there are: {', '.join(names)}.")
    return FOLDER / f"{name}.yaml"
