"""One shown pair as the page has it: pictures with boxes, facts and scores side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from invdpo.curate.report.data import Material
from invdpo.curate.report.thumbnails import Thumb, thumb
from invdpo.curate.scene_graphs.wording import (
    ObservedObject,
    fact_texts,
    facts_hold,
    observed_objects,
    readable,
)
from invdpo.schemas.tables import SIDES, Record

LONGEST_PROMPT = 700
LONGEST_PHRASE = 80
MOST_FACTS = 40
MOST_SEEN = 24
"""Objects named, and boxes drawn, on one picture."""


class Side(NamedTuple):
    """The chosen or the rejected picture."""

    name: str
    candidate_id: str
    thumb: Thumb | None
    seed: int | None
    seen: tuple[ObservedObject, ...] | None
    """None where no annotator's graph is there."""
    more_seen: int
    """Observed objects beyond those in `seen`."""

    @property
    def alt(self) -> str:
        """The picture in words."""
        if self.seen is None:
            return f"The {self.name} picture."
        what = ", ".join(seen.phrase for seen in self.seen) or "nothing that it knows"
        return f"The {self.name} picture. The annotator saw: {what}."


class FactRow(NamedTuple):
    """One intended fact, and whether it holds on either picture; None where nobody looked."""

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


class Card(NamedTuple):
    """One pair."""

    pair_id: str
    prompt: str
    cut: int
    """Letters of the prompt that are not shown."""
    margin: float | None
    split: str
    sides: tuple[Side, ...]
    facts: tuple[FactRow, ...]
    more_facts: int
    scores: tuple[ScoreRow, ...]


def make_cards(
    material: Material, candidates: Mapping[str, Record], wanted: Sequence[str], budget: int
) -> dict[str, Card]:
    """Pair id -> card, for the wanted pairs; a picture takes at most `budget` bytes."""
    places = {row["pair_id"]: place for place, row in enumerate(material.pairs)}
    return {
        pair: _card(material, candidates, places[pair], budget)
        for pair in dict.fromkeys(wanted)
        if pair in places
    }


def _card(material: Material, candidates: Mapping[str, Record], place: int, budget: int) -> Card:
    row = material.pairs[place]
    prompt = material.prompts.get(row["prompt_id"], {})
    text, intended = prompt.get("prompt") or "", readable(prompt.get("graph"))
    ids = [row[f"{side}_id"] for side in SIDES]
    found = [candidates.get(name, {}) for name in ids]
    observed = [readable(candidate.get("graph")) for candidate in found]
    sides = tuple(
        _side(
            name,
            candidate_id,
            candidate,
            observed_objects(intended, graph) if graph else None,
            budget,
        )
        for name, candidate_id, candidate, graph in zip(SIDES, ids, found, observed, strict=True)
    )
    told = fact_texts(intended) if intended else []
    holds = [
        facts_hold(intended, graph) if intended and graph else [None] * len(told)
        for graph in observed
    ]
    facts = [
        FactRow(fact.kind, clip(fact.text), *pair) for fact, *pair in zip(told, *holds, strict=True)
    ]
    scores = tuple(
        ScoreRow(name, *(_known(float(side[place])) for side in ends))
        for name, ends in material.raw.items()
    )
    return Card(
        row["pair_id"],
        text[:LONGEST_PROMPT],
        max(0, len(text) - LONGEST_PROMPT),
        _known(row["margin"]),
        row["split"] or "",
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
        shown = tuple(thing._replace(phrase=clip(thing.phrase)) for thing in seen[:MOST_SEEN])
    picture = thumb((row.get("image") or {}).get("bytes"), budget)
    more = max(0, len(seen or ()) - MOST_SEEN)
    return Side(name, candidate_id, picture, row.get("seed"), shown, more)


def clip(text: str) -> str:
    """A phrase, its end cut off where it is very long."""
    return text if len(text) <= LONGEST_PHRASE else f"{text[: LONGEST_PHRASE - 1]}…"


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
