"""`file`: prompts of a text file, JSON lines, CSV, or a LAION-SG file with its scene graphs.

The file's ending decides: `.jsonl`, `.csv` and `.json` are read as such, all others as text with
one prompt a line.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft
from invdpo.curate.shapes import world
from invdpo.schemas import ConfigError, DataError, SceneGraph
from invdpo.schemas.config import PromptsConfig

FORMATS = "text with one prompt a line, .jsonl, .csv with a column `prompt`, or LAION-SG .json"


@PROMPT_SOURCES.register("file")
class FileSource:
    """Prompts of one file. Raises `ConfigError` without a path, `DataError` for a bad file."""

    name = "file"

    def __init__(self, config: PromptsConfig) -> None:
        if config.path is None:
            raise ConfigError("prompts.path: missing; the source `file` needs a file to read.")
        self._config = config
        self._path = Path(config.path)
        self._data = _read(self._path)

    def fingerprint(self) -> dict[str, Any]:
        """The file's content counts, not where it lies; seed and split play no part."""
        digest = hashlib.sha256(self._data).hexdigest()
        return {
            "source": self.name,
            "num_prompts": self._config.num_prompts,
            "file_sha256": digest,
        }

    def __call__(self) -> Iterator[Draft]:
        """The prompts in the file's order; those that can't be used with an error."""
        text = _text(self._path, self._data)
        if not text.strip():
            raise DataError(f"{self._path}: empty. Expected {FORMATS}.")
        reader = READERS.get(self._path.suffix.lower(), _lines)
        return reader(self._path, text)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        text = f"{path}: {error.strerror or error}. Give a readable file of prompts."
        raise DataError(text) from None


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"{path}: not UTF-8 at byte {error.start} (line {line}). Save the file as UTF-8."
        raise DataError(text) from None


def _lines(path: Path, text: str) -> Iterator[Draft]:
    # Not str.splitlines, which also cuts at characters that may stand inside a prompt.
    for number, line in enumerate(text.split("\n"), start=1):
        if prompt := line.strip():
            yield Draft(prompt, world.parse(prompt), line=number)


def _json_lines(path: Path, text: str) -> Iterator[Draft]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            yield Draft(None, error="not JSON", line=number)
        else:
            yield _draft(record, number)


def _csv(path: Path, text: str) -> Iterator[Draft]:
    csv.field_size_limit(max(len(text), 131_072))
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "prompt" not in (reader.fieldnames or ()):
        found = ", ".join(reader.fieldnames or ()) or "none"
        raise DataError(f"{path}: no column `prompt`; found: {found}.")
    try:
        for record in reader:
            yield _draft(record, reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: not CSV: {error}.") from None


def _json(path: Path, text: str) -> Iterator[Draft]:
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}.") from None
    if not isinstance(records, list) or not records:
        raise DataError(f"{path}: expected a list of LAION-SG records or of {{'prompt': ...}}.")
    for number, record in enumerate(records, start=1):
        yield _draft(record, number)


READERS: Mapping[str, Callable[[Path, str], Iterator[Draft]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".json": _json,
}


def _draft(record: object, number: int) -> Draft:
    """A record with `prompt` (and perhaps `graph`), or a LAION-SG record."""
    if not isinstance(record, dict):
        return Draft(None, error="not a record with a `prompt`", line=number)
    prompt = record.get("prompt", record.get("caption_ori"))
    if not isinstance(prompt, str):
        return Draft(None, error="no `prompt` and no `caption_ori`", line=number)
    try:
        return Draft(prompt.strip(), _graph(prompt, record), line=number)
    except DataError as error:
        return Draft(prompt.strip(), error=str(error), line=number)


def _graph(prompt: str, record: dict[str, Any]) -> SceneGraph | None:
    graph = record.get("graph")
    if isinstance(graph, str) and graph.strip():
        return SceneGraph.from_json(graph)
    if isinstance(graph, dict):
        return SceneGraph.from_dict(graph)
    if "items" in record:
        return SceneGraph.from_dict(record)
    return world.parse(prompt)
