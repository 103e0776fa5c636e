"""One candidate as annotators and scorers see it; what is costly is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.io.images import decode
from invdpo.schemas.tables import REJECTED

if TYPE_CHECKING:
    from PIL import Image

IMAGE = "image"
PROMPT = "prompt"
GRAPH = "graph"
OBSERVED = "observed_graph"


class Candidate:
    """One candidate; each property is read when it is first asked for, and kept.

    Built from its row with `prompt` and `graph` of its prompt and `observed_graph` (and
    `observed_error`, when it was rejected) of its annotation added, as far as they are needed.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row
        self.prepared: dict[str, Any] = {}
        """Name of a stage -> what its model prepared of this candidate ahead of its call."""

    @property
    def row(self) -> Mapping[str, Any]:
        """What it was built from."""
        return self._row

    @property
    def candidate_id(self) -> str:
        """The key of its row."""
        return str(self._row["candidate_id"])

    @cached_property
    def prompt(self) -> str:
        """The candidate's prompt. Raises `DataError` when there is none."""
        return str(_present(self._row, PROMPT, "no prompt"))

    @cached_property
    def image(self) -> Image.Image:
        """The decoded image, RGB. Raises `DataError` when it can't be decoded."""
        return decode((self._row.get(IMAGE) or {}).get("bytes"))

    @property
    def image_bytes(self) -> bytes:
        """The image as it is stored. Raises `DataError` when there is none."""
        return bytes(_present(self._row.get(IMAGE) or {}, "bytes", "image: no bytes"))

    @cached_property
    def graph(self) -> SceneGraph:
        """What the prompt asks for. Raises `DataError` when missing, empty or inconsistent."""
        graph = _graph(_present(self._row, GRAPH, "no intended scene graph"), "intended graph")
        if not graph.items:
            raise DataError("the intended scene graph has no items")
        return graph

    @cached_property
    def observed_graph(self) -> SceneGraph:
        """What the annotator saw. Raises `DataError` when missing or inconsistent."""
        reason = self._row.get("observed_error")
        missing = f"annotation rejected: {reason}" if reason else "no observed scene graph"
        return _graph(_present(self._row, OBSERVED, missing), "observed graph")

    def problem(self, needs: Sequence[str]) -> str | None:
        """Why this candidate lacks something of `needs`, or None when all of it can be read."""
        if self._row.get("status") == REJECTED:
            return f"candidate rejected: {self._row.get('error')}"
        try:
            for name in needs:
                getattr(self, name)
        except DataError as error:
            return str(error)
        return None


def _present(row: Mapping[str, Any], key: str, otherwise: str) -> Any:
    value = row.get(key)
    if value is None:
        raise DataError(otherwise)
    return value


def _graph(text: str, where: str) -> SceneGraph:
    graph = SceneGraph.from_json(text, where=where)
    if problems := graph.problems():
        raise DataError(f"{where}: {problems[0]}")
    return graph
