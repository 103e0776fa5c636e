"""What people decided on pairs: keep, flip or drop, and how far the scorers agree with them.

A pair and its turned twin are one thing: the last decision on either counts. `keep` holds the sides
as that pair has them, `flip` turns them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.pool import Floats, Pool
from invdpo.curate.pairing.reasons import Bools
from invdpo.schemas import DataError
from invdpo.schemas.tables import DECISIONS, REVIEWS


class Verdict(NamedTuple):
    """The last decision on one pair."""

    place: int
    """Row of the table; later ones count."""
    decision: str


class Reviews:
    """The last decisions by pair id."""

    def __init__(self, table: pa.Table | None = None) -> None:
        """Raises `DataError` for a table of other columns or with an unknown decision."""
        self.last: dict[str, Verdict] = {}
        if table is not None:
            check_reviews(table)
            rows = zip(table["pair_id"].to_pylist(), table["decision"].to_pylist(), strict=True)
            self.last = {name: Verdict(place, what) for place, (name, what) in enumerate(rows)}


class ReviewDecisions:
    """Applies decisions to pairs of one pool, and remembers what it met."""

    def __init__(self, reviews: Reviews, pool: Pool) -> None:
        self._last, self._pool = reviews.last, pool
        self._met: set[str] = set()
        self.said: list[tuple[int, int, str]] = []
        """Chosen and rejected as the policy proposed them, rows of the pool; what was decided."""

    def __call__(self, pairs: Pairs) -> tuple[Pairs, Bools]:
        """The pairs, some turned and pinned, and which are dropped, m."""
        out = np.zeros(len(pairs.prompt), dtype=bool)
        if not self._last:
            return pairs, out
        turn, pinned = out.copy(), out.copy()
        twins = pairs.turned(~out).ids(self._pool)
        for row, (one, other) in enumerate(zip(pairs.ids(self._pool), twins, strict=True)):
            if done := self._decide(one, other):
                out[row], turn[row], pinned[row] = done == "drop", done == "flip", done != "drop"
                self.said.append((int(pairs.chosen[row]), int(pairs.rejected[row]), done))
        return pairs._replace(pinned=pinned).turned(turn), out

    def _decide(self, pair_id: str, twin: str) -> str | None:
        """What the last decision on the pair or its twin does to the pair, None without one."""
        found = [(self._last[name], name) for name in (pair_id, twin) if name in self._last]
        if not found:
            return None
        self._met.update(name for _, name in found)
        verdict, name = max(found)
        done = verdict.decision
        if name == twin and done != "drop":
            return "keep" if done == "flip" else "flip"
        return done

    def counts(self) -> dict[str, int]:
        """Pairs kept, turned and dropped, and decisions on pairs that are not there."""
        done = [what for *_, what in self.said]
        found = {decision: done.count(decision) for decision in DECISIONS}
        return found | {"missing": len(self._last) - len(self._met)}

    def agreement(self, scores: Floats) -> float | None:
        """Share of the kept and turned pairs on which scores side with the person.

        n scores, higher is better. Pairs that they call equal do not count; None without any.
        """
        held = [(c, r, what == "keep") for c, r, what in self.said if what != "drop"]
        if not held:
            return None
        chosen, rejected, as_it_was = (np.array(column) for column in zip(*held, strict=True))
        lead = scores[chosen] - scores[rejected]
        known = np.isfinite(lead) & (lead != 0)
        return float(((lead > 0) == as_it_was)[known].mean()) if known.any() else None


def check_reviews(table: pa.Table) -> None:
    """Raise `DataError` for columns that are missing, and rows that say nothing known."""
    lacking = [name for name in ("pair_id", "decision") if name not in table.column_names]
    if lacking:
        there = ", ".join(table.column_names) or "none"
        text = f"reviews: no column {', '.join(lacking)}; there are: {there}."
        raise DataError(f"{text} Expected: {', '.join(REVIEWS.names)}.")
    for row, pair_id in enumerate(table["pair_id"].to_pylist(), start=1):
        if not isinstance(pair_id, str):
            raise DataError(f"reviews: row {row}: pair_id: found {pair_id!r}, expected a text.")
    for row, decision in enumerate(table["decision"].to_pylist(), start=1):
        if decision not in DECISIONS:
            allowed = ", ".join(DECISIONS)
            text = (
                f"reviews: row {row}: decision: found {str(decision)[:40]!r}; allowed: {allowed}."
            )
            raise DataError(f"{text} Mend or delete that row.")
