"""`file`: prompts of a text file or a table, with the scene graphs beside them.

The file is a path here or a URL that fsspec knows, such as s3://, hf:// or https://. Its ending
decides how it is read, see `schemas.io.records`. Records may have a `graph`, or be those of
LAION-SG or GenEval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft, PromptSource
from invdpo.curate.prompts.reader import GRAPH_COLUMNS, PromptReader
from invdpo.curate.storage.object_store import content
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.io.files import os_reason
from invdpo.schemas.io.records import read_entries
from invdpo.schemas.io.text import Counts

READER = "2"
"""Raised whenever the same file would give other prompts."""


@PROMPT_SOURCES.register("file")
class FileSource(PromptSource):
    """Prompts of one file. Raises `ConfigError` without a path, `DataError` for a bad file."""

    name = "file"

    def __init__(self, config: PromptsConfig) -> None:
        if config.path is None:
            raise ConfigError("prompts.path: missing; the source `file` needs a file to read.")
        self._config = config
        self._path = to_path(config.path)
        self._data = _read(self._path)
        self._reader = PromptReader(config)

    def fingerprint(self) -> dict[str, Any]:
        """The content of the file, not its path; seed and split have no effect."""
        return {
            "source": self.name,
            "num_prompts": self._config.num_prompts,
            "file_sha256": hashlib.sha256(self._data).hexdigest(),
            "reader": READER,
        } | self._reader.fingerprint()

    def counts(self) -> Counts:
        """What asking a model for graphs cost since the last call of this method."""
        return self._reader.counts()

    def __call__(self) -> Iterator[Draft]:
        """The prompts in the file's order; those that can't be used have an error."""
        return self._reader.add_graphs(self._drafts())

    def _drafts(self) -> Iterator[Draft]:
        for entry in read_entries(self._path, self._data, self._columns):
            if entry.error:
                yield Draft(None, error=entry.error, line=entry.number)
            else:
                yield self._reader.read_entry(entry.value, entry.number)

    def _columns(self, names: Sequence[str]) -> list[str]:
        column = self._reader.column(names, str(self._path))
        return [name for name in names if name == column or name in GRAPH_COLUMNS]


def _read(path: Path) -> bytes:
    try:
        return content(path)
    except OSError as error:
        text = f"{path}: {os_reason(error)}. Give a readable file of prompts."
        raise DataError(text) from None
