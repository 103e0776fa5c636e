"""Samples scenes over a vocabulary, balanced, and of combinations that belong to one split.

Object counts and kinds of relation take turns; of attribute kinds and predicates the one that was
used least is preferred. What is combined (an attribute with an object, two objects with a relation,
an object with a number) belongs to one split by its hash, and a scene holds combinations of its own
split alone: none leaks into another.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from invdpo.curate.scene_graphs.vocabulary import Sampling
from invdpo.schemas import Item, Relation, SceneGraph
from invdpo.schemas.graph import CONVERSE

SHARES = (("train", 80), ("validation", 90), ("heldout", 100))
"""Splits with the upper end of their share, in percent."""
LARGEST = 4
"""Objects of a scene."""
KINDS = (
    "spatial",
    "activity",
    "spatial",
    "activity",
    "none",
    "spatial",
    "activity",
    "spatial",
    "activity",
)
"""Of relation, for scenes of several objects: with those of one, each kind is a third of all."""
LINKS: Mapping[str, Callable[[int], list[tuple[int, int]]]] = {
    "spatial": lambda count: [(n, n + 1) for n in range(count - 1)],
    "activity": lambda count: [(0, 1), (2, 3)] if count == 4 else [(0, n) for n in range(1, count)],
    "none": lambda count: [],
}
"""Which objects stand in a relation: places follow each other, people and animals do things."""


class Form(NamedTuple):
    """What a scene is to be."""

    objects: int
    relation: str
    counted: bool
    """Whether they are several of one kind."""


def form(turn: int) -> Form:
    """Whose turn it is: one to four objects, each with every kind of relation that it can have."""
    round_, count = turn // LARGEST, turn % LARGEST + 1
    if count == 1:
        return Form(1, "none", counted=False)
    relation = KINDS[(round_ + 3 * count) % len(KINDS)]
    return Form(count, relation, counted=relation == "none" and round_ // len(KINDS) % 2 == 0)


class SceneChoice(NamedTuple):
    """An attribute and an object that belong together."""

    kind: str
    """Of the attribute; empty for those of people and animals."""
    word: str
    label: str


class SceneSampler:
    """Draws scenes of one split, and keeps count of what was used."""

    def __init__(self, words: Sampling, split: str, rng: np.random.Generator) -> None:
        self._words, self._split, self._rng = words, split, rng
        things = [
            (k, w, t) for k, some in words.attributes.items() for w in some for t in words.things
        ]
        beings = [("", w, b) for w, b in product(words.animate_attributes, words.animate)]
        self._things, self._beings = self._ours(things), self._ours(beings)
        self._kind_of = {(c.word, c.label): c.kind for c in self._things}
        self._used: Counter[str] = Counter()
        """Attribute kinds and predicates, by name."""

    def _ours(self, triples: Iterable[tuple[str, str, str]]) -> list[SceneChoice]:
        choices = (SceneChoice(*triple) for triple in triples)
        return [c for c in choices if _split("attribute", c.word, c.label) == self._split]

    def used(self, graph: SceneGraph) -> None:
        """Count what a scene has used up."""
        self._used.update(r.relation for r in graph.relations)
        kinds = (self._kind_of.get((i.attributes[0], i.label)) for i in graph.items)
        self._used.update(kind for kind in kinds if kind)

    def scene(self, made: Form, later: int) -> SceneGraph | None:
        """One scene of that form; None when what was drawn so far admits no end.

        `later` is how many of the preferred kinds and predicates are passed over.
        """
        if made.counted:
            return self._several(made.objects, later)
        links = LINKS[made.relation](made.objects)
        items: list[Item] = []
        relations: list[Relation] = []
        for n in range(made.objects):
            before = next((first for first, second in links if second == n), None)
            being = made.relation == "activity" and any(first == n for first, _ in links)
            linked = self._next(items, before, made.relation, being, later)
            if linked is None:
                return None
            name, item = linked
            items.append(item)
            if before is not None:
                relations.append(Relation(item1=before, relation=name, item2=n))
        return SceneGraph(items=tuple(items), relations=tuple(relations))

    def _next(
        self, items: Sequence[Item], before: int | None, relation: str, being: bool, later: int
    ) -> tuple[str, Item] | None:
        """One more object, and the predicate that leads to it from the one `before` it."""
        labels = {item.label for item in items}
        new = [c for c in (self._beings if being else self._things) if c.label not in labels]
        names = self._words.activities if relation == "activity" else self._words.spatial
        for name in self._preferred(names, later) if before is not None else [""]:
            fit = (
                new
                if before is None
                else [c for c in new if _split(name, items[before].label, c.label) == self._split]
            )
            if fit:
                return name, self._item(fit, len(items), later)
        return None

    def _item(self, choices: Sequence[SceneChoice], number: int, later: int) -> Item:
        kind = self._preferred(dict.fromkeys(c.kind for c in choices), later)[0]
        fitting = [c for c in choices if c.kind == kind]
        chosen = fitting[int(self._rng.integers(len(fitting)))]
        return Item(item_id=number, label=chosen.label, attributes=(chosen.word,))

    def _preferred(self, names: Iterable[str], later: int) -> list[str]:
        """The least used first, equals by chance; `later` of them go to the end."""
        chance = {name: self._rng.random() for name in names}
        order = sorted(chance, key=lambda name: (self._used[name], chance[name]))
        cut = later % len(order)
        return order[cut:] + order[:cut]

    def _several(self, count: int, later: int) -> SceneGraph | None:
        """Several of a kind: as many as its turn says, or as many as the words allow."""
        allowed = self._words.counts
        number = count if count in allowed else int(self._rng.choice(allowed))
        fit = [c for c in self._things if _split("count", str(number), c.label) == self._split]
        if not fit:
            return None
        item = self._item(fit, 0, later)
        several = (item.model_copy(update={"item_id": n}) for n in range(number))
        return SceneGraph(items=tuple(several))


@cache
def _split(*combination: str) -> str:
    """The split that a combination belongs to; relations count either way round."""
    kind, *ends = combination
    kind = CONVERSE.get(kind, kind)
    if kind not in ("attribute", "count"):
        ends = sorted(ends)
    digest = hashlib.sha256("\0".join([kind, *ends]).encode()).digest()
    percentile = int.from_bytes(digest[:4], "big") % 100
    return next(name for name, end in SHARES if percentile < end)
