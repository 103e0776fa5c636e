"""A pair as the page shows it: images with boxes, facts and scores side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from invdpo.curate.report.data import ReportData
from invdpo.curate.report.thumbnails import Thumbnail, make_thumbnail
from invdpo.curate.scene_graphs.wording import (
    ObservedObject,
    fact_texts,
    facts_hold,
    observed_objects,
    parse_valid_graph,
)
from invdpo.schemas.tables import SIDES, Record

LONGEST_PROMPT = 700
LONGEST_PHRASE = 80
MOST_FACTS = 40
MOST_SEEN = 24
"""Objects named, and boxes drawn, on one image."""


class Side(NamedTuple):
    """The chosen or the rejected image."""

    name: str
    candidate_id: str
    thumbnail: Thumbnail | None
    seed: int | None
    seen: tuple[ObservedObject, ...] | None
    """None where there is no observed graph."""
    more_seen: int
    """Observed objects beyond those in `seen`."""

    @property
    def alt(self) -> str:
        """The image in words."""
        if self.seen is None:
            return f"The {self.name} image."
        what = ", ".join(seen.phrase for seen in self.seen) or "nothing that it can recognise"
        return f"The {self.name} image. The annotator saw: {what}."


class FactRow(NamedTuple):
    """One intended fact, and whether it holds on either image; None where nobody looked."""

    kind: str
    text: str
    chosen: bool | None
    rejected: bool | None


class ScoreRow(NamedTuple):
    """Raw scores of one scorer; None where missing."""

    scorer: str
    chosen: float | None
    rejected: float | None

    @property
    def difference(self) -> float | None:
        """Chosen minus rejected."""
        return None if None in self[1:] else self.chosen - self.rejected  # type: ignore[operator]


class PairView(NamedTuple):
    """One pair."""

    pair_id: str
    prompt: str
    letters_left_out: int
    """Of the prompt."""
    margin: float | None
    split: str
    sides: tuple[Side, ...]
    facts: tuple[FactRow, ...]
    more_facts: int
    scores: tuple[ScoreRow, ...]


def make_pair_views(
    data: ReportData, candidates: Mapping[str, Record], wanted: Sequence[str], budget: int
) -> dict[str, PairView]:
    """Pair id -> its view, for the wanted pairs; an image takes at most `budget` bytes."""
    row_of_pair = {pair["pair_id"]: row for row, pair in enumerate(data.pairs)}
    return {
        pair_id: _pair_view(data, candidates, row_of_pair[pair_id], budget)
        for pair_id in dict.fromkeys(wanted)
        if pair_id in row_of_pair
    }


def _pair_view(
    data: ReportData, candidates: Mapping[str, Record], row: int, budget: int
) -> PairView:
    pair = data.pairs[row]
    prompt = data.prompts.get(pair["prompt_id"], {})
    text, intended = prompt.get("prompt") or "", parse_valid_graph(prompt.get("graph"))
    ids = [pair[f"{side}_id"] for side in SIDES]
    rows = [candidates.get(candidate_id, {}) for candidate_id in ids]
    observed = [parse_valid_graph(candidate.get("graph")) for candidate in rows]
    sides = tuple(
        _side(
            name,
            candidate_id,
            candidate,
            observed_objects(intended, graph) if graph else None,
            budget,
        )
        for name, candidate_id, candidate, graph in zip(SIDES, ids, rows, observed, strict=True)
    )
    texts = fact_texts(intended) if intended else []
    holds = [
        facts_hold(intended, graph) if intended and graph else [None] * len(texts)
        for graph in observed
    ]
    facts = [
        FactRow(fact.kind, shorten(fact.text), *on_sides)
        for fact, *on_sides in zip(texts, *holds, strict=True)
    ]
    scores = tuple(
        ScoreRow(name, *(_finite(float(values[row])) for values in raw))
        for name, raw in data.raw.items()
    )
    return PairView(
        pair["pair_id"],
        text[:LONGEST_PROMPT],
        max(0, len(text) - LONGEST_PROMPT),
        _finite(pair["margin"]),
        pair["split"] or "",
        sides,
        tuple(facts[:MOST_FACTS]),
        max(0, len(facts) - MOST_FACTS),
        scores,
    )


def _side(
    name: str, candidate_id: str, row: Record, seen: Sequence[ObservedObject] | None, budget: int
) -> Side:
    shown = None
    if seen is not None:
        shown = tuple(thing._replace(phrase=shorten(thing.phrase)) for thing in seen[:MOST_SEEN])
    picture = make_thumbnail((row.get("image") or {}).get("bytes"), budget)
    more = max(0, len(seen or ()) - MOST_SEEN)
    return Side(name, candidate_id, picture, row.get("seed"), shown, more)


def shorten(text: str) -> str:
    """A phrase; a very long one without its end."""
    return text if len(text) <= LONGEST_PHRASE else f"{text[: LONGEST_PHRASE - 1]}…"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
