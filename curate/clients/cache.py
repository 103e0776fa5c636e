"""Answers by content: what has been asked of a model once is not asked again."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from invdpo.schemas import WorkspaceError


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
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        text = found.get("answer") if isinstance(found, dict) else None
        return text if isinstance(text, str) else None

    def put(self, key: str, answer: str) -> None:
        """Keep an answer. Raises `WorkspaceError` when it can't be written."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"answer": answer}, file)
            os.replace(name, path)
        except OSError as error:
            text = f"{path.parent}: {error.strerror or error}. Name another folder by vlm_cache."
            raise WorkspaceError(text) from None

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
