"""The configuration that a command would go by, to be looked at: values and their origins."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from invdpo.configuration import files_in_use
from invdpo.options import section_class
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import resolve_with_origins
from invdpo.schemas.config.presets import preset_path
from invdpo.schemas.config.section import marks
from invdpo.schemas.io.redact import show_name, without_secrets
from invdpo.schemas.io.text import printable

SECRET = re.compile(r"(?:^|[._-])(?:key|token|password|secret|credential)s?$", re.IGNORECASE)
"""In the names of options of plug-ins, whose values are then hidden."""

Values = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class EffectiveConfig:
    """Every option and its value, in JSON's types and without secrets."""

    values: Values
    """Section -> field -> value; older names only where they have one."""
    origins: dict[str, str]
    """`SECTION.FIELD` of each value that is not the default -> file or preset."""

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {"config": self.values, "origins": self.origins}

    def text(self) -> str:
        """YAML that `--config` takes, with the origins as comments."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for section, fields in self.values.items():
            yield f"{section}:"
            for field, value in fields.items():
                origin = self.origins.get(f"{section}.{field}")
                yield f"  {field}: {_yaml(value)}{f'  # {origin}' if origin else ''}"


def _yaml(value: Any) -> str:
    """A value on one line, after which a comment can stand."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    line = text.removesuffix("...\n").strip()
    return json.dumps(value, ensure_ascii=False) if "\n" in line else line


def effective_config(
    files: Sequence[Path], preset: str | None, own: Sequence[Path]
) -> EffectiveConfig:
    """What `read_config` makes of the same files, but nothing is confirmed or refused here.

    Raises `ConfigError` as that does.
    """
    presets = {str(preset_path(preset)): f"preset {preset}"} if preset else {}
    paths = [*files_in_use(files, preset), *map(Path, presets), *own]
    config, origins = resolve_with_origins(paths)
    values: Values = {}
    changed: dict[str, str] = {}
    defaults = Config().model_dump(mode="json")
    for section, fields in config.model_dump(mode="json").items():
        infos = section_class(section).model_fields
        values[section] = {}
        for field, value in fields.items():
            is_default = value == defaults[section][field]
            if is_default and marks(infos[field]).get("hidden"):
                continue
            values[section][field] = _without_secrets(value)
            if not is_default:
                origin = origins.get((section, field)) or origins[section, ""]
                shown = printable(without_secrets(presets.get(origin, origin)))
                changed[f"{section}.{field}"] = shown.replace("\n", "\\n")
    return EffectiveConfig(values, changed)


def _without_secrets(value: Any) -> Any:
    """A value in JSON's types without keys in addresses, and without those that are called keys."""
    if isinstance(value, str):
        bare = show_name(value)
        return value if bare == value.strip() else bare
    if isinstance(value, dict):
        return {
            name: "…" if SECRET.search(name) and isinstance(inner, str) else _without_secrets(inner)
            for name, inner in value.items()
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
