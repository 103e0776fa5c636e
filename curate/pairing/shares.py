"""Integers that meet stated shares: how many pairs of which strata make up a set.

A cell is what pairs have in common in all kinds that shares are stated for: (`2`, `spatial`), say,
with `REST` for strata without a stated share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

REST = ""
"""All strata of a kind without a stated share."""

Cell = tuple[str, ...]


class Stratum(NamedTuple):
    """One stratum of a kind, or the rest of the kind."""

    kind_index: int
    """Of its kind in a cell."""
    kind: str
    name: str

    def holds(self, cell: Cell) -> bool:
        """Whether the pairs of this cell belong to it."""
        return cell[self.kind_index] == self.name

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
        exact: dict[Stratum, float] = {}
        for index, kind in enumerate(self.kinds):
            stated = self._by_kind[kind]
            for name, share in (stated | {REST: max(0.0, 1 - sum(stated.values()))}).items():
                exact[Stratum(index, kind, name)] = share
        return exact

    def wanted(self, total: int) -> dict[Stratum, int]:
        """How many of `total` pairs each stratum gets; those of one kind sum to `total`."""
        exact = self.exact()
        wanted: dict[Stratum, int] = {}
        for index in range(len(self.kinds)):
            of_kind = [stratum for stratum in exact if stratum.kind_index == index]
            counts = apportion(total, [exact[stratum] for stratum in of_kind])
            wanted |= zip(of_kind, counts, strict=True)
        return wanted


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """`total` seats by the method of the largest remainder; of equal remainders the first wins.

    Shares need not sum to 1, but to more than 0.
    """
    exact = np.array(shares) / sum(shares) * total
    seats = np.floor(exact + 1e-9).astype(int)
    remainder = np.round(exact - seats, 9)
    for index in np.argsort(-remainder, kind="stable")[: total - int(seats.sum())]:
        seats[index] += 1
    return [int(n) for n in seats]


def unfilled(
    available: Mapping[Cell, int], wanted: Mapping[Stratum, int]
) -> dict[str, tuple[int, int]]:
    """Strata with too few pairs -> (wanted, available)."""
    have = {s: sum(n for cell, n in available.items() if s.holds(cell)) for s in wanted}
    return {s.key: (n, have[s]) for s, n in wanted.items() if have[s] < n}


def allocate(
    available: Mapping[Cell, int], wanted: Mapping[Stratum, int]
) -> dict[Cell, int] | None:
    """Pairs of each cell such that every stratum gets what it wants; None where that can't be.

    Close to the mix of the available pairs.
    """
    if unfilled(available, wanted):
        return None
    if len({stratum.kind_index for stratum in wanted}) == 1:
        return {(stratum.name,): n for stratum, n in wanted.items()}
    return _solve(sorted(available), available, wanted)


def _solve(
    cells: Sequence[Cell], available: Mapping[Cell, int], wanted: Mapping[Stratum, int]
) -> dict[Cell, int] | None:
    """An integer programme: c counts, and c variables above their distances from the mix."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    c, most = len(cells), np.array([available[cell] for cell in cells], dtype=float)
    total = sum(n for stratum, n in wanted.items() if stratum.kind_index == 0)
    mix = most / most.sum() * total
    identity, zeros = np.eye(c), np.zeros((len(wanted), c))
    members = np.array([[float(s.holds(cell)) for cell in cells] for s in wanted])
    counts = np.array(list(wanted.values()), dtype=float)
    # Slightly different costs leave one best answer, mostly.
    cost = np.concatenate([np.zeros(c), 1 + np.arange(c) / (100 * c)])
    solution = milp(
        cost,
        constraints=[
            LinearConstraint(np.hstack([members, zeros]), counts, counts),
            LinearConstraint(np.hstack([identity, -identity]), -np.inf, mix),
            LinearConstraint(np.hstack([identity, identity]), mix, np.inf),
        ],
        integrality=np.concatenate([np.ones(c), np.zeros(c)]),
        bounds=Bounds(np.zeros(2 * c), np.concatenate([most, np.full(c, np.inf)])),
    )
    if solution.x is None:
        return None
    return {cell: round(n) for cell, n in zip(cells, solution.x[:c], strict=True)}


def largest_size(available: Mapping[Cell, int], shares: Shares) -> int:
    """The most pairs that meet the shares, 0 if none do."""
    most = _most_in_fractions(available, shares)
    # Whole numbers may allow one more for each stratum than fractions do.
    sizes = range(min(sum(available.values()), most + len(shares.exact())), 0, -1)
    return next((n for n in sizes if allocate(available, shares.wanted(n)) is not None), 0)


def _most_in_fractions(available: Mapping[Cell, int], shares: Shares) -> int:
    """The same if pairs could be divided: a linear programme of c counts and their sum."""
    from scipy.optimize import linprog

    cells, exact = sorted(available), shares.exact()
    rows = [[float(s.holds(cell)) for cell in cells] + [-share] for s, share in exact.items()]
    bounds = [(0, available[cell]) for cell in cells] + [(0, None)]
    goal = [0.0] * len(cells) + [-1.0]
    solution = linprog(goal, A_eq=rows, b_eq=[0.0] * len(rows), bounds=bounds)
    return int(solution.x[-1] + 1e-6) if solution.x is not None else 0
