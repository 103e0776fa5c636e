"""The layouts that a data set may have, and which one it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from invdpo.schemas.errors import DataError
from invdpo.schemas.layouts.files import Place
from invdpo.schemas.layouts.folders import Folders
from invdpo.schemas.layouts.parquet import schema_of
from invdpo.schemas.layouts.rows import Row
from invdpo.schemas.layouts.tables import IMAGE, NUMBER, PICTURE, TEXT, Tables, pickapic, preference

AUTO = "auto"


class Layout(Protocol):
    """How the pairs of a data set lie in files."""

    @property
    def expected(self) -> str:
        """What it needs, in plain words."""
        ...

    def lacks(self, place: Place) -> str | None:
        """What is missing to read the place in this layout; none when it fits."""
        ...

    def rows(self, place: Place, split: str) -> Iterator[Row]:
        """The rows of a split, pairs and others."""
        ...


LAYOUTS: dict[str, Layout] = {
    "invdpo": Tables(
        "data/SPLIT-*.parquet with pair_id, prompt, and chosen and rejected as images",
        {"pair_id": TEXT, "prompt": TEXT, "chosen": IMAGE, "rejected": IMAGE},
        preference,
    ),
    "pickapic": Tables(
        "*.parquet, or data/*.parquet, with jpg_0, jpg_1, label_0 and caption",
        {"jpg_0": PICTURE, "jpg_1": PICTURE, "label_0": NUMBER, "caption": TEXT},
        pickapic,
    ),
    "preference": Tables(
        "*.parquet, or data/*.parquet, with prompt, and chosen and rejected as images, bytes or "
        "paths inside the folder",
        {"prompt": TEXT, "chosen": PICTURE, "rejected": PICTURE},
        preference,
    ),
    "folders": Folders(),
}
"""In the order in which they are tried."""


def check_format(data_format: str) -> None:
    """Raises `DataError` for one that nobody knows."""
    if data_format != AUTO and data_format not in LAYOUTS:
        allowed = ", ".join((AUTO, *LAYOUTS))
        raise DataError(f"data_format: found {data_format!r}; allowed: {allowed}.")


def recognise(place: Place, where: str, data_format: str = AUTO) -> str:
    """The layout of a place, which is the one asked for if there is one.

    Raises `DataError` when that one, or all of them, do not fit.
    """
    tried = list(LAYOUTS) if data_format == AUTO else [data_format]
    problems = {name: LAYOUTS[name].lacks(place) for name in tried}
    fitting = next((name for name, problem in problems.items() if problem is None), None)
    if fitting:
        return fitting
    lines = [f"  {n}: {problem}; expected {LAYOUTS[n].expected}" for n, problem in problems.items()]
    head = f"{where}: not a data set of a known layout. Found {_found(place)}."
    if data_format != AUTO:
        head = f"{where}: not of data format {data_format}. Found {_found(place)}."
    raise DataError("\n".join((head, *lines)))


def _found(place: Place) -> str:
    """What there is, in one line."""
    if tables := place.split("train") or place.tables():
        columns = ", ".join(schema_of(tables[0]).names) or "no columns"
        return f"{place.shown(tables[0])} with {columns}"
    names = sorted(p.name + "/" * p.is_dir() for p in place.root.iterdir())
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") or "an empty folder"
