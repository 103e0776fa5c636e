"""Whole numbers that meet stated shares: how many pairs of which strata make up a set.

A cell is what pairs have in common in all kinds that shares are stated of: (`2`, `spatial`), say,
with `REST` for strata that none is stated of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

REST = ""
"""All strata of a kind of which no share is stated."""

Cell = tuple[str, ...]


class Stratum(NamedTuple):
    """One stratum, or the rest, of one kind."""

    place: int
    """Of its kind in a cell."""
    kind: str
    name: str

    def holds(self, cell: Cell) -> bool:
        """Whether the pairs of this cell belong to it."""
        return cell[self.place] == self.name

    @property
    def key(self) -> str:
        """As the option names it."""
        return f"{self.kind}.{self.name}" if self.name != REST else f"other {self.kind}"


class Shares:
    """Stated shares, `KIND.NAME` -> 0..1; what is left of a kind belongs to its rest."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._by_kind: dict[str, dict[str, float]] = defaultdict(dict)
        for key in sorted(shares):
            kind, _, name = key.partition(".")
            self._by_kind[kind][name] = shares[key]
        self.kinds = list(self._by_kind)

    def cell(self, strata: Mapping[str, str]) -> Cell:
        """The cell of a pair whose prompt is of these strata."""
        return tuple(
            strata[kind] if strata[kind] in self._by_kind[kind] else REST for kind in self.kinds
        )

    def exact(self) -> dict[Stratum, float]:
        """The share of each stratum; those of one kind sum to 1."""
        found: dict[Stratum, float] = {}
        for place, kind in enumerate(self.kinds):
            stated = self._by_kind[kind]
            for name, share in (stated | {REST: max(0.0, 1 - sum(stated.values()))}).items():
                found[Stratum(place, kind, name)] = share
        return found

    def wanted(self, total: int) -> dict[Stratum, int]:
        """How many of `total` pairs each stratum gets; those of one kind sum to `total`."""
        exact = self.exact()
        found: dict[Stratum, int] = {}
        for place in range(len(self.kinds)):
            mine = [stratum for stratum in exact if stratum.place == place]
            counts = apportion(total, [exact[stratum] for stratum in mine])
            found |= zip(mine, counts, strict=True)
        return found


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """`total` seats by the method of the largest remainder; between equals the first one wins.

    Shares need not sum to 1, but to more than 0.
    """
    exact = np.array(shares) / sum(shares) * total
    seats = np.floor(exact + 1e-9).astype(int)
    remainder = np.round(exact - seats, 9)
    for place in np.argsort(-remainder, kind="stable")[: total - int(seats.sum())]:
        seats[place] += 1
    return [int(n) for n in seats]


def lacking(there: Mapping[Cell, int], wanted: Mapping[Stratum, int]) -> dict[str, tuple[int, int]]:
    """Strata that can't be filled -> (wanted, there)."""
    have = {s: sum(n for cell, n in there.items() if s.holds(cell)) for s in wanted}
    return {s.key: (n, have[s]) for s, n in wanted.items() if have[s] < n}


def allot(there: Mapping[Cell, int], wanted: Mapping[Stratum, int]) -> dict[Cell, int] | None:
    """Pairs of each cell such that every stratum gets what it wants; None where that can't be.

    Close to the mix that is there.
    """
    if lacking(there, wanted):
        return None
    if len({stratum.place for stratum in wanted}) == 1:
        return {(stratum.name,): n for stratum, n in wanted.items()}
    return _solved(sorted(there), there, wanted)


def _solved(
    cells: Sequence[Cell], there: Mapping[Cell, int], wanted: Mapping[Stratum, int]
) -> dict[Cell, int] | None:
    """A whole-number programme: c counts, and c distances from the mix that is there, at least."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    c, most = len(cells), np.array([there[cell] for cell in cells], dtype=float)
    total = sum(n for stratum, n in wanted.items() if stratum.place == 0)
    mix = most / most.sum() * total
    one, none = np.eye(c), np.zeros((len(wanted), c))
    members = np.array([[float(s.holds(cell)) for cell in cells] for s in wanted])
    counts = np.array(list(wanted.values()), dtype=float)
    cost = np.concatenate([np.zeros(c), 1 + np.arange(c) / (100 * c)])  # one best answer, mostly
    found = milp(
        cost,
        constraints=[
            LinearConstraint(np.hstack([members, none]), counts, counts),
            LinearConstraint(np.hstack([one, -one]), -np.inf, mix),
            LinearConstraint(np.hstack([one, one]), mix, np.inf),
        ],
        integrality=np.concatenate([np.ones(c), np.zeros(c)]),
        bounds=Bounds(np.zeros(2 * c), np.concatenate([most, np.full(c, np.inf)])),
    )
    if found.x is None:
        return None
    return {cell: round(n) for cell, n in zip(cells, found.x[:c], strict=True)}


def largest(there: Mapping[Cell, int], shares: Shares) -> int:
    """The most pairs that meet the shares, 0 if none do."""
    most = _most_in_fractions(there, shares)
    # Whole numbers may allow one more for each stratum than fractions do.
    sizes = range(min(sum(there.values()), most + len(shares.exact())), 0, -1)
    return next((n for n in sizes if allot(there, shares.wanted(n)) is not None), 0)


def _most_in_fractions(there: Mapping[Cell, int], shares: Shares) -> int:
    """The same if pairs could be divided: a linear programme of c counts and their sum."""
    from scipy.optimize import linprog

    cells, exact = sorted(there), shares.exact()
    rows = [[float(s.holds(cell)) for cell in cells] + [-share] for s, share in exact.items()]
    bounds = [(0, there[cell]) for cell in cells] + [(0, None)]
    goal = [0.0] * len(cells) + [-1.0]
    found = linprog(goal, A_eq=rows, b_eq=[0.0] * len(rows), bounds=bounds)
    return int(found.x[-1] + 1e-6) if found.x is not None else 0
