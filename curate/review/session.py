"""What the page may ask: pairs in their order, what was decided on them, and what scorers say.

A pair's pictures are `left` and `right`; which of them the scorers chose is told only with the
answer, so that a person judges without being led.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invdpo.curate.review.decisions import Decisions
from invdpo.curate.review.pairs import ReviewPairs, number_or_none
from invdpo.curate.scene_graphs.wording import fact_texts, facts_hold, observed_objects, readable
from invdpo.schemas import SceneGraph
from invdpo.schemas.tables import Record

Json = dict[str, Any]
PLACES = ("left", "right")
LONGEST_NOTE = 1000


class Wrong(Exception):
    """A question that makes no sense; the text says why."""


@dataclass
class Session:
    """One run of the server."""

    pairs: ReviewPairs
    decisions: Decisions
    name: str
    """Of the data set."""
    open: bool = False
    """Whether sides and scores are shown from the start."""

    def state(self) -> Json:
        """Where the review stands, and where it goes on: the first pair without a decision."""
        counts = self.decisions.counts(self.pairs.entries)
        return {
            "name": self.name,
            "total": len(self.pairs),
            "decided": sum(counts.values()),
            "counts": counts,
            "open": self.open,
            "next": self.next_after(-1),
        }

    def next_after(self, number: int) -> int | None:
        """The next pair without a decision, from the beginning again at the end; None without."""
        entries, total = self.pairs.entries, len(self.pairs)
        order = ((number + step) % total for step in range(1, total + 1))
        return next((n for n in order if self.decisions.of(entries[n]) is None), None)

    def pair(self, number: int) -> Json:
        """One pair for the page; with the answer when it is decided, or all is open."""
        row, entry = self.pairs.record(number), self.pairs.entries[number]
        intended = readable(row.get("graph"))
        decision = self.decisions.of(entry)
        facts = [{"kind": f.kind, "text": f.text} for f in fact_texts(intended)] if intended else []
        known = self.open or decision is not None
        return {
            "number": number,
            "prompt": row.get("prompt") or "",
            "facts": facts,
            "choice": self._choice(number, decision),
            "answer": self.answer(number) if known else None,
        }

    def answer(self, number: int) -> Json:
        """Which picture was chosen, by what scores, and which facts hold in which."""
        row = self.pairs.record(number)
        intended = readable(row.get("graph"))
        sides = self._sides(number)
        scores = [
            {"name": name, **dict(zip(PLACES, (ends[side] for side in sides), strict=True))}
            for name, ends in self.pairs.scores(row)
        ]
        shown = {
            place: _shown(row, side, intended) for place, side in zip(PLACES, sides, strict=True)
        }
        chosen = PLACES[sides.index("chosen")]
        return {
            "chosen": chosen,
            "margin": number_or_none(row.get("margin")),
            "scores": scores,
            **shown,
        }

    def decide(self, number: int, choice: object, note: object) -> Json:
        """Write down that `left`, `right` or neither (`drop`) is the better picture.

        Also `keep` and `flip`, for those who know the sides. Raises `Wrong` for anything else.
        """
        better = {"left": 0, "right": 1}.get(str(choice))
        if better is not None:
            decision = "keep" if self._sides(number)[better] == "chosen" else "flip"
        elif choice in ("keep", "flip", "drop"):
            decision = str(choice)
        else:
            raise Wrong("choice: expected left, right, drop, keep or flip")
        if note is not None and not (isinstance(note, str) and len(note) <= LONGEST_NOTE):
            raise Wrong(f"note: expected a text of at most {LONGEST_NOTE} characters")
        self.decisions.add(self.pairs.entries[number].pair_id, decision, (note or "").strip())
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

    def picture(self, number: int, place: str) -> bytes:
        """The bytes of the picture at `left` or `right`."""
        return self.pairs.picture(number, self._sides(number)[PLACES.index(place)])

    def _sides(self, number: int) -> tuple[str, str]:
        """Which side of the pair stands left, and which right."""
        first = self.open or self.pairs.chosen_left(number)
        return ("chosen", "rejected") if first else ("rejected", "chosen")

    def _choice(self, number: int, decision: str | None) -> str | None:
        """A decision as the page knows it."""
        if decision in (None, "drop"):
            return decision
        return PLACES[self._sides(number).index("chosen" if decision == "keep" else "rejected")]


def _shown(row: Record, side: str, intended: SceneGraph | None) -> Json:
    """What is known of one picture: facts that hold, and boxes of what was seen."""
    observed = readable(row.get(f"{side}_graph"))
    if observed is None:
        return {"holds": None, "boxes": []}
    boxes = [
        {"text": f"{seen.number} {seen.phrase}", "box": seen.box, "asked": seen.asked}
        for seen in observed_objects(intended, observed)
        if seen.box is not None
    ]
    return {"holds": facts_hold(intended, observed) if intended else None, "boxes": boxes}
