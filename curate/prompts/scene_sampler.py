"""Samples scenes over a vocabulary: balanced, and made of combinations that belong to one split.

Object counts and kinds of relation take turns; of attribute kinds and predicates, the one used
least is preferred. A combination (an attribute with an object, two objects with a relation, a
number with an object) belongs to one split by its hash. A scene holds combinations of its own
split only, so none leaks into another split.
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
MAX_OBJECTS = 4
"""Objects of a scene."""
RELATION_KINDS = (
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
"""For scenes of several objects; with the scenes of one object, each kind is a third of all."""
LINKS: Mapping[str, Callable[[int], list[tuple[int, int]]]] = {
    "spatial": lambda count: [(n, n + 1) for n in range(count - 1)],
    "activity": lambda count: [(0, 1), (2, 3)] if count == 4 else [(0, n) for n in range(1, count)],
    "none": lambda count: [],
}
"""Kind of relation -> which objects are related: a chain of places, or who acts on what."""


class SceneForm(NamedTuple):
    """What a scene is to be."""

    objects: int
    relation_kind: str
    counted: bool
    """Whether its objects are several of one kind."""


def scene_form(turn: int) -> SceneForm:
    """The form of a turn: one to four objects, with each kind of relation that they can have."""
    round_, count = turn // MAX_OBJECTS, turn % MAX_OBJECTS + 1
    if count == 1:
        return SceneForm(1, "none", counted=False)
    kind = RELATION_KINDS[(round_ + 3 * count) % len(RELATION_KINDS)]
    counted = kind == "none" and round_ // len(RELATION_KINDS) % 2 == 0
    return SceneForm(count, kind, counted)


class SceneChoice(NamedTuple):
    """An attribute and an object that go together."""

    kind: str
    """Of the attribute; empty for those of people and animals."""
    word: str
    label: str


class SceneSampler:
    """Samples scenes of one split, and counts what was used."""

    def __init__(self, words: Sampling, split: str, rng: np.random.Generator) -> None:
        self._words, self._split, self._rng = words, split, rng
        things = [
            (kind, word, thing)
            for kind, group in words.attributes.items()
            for word in group
            for thing in words.things
        ]
        animate = [("", w, label) for w, label in product(words.animate_attributes, words.animate)]
        self._things, self._animate = self._of_split(things), self._of_split(animate)
        self._kind_of = {(c.word, c.label): c.kind for c in self._things}
        self._used: Counter[str] = Counter()
        """Attribute kinds and predicates, by name."""

    def _of_split(self, triples: Iterable[tuple[str, str, str]]) -> list[SceneChoice]:
        choices = (SceneChoice(*triple) for triple in triples)
        return [c for c in choices if _split_of("attribute", c.word, c.label) == self._split]

    def count_use(self, graph: SceneGraph) -> None:
        """Count the predicates and attribute kinds of a scene as used."""
        self._used.update(r.relation for r in graph.relations)
        kinds = (self._kind_of.get((i.attributes[0], i.label)) for i in graph.items)
        self._used.update(kind for kind in kinds if kind)

    def sample(self, form: SceneForm, skip: int) -> SceneGraph | None:
        """One scene of a form; None if what was drawn so far can't be completed.

        `skip` is the number of preferred kinds and predicates that are passed over.
        """
        if form.counted:
            return self._several(form.objects, skip)
        links = LINKS[form.relation_kind](form.objects)
        items: list[Item] = []
        relations: list[Relation] = []
        for n in range(form.objects):
            subject = next((first for first, second in links if second == n), None)
            animate = form.relation_kind == "activity" and any(first == n for first, _ in links)
            linked = self._next(items, subject, form.relation_kind, animate, skip)
            if linked is None:
                return None
            predicate, item = linked
            items.append(item)
            if subject is not None:
                relations.append(Relation(item1=subject, relation=predicate, item2=n))
        return SceneGraph(items=tuple(items), relations=tuple(relations))

    def _next(
        self, items: Sequence[Item], subject: int | None, kind: str, animate: bool, skip: int
    ) -> tuple[str, Item] | None:
        """One more object, and the predicate that relates the item `subject` to it."""
        labels = {item.label for item in items}
        new = [c for c in (self._animate if animate else self._things) if c.label not in labels]
        predicates = self._words.activities if kind == "activity" else self._words.spatial
        for name in self._preferred(predicates, skip) if subject is not None else [""]:
            fitting = (
                new
                if subject is None
                else [
                    c for c in new if _split_of(name, items[subject].label, c.label) == self._split
                ]
            )
            if fitting:
                return name, self._item(fitting, len(items), skip)
        return None

    def _item(self, choices: Sequence[SceneChoice], number: int, skip: int) -> Item:
        kind = self._preferred(dict.fromkeys(c.kind for c in choices), skip)[0]
        fitting = [c for c in choices if c.kind == kind]
        chosen = fitting[int(self._rng.integers(len(fitting)))]
        return Item(item_id=number, label=chosen.label, attributes=(chosen.word,))

    def _preferred(self, names: Iterable[str], skip: int) -> list[str]:
        """The least used first, equals by chance; the first `skip` go to the end."""
        chance = {name: self._rng.random() for name in names}
        order = sorted(chance, key=lambda name: (self._used[name], chance[name]))
        start = skip % len(order)
        return order[start:] + order[:start]

    def _several(self, count: int, skip: int) -> SceneGraph | None:
        """Several of one kind: `count` of them, or a number that the words allow."""
        allowed = self._words.counts
        number = count if count in allowed else int(self._rng.choice(allowed))
        fitting = [
            c for c in self._things if _split_of("count", str(number), c.label) == self._split
        ]
        if not fitting:
            return None
        item = self._item(fitting, 0, skip)
        several = (item.model_copy(update={"item_id": n}) for n in range(number))
        return SceneGraph(items=tuple(several))


@cache
def _split_of(*combination: str) -> str:
    """The split that a combination belongs to; relations count in both directions."""
    kind, *ends = combination
    kind = CONVERSE.get(kind, kind)
    if kind not in ("attribute", "count"):
        ends = sorted(ends)
    digest = hashlib.sha256("\0".join([kind, *ends]).encode()).digest()
    percentile = int.from_bytes(digest[:4], "big") % 100
    return next(name for name, end in SHARES if percentile < end)
