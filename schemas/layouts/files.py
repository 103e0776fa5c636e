"""What lies at the folder or file that a user named: its Parquet files by split, and its paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from invdpo.schemas.errors import DataError
from invdpo.schemas.layouts.names import of_split


@dataclass(frozen=True)
class Place:
    """A folder, or one Parquet file in it."""

    root: Path
    """The folder that paths in the data set start from."""
    file: Path | None = None

    @property
    def commit(self) -> str | None:
        """The commit whose files these are, when they lie in the Hub's cache."""
        root = self.root.resolve()
        return root.name if root.parent.name == "snapshots" else None

    def tables(self) -> list[Path]:
        """All Parquet files, in the folder itself and in `data/`."""
        if self.file:
            return [self.file]
        found = (*self.root.glob("*.parquet"), *self.root.glob("data/*.parquet"))
        return sorted(path for path in found if not path.name.startswith("."))

    def split(self, name: str) -> list[Path]:
        """The Parquet files of a split. Files that name no split at all are all for training."""
        if self.file:
            return [self.file] if name == "train" else []
        return of_split(name, {path: path.stem for path in self.tables()})

    def shown(self, path: Path) -> str:
        """A path as messages name it: below the root."""
        return path.relative_to(self.root).as_posix()

    def read(self, text: str, row: str) -> bytes | None:
        """What is in the file that a row names; none if it isn't there, nothing if it is locked.

        Raises `DataError` for a path, or a link, that leads out of the data set.
        """
        path = self._inside(text, row)
        try:
            return path.read_bytes() if path.is_file() else None
        except OSError:
            return b""

    def _inside(self, text: str, row: str) -> Path:
        if "://" in text:
            raise DataError(f"{self.root}: {row}: {text!r} is an address. Download it beforehand.")
        climbs = os.path.normpath(text).split(os.sep)[0] == os.pardir
        try:
            target = (self.root / text).resolve()
        except (OSError, RuntimeError, ValueError):  # a ring of links, or no path at all
            target = None
        if Path(text).is_absolute() or climbs or not (target and self._holds(target)):
            raise DataError(
                f"{self.root}: {row}: {text!r} leads out of the data set, where nothing is read. "
                "Put the picture into the folder, and its path relative to the folder into the row."
            )
        return target

    def _holds(self, target: Path) -> bool:
        root = self.root.resolve()
        # the Hub's cache holds links to blobs two folders up
        return target.is_relative_to(root.parents[1] if self.commit else root)
