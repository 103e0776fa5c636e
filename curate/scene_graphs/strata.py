"""The strata of a scene graph, by which sets of pairs are balanced and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.curate.shapes import world
from invdpo.schemas import DataError
from invdpo.schemas.config.pair import STRATA
from invdpo.schemas.ids import fold
from invdpo.schemas.io.documents import read_json

UNKNOWN = dict.fromkeys(STRATA, "unknown")
MANY = 5
"""From this number of objects on, all graphs are one stratum."""
KINDS = {
    "colour": "color",
    "material": "texture",
    "texture": "texture",
    "shape": "shape",
    "size": "size",
}
"""Our vocabulary's kinds of attributes -> strata; others are `other`."""
COLOURS = "cyan magenta teal turquoise maroon navy violet crimson scarlet tan ivory silver"
PREPOSITIONS = (
    "on in at inside outside under over by atop around between against along across beneath within "
    "surrounding amid opposite"
)
"""Plain spatial relations of LAION-SG beside those of our vocabulary."""


class KnownWords(NamedTuple):
    """What attributes and relations mean."""

    attributes: Mapping[str, str]
    """Adjective -> stratum."""
    spatial: frozenset[str]
    """Relations."""


def read_graph(text: str | None) -> Mapping[str, Any] | None:
    """The graph as plain JSON with lists `items` and `relations`; None if it isn't one."""
    if text is None:
        return None
    try:
        graph = read_json(text, "graph", dict)
    except DataError:
        return None
    lists = graph.get("items"), graph.get("relations", [])
    valid = all(isinstance(value, list) for value in lists)
    return graph if valid else None


def strata(graph: Mapping[str, Any] | str | None) -> dict[str, str]:
    """Kind -> name, for a graph as JSON text or as plain JSON; all `unknown` without a graph.

    `objects`: number of items; `relation`: none, spatial, non-spatial or mixed; `attribute`: none,
    the one kind of all attributes, or mixed. `number` stands for number words, and for several
    items of one name without attributes.
    """
    record = read_graph(graph) if isinstance(graph, str) else graph
    if record is None:
        return dict(UNKNOWN)
    try:
        items, relations = record.get("items", ()), record.get("relations", ())
        return {
            "objects": str(len(items)) if len(items) < MANY else f"{MANY}+",
            "relation": _single_kind({_relation_kind(str(r["relation"])) for r in relations}),
            "attribute": _single_kind(_attribute_kinds(items)),
        }
    except (TypeError, KeyError, AttributeError):
        return dict(UNKNOWN)


def _single_kind(kinds: set[str]) -> str:
    return next(iter(kinds)) if len(kinds) == 1 else "mixed" if kinds else "none"


def _attribute_kinds(items: Iterable[Mapping[str, Any]]) -> set[str]:
    kinds = {_attribute_kind(str(name)) for item in items for name in item.get("attributes") or ()}
    labels = Counter(str(item["label"]) for item in items)
    return kinds or ({"number"} if any(n > 1 for n in labels.values()) else set())


@cache
def _attribute_kind(name: str) -> str:
    """By the whole name, else by its last word: `dark blue` is a colour."""
    kinds, name = _known_words().attributes, fold(name)
    last = name.replace("-", " ").rpartition(" ")[2]
    if name.isdecimal():
        return "number"
    return kinds.get(name) or kinds.get(last, "other")


@cache
def _relation_kind(name: str) -> str:
    """Spatial if its name is known as it is, or without the words `is`, `are`, `the` and `to`."""
    plain = " ".join(w for w in fold(name).split() if w not in ("is", "are", "the", "to"))
    is_spatial = not _known_words().spatial.isdisjoint((plain, fold(name)))
    return "spatial" if is_spatial else "non-spatial"


@cache
def _known_words() -> KnownWords:
    vocabulary = read_vocabulary()
    kinds = dict.fromkeys((*COLOURS.split(), *world.COLOURS), "color")
    kinds |= dict.fromkeys(vocabulary.numbers, "number")
    for kind, words in vocabulary.attributes.items():
        kinds |= {word: KINDS.get(kind, "other") for word in words if word not in kinds}
    phrases = {text for texts in vocabulary.relations.values() for text in texts}
    plain = {" ".join(w for w in text.split() if w not in ("the", "to")) for text in phrases}
    spatial = {*vocabulary.relations, *phrases, *plain, *PREPOSITIONS.split()}
    return KnownWords(kinds, frozenset(spatial))
