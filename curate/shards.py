"""Writes one split as Parquet shards the Hub's viewer and its uploads like.

Row groups hold about 100 rows so that a page of the viewer reads little; content-defined chunks
let an upload send only what changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.schemas.tables import IMAGE, Record

ROWS = 100
"""Rows of a row group, unless their bytes fill it first."""
GROUP_BYTES = 90_000_000
SHARD_BYTES = 480_000_000
"""Just below the 500 MB the Hub recommends, since the size on disk is only known afterwards."""


def hub_columns(schema: pa.Schema) -> list[dict[str, str]]:
    """The columns as the data-set card's `dataset_info.features` lists them."""
    return [{"name": field.name, "dtype": _dtype(field.type)} for field in schema]


def hub_metadata(schema: pa.Schema) -> dict[str, str]:
    """What `datasets` reads from a Parquet file's metadata to know images from structs."""
    features = {
        field.name: {"_type": "Image"}
        if field.type == IMAGE
        else {"dtype": _dtype(field.type), "_type": "Value"}
        for field in schema
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _dtype(kind: pa.DataType) -> str:
    names = {IMAGE: "image", pa.string(): "string", pa.float64(): "float64", pa.int64(): "int64"}
    return names[kind]


class ShardWriter:
    """Rows of one split, spread over files; their names are final only after `close`."""

    def __init__(
        self, folder: Path, split: str, schema: pa.Schema, shard_bytes: int = SHARD_BYTES
    ) -> None:
        self._folder, self._split, self._schema = folder, split, schema
        self._limit = shard_bytes
        self._open: pq.ParquetWriter | None = None
        self._paths: list[Path] = []
        self._size = 0
        self._rows: list[Record] = []
        self._pending = 0
        self.count = 0

    def add(self, row: Record) -> None:
        """Take one row of the data set."""
        self._rows.append(row)
        self._pending += _size(row)
        self.count += 1
        if len(self._rows) >= ROWS or self._pending >= min(GROUP_BYTES, self._limit):
            self._flush()

    def close(self) -> list[Path]:
        """Write what is left and give the files their names, `split-00000-of-0000n.parquet`."""
        self._flush()
        self.stop()
        total = len(self._paths)
        return [
            path.rename(path.with_name(f"{self._split}-{n:05d}-of-{total:05d}.parquet"))
            for n, path in enumerate(self._paths)
        ]

    def stop(self) -> None:
        """Close the file that is open, as it is."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._size + self._pending > self._limit:
            self.stop()
        self._writer().write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._size += self._pending
        self._rows, self._pending = [], 0

    def _writer(self) -> pq.ParquetWriter:
        if self._open is None:
            path = self._folder / f"{self._split}-{len(self._paths):05d}.parquet"
            options: dict[str, Any] = {
                "write_page_index": True,
                "write_page_checksum": True,
                "use_content_defined_chunking": True,
            }
            self._open = pq.ParquetWriter(path, self._schema, **options)
            self._paths.append(path)
            self._size = 0
        return self._open


def _size(row: Record) -> int:
    """Bytes of a row's pictures and texts."""
    images = sum(len(row[side]["bytes"]) for side in ("chosen", "rejected"))
    return images + sum(len(value) for value in row.values() if isinstance(value, str))
