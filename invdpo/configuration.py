"""The configuration of one call, on the command line or in Python, and whose word counts in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import named_fields, resolve_config
from invdpo.schemas.config.presets import preset_path
from invdpo.schemas.config.trust import confirm

Sections = Mapping[str, Mapping[str, Any]]
"""Section -> field -> value."""
Given = Config | Sections | Path | str | None
"""What Python takes for a configuration: values by section, or the path of a YAML file."""


def read_config(
    files: Sequence[Path],
    preset: str | None,
    own: Sequence[Path],
    given: Sections,
    used: Collection[tuple[str, str]] = (),
    command: str = "",
) -> Config:
    """Defaults, then the `files` beside the data that are there, then `own` ones, then `given`.

    A preset is a whole configuration and takes the place of the files. Raises `ConfigError`, also
    for fields in `used` that they name and only the user may decide; see `schemas.config.trust`,
    as for `command`.
    """
    own = [*([preset_path(preset)] if preset else []), *own]
    config = resolve_config([*files_in_use(files, preset), *own], given)
    if files:
        confirm(config, files[0], used, named_fields(own, given), command)
    return config


def files_in_use(files: Sequence[Path], preset: str | None) -> list[Path]:
    """Those of the `files` beside the data that are there; none where a preset stands for them."""
    return [file for file in files if not preset and _exists(file)]


def layers(config: Given) -> tuple[list[Path], Sections]:
    """The files and the values in what Python gives. Raises `ConfigError` for anything else."""
    if config is None:
        return [], {}
    if isinstance(config, str | Path):
        return [Path(config)], {}
    if isinstance(config, Config):
        return [], config.model_dump(exclude_unset=True)
    if isinstance(config, Mapping) and all(isinstance(part, Mapping) for part in config.values()):
        return [], config
    text = "expected a mapping of sections to their values, such as {'prompts': {'num_prompts': 8}}"
    raise ConfigError(f"config: found {type(config).__name__}; {text}, or a path.")


def _exists(file: Path) -> bool:
    """Whether it is there. Raises `WorkspaceError` when a store can't be asked."""
    from invdpo.curate.storage.parts import exists

    return exists(file)
