"""Writes one split as Parquet shards that suit the Hub's viewer and its uploads.

Row groups hold about 100 rows so that a page of the viewer reads little; content-defined chunks
let an upload send only what changed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from invdpo.curate.dataset.hashed_files import HashedFile, HashedFiles
from invdpo.curate.storage.columns import parquet_options

GROUP_ROWS = 100
"""Rows of a row group, unless their bytes fill it first."""
GROUP_BYTES = 90_000_000
CHUNKING = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
"""Bounds of content-defined chunks in bytes, as `datasets` writes them."""
CHUNKED = "content_defined_chunking"
"""Key of a file's metadata by which the Hub and `datasets` know such a file."""
SHARD_BYTES = 480_000_000
"""Just below the 500 MB the Hub recommends, since the size on disk is only known afterwards."""


class ShardWriter:
    """Rows of one split, spread over files; their names are final only after `finish` and `close`.

    Where groups and files end depends on images and texts alone, so that another column of
    numbers moves nothing.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        schema: pa.Schema,
        files: HashedFiles,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._folder, self._split, self._schema, self._files = folder, split, schema, files
        self._shard_bytes = shard_bytes
        self._group_bytes = min(GROUP_BYTES, shard_bytes)
        self._writer: pq.ParquetWriter | None = None
        self._written: list[HashedFile] = []
        self._shard_size = 0
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0
        self.count = 0

    def add(self, table: pa.Table) -> None:
        """Take rows of the dataset; those that don't fill a row group yet are kept."""
        start = 0
        for number, size in enumerate(row_bytes(table)):
            if self._rows == GROUP_ROWS or (self._rows and self._bytes + size > self._group_bytes):
                self._keep(table, start, number)
                self._flush()
                start = number
            self._rows += 1
            self._bytes += size
        self._keep(table, start, len(table))
        self.count += len(table)

    def finish(self) -> None:
        """Write what is left."""
        self._flush()
        self.stop()

    def close(self) -> dict[str, str]:
        """Give the finished files their names, `split-00000-of-0000n.parquet`: name -> SHA-256."""
        total, named = len(self._written), {}
        for n, file in enumerate(self._written):
            name = f"{self._split}-{n:05d}-of-{total:05d}.parquet"
            named[name] = file.hexdigest()
            file.path.rename(file.path.with_name(name))
        return named

    def stop(self) -> None:
        """Close the open file as it is."""
        if self._writer is not None:
            try:
                self._writer.close()
            finally:
                self._writer = None
                self._written[-1].close()

    def _keep(self, table: pa.Table, start: int, stop: int) -> None:
        if stop > start:
            self._waiting.append(table.slice(start, stop - start))

    def _flush(self) -> None:
        """Write the waiting rows as one row group."""
        if not self._waiting:
            return
        if self._shard_size + self._bytes > self._shard_bytes:
            self.stop()
        self._open_writer().write_table(pa.concat_tables(self._waiting), row_group_size=GROUP_ROWS)
        self._shard_size += self._bytes
        self._waiting, self._rows, self._bytes = [], 0, 0

    def _open_writer(self) -> pq.ParquetWriter:
        if self._writer is None:
            path = self._folder / f"{self._split}-{len(self._written):05d}.parquet"
            self._written.append(self._files.open(path))
            self._writer = pq.ParquetWriter(
                self._written[-1],
                self._schema,
                use_content_defined_chunking=CHUNKING,
                **parquet_options(self._schema),
            )
            self._writer.add_key_value_metadata({CHUNKED: json.dumps(CHUNKING)})
            self._shard_size = 0
        return self._writer


def row_bytes(table: pa.Table) -> list[int]:
    """Bytes of each row's images and texts."""
    total = np.zeros(len(table), dtype=np.int64)
    for column in table.itercolumns():
        kind = column.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            column, kind = pc.struct_field(column, "bytes"), pa.binary()
        if pa.types.is_binary(kind) or pa.types.is_string(kind):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    sizes: list[int] = total.tolist()
    return sizes
