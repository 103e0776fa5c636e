"""The vocabulary of the embedded world, as data, and its language in both directions.

`caption` writes a scene graph as a prompt and `parse` reads the prompt back. To add a colour, a
shape or a relation, add a row to a table here and train the bundled model again.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from invdpo.schemas import Item, Relation, SceneGraph

Rgb = tuple[int, int, int]


class Outline(NamedTuple):
    """A regular star: `points` corners at `outer` radii, the notches between them at `inner`."""

    points: int
    outer: float
    inner: float
    turn: float
    """Degrees clockwise from a corner at the top."""
    drop: float
    """How far below its position the outline is drawn, in radii, so that its box is centred."""


COLOURS: dict[str, Rgb] = {
    "red": (222, 45, 45),
    "yellow": (238, 204, 28),
    "green": (48, 168, 64),
    "cyan": (28, 190, 208),
    "blue": (46, 82, 222),
    "purple": (160, 54, 200),
}
SHAPES: dict[str, Outline] = {
    "circle": Outline(points=36, outer=0.86, inner=0.8567, turn=0, drop=0),
    "square": Outline(points=4, outer=1.0, inner=0.7071, turn=45, drop=0),
    "triangle": Outline(points=3, outer=1.05, inner=0.525, turn=0, drop=0.26),
    "star": Outline(points=5, outer=1.05, inner=0.46, turn=0, drop=0.10),
}
OPPOSITE: dict[str, str] = {
    "left of": "right of",
    "above": "below",
    "right of": "left of",
    "below": "above",
}
"""Every relation with its opposite, which `schemas.graph.CONVERSE` must know as well."""
PHRASES: dict[str, str] = {
    "left of": "to the left of",
    "right of": "to the right of",
    "above": "above",
    "below": "below",
}
NUMBERS: dict[str, int] = {"two": 2, "three": 3}

_NOUN = rf"(?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)})"
_NAME = rf"(a|the|{'|'.join(NUMBERS)}) ({_NOUN})(s?)"
_CLAUSE = re.compile(rf"{_NAME}(?: ({'|'.join(PHRASES.values())}) {_NAME})?")


def words() -> list[str]:
    """Every word a caption can hold, sorted."""
    nouns = [*COLOURS, *SHAPES, *(f"{shape}s" for shape in SHAPES)]
    phrases = " ".join(PHRASES.values()).split()
    return sorted({"a", "the", "and", *NUMBERS, *nouns, *phrases})


def item(item_id: int, colour: str, shape: str) -> Item:
    """One object as an intended graph names it."""
    return Item(item_id=item_id, label=shape, attributes=(colour,))


def caption(graph: SceneGraph) -> str:
    """The prompt for a graph: its relations first, then what is in none, counted.

    Raises `ValueError` when a relation names a kind of object that the graph holds twice, since
    no prompt of this language could distinguish the two.
    """
    seen: set[int] = set()
    clauses = [_clause(graph, relation, seen) for relation in graph.relations]
    alone = Counter(thing.phrase for thing in graph.items if thing.item_id not in seen)
    return " and ".join(clauses + [_counted(phrase, n) for phrase, n in alone.items()])


def _clause(graph: SceneGraph, relation: Relation, seen: set[int]) -> str:
    first = _mention(graph, relation.item1, seen)
    second = _mention(graph, relation.item2, seen)
    return f"{first} {PHRASES[relation.relation]} {second}"


def _mention(graph: SceneGraph, item_id: int, seen: set[int]) -> str:
    phrase = graph.item(item_id).phrase
    if sum(item.phrase == phrase for item in graph.items) > 1:
        raise ValueError(f"A relation can't name one of several items called {phrase!r}.")
    article = "the" if item_id in seen else "a"
    seen.add(item_id)
    return f"{article} {phrase}"


def _counted(phrase: str, count: int) -> str:
    number = {n: word for word, n in NUMBERS.items()} | {1: "a"}
    if count not in number:
        raise ValueError(f"This language has no word for {count} of {phrase!r}.")
    return f"{number[count]} {phrase}{'s' if count > 1 else ''}"


def parse(prompt: str) -> SceneGraph | None:
    """The graph a prompt asks for, its items in order of mention; None outside this language."""
    items: list[Item] = []
    relations: list[Relation] = []
    for text in prompt.strip().rstrip(".").lower().split(" and "):
        match = _CLAUSE.fullmatch(text)
        if match is None:
            return None
        subject = _refer(items, *match.group(1, 2, 3))
        target = _refer(items, *match.group(5, 6, 7)) if match.group(4) else 0
        if subject is None or target is None:
            return None
        if match.group(4):
            if "s" in match.group(3, 7):
                return None
            relations.append(_relation(subject, match.group(4), target))
    return SceneGraph(items=tuple(items), relations=tuple(relations))


def _relation(subject: int, phrase: str, target: int) -> Relation:
    name = {text: relation for relation, text in PHRASES.items()}[phrase]
    return Relation(item1=subject, relation=name, item2=target)


def _refer(items: list[Item], article: str, noun: str, plural: str) -> int | None:
    """The id of the item that a noun phrase names; None if none can be. New items are added."""
    count = NUMBERS.get(article, 1)
    if (count > 1) != bool(plural):
        return None
    if article == "the":
        return next((known.item_id for known in items if known.phrase == noun), None)
    first = len(items)
    items.extend(item(first + n, *noun.split()) for n in range(count))
    return first
