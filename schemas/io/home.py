"""`~` in paths: shells expand it at the start of a word alone; not in `--path=~/x`, lists, YAML."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from invdpo.schemas.errors import ConfigError

HOME = re.compile(r"~[\w.-]*(?=[/\\]|\Z)")
LISTED = re.compile(rf"(?:(?<=[,+])\s*|\A){HOME.pattern}")
"""At the start of a text, or of an entry after `,` or `+`."""


def expand_home(path: str) -> str:
    """`~/x` in the home folder, `~NAME/x` in that of an account; without such an account as given.

    Raises `ConfigError` when the home folder is unknown.
    """
    return HOME.sub(_home, path, count=1) if path.startswith("~") else path


def expand_path(path: Path) -> Path:
    """As `expand_home`."""
    return Path(expand_home(str(path)))


def expand_listed(value: Any) -> Any:
    """As `expand_home`, for each entry of a list or of a text such as `~/a,~/b+~/c`."""
    if isinstance(value, str):
        return LISTED.sub(_home, value) if "~" in value else value
    if isinstance(value, list | tuple):
        return [expand_listed(part) if isinstance(part, str) else part for part in value]
    return value


def _home(match: re.Match[str]) -> str:
    name = match[0].strip()
    folder = os.path.expanduser(name)
    if folder == name == "~":
        text = f"{match.string}: the home folder is unknown."
        raise ConfigError(f"{text} Set HOME, or give the path without ~.")
    return folder
