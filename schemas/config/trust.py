"""What of a configuration may come from another machine, with a data set that was pulled.

What decides results comes along. Addresses, names of environment variables, devices, caches and
what is published do not: by these a file that came with data could send keys and files away.
"""

from __future__ import annotations

from typing import Any

from invdpo.schemas.config import Config
from invdpo.schemas.config.section import marks


def portable(config: Config) -> tuple[Config, list[str]]:
    """The configuration as it may travel with data, and the fields put back to their defaults."""
    sections, dropped = {}, []
    for name in type(config).model_fields:
        section = getattr(config, name)
        fields = type(section).model_fields
        stays = {key for key, info in fields.items() if _travels(marks(info))}
        changed = [k for k in fields.keys() - stays if getattr(section, k) != fields[k].default]
        dropped += [f"{name}.{key}" for key in sorted(changed)]
        defaults = {key: fields[key].default for key in changed}
        sections[name] = section.model_copy(update=defaults)
    return config.model_copy(update=sections), dropped


def _travels(own: dict[str, Any]) -> bool:
    return own.get("fingerprint") is not False or bool(own.get("travels"))
