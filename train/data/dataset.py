"""A dataset of any layout, from a folder, a Parquet file or the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from invdpo.schemas.errors import DataError
from invdpo.schemas.graph import Boxes, SceneGraph
from invdpo.schemas.ids import content_id, image_id
from invdpo.schemas.io.hub import is_hub_id
from invdpo.schemas.io.images import reading, shown_size
from invdpo.schemas.io.text_files import one_line
from invdpo.schemas.layouts.columns import ColumnLayout
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.schemas.layouts.recognise import AUTO, LAYOUTS, check_format, recognise
from invdpo.schemas.layouts.rows import GRAPHS, Row
from invdpo.train.data.hub import download
from invdpo.train.data.pairs import Pair, Pairs

FocusBoxes = Callable[[SceneGraph, SceneGraph, SceneGraph], tuple[Boxes, Boxes]]
"""From the graph that a prompt asks for and those of chosen and rejected to boxes on either."""


@dataclass(frozen=True)
class DataSet:
    """Preference pairs of two splits, and their images, from files on this machine."""

    name: str
    """As the user gave it: a path, or `OWNER/NAME`."""
    data_format: str
    """Name of its layout."""
    files: DatasetFiles
    focus_boxes: FocusBoxes | None = None
    """What gives the boxes of a pair that count more; pairs have none without it."""

    @property
    def revision(self) -> str | None:
        """The commit, for a copy in the Hub's cache."""
        return self.files.commit

    def pairs(self, split: str, max_unreadable: int | None = None) -> Pairs:
        """The usable pairs of a split; images are hashed and their headers read, no more.

        A split that is not there is empty. Raises `DataError` for a damaged file, for one that
        lacks columns, for a scene graph that is none, and when more rows than `max_unreadable`
        hold no image.
        """
        pairs = Pairs()
        for row in self._rows(split):
            if row.skip_reason:
                pairs.skip(row.skip_reason, row.where)
            elif pair := _pair(row):
                pairs.pairs.append(self._with_boxes(pair, row))
            else:
                pairs.skip_unreadable(row.where, max_unreadable)
        return pairs

    def images(self, split: str, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        """(image id, encoded bytes) of the wanted images, each once, a few rows in memory."""
        left = set(wanted)
        for row in self._rows(split) if left else ():
            for content in (row.chosen, row.rejected):
                if content is not None and (name := image_id(content)) in left:
                    left.remove(name)
                    yield name, content
            if not left:
                return

    def prompts(self) -> Iterator[tuple[str, str | None]]:
        """Prompt and id of every pair, the id None where the layout has none."""
        for row in (row for split in ("train", "validation") for row in self._rows(split)):
            if not row.skip_reason:
                yield str(row.prompt), row.pair_id

    def holds_prompts(self, lines: Iterable[str]) -> bool:
        """Whether each of these lines is a prompt, validation first; stops at the last."""
        left = set(lines)
        for row in (row for split in ("validation", "train") for row in self._rows(split)):
            if not left:
                break
            left.discard(one_line(str(row.prompt)).strip())
        return not left

    def _with_boxes(self, pair: Pair, row: Row) -> Pair:
        graphs = [
            SceneGraph.from_json(text, where=f"{row.where}, {name}")
            for name in GRAPHS
            if isinstance(text := row.others.get(name), str)
        ]
        if self.focus_boxes is None or len(graphs) < len(GRAPHS):
            return pair
        return replace(pair, boxes=self.focus_boxes(*graphs))

    def _rows(self, split: str) -> Iterator[Row]:
        layout = LAYOUTS[self.data_format]
        if self.focus_boxes and isinstance(layout, ColumnLayout):
            layout = replace(layout, others=GRAPHS)
        return layout.rows(self.files, split)


def open_dataset(
    where: str | Path, data_format: str = AUTO, revision: str | None = None
) -> DataSet:
    """Find a dataset and recognise its layout; what the Hub holds is downloaded first.

    Args:
        where: A folder, a Parquet file, or `OWNER/NAME` on the Hub. An existing path wins.
        data_format: A name of `LAYOUTS`, or `auto`.
        revision: Branch, tag or commit on the Hub.

    Raises:
        DataError: Nothing is there, the Hub does not give it, or no layout fits.
    """
    name = where.as_posix() if isinstance(where, Path) else where
    check_format(data_format)
    files = _find_files(name, revision)
    return DataSet(name, recognise(files, name, data_format), files)


def _find_files(name: str, revision: str | None) -> DatasetFiles:
    if revision and os.path.exists(name):
        raise DataError(
            f"{name}: is on this machine and has no revision {revision!r}. Omit --data-revision."
        )
    if files := DatasetFiles.at(Path(name)):
        return files
    if is_hub_id(name) and ".parquet" not in name:
        return DatasetFiles(download(name, revision))
    raise DataError(
        f"{name}: not found. Give a dataset folder, a Parquet file, or OWNER/NAME of a dataset "
        "on the Hub."
    )


def _pair(row: Row) -> Pair | None:
    """The pair of a row that may be used; None when an image has no header that can be read."""
    chosen, rejected = row.chosen or b"", row.rejected or b""
    try:
        sizes = shown_size(chosen), shown_size(rejected)
        readings = reading(chosen), reading(rejected)
    except DataError:
        return None
    prompt, ids = str(row.prompt), (image_id(chosen), image_id(rejected))
    pair_id = row.pair_id or content_id(prompt, *ids)
    return Pair(
        pair_id,
        prompt,
        *ids,
        row.where,
        sizes,
        margin=row.margin,
        seeds=row.seeds,
        revisions=row.revisions,
        readings=readings,
    )
