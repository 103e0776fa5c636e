"""`file`: prompts of a text file or a table, with the scene graphs beside them.

The file is a path here or a URL that fsspec knows, such as s3://, hf:// or https://. Its ending
decides how it is read, see `schemas.io.records`. Records may have a `graph`, or be those of
LAION-SG or GenEval.

Of several files, `dataset/*_val.txt`, the prompts are taken in turn, so that the first ones are of
all files. Files of T2I-CompBench (arXiv 2307.06350) are named for the category of their prompts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft, PromptSource
from invdpo.curate.prompts.reader import COLUMNS_BESIDE, PromptReader
from invdpo.curate.storage.object_store import content
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.io.files import os_reason
from invdpo.schemas.io.records import read_entries
from invdpo.schemas.io.text import Counts
from invdpo.schemas.tables import Record

READER = "2"
"""Raised whenever the same file would give other prompts."""
NO_PATH = "prompts.path: missing; the source `file` needs a file to read."
T2I_COMPBENCH = re.compile(
    r"(3d_spatial|color|complex|non_spatial|numeracy|shape|spatial|texture)(_train|_val)?\.txt"
)
"""Names of T2I-CompBench's files, which begin with the category."""


class _File(NamedTuple):
    path: Path
    data: bytes

    @property
    def category(self) -> str | None:
        match = T2I_COMPBENCH.fullmatch(self.path.name)
        return match[1] if match else None


@PROMPT_SOURCES.register("file")
class FileSource(PromptSource):
    """Prompts of files. Raises `ConfigError` without a path, `DataError` for a bad file."""

    name = "file"

    def __init__(self, config: PromptsConfig) -> None:
        if config.path is None:
            raise ConfigError(NO_PATH)
        self._config = config
        self._files = [_File(path, _read(path)) for path in _paths(to_path(config.path))]
        self._reader = PromptReader(config)

    def fingerprint(self) -> dict[str, Any]:
        """The content of the file, not its path; seed and split have no effect."""
        return {
            "source": self.name,
            "num_prompts": self._config.num_prompts,
            "file_sha256": _digest(self._files),
            "reader": READER,
        } | self._reader.fingerprint()

    def counts(self) -> Counts:
        """What asking a model for graphs cost since the last call of this method."""
        return self._reader.counts()

    def __call__(self) -> Iterator[Draft]:
        """The prompts in the files' order; those that can't be used have an error."""
        in_turn = chain.from_iterable(zip_longest(*map(self._drafts, self._files)))
        return self._reader.add_graphs(draft for draft in in_turn if draft is not None)

    def _drafts(self, file: _File) -> Iterator[Draft]:
        def columns(names: Sequence[str]) -> list[str]:
            column = self._reader.column(names, str(file.path))
            return [name for name in names if name == column or name in COLUMNS_BESIDE]

        for entry in read_entries(file.path, file.data, columns):
            if entry.error:
                yield Draft(None, error=entry.error, line=entry.number)
            else:
                draft = self._reader.read_entry(entry.value, entry.number)
                yield replace(draft, category=draft.category or file.category)


def read_records(config: PromptsConfig) -> list[tuple[int, Record]]:
    """The records of the files as they are, with their numbers from 1; texts are left out.

    Raises as `FileSource`.
    """
    if config.path is None:
        raise ConfigError(NO_PATH)
    entries = chain.from_iterable(
        read_entries(path, _read(path), lambda names: list(names))
        for path in _paths(to_path(config.path))
    )
    return [(entry.number, entry.value) for entry in entries if isinstance(entry.value, dict)]


def _paths(path: Path) -> list[Path]:
    """The file, or all that its name matches. Raises `DataError` where it matches none."""
    if "*" not in path.name or path.exists():
        return [path]
    if found := sorted(path.parent.glob(path.name)):
        return found
    raise DataError(f"{path}: no such file. Give a readable file of prompts.")


def _digest(files: Sequence[_File]) -> str | dict[str, str]:
    """Of the content; of several files by their names, which may be categories."""
    digests = {file.path.name: hashlib.sha256(file.data).hexdigest() for file in files}
    return digests if len(digests) > 1 else next(iter(digests.values()))


def _read(path: Path) -> bytes:
    try:
        return content(path)
    except OSError as error:
        text = f"{path}: {os_reason(error)}. Give a readable file of prompts."
        raise DataError(text) from None
