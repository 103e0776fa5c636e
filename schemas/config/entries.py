"""One value or several, as people write them: `a`, `a,b` or a list."""

from __future__ import annotations

import os
from typing import Any

from invdpo.schemas.io.redact import is_address


def split_list(value: Any) -> list[Any]:
    """The entries of a list, or of a text at its commas; anything else as the only entry."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return [parts]
    stripped = [part.strip() if isinstance(part, str) else part for part in parts]
    return [part for part in stripped if part != ""]


def split_names(value: Any, marks: str) -> list[Any]:
    """As `split_list`; nothing for one name without any of these `marks`, or for no name.

    Nothing for a path on this machine or an address either: they may hold commas and the like.
    """
    if isinstance(value, str) and (not set(marks) & set(value) or _is_whole(value)):
        return []
    return split_list(value) if isinstance(value, str | list | tuple) else []


def split_revision(model: str) -> tuple[str, str | None]:
    """`MODEL@REVISION` as two; a path on this machine or an address may hold an @."""
    name, _, revision = model.partition("@")
    if not name or not revision or _is_whole(model):
        return model, None
    return name, revision


def _is_whole(name: str) -> bool:
    """Never shortened: half of an address could show its password where all of it would not."""
    return is_address(name) or os.path.exists(name)
