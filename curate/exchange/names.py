"""Names of image files that are safe on any system."""

from __future__ import annotations

import re

from invdpo.schemas.ids import content_id

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def file_stem(pair_id: str) -> str:
    """The id itself where it can name a file on any system, else a hash of it."""
    return pair_id if SAFE.fullmatch(pair_id) else content_id(pair_id)
