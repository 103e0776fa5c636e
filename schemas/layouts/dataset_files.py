"""The files of a dataset that a user named, and the paths in its rows: none may lead out of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.text_files import refuse_pointer
from invdpo.schemas.layouts.names import files_of_split, unread_files
from invdpo.schemas.layouts.rows import NESTED

NOT_INSIDE = (("data",), ("workspace",))
"""Folders whose Parquet files are read, or are known to hold no pairs."""


@dataclass(frozen=True)
class DatasetFiles:
    """A folder, or one Parquet file in it."""

    root: Path
    """The folder that paths in the dataset start from."""
    file: Path | None = None

    @classmethod
    def at(cls, path: Path) -> DatasetFiles | None:
        """The dataset at a path; None when neither a folder nor a file is there."""
        if os.path.isdir(path):  # unlike Path.is_dir, never raises
            return cls(path)
        return cls(path.parent, path) if os.path.isfile(path) else None

    @property
    def commit(self) -> str | None:
        """The commit whose files these are, when they are in the Hub's cache."""
        root = self.root.resolve()
        return root.name if root.parent.name == "snapshots" else None

    def parquet_files(self) -> list[Path]:
        """All Parquet files, in the folder itself and in `data/`."""
        if self.file:
            return [self.file]
        paths = (*self.root.glob("*.*"), *self.root.glob("data/*.*"))
        tables = (path for path in paths if path.suffix.lower() == ".parquet")
        return sorted(path for path in tables if not path.name.startswith("."))

    def split_files(self, split: str) -> list[Path]:
        """The Parquet files of a split. Files that name no split at all are all for training."""
        if self.file:
            return [self.file] if split == "train" else []
        return files_of_split(split, self.parquet_files())

    def unread_files(self, split: str) -> dict[Path, str]:
        """Parquet files that no split reads, and why; those in folders inside count as training's.

        Not the workspace of a dataset of ours, which is no table of pairs.
        """
        inside = [] if self.file or split != "train" else self.root.glob("[!.]*/**/*.parquet")
        nested = [p for p in inside if p.relative_to(self.root).parts[:-1] not in NOT_INSIDE]
        return unread_files(split, self.parquet_files()) | dict.fromkeys(sorted(nested), NESTED)

    def relative(self, path: Path) -> str:
        """A path as messages name it: relative to the root."""
        return path.relative_to(self.root).as_posix()

    def read(self, text: str, where: str) -> bytes | None:
        """The content of the file that a row names.

        None when there is no such file, no bytes when it may not be read. Raises `DataError` for a
        path, or a link, that leads out of the dataset, and for a pointer of Git LFS.
        """
        path = self._resolve(text, where)
        if not path.is_file() and (spelt := self._spelt(text)):
            path = self._resolve(spelt, where)
        try:
            content = path.read_bytes() if path.is_file() else None
        except OSError:
            return b""
        refuse_pointer(content or b"", path)
        return content

    def _resolve(self, text: str, where: str) -> Path:
        if "://" in text:
            raise DataError(f"{self.root}: {where}: {text!r} is a URL. Download it first.")
        climbs = os.path.normpath(text).split(os.sep)[0] == os.pardir
        try:
            target = (self.root / text).resolve()
        except (OSError, RuntimeError, ValueError):  # a ring of links, or no path at all
            target = None
        if Path(text).is_absolute() or climbs or not (target and self._contains(target)):
            raise DataError(
                f"{self.root}: {where}: {text!r} is outside the dataset, where no files are "
                "read. Put the image into the folder, and its path relative to the folder into "
                "the row."
            )
        return target

    def _spelt(self, text: str) -> str | None:
        """The path with each name as its folder spells it, in whichever form of Unicode."""
        folder, names = self.root, []
        for name in Path(text).parts:
            spelling = _spellings(folder).get(normalize("NFC", name))
            if spelling is None:
                return None
            names.append(spelling)
            folder /= spelling
        return "/".join(names)

    def _contains(self, target: Path) -> bool:
        root = self.root.resolve()
        if target.is_relative_to(root):
            return True
        # the files of the Hub's cache are links to its blobs
        return self.commit is not None and target.is_relative_to(root.parents[1] / "blobs")


def _spellings(folder: Path) -> Mapping[str, str]:
    """Composed name -> name of what is in a folder; nothing if it is none."""
    try:
        return _spellings_at(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _spellings_at(folder: Path, _changed: int) -> Mapping[str, str]:
    return {normalize("NFC", name): name for name in os.listdir(folder)}
