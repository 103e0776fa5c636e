"""One value or several, as people write them: `a`, `a,b` or a list."""

from __future__ import annotations

import os
from typing import Any


def split_list(value: Any) -> list[Any]:
    """The entries of a list, or of a text at its commas; anything else as the only entry."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return [parts]
    stripped = [part.strip() if isinstance(part, str) else part for part in parts]
    return [part for part in stripped if part != ""]


def split_names(value: Any, marks: str) -> list[Any]:
    """As `split_list`; nothing for one name without any of these `marks`, or for no name.

    Nothing for a path on this machine either: it may hold commas and the like.
    """
    if isinstance(value, str) and (not set(marks) & set(value) or os.path.exists(value)):
        return []
    return split_list(value) if isinstance(value, str | list | tuple) else []


def split_revision(model: str) -> tuple[str, str | None]:
    """`MODEL@REVISION` as two; a path on this machine may hold an @."""
    name, _, revision = model.partition("@")
    if not name or not revision or os.path.exists(model):
        return model, None
    return name, revision
