"""The one reader of prompt files: texts, and records of tables with texts in a column.

A file's ending says what it is: `.jsonl` and `.ndjson` hold a record or a text a line, `.json` a
list of them, `.csv` and `.tsv` a heading and rows, `.parquet` a table, and plain text one per line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from invdpo.schemas.errors import DataError, DocumentError
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.io.files import os_reason
from invdpo.schemas.io.text import quote, shorten
from invdpo.schemas.io.text_files import (
    TEXT_SUFFIXES,
    decode_text,
    refuse_pointer,
    require_suffix,
    text_lines,
)

PROMPT_COLUMNS = ("prompt", "caption_ori", "caption")
"""Columns of prompts if none is configured; the first that is there is taken."""
MOST_COLUMNS = 40
"""Columns that an error names."""
FORMATS = "text with one prompt per line, .jsonl, .ndjson, .json, .csv, .tsv or .parquet"


class Entry(NamedTuple):
    """A line, a record of a list, or a row."""

    number: int
    """Of its line, record or row, from 1."""
    value: Any
    """A text, or a record."""
    error: str | None = None
    """Why it can't be read."""


CheckColumns = Callable[[Sequence[str]], Sequence[str]]
"""From the columns of a table to those that are wanted. Raises `DataError`."""
_Read = Callable[[Path, str, CheckColumns], Iterator[Entry]]


def read_entries(
    path: Path, data: bytes, check: CheckColumns, *, text: bool = True
) -> Iterator[Entry]:
    """What a file holds, in its order.

    Args:
        path: By its ending it is known what the file is; also for messages.
        data: All of its bytes.
        check: Called with the columns of a table before its first row.
        text: Whether plain text is allowed.

    Raises `DataError` for an ending or encoding that is not read, and for damage.
    """
    allowed = (*(TEXT_SUFFIXES if text else ()), *READERS, ".parquet")
    suffix = require_suffix(path, allowed)
    refuse_pointer(data, path)
    check = partial(_each_once, check, path)
    if suffix == ".parquet":
        yield from _parquet(path, data, check)
        return
    content = decode_text(data, path)
    if not content.strip():
        raise DataError(f"{path}: empty. Expected {FORMATS}.")
    yield from READERS.get(suffix, _lines)(path, content, check)


def read_prompts(path: Path) -> list[str]:
    """The prompts of a file of this machine. Raises `DataError` for one that holds none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read ({os_reason(error)}).") from None
    prompts = [_prompt(path, entry) for entry in read_entries(path, data, _prompt_columns(path))]
    if not any(prompts):
        raise DataError(f"{path}: no prompts in it; write one per line.")
    return [prompt for prompt in prompts if prompt]


def find_column(columns: Sequence[str], configured: str | None, where: object) -> str:
    """The column with the prompts, whatever the case. Raises `DataError` naming those there are."""
    wanted = (configured,) if configured else PROMPT_COLUMNS
    for same in (str, _folded):
        known = {same(name): name for name in reversed(columns)}
        for name in wanted:
            if same(name) in known:
                return known[same(name)]
    names = ", ".join(map(shorten, sorted(columns)[:MOST_COLUMNS])) or "none"
    expected = " or ".join(f"`{name}`" for name in wanted)
    raise DataError(f"{where}: no column {expected}; found: {names}. Name one by --column.")


def _each_once(check: CheckColumns, path: Path, columns: Sequence[str]) -> Sequence[str]:
    """The wanted columns. Raises `DataError` for one that occurs twice: which one is meant?"""
    wanted = check(columns)
    if twice := [name for name in wanted if name and columns.count(name) > 1]:
        text = f"{path}: the column {quote(twice[0])} occurs twice"
        raise DataError(f"{text}. Rename or remove one of them.")
    return wanted


def _folded(name: str) -> str:
    return normalize("NFC", name).casefold().strip()


def _prompt_columns(path: Path) -> CheckColumns:
    return lambda names: [find_column(names, None, path)]


def _prompt(path: Path, entry: Entry) -> str:
    where, value = f"{path}: entry {entry.number}", entry.value
    if isinstance(value, Mapping):
        value = value[find_column(list(value), None, where)]
    if entry.error or not isinstance(value, str):
        raise DataError(f"{where}: {entry.error or 'the prompt is not a text'}.")
    return value.strip()


def _lines(_path: Path, text: str, _check: CheckColumns) -> Iterator[Entry]:
    for number, line in text_lines(text):
        yield Entry(number, line)


def _json_lines(path: Path, text: str, _check: CheckColumns) -> Iterator[Entry]:
    for number, line in text_lines(text):
        try:
            yield Entry(number, _json(line, path))
        except DataError as error:
            reason = str(error).removeprefix(f"{path}: ").rstrip(".")
            yield Entry(number, None, "not JSON" if reason.startswith("not JSON") else reason)


def _json_list(path: Path, text: str, _check: CheckColumns) -> Iterator[Entry]:
    values = _json(text, path)
    if not isinstance(values, list) or not values:
        found = type(values).__name__ if values else "nothing in it"
        raise DataError(f"{path}: expected a list of texts or of records, found {found}.")
    for number, value in enumerate(values, start=1):
        yield Entry(number, value)


def _json(text: str, path: Path) -> Any:
    try:
        return read_json(text, path, max_bytes=None, halves=True)
    except DocumentError as error:
        remedy = " If it has one record per line, rename it to .jsonl." * (
            "Extra data" in str(error)
        )
        raise DataError(f"{error}{remedy}") from None


def _csv(path: Path, text: str, check: CheckColumns) -> Iterator[Entry]:
    return _rows(path, csv.reader(_file(text), strict=True), check)


def _tsv(path: Path, text: str, check: CheckColumns) -> Iterator[Entry]:
    """A quotation mark is part of its field, but where a writer doubled those inside others."""
    return _rows(path, csv.reader(_file(text), delimiter="\t", quoting=csv.QUOTE_NONE), check)


def _file(text: str) -> io.StringIO:
    csv.field_size_limit(max(len(text), 131_072))
    return io.StringIO(text, newline="")


def _rows(path: Path, rows: Any, check: CheckColumns) -> Iterator[Entry]:
    """The rows of a `csv.reader` below the heading."""
    try:
        heading = next(row for row in rows if any(row))
        check(heading)
        for row in rows:
            fields = [_unquoted(field) for field in row] if rows.dialect.quoting else row
            if any(fields[len(heading) :]):
                found = f"{len(fields)} fields, the heading has {len(heading)}"
                yield Entry(rows.line_num, None, f"{found}; is one of them to be quoted?")
            elif fields:
                yield Entry(rows.line_num, dict(zip_longest(heading, fields[: len(heading)])))
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: not CSV: {error}.") from None


def _unquoted(field: str) -> str:
    inner = field[1:-1]
    doubled = len(field) > 1 and field[0] == field[-1] == '"' and '""' in inner
    return inner.replace('""', '"') if doubled and '"' not in inner.replace('""', "") else field


def _parquet(path: Path, data: bytes, check: CheckColumns) -> Iterator[Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from invdpo.schemas.io.parquet import file_batches, parquet_errors

    with (
        parquet_errors(path),
        pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file,
    ):
        number, wanted = 0, list(check(file.schema_arrow.names))
        for batch in file_batches(file, io.BytesIO(data), path, wanted, 1_000):
            for record in batch.to_pylist():
                number += 1
                yield Entry(number, record)


READERS: Mapping[str, _Read] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_list,
    ".csv": _csv,
    ".tsv": _tsv,
}
"""Ending -> how a file of text with records is read."""
