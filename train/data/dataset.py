"""A data set of any layout, from a folder, a Parquet file or the Hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id, image_id
from invdpo.schemas.io.hub import is_hub_id
from invdpo.schemas.io.images import shown_size
from invdpo.schemas.layouts.files import Place
from invdpo.schemas.layouts.recognise import AUTO, LAYOUTS, check_format, recognise
from invdpo.schemas.layouts.rows import Row
from invdpo.train.data.hub import download
from invdpo.train.data.pairs import Pair, Pairs


class DataSet(Protocol):
    """Preference pairs of two splits, and their pictures."""

    @property
    def name(self) -> str:
        """As the user gave it: a path, or `OWNER/NAME`."""
        ...

    @property
    def data_format(self) -> str:
        """Name of its layout."""
        ...

    def pairs(self, split: str, max_unreadable: int | None = None) -> Pairs:
        """The usable pairs of a split; pictures are hashed and their headers read, no more.

        A split that is not there is empty. Raises `DataError` for a damaged file, for one that
        lacks columns, and when more rows than `max_unreadable` hold no picture.
        """
        ...

    def images(self, split: str, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        """(image id, encoded bytes) of the wanted pictures, each once, a few rows in memory."""
        ...


@dataclass(frozen=True)
class Opened:
    """A data set whose files are on this machine."""

    name: str
    data_format: str
    place: Place

    @property
    def revision(self) -> str | None:
        """The commit, for a copy in the Hub's cache."""
        return self.place.commit

    def pairs(self, split: str, max_unreadable: int | None = None) -> Pairs:
        """See `DataSet.pairs`."""
        found = Pairs()
        for row in self._rows(split):
            if row.flaw:
                found.skip(row.flaw, row.where)
            elif pair := _pair(row):
                found.pairs.append(pair)
            else:
                found.skip_unreadable(row.where, max_unreadable)
        return found

    def images(self, split: str, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        """See `DataSet.images`."""
        left = set(wanted)
        for row in self._rows(split) if left else ():
            for content in (row.chosen, row.rejected):
                if content is not None and (name := image_id(content)) in left:
                    left.remove(name)
                    yield name, content
            if not left:
                return

    def _rows(self, split: str) -> Iterator[Row]:
        return LAYOUTS[self.data_format].rows(self.place, split)


def open_dataset(where: str | Path, data_format: str = AUTO, revision: str | None = None) -> Opened:
    """Find a data set and recognise its layout; what the Hub holds is downloaded first.

    Args:
        where: A folder, a Parquet file, or `OWNER/NAME` on the Hub. A path that is there wins.
        data_format: A name of `LAYOUTS`, or `auto`.
        revision: Branch, tag or commit on the Hub.

    Raises:
        DataError: Nothing is there, the Hub does not give it, or no layout fits.
    """
    name = where.as_posix() if isinstance(where, Path) else where
    check_format(data_format)
    place = _place(name, revision)
    return Opened(name, recognise(place, name, data_format), place)


def _place(name: str, revision: str | None) -> Place:
    path = Path(name)
    if revision and os.path.exists(path):
        raise DataError(f"{name}: lies here and has no revision {revision!r}; leave it out.")
    if os.path.isdir(path):
        return Place(path)
    if os.path.isfile(path):
        return Place(path.parent, path)
    if is_hub_id(name) and ".parquet" not in name:
        return Place(download(name, revision))
    raise DataError(
        f"{name}: nothing is there. Give a data-set folder, a Parquet file, or OWNER/NAME of a "
        "data set on the Hub."
    )


def _pair(row: Row) -> Pair | None:
    """The pair of a row without flaw; none when a picture has no header that can be read."""
    sides = row.chosen or b"", row.rejected or b""
    try:
        sizes = shown_size(sides[0]), shown_size(sides[1])
    except DataError:
        return None
    prompt, ids = str(row.prompt), (image_id(sides[0]), image_id(sides[1]))
    return Pair(row.pair_id or content_id(prompt, *ids), prompt, *ids, row.where, sizes)
