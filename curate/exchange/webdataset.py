"""WebDataset: tar files in which a pair's files follow each other under one key."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from invdpo.curate.dataset.shards import SHARD_BYTES
from invdpo.curate.exchange.base import EXPORTS
from invdpo.curate.exchange.names import file_stem
from invdpo.curate.exchange.ours import SourceDataset
from invdpo.schemas.io.images import image_suffix
from invdpo.schemas.tables import SIDES, Record


@EXPORTS.register("webdataset")
def export(source: SourceDataset, folder: Path) -> None:
    """`KEY.txt` with the prompt, `KEY.json` with all else, `KEY.chosen.png`, `KEY.rejected.png`.

    The same dataset gives the same bytes: no times, no owners.
    """
    writers: dict[str, _TarWriter] = {}
    try:
        for split, table in source.tables():
            writer = writers.setdefault(split, _TarWriter(folder, split))
            for row in table.to_pylist():
                writer.add(file_stem(row["pair_id"]), _files(row))
    finally:
        for writer in writers.values():
            writer.close()


def _files(row: Record) -> dict[str, bytes]:
    """Extension -> content; an image's extension follows from its bytes."""
    metadata = {name: v for name, v in row.items() if name not in SIDES and v is not None}
    text = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
    files = {"txt": row["prompt"].encode(), "json": text.encode()}
    for side in SIDES:
        content = row[side]["bytes"]
        files[f"{side}.{image_suffix(content)}"] = content
    return files


class _TarWriter:
    """The tar files of one split, a new one begun when one is full."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._split = folder, split
        self._count = self._size = 0
        self._open: tarfile.TarFile | None = None

    def add(self, key: str, files: dict[str, bytes]) -> None:
        size = sum(map(len, files.values()))
        if self._open and self._size + size > SHARD_BYTES:
            self.close()
        if self._open is None:
            path = self._folder / f"{self._split}-{self._count:05d}.tar"
            self._open = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
            self._count, self._size = self._count + 1, 0
        for extension, content in files.items():
            info = tarfile.TarInfo(f"{key}.{extension}")
            info.size, info.mode = len(content), 0o644
            self._open.addfile(info, io.BytesIO(content))
        self._size += size

    def close(self) -> None:
        if self._open:
            self._open.close()
            self._open = None
