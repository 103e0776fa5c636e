"""Where the named sets of pairs of a workspace are: `WORK/pair-sets/NAME`, each a folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from invdpo.schemas import ConfigError
from invdpo.schemas.io.text import quote

FOLDER = "pair-sets"
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
"""Names that are different files on every system, whatever it makes of capitals."""


def is_set_name(name: str) -> bool:
    """Whether a set may be called so."""
    return NAME.fullmatch(name) is not None


def check_set_name(name: str) -> str:
    """The name itself. Raises `ConfigError` for one that is no safe name of a folder."""
    if not is_set_name(name):
        raise ConfigError(
            f"--name: found {quote(name)}; expected 1 to 64 small letters, digits, '-', '_' and "
            "'.', with a letter or digit first and last, such as strict-2."
        )
    return name


def workspace_of(folder: Path) -> tuple[Path, str | None]:
    """The workspace whose pairs are in `folder`, and the name of the set; None for the unnamed."""
    if folder.parent.name == FOLDER and is_set_name(folder.name):
        return folder.parent.parent, folder.name
    return folder, None


def words_of(folder: Path) -> str:
    """How a command names the set whose pairs are in `folder`: `work --name strict`."""
    root, name = workspace_of(folder)
    return shlex.quote(str(root)) + (f" --name {name}" if name else "")
