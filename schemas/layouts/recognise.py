"""The layouts that a dataset may have, and which one it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.parquet import read_schema
from invdpo.schemas.layouts.columns import (
    IMAGE,
    IMAGE_STRUCT,
    NUMBER,
    TEXT,
    ColumnLayout,
    pickapic_row,
    preference_row,
)
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.schemas.layouts.folders import FolderLayout
from invdpo.schemas.layouts.foreign import names_of, way_out
from invdpo.schemas.layouts.rows import Row

AUTO = "auto"


class Layout(Protocol):
    """How the pairs of a dataset are stored in files."""

    @property
    def expected(self) -> str:
        """What it needs, in plain words."""
        ...

    def problem(self, files: DatasetFiles) -> str | None:
        """What is missing to read these files in this layout; None when it fits."""
        ...

    def rows(self, files: DatasetFiles, split: str) -> Iterator[Row]:
        """The rows of a split, pairs and others."""
        ...


LAYOUTS: dict[str, Layout] = {
    "invdpo": ColumnLayout(
        "data/SPLIT-*.parquet with pair_id, prompt, and chosen and rejected as images",
        {"pair_id": TEXT, "prompt": TEXT, "chosen": IMAGE_STRUCT, "rejected": IMAGE_STRUCT},
        preference_row,
    ),
    "pickapic": ColumnLayout(
        "*.parquet, or data/*.parquet, with jpg_0, jpg_1, label_0 and caption",
        {"jpg_0": IMAGE, "jpg_1": IMAGE, "label_0": NUMBER, "caption": TEXT},
        pickapic_row,
        optional=("pair_id", "image_0_uid", "image_1_uid", "model_0", "model_1"),
    ),
    "preference": ColumnLayout(
        "*.parquet, or data/*.parquet, with prompt, and chosen and rejected as images, bytes or "
        "paths inside the folder",
        {"prompt": TEXT, "chosen": IMAGE, "rejected": IMAGE},
        preference_row,
    ),
    "folders": FolderLayout(),
}
"""In the order in which they are tried."""


def check_format(data_format: str) -> None:
    """Raise `DataError` for an unknown format."""
    if data_format != AUTO and data_format not in LAYOUTS:
        allowed = ", ".join((AUTO, *LAYOUTS))
        raise DataError(f"data_format: found {data_format!r}; allowed: {allowed}.")


def recognise(files: DatasetFiles, name: str, data_format: str = AUTO) -> str:
    """The layout of these files, which is `data_format` unless that is `auto`.

    Raises `DataError`, naming the dataset by `name`, when that one, or all of them, do not fit.
    """
    candidates = list(LAYOUTS) if data_format == AUTO else [data_format]
    problems = {layout: LAYOUTS[layout].problem(files) for layout in candidates}
    fitting = next((layout for layout, problem in problems.items() if problem is None), None)
    if fitting:
        return fitting
    wanted = "in a known layout" if data_format == AUTO else f"in the layout {data_format}"
    lines = [f"  {n}: {problem}; expected {LAYOUTS[n].expected}" for n, problem in problems.items()]
    on_hub = files.commit is not None
    found = [] if files.file else [way_out(names_of(files.root), name, on_hub=on_hub)]
    heading = f"{name}: no dataset {wanted}. Found {_contents(files)}."
    raise DataError("\n".join(filter(None, (heading, *lines, *found))))


def _contents(files: DatasetFiles) -> str:
    """What there is, in one line."""
    if paths := files.split_files("train") or files.parquet_files():
        columns = ", ".join(read_schema(paths[0]).names) or "no columns"
        return f"{files.relative(paths[0])} with {columns}"
    names = sorted(p.name + "/" * p.is_dir() for p in files.root.iterdir())
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") or "an empty folder"
