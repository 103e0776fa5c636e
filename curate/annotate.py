"""The annotate stage: candidates in, one observed scene graph each out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.attempts import Failure, attempt
from invdpo.curate.images import decode
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.tables import ANNOTATIONS, OK, REJECTED, Record

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32


class Annotate:
    """Reads candidates by the annotator called `name`. Raises `PluginError` for an unknown one."""

    schema = ANNOTATIONS

    def __init__(self, name: str) -> None:
        self.name = name
        self._annotator = ANNOTATORS[name]()

    @property
    def revision(self) -> str:
        """The annotator's."""
        return self._annotator.revision

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        """One row of the annotations table a candidate, in order."""
        source = iter(rows)
        while batch := list(islice(source, BATCH)):
            yield from self._annotate(batch)

    def _annotate(self, rows: Sequence[Record]) -> Iterator[Record]:
        images = [_image(row) for row in rows]
        fit = [image for image in images if not isinstance(image, Failure)]
        graphs = iter(attempt(self._annotator, fit))
        for row, image in zip(rows, images, strict=True):
            yield self._row(row, image if isinstance(image, Failure) else next(graphs))

    def _row(self, row: Record, seen: SceneGraph | Failure) -> Record:
        return {
            "candidate_id": row["candidate_id"],
            "graph": None if isinstance(seen, Failure) else seen.to_json(),
            "annotator": self.name,
            "revision": self.revision,
            "status": REJECTED if isinstance(seen, Failure) else OK,
            "error": seen.reason if isinstance(seen, Failure) else None,
        }


def _image(row: Record) -> Image.Image | Failure:
    if row.get("status") == REJECTED:
        return Failure(f"candidate rejected: {row.get('error')}")
    try:
        return decode((row.get("image") or {}).get("bytes"))
    except DataError as error:
        return Failure(str(error))
