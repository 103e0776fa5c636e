"""Answers by content: what has been asked of a model once is not asked again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from invdpo.schemas import WorkspaceError
from invdpo.schemas.io.files import write_atomically


def default_folder() -> Path:
    """`invdpo/answers` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "invdpo" / "answers"


class AnswerCache:
    """A folder with one small file an answer, each whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> str | None:
        """The answer, or None where there is none that can be read."""
        try:
            stored = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        text = stored.get("answer") if isinstance(stored, dict) else None
        return text if isinstance(text, str) else None

    def put(self, key: str, answer: str) -> None:
        """Keep an answer. Raises `WorkspaceError` when it can't be written."""
        try:
            write_atomically(self._path(key), json.dumps({"answer": answer}).encode())
        except WorkspaceError as error:
            raise WorkspaceError(f"{error} The option vlm_cache names it.") from None

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
