"""`file`: prompts of a text file or a table, with the scene graphs beside them.

The file is a path here or a URL that fsspec knows, such as s3://, hf:// or https://. Its ending
decides: `.jsonl`, `.csv`, `.json` and `.parquet` are read as such, all others as text with one
prompt a line. Records may have a `graph`, or be those of LAION-SG or GenEval.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft, PromptSource
from invdpo.curate.prompts.reader import GRAPH_COLUMNS, PromptReader
from invdpo.curate.storage.object_store import content
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.io.files import os_reason
from invdpo.schemas.io.text import Counts

FORMATS = "text with one prompt a line, .jsonl, .csv, .parquet, or LAION-SG .json"


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
        } | self._reader.fingerprint()

    def counts(self) -> Counts:
        """What asking a model for graphs cost since the last call of this method."""
        return self._reader.counts()

    def __call__(self) -> Iterator[Draft]:
        """The prompts in the file's order; those that can't be used have an error."""
        return self._reader.add_graphs(self._drafts())

    def _drafts(self) -> Iterator[Draft]:
        if self._path.suffix.lower() == ".parquet":
            yield from _parquet(self._path, self._data, self._reader)
            return
        text = _text(self._path, self._data)
        if not text.strip():
            raise DataError(f"{self._path}: empty. Expected {FORMATS}.")
        read = READERS.get(self._path.suffix.lower(), _lines)
        yield from read(self._path, text, self._reader)


def _read(path: Path) -> bytes:
    try:
        return content(path)
    except OSError as error:
        text = f"{path}: {os_reason(error)}. Give a readable file of prompts."
        raise DataError(text) from None


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"{path}: not UTF-8 at byte {error.start} (line {line}). Save the file as UTF-8."
        raise DataError(text) from None


def _lines(path: Path, text: str, reader: PromptReader) -> Iterator[Draft]:
    # Not str.splitlines, which also cuts at characters that may stand inside a prompt.
    for number, line in enumerate(text.split("\n"), start=1):
        if prompt := line.strip():
            yield reader.read_line(prompt, number)


def _json_lines(path: Path, text: str, reader: PromptReader) -> Iterator[Draft]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            yield Draft(None, error="not JSON", line=number)
        else:
            yield reader.read_record(record, number)


def _csv(path: Path, text: str, reader: PromptReader) -> Iterator[Draft]:
    csv.field_size_limit(max(len(text), 131_072))
    rows = csv.DictReader(io.StringIO(text, newline=""))
    reader.column(list(rows.fieldnames or ()), str(path))
    try:
        for record in rows:
            yield reader.read_record(record, rows.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: not CSV: {error}.") from None


def _json(path: Path, text: str, reader: PromptReader) -> Iterator[Draft]:
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}.") from None
    if not isinstance(records, list) or not records:
        raise DataError(f"{path}: expected a list of LAION-SG records or of {{'prompt': ...}}.")
    for number, record in enumerate(records, start=1):
        yield reader.read_record(record, number)


def _parquet(path: Path, data: bytes, reader: PromptReader) -> Iterator[Draft]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            column = reader.column(names, str(path))
            kept = [name for name in names if name == column or name in GRAPH_COLUMNS]
            number = 0
            for batch in file.iter_batches(1_000, columns=kept):
                for record in batch.to_pylist():
                    number += 1
                    yield reader.read_record(record, number)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: damaged, or no Parquet file ({reason}).") from None


READERS: Mapping[str, Callable[[Path, str, PromptReader], Iterator[Draft]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".json": _json,
}
