"""What people decided on pairs, and how far the scorers agree with them.

A pair and the flipped pair of the same two images share one decision: the last one on either.
`keep` holds the sides as the pair that was decided on has them, `flip` swaps them, `drop` leaves
the pair out, and so does `equal`: both images are equally good, so there is no preference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.pool import Floats, Pool
from invdpo.curate.pairing.reasons import Bools
from invdpo.schemas import DataError
from invdpo.schemas.tables import DECISIONS, REVIEWS

FLIPPED = {"keep": "flip", "flip": "keep"}
"""What a decision on a pair means for the flipped pair; the others mean the same for both."""
LEFT_OUT = {"drop": "dropped in review", "equal": "equal in review"}
"""The decisions that leave a pair out, with the reason that is counted."""
LEAD = {"keep": 1.0, "equal": 0.5, "flip": 0.0}
"""How far a decision agrees with a score that prefers the chosen image, 0..1."""


class Decision(NamedTuple):
    """The last decision on one pair."""

    row: int
    """Of the table; later ones count."""
    decision: str


def last_decisions(reviews: pa.Table | None) -> dict[str, Decision]:
    """Pair id -> its last decision; empty without a table.

    Raises `DataError` for a table of other columns or with an unknown decision.
    """
    if reviews is None:
        return {}
    check_reviews(reviews)
    rows = zip(reviews["pair_id"].to_pylist(), reviews["decision"].to_pylist(), strict=True)
    return {pair_id: Decision(row, decision) for row, (pair_id, decision) in enumerate(rows)}


class AppliedDecision(NamedTuple):
    """A proposed pair, as rows of the pool, and what was decided on it."""

    chosen: int
    rejected: int
    decision: str


class ReviewDecisions:
    """Applies decisions to pairs of one pool, and remembers which it applied."""

    def __init__(self, last: Mapping[str, Decision], pool: Pool) -> None:
        self._last, self._pool = last, pool
        self._used_ids: set[str] = set()
        self.applied: list[AppliedDecision] = []

    def __call__(self, pairs: Pairs) -> tuple[Pairs, dict[str, Bools]]:
        """The pairs, some flipped or marked as kept by review, and which of them to leave out.

        The latter are m booleans for each reason of `LEFT_OUT`.
        """
        none = np.zeros(len(pairs.prompt), dtype=bool)
        rows = {decision: none.copy() for decision in DECISIONS}
        if self._last:
            ids, flipped_ids = pairs.ids(self._pool), pairs.flipped(~none).ids(self._pool)
            for row, (pair_id, flipped_id) in enumerate(zip(ids, flipped_ids, strict=True)):
                if decision := self._decide(pair_id, flipped_id):
                    rows[decision][row] = True
                    candidates = int(pairs.chosen[row]), int(pairs.rejected[row])
                    self.applied.append(AppliedDecision(*candidates, decision))
        kept = pairs._replace(kept_by_review=rows["keep"] | rows["flip"])
        left_out = {reason: rows[decision] for decision, reason in LEFT_OUT.items()}
        return kept.flipped(rows["flip"]), left_out

    def _decide(self, pair_id: str, flipped_id: str) -> str | None:
        """What the last decision on the pair or its flipped twin means for the pair, if any."""
        decisions = [(self._last[i], i) for i in (pair_id, flipped_id) if i in self._last]
        if not decisions:
            return None
        self._used_ids.update(reviewed_id for _, reviewed_id in decisions)
        (_, decision), reviewed_id = max(decisions)
        return FLIPPED.get(decision, decision) if reviewed_id == flipped_id else decision

    def counts(self) -> dict[str, int]:
        """How many pairs got which decision, and decisions on pairs that were not proposed."""
        applied = [row.decision for row in self.applied]
        counts = {decision: applied.count(decision) for decision in DECISIONS}
        return counts | {"missing": len(self._last) - len(self._used_ids)}

    def agreement(self, scores: Floats) -> float | None:
        """Share of the pairs that were not dropped on which scores agree with the person.

        n scores, higher is better. A pair that the person calls equal counts one half, whichever
        image the scores prefer. Pairs with equal scores don't count; None without any pair.
        """
        judged = [(c, r, LEAD[what]) for c, r, what in self.applied if what in LEAD]
        if not judged:
            return None
        chosen, rejected, agree = (np.array(column) for column in zip(*judged, strict=True))
        lead = scores[chosen] - scores[rejected]
        known = np.isfinite(lead) & (lead != 0)
        agreed = np.where(lead > 0, agree, 1 - agree)[known]
        return float(agreed.mean()) if known.any() else None


def check_reviews(table: pa.Table) -> None:
    """Raise `DataError` for missing columns, and for rows without a pair id or a known decision."""
    missing = [name for name in ("pair_id", "decision") if name not in table.column_names]
    if missing:
        columns = ", ".join(table.column_names) or "none"
        text = f"reviews: no column {', '.join(missing)}; there are: {columns}."
        raise DataError(f"{text} Expected: {', '.join(REVIEWS.names)}.")
    for row, pair_id in enumerate(table["pair_id"].to_pylist(), start=1):
        if not isinstance(pair_id, str):
            raise DataError(f"reviews: row {row}: pair_id: found {pair_id!r}, expected a text.")
    for row, decision in enumerate(table["decision"].to_pylist(), start=1):
        if decision not in DECISIONS:
            allowed = ", ".join(DECISIONS)
            text = f"reviews: row {row}: decision: found {str(decision)[:40]!r}"
            raise DataError(f"{text}; allowed: {allowed}. Correct or delete that row.")
