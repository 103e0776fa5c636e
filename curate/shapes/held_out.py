"""Facts between objects, and the split that each of them belongs to.

A hash of the fact decides whether it belongs to `train`, `validation` or `heldout`, so no fact of
one split is ever stated in another, and `visible_facts` lets the training set leave out scenes that
show such a fact without stating it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from invdpo.curate.shapes.layout import PlacedObject
from invdpo.schemas.graph import Fact, one_way

Split = Literal["train", "validation", "heldout"]


def split_of(fact: Fact) -> Split:
    """The split a fact belongs to: 75 % train, 5 % validation, 20 % held out."""
    digest = hashlib.sha256("|".join(one_way(fact)).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return "train" if share < 0.75 else "validation" if share < 0.80 else "heldout"


def relation_between(x0: float, y0: float, x1: float, y1: float) -> str:
    """The relation of two centres by their larger distance, as in T2I-CompBench."""
    dx, dy = x1 - x0, y1 - y0
    if abs(dx) > abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


def visible_facts(placed: Sequence[PlacedObject]) -> set[Fact]:
    """Every fact that a scene shows between objects of different kinds, stated or not."""
    facts: set[Fact] = set()
    for first, second in combinations(placed, 2):
        if (first.colour, first.shape) != (second.colour, second.shape):
            relation = relation_between(first.x, first.y, second.x, second.y)
            subject, target = (f"{thing.colour} {thing.shape}" for thing in (first, second))
            facts.add(one_way((subject, relation, target)))
    return facts
