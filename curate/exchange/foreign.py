"""Reading what others wrote: Parquet files by split, and pictures that rows name by path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from invdpo.curate.exchange.ours import batches, readable
from invdpo.schemas import DataError
from invdpo.schemas.layouts.names import SPLITS, of_split
from invdpo.schemas.tables import Record


def records(
    source: Path, needed: Sequence[str], known: Sequence[str]
) -> Iterator[tuple[str, str, Record]]:
    """Split, place and row of every row of a folder's Parquet files, or of one file.

    Rows have the needed columns, and those of the known ones that are there. Raises `DataError`
    when there is no file, and for one that lacks a needed column or is damaged.
    """
    files = [source] if source.is_file() else _files(source)
    if not files:
        raise DataError(f"{source}: no Parquet file there, nor in its data/.")
    for split in SPLITS:
        named = {path: path.stem for path in files} if source.is_dir() else {source: "train"}
        for path in of_split(split, named):
            columns = _columns(path, needed, known)
            number = 0
            for batch in batches(path, columns):
                for row in batch.to_pylist():
                    yield split, f"{path.name} row {number}", row
                    number += 1


def picture(value: Any, home: Path, where: str) -> bytes | None:
    """Bytes of an image struct, plain bytes, or those of the file that a path names."""
    if isinstance(value, dict):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if isinstance(value, str):
        return content(inside(home, value, where))
    return value if isinstance(value, bytes) else None


def content(path: Path) -> bytes | None:
    """Of a picture's file; none if it isn't there, nothing if it is locked."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return b""


def inside(home: Path, text: str, where: str) -> Path:
    """What a path of somebody's data names below `home`. Raises `DataError` if it leads out."""
    try:
        target = (home / text).resolve()
    except (OSError, RuntimeError, ValueError):  # a ring of links, or no path at all
        target = None
    if "://" in text or target is None or not target.is_relative_to(home.resolve()):
        raise DataError(
            f"{home}: {where}: {text!r} leads out of the data set, where nothing is read. Put the "
            "picture into the folder, and its path relative to the folder into the row."
        )
    return target


def _files(folder: Path) -> list[Path]:
    found = (*folder.glob("*.parquet"), *folder.glob("data/*.parquet"))
    return sorted(path for path in found if not path.name.startswith("."))


def _columns(path: Path, needed: Sequence[str], known: Sequence[str]) -> list[str]:
    with readable(path):
        names = pq.read_schema(path).names
    if missing := [name for name in needed if name not in names]:
        found = ", ".join(names)
        raise DataError(f"{path}: column {', '.join(missing)} missing; found {found}.")
    return [*needed, *(name for name in known if name in names)]
