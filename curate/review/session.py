"""What the page may request: pairs in their order, decisions on them, and what scorers say.

A pair's images are `left` and `right`; only the answer says which of them the scorers chose, so
that a person judges without being influenced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invdpo.curate.pairing.reviews import LEFT_OUT
from invdpo.curate.review.decisions import Decisions
from invdpo.curate.review.queue import ReviewPairs, number_or_none
from invdpo.curate.scene_graphs.wording import (
    fact_texts,
    facts_hold,
    observed_objects,
    parse_valid_graph,
)
from invdpo.schemas import SceneGraph
from invdpo.schemas.io.text import whole_characters
from invdpo.schemas.tables import DECISIONS, Record

Json = dict[str, Any]
POSITIONS = ("left", "right")
LONGEST_NOTE = 1000


class InvalidDecision(Exception):
    """A decision that can't be stored; the text says why."""


@dataclass
class Session:
    """One run of the server."""

    pairs: ReviewPairs
    decisions: Decisions
    name: str
    """Of the dataset."""
    show_sides: bool = False
    """Whether sides and scores are shown from the start."""

    def state(self) -> Json:
        """How far the review is, and where it continues: the first pair without a decision."""
        counts = self.decisions.counts(self.pairs.entries)
        return {
            "name": self.name,
            "total": len(self.pairs),
            "decided": sum(counts.values()),
            "counts": counts,
            "open": self.show_sides,
            "next": self.next_after(-1),
        }

    def next_after(self, number: int) -> int | None:
        """The next pair without a decision, continuing at the beginning; None when all have one."""
        entries, total = self.pairs.entries, len(self.pairs)
        order = ((number + step) % total for step in range(1, total + 1))
        return next((n for n in order if self.decisions.decision_on(entries[n]) is None), None)

    def pair(self, number: int) -> Json:
        """One pair for the page; with the answer when it is decided, or sides are shown."""
        row, entry = self.pairs.record(number), self.pairs.entries[number]
        intended = parse_valid_graph(row.get("graph"))
        decision = self.decisions.decision_on(entry)
        facts = [{"kind": f.kind, "text": f.text} for f in fact_texts(intended)] if intended else []
        answered = self.show_sides or decision is not None
        return {
            "number": number,
            "prompt": row.get("prompt") or "",
            "facts": facts,
            "choice": self._choice(number, decision),
            "answer": self.answer(number) if answered else None,
        }

    def answer(self, number: int) -> Json:
        """Which image was chosen, the scores of both, and which facts hold in each."""
        row = self.pairs.record(number)
        intended = parse_valid_graph(row.get("graph"))
        sides = self._sides(number)
        scores = [
            {"name": name, **dict(zip(POSITIONS, (by_side[side] for side in sides), strict=True))}
            for name, by_side in self.pairs.scores(row)
        ]
        shown = {
            position: _shown(row, side, intended)
            for position, side in zip(POSITIONS, sides, strict=True)
        }
        chosen = POSITIONS[sides.index("chosen")]
        return {
            "chosen": chosen,
            "margin": number_or_none(row.get("margin")),
            "scores": scores,
            **shown,
        }

    def decide(self, number: int, choice: object, note: object) -> Json:
        """Store that `left` or `right` is the better image, or a decision by its own name.

        `keep` and `flip` are for those who know the sides. Raises `InvalidDecision`.
        """
        better = {"left": 0, "right": 1}.get(str(choice))
        if better is not None:
            decision = "keep" if self._sides(number)[better] == "chosen" else "flip"
        elif choice in DECISIONS:
            decision = str(choice)
        else:
            raise InvalidDecision("choice: expected left, right, equal, drop, keep or flip")
        if note is not None and not (isinstance(note, str) and len(note) <= LONGEST_NOTE):
            raise InvalidDecision(f"note: expected a text of at most {LONGEST_NOTE} characters")
        text = whole_characters(note or "").strip()
        self.decisions.add(self.pairs.entries[number].pair_id, decision, text)
        return (
            {"decision": decision, "choice": self._choice(number, decision)}
            | self.state()
            | {"next": self.next_after(number)}
        )

    def undo(self) -> Json:
        """Take back the last decision of this run; `number` is its pair, None without one."""
        row = self.decisions.undo()
        ids = {entry.pair_id: n for n, entry in enumerate(self.pairs.entries)}
        return self.state() | {"number": None if row is None else ids.get(row["pair_id"])}

    def picture(self, number: int, position: str) -> bytes:
        """The bytes of the image at `left` or `right`."""
        return self.pairs.picture(number, self._sides(number)[POSITIONS.index(position)])

    def _sides(self, number: int) -> tuple[str, str]:
        """Which side of the pair is on the left, and which on the right."""
        chosen_left = self.show_sides or self.pairs.chosen_left(number)
        return ("chosen", "rejected") if chosen_left else ("rejected", "chosen")

    def _choice(self, number: int, decision: str | None) -> str | None:
        """A decision in the page's terms."""
        if decision is None or decision in LEFT_OUT:
            return decision
        return POSITIONS[self._sides(number).index("chosen" if decision == "keep" else "rejected")]


def _shown(row: Record, side: str, intended: SceneGraph | None) -> Json:
    """What is known of one image: which facts hold, and the boxes of observed objects."""
    observed = parse_valid_graph(row.get(f"{side}_graph"))
    if observed is None:
        return {"holds": None, "boxes": []}
    boxes = [
        {"text": f"{thing.number} {thing.phrase}", "box": thing.box, "asked": thing.asked}
        for thing in observed_objects(intended, observed)
        if thing.box is not None
    ]
    return {"holds": facts_hold(intended, observed) if intended else None, "boxes": boxes}
