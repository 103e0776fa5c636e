"""A dataset's folder: found by its own path or its workspace's, its card and its shards read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.curate.storage.errors import remote_errors
from invdpo.curate.storage.object_store import reading
from invdpo.curate.storage.pair_sets import words_of, workspace_of
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.io.documents import read_file
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.parquet import check_sizes, parquet_errors
from invdpo.schemas.tables import Record

CARD = "README.md"
PROMPTS = "prompts.parquet"
"""By which a workspace is known."""
SPLITS = ("train", "validation")


class RowLocation(NamedTuple):
    """Where a row of a dataset is stored."""

    path: Path
    group: int
    row: int
    """Within its row group."""


class SplitSizes(NamedTuple):
    """How much there is of a split, in the terms of `datasets`."""

    num_examples: int
    """Rows."""
    num_bytes: int
    """In memory."""
    download_size: int
    """Bytes of its files."""


@dataclass(frozen=True)
class DatasetFolder:
    """A folder with `data/*.parquet` and a card. Making one touches nothing."""

    path: Path
    workspace: Workspace | None = None
    """The workspace by which the dataset was found; None when it was named itself."""
    hashes: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Name -> SHA-256 of shards that have just been written, as far as it is known."""

    @classmethod
    def find(cls, path: Path) -> DatasetFolder:
        """The dataset at `path`, or of the workspace or the named set of pairs at `path`.

        Raises `DataError` where there is none.
        """
        if (folder := cls(path)).shards():
            return folder
        if (folder := cls(path / "dataset")).shards():
            return cls(folder.path, Workspace(*workspace_of(path)))
        raise DataError(f"{path}: {_why_no_dataset(path)}")

    @property
    def enclosing_workspace(self) -> Workspace | None:
        """The workspace that the dataset is in, whichever of them was named."""
        root, name = workspace_of(self.path.parent)
        if self.workspace or self.path.name != "dataset" or not (root / PROMPTS).is_file():
            return self.workspace
        return Workspace(root, name)

    def shards(self, split: str | None = None) -> list[Path]:
        """The Parquet files of a split, or of all."""
        return sorted((self.path / "data").glob(f"{split}-*.parquet" if split else "*.parquet"))

    def schema(self) -> pa.Schema:
        """The columns, and what the files say of themselves. Raises `DataError` without files."""
        shards = self.shards()
        if not shards:
            raise DataError(f"{self.path}: no dataset. Expected data/*.parquet there.")
        with open_shard(shards[0]) as file:
            return file.schema_arrow

    def count_pairs(self, split: str) -> int:
        """How many pairs of a split there are."""
        return self.split_sizes(split).num_examples

    def split_sizes(self, split: str) -> SplitSizes:
        """How much there is of a split."""
        sizes = [_sizes(path) for path in self.shards(split)]
        return SplitSizes(
            *(sum(column) for column in zip(SplitSizes(0, 0, 0), *sizes, strict=True))
        )

    def content_hash(self) -> str:
        """SHA-256 over names and bytes of all shards: another one, and it is another dataset."""
        hashes = [
            (path.name, self.hashes.get(path.name) or hash_file(path)) for path in self.shards()
        ]
        lines = [f"{name} {sha256}\n" for name, sha256 in hashes]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def read_columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all files. Raises `DataError` for a file that is damaged."""
        return pa.concat_tables(_read_columns(path, names) for path in self.shards())

    def rows(
        self, columns: Sequence[str], required: Sequence[str] = ()
    ) -> Iterator[tuple[RowLocation, Record]]:
        """Every row: where it is stored, and its values of those `columns` that are there.

        Raises `DataError` for a file that is damaged, or lacks a `required` column.
        """
        for path in self.shards():
            with open_shard(path) as file:
                names = file.schema_arrow.names
                if missing := ", ".join(name for name in required if name not in names):
                    raise DataError(f"{path}: not a dataset of invdpo: column {missing} missing.")
                present = [name for name in columns if name in names]
                for group in range(file.num_row_groups):
                    records = file.read_row_group(group, present).to_pylist()
                    for row, record in enumerate(records):
                        yield RowLocation(path, group, row), record

    def read_card(self) -> str | None:
        """The card, if there is one. Raises `DataError` when its YAML head can't be read."""
        from invdpo.data_cards.head import split_head

        path = self.path / CARD
        if not path.exists():
            return None
        text = read_file(path).decode(errors="replace")
        split_head(text, str(path))
        return text


def _why_no_dataset(path: Path) -> str:
    if not path.exists():
        return "no dataset: no such folder. Give a workspace, or the folder of a dataset."
    if (workspace_of(path)[0] / PROMPTS).exists():
        command = f"invdpo curate pair {words_of(path)}"
        return f"this workspace has no dataset yet. First run: {command}"
    return "no dataset: neither data/*.parquet nor dataset/data/*.parquet is in it."


@contextmanager
def open_shard(path: Path, **options: Any) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, local or remote. Raises `DataError` for one that is damaged."""
    with (
        parquet_errors(path, "Write the dataset again."),
        remote_errors(path),
        reading(path) as source,
        pq.ParquetFile(source, page_checksum_verification=True, **options) as file,
    ):
        check_sizes(file.metadata, path)
        yield file


def _sizes(path: Path) -> SplitSizes:
    with open_shard(path) as file:
        metadata = file.metadata
        groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
        num_bytes = sum(group.total_byte_size for group in groups)
        return SplitSizes(metadata.num_rows, num_bytes, path.stat().st_size)


def _read_columns(path: Path, names: Sequence[str]) -> pa.Table:
    with open_shard(path) as file:
        return file.read(columns=list(names))
