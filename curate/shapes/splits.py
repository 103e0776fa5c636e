"""Facts between objects, and the split that each of them belongs to.

Whether a relation between two kinds of objects belongs to `train`, `validation` or `heldout` is
decided by a hash of the fact itself, so no fact of one split is ever stated in another, and
`visible` lets the training set leave out scenes that show such a fact without stating it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from invdpo.curate.shapes.layout import Placed
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import Fact, one_way

Split = Literal["train", "validation", "heldout"]


def split_of(fact: Fact) -> Split:
    """The split a fact belongs to: 75 % train, 5 % validation, 20 % held out."""
    digest = hashlib.sha256("|".join(one_way(fact)).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return "train" if share < 0.75 else "validation" if share < 0.80 else "heldout"


def facts(graph: SceneGraph) -> set[Fact]:
    """The stated facts of a graph, each told one way round."""
    phrase = {thing.item_id: thing.phrase for thing in graph.items}
    return {one_way((phrase[r.item1], r.relation, phrase[r.item2])) for r in graph.relations}


def relation_between(x0: float, y0: float, x1: float, y1: float) -> str:
    """How the first centre stands to the second, by the larger distance (T2I-CompBench's rule)."""
    dx, dy = x1 - x0, y1 - y0
    if abs(dx) > abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


def visible(placed: Sequence[Placed]) -> set[Fact]:
    """Every fact that a scene shows between objects of different kinds, stated or not."""
    shown: set[Fact] = set()
    for one, other in combinations(placed, 2):
        if (one.colour, one.shape) != (other.colour, other.shape):
            name = relation_between(one.x, one.y, other.x, other.y)
            fact = (f"{one.colour} {one.shape}", name, f"{other.colour} {other.shape}")
            shown.add(one_way(fact))
    return shown
