"""A cache of answers by content, so that no model is asked the same question twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

from invdpo.schemas import WorkspaceError
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.files import write_atomically


def default_folder() -> Path:
    """`invdpo/answers` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).expanduser() / "invdpo" / "answers"


class AnswerCache:
    """A folder with one small file for each answer, complete or absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> str | None:
        """The answer; None if there is none, or a damaged one."""
        try:
            record = read_json(read_file(self._path(key)), key, dict)
        except (OSError, ValueError):
            return None
        text = record.get("answer")
        return text if isinstance(text, str) else None

    def put(self, key: str, answer: str) -> None:
        """Keep an answer. Raises `WorkspaceError` if it can't be written."""
        try:
            write_atomically(self._path(key), json.dumps({"answer": answer}).encode())
        except WorkspaceError as error:
            raise WorkspaceError(f"{error} It is set by the option vlm_cache.") from None

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
