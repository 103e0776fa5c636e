"""Reading a configuration file, with all of its errors told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from invdpo.schemas.config import Config, Section
from invdpo.schemas.errors import ConfigError

S = TypeVar("S", bound=Section)


def load_config(path: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    """The defaults, changed by the YAML file at `path`, changed by `overrides` (section -> values).

    Raises `ConfigError` listing every wrong key and value together with what is allowed.
    """
    values = _read_yaml(path) if path else {}
    for section, changes in (overrides or {}).items():
        given = values.setdefault(section, {})
        if isinstance(given, dict):
            given.update(changes)
    return check(Config, values, where=str(path) if path else "options")


def check(section: type[S], values: dict[str, Any], *, where: str) -> S:
    """Validate `values`; raises `ConfigError` with one line for each thing that is wrong."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        lines = [_line(section, detail) for detail in error.errors()]
        count = "one error" if len(lines) == 1 else f"{len(lines)} errors"
        raise ConfigError("\n  ".join([f"{where}: {count} in the configuration.", *lines])) from None


def dump_config(config: Config) -> str:
    """YAML text that `load_config` reads back to the same configuration."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}. Give an existing YAML file.") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not a UTF-8 YAML file: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected a mapping of sections.")
    return values


def _line(section: type[Section], detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key; allowed here: {', '.join(_siblings(section, detail['loc']))}"
    return f"{key}: found {detail['input']!r}; {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _siblings(section: type[Section], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc[:-1]:
        inner = section.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            section = inner
    return list(section.model_fields)
