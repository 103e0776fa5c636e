"""The YAML head of a README: what the Hub, and we, know of a dataset or a model."""

from __future__ import annotations

import re
from typing import Any

from invdpo.schemas.errors import DataError, DocumentError
from invdpo.schemas.io.documents import read_yaml

Head = dict[str, Any]

_HEAD = re.compile(r"\s*^---\n(?P<head>.*?)^---(?:\n|\Z)", re.S | re.M)
"""As `huggingface_hub` finds it: blank lines may precede it, and no text need follow."""


def split_head(text: str, where: str) -> tuple[Head, str]:
    """Head and body of a README; an empty head when it has none.

    Raises `DataError`, naming the file by `where`, for a head that is no YAML or no mapping.
    """
    text = text.replace("\r\n", "\n")
    match = _HEAD.match(text)
    if match is None and not text.startswith("---\n"):
        return {}, text
    head = _load(match, where) if match else "no second ---"
    if match is None or not isinstance(head, dict | None):
        raise DataError(
            f"{where}: the head is not a mapping between two lines of ---. "
            "Correct it, or remove the file."
        )
    return head or {}, text[match.end() :]


def _load(match: re.Match[str], where: str) -> object:
    try:
        return read_yaml(match["head"], where)
    except DocumentError as error:
        before = match.string.count("\n", 0, match.start("head"))
        line = f" (line {before + error.line})" if error.line else ""
        raise DataError(
            f"{where}: the head is not YAML{line}. Correct it, or remove the file."
        ) from None
