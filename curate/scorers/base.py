"""What a scorer is, what it is given, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from invdpo.curate.images import decode
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config import ScoreConfig
from invdpo.schemas.plugins import Registry

if TYPE_CHECKING:
    from PIL import Image

IMAGE = "image"
PROMPT = "prompt"
GRAPH = "graph"
OBSERVED = "observed_graph"


@dataclass(frozen=True)
class Judged:
    """A raw score on the scorer's own scale, and the figures it was made of."""

    score: float
    components: Mapping[str, float] = field(default_factory=dict)


class Case:
    """One candidate before a scorer; what is costly is read once, when it is first asked for.

    Built from a candidate's row with `prompt`, `graph` and `observed_graph` (JSON or null) added.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    @cached_property
    def prompt(self) -> str:
        """The candidate's prompt. Raises `DataError` when there is none."""
        return str(_present(self._row, PROMPT, "no prompt"))

    @cached_property
    def image(self) -> Image.Image:
        """The decoded picture, RGB. Raises `DataError` when it can't be decoded."""
        return decode((self._row.get(IMAGE) or {}).get("bytes"))

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
        """Why this case lacks something of `needs`, or None when all of it can be read."""
        try:
            for name in needs:
                getattr(self, name)
        except DataError as error:
            return str(error)
        return None


class Scorer(Protocol):
    """Judges candidates; made from the configuration alone, loads its model in the first call."""

    name: str
    needs: Sequence[str]
    """Which of image, prompt, graph and observed_graph must be there; others come out rejected."""
    higher_is_better: bool
    comparable_across_prompts: bool

    @property
    def revision(self) -> str:
        """Which weights or rules give these scores."""
        ...

    def __call__(self, cases: Sequence[Case]) -> list[Judged]:
        """One verdict a case, in order; the same for a case whatever it is batched with."""
        ...


SCORERS: Registry[Callable[[ScoreConfig], Scorer]] = Registry("scorer")


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
