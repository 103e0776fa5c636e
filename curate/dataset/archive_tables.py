"""Tables of a workspace packed into few files to travel, and unpacked into the parts they were.

A packed file holds the rows of several parts one after another, each in row groups of its own; the
metadata names the parts. Memory holds one part at a time.
"""

from __future__ import annotations

import json
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

Clean = Callable[[Any], Any]
"""Takes from JSON's types what may not leave this machine."""
Change = Callable[[pa.Table], pa.Table]

PARTS = b"invdpo.parts"
PART = re.compile(r"part-\d{5,}\.parquet|(prompts|pairs|reviews)\.parquet")
TOLD = ("model", "revision", "source", "error", "annotator", "scorer", "note")
"""Columns in which a run notes where something came from."""


def pack(
    parts: Sequence[Path], stem: Path, clean: Clean, change: Change, limit: int = SHARD_BYTES
) -> list[Path]:
    """Write the parts of one table to `<stem>-00000-of-0000n.parquet`; these files.

    All parts have one fingerprint. A file holds at least one part, and no more than fit `limit`
    bytes as they lie on disk; `change` is done to each part's rows. Equal parts give equal bytes.
    """
    groups = _groups(parts, limit)
    names = [f"{stem.name}-{n:05d}-of-{len(groups):05d}.parquet" for n in range(len(groups))]
    with storage_errors(stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
        for name, group in zip(names, groups, strict=True):
            _pack(group, stem.with_name(name), clean, change)
    return [stem.with_name(name) for name in names]


def _groups(parts: Sequence[Path], limit: int) -> list[list[Path]]:
    groups: list[list[Path]] = []
    size = 0
    for part in parts:
        more = part.stat().st_size
        if not groups or size + more > limit:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += more
    return groups


def _pack(parts: Sequence[Path], target: Path, clean: Clean, change: Change) -> None:
    headers = [read_header(part) for part in parts]
    told = [[p.name, h.rows, clean(h.notes)] for p, h in zip(parts, headers, strict=True)]
    metadata = {
        CONFIG: canonical_json(clean(headers[0].fingerprint)),
        VERSION: __version__,
        PARTS: canonical_json(told),
    }
    tables = (change(cleaned(read_part(part), clean)) for part in parts)
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


def cleaned(table: pa.Table, clean: Clean) -> pa.Table:
    """The rows, with what a run or a person noted in them passed through `clean`."""
    for name in set(TOLD) & set(table.column_names):
        column = table[name].combine_chunks().dictionary_encode()
        told = pa.array([clean(text) for text in column.dictionary.to_pylist()], pa.string())
        table = table.set_column(
            table.column_names.index(name), table.schema.field(name), told.take(column.indices)
        )
    return table


def without_pictures(table: pa.Table, of: pa.Array | None = None) -> pa.Table:
    """Candidates with the pictures of those in `of`, or of all, taken out."""
    field = table.schema.field("image")
    gone = pa.nulls(len(table), field.type)
    if of is not None:
        listed = pc.is_in(table["candidate_id"], value_set=of)
        gone = pc.if_else(listed, gone, table["image"])
    return table.set_column(table.column_names.index("image"), field, gone)


def unpack(packed: Sequence[Path], folder: Path, change: Change) -> list[Path]:
    """Write the parts of one table into `folder`, each with its name; the parts.

    Raises `DataError` for files that are no packed table, or name what is no part.
    """
    made = []
    for path in packed:
        with _odd(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            extra = file.schema_arrow.metadata or {}
            fingerprint: Fingerprint = json.loads(extra[CONFIG])
            told = json.loads(extra[PARTS])
            for (name, _, notes), table in zip(told, _tables(file, told), strict=True):
                if not PART.fullmatch(str(name)):
                    raise DataError(f"{path.name}: {name!r} is no name of a part.")
                write_part(folder / name, change(table), fingerprint, notes)
                made.append(folder / name)
    return made


def _tables(file: pq.ParquetFile, told: Sequence[tuple[str, int, Any]]) -> Iterator[pa.Table]:
    """The rows of each part, in order."""
    if sum(rows for _, rows, _ in told) != file.metadata.num_rows:
        raise ValueError("its rows do not agree with its parts")
    groups = iter(range(file.num_row_groups))
    empty = file.schema_arrow.empty_table()
    for _, rows, _ in told:
        read, count = [empty], 0
        while count < rows:
            if (group := next(groups, None)) is None:
                break
            read.append(file.read_row_group(group))
            count += len(read[-1])
        if count != rows:
            raise ValueError("its rows do not agree with its parts")
        yield pa.concat_tables(read)


@contextmanager
def _odd(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{path.name}: not a packed table of invdpo ({first}).") from error
