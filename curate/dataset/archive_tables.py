"""Tables of a workspace packed into few files to travel, and unpacked into the parts they were.

A packed file holds the rows of several parts one after another, each in row groups of its own; the
metadata names the parts. Memory holds one part at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from invdpo import __version__
from invdpo.curate.dataset.shards import SHARD_BYTES
from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.parts import (
    CONFIG,
    VERSION,
    Fingerprint,
    read_header,
    read_part,
    write_part,
)
from invdpo.schemas import DataError
from invdpo.schemas.ids import canonical_json
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.io.parquet import check_sizes
from invdpo.schemas.io.text import quote

Redact = Callable[[Any], Any]
"""Takes from JSON's types what may not leave this machine."""
Transform = Callable[[pa.Table], pa.Table]
"""Done to the rows of each part."""
PartEntry = tuple[str, int, Any]
"""A part in the metadata of a packed file: its name, rows and notes."""

PARTS = b"invdpo.parts"
PART_NAME = re.compile(r"part-\d{5,}\.parquet|(prompts|pairs|reviews)\.parquet")
NOTED_COLUMNS = (
    "model",
    "revision",
    "source",
    "error",
    "annotator",
    "scorer",
    "pipeline_options",
    "note",
)
"""Columns in which a run or a person notes where something came from."""


def unchanged(table: pa.Table) -> pa.Table:
    """The transform that does nothing."""
    return table


def pack_table(
    parts: Sequence[Path],
    stem: Path,
    redact: Redact,
    transform: Transform = unchanged,
    max_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write the parts of one table to `<stem>-00000-of-0000n.parquet`; return these files.

    All parts have one fingerprint. A file holds at least one part, and no more than `max_bytes` of
    parts as they are on disk. Equal parts give equal bytes.
    """
    groups = _group_by_size(parts, max_bytes)
    names = [f"{stem.name}-{n:05d}-of-{len(groups):05d}.parquet" for n in range(len(groups))]
    with storage_errors(stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
        for name, group in zip(names, groups, strict=True):
            _pack_file(group, stem.with_name(name), redact, transform)
    return [stem.with_name(name) for name in names]


def _group_by_size(parts: Sequence[Path], max_bytes: int) -> list[list[Path]]:
    groups: list[list[Path]] = []
    group_bytes = 0
    for part in parts:
        part_bytes = part.stat().st_size
        if not groups or group_bytes + part_bytes > max_bytes:
            groups.append([])
            group_bytes = 0
        groups[-1].append(part)
        group_bytes += part_bytes
    return groups


def _pack_file(parts: Sequence[Path], target: Path, redact: Redact, transform: Transform) -> None:
    headers = [read_header(part) for part in parts]
    entries = [[p.name, h.rows, redact(h.notes)] for p, h in zip(parts, headers, strict=True)]
    metadata = {
        CONFIG: canonical_json(redact(headers[0].fingerprint)),
        VERSION: __version__,
        PARTS: canonical_json(entries),
    }
    tables = map(transform, (redact_columns(read_part(p), redact) for p in parts))
    first = next(tables)
    schema = first.schema.with_metadata(metadata)
    options: dict[str, Any] = {
        "write_page_index": True,
        "write_page_checksum": True,
        "use_content_defined_chunking": True,
    }
    with pq.ParquetWriter(target, schema, **options) as writer:
        for table in (first, *tables):
            writer.write_table(table.cast(schema))


def redact_columns(table: pa.Table, redact: Redact) -> pa.Table:
    """The rows, with what a run or a person noted in them passed through `redact`."""
    for name in set(NOTED_COLUMNS) & set(table.column_names):
        index = table.column_names.index(name)
        column = table[name].combine_chunks().dictionary_encode()
        texts = pa.array([redact(text) for text in column.dictionary.to_pylist()], pa.string())
        table = table.set_column(index, table.schema.field(index), texts.take(column.indices))
    return table


def drop_images(table: pa.Table, of: pa.Array | None = None) -> pa.Table:
    """Candidates without the images of those in `of`, or without any."""
    index = table.column_names.index("image")
    field = table.schema.field(index)
    images = pa.nulls(len(table), field.type)
    if of is not None:
        dropped = pc.is_in(table["candidate_id"], value_set=of)
        images = pc.if_else(dropped, images, table["image"])
    return table.set_column(index, field, images)


def unpack_table(
    packed: Sequence[Path], folder: Path, transform: Transform = unchanged
) -> list[Path]:
    """Write the parts of one table into `folder`, each with its name; return the parts.

    Raises `DataError` for files that are no packed table, or name what is no part.
    """
    parts = []
    for path in packed:
        with _packed_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            check_sizes(file.metadata, path)
            metadata = file.schema_arrow.metadata or {}
            fingerprint: Fingerprint = read_json(metadata[CONFIG], "its configuration", dict)
            entries = read_json(metadata[PARTS], "its parts", list)
            for (name, _, notes), table in zip(entries, _part_tables(file, entries), strict=True):
                if not PART_NAME.fullmatch(str(name)):
                    raise DataError(f"{path.name}: {quote(name)} is not a valid name of a part.")
                write_part(folder / name, transform(table), fingerprint, notes)
                parts.append(folder / name)
    return parts


def _part_tables(file: pq.ParquetFile, entries: Sequence[PartEntry]) -> Iterator[pa.Table]:
    """The rows of each part, in order."""
    if sum(rows for _, rows, _ in entries) != file.metadata.num_rows:
        raise ValueError("its rows do not match its parts")
    groups = iter(range(file.num_row_groups))
    empty = file.schema_arrow.empty_table()
    for _, rows, _ in entries:
        tables, count = [empty], 0
        while count < rows:
            if (group := next(groups, None)) is None:
                break
            tables.append(file.read_row_group(group))
            count += len(tables[-1])
        if count != rows:
            raise ValueError("its rows do not match its parts")
        yield pa.concat_tables(tables)


@contextmanager
def _packed_errors(path: Path) -> Iterator[None]:
    """Raise `DataError` for a file that is no packed table."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        first_line = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{path.name}: not a packed table of invdpo ({first_line}).") from error
