"""What kind of prompt a scene graph is: the strata by which sets are balanced and reported."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.curate.shapes import world
from invdpo.schemas.config.pair import STRATA

UNKNOWN = dict.fromkeys(STRATA, "unknown")
MANY = 5
"""Objects from which on all are one stratum."""
KINDS = {
    "colour": "color",
    "material": "texture",
    "texture": "texture",
    "shape": "shape",
    "size": "size",
}
"""Our vocabulary's kinds of attributes -> strata; others are `other`."""
COLOURS = "cyan magenta teal turquoise maroon navy violet crimson scarlet tan ivory silver"
PLACES = (
    "on in at inside outside under over by atop around between against along across beneath within "
    "surrounding amid opposite"
)
"""Plain places that LAION-SG names beside those of our vocabulary."""


class Words(NamedTuple):
    """What names mean."""

    attributes: Mapping[str, str]
    """Adjective -> stratum."""
    spatial: frozenset[str]


def read_graph(text: str | None) -> Mapping[str, Any] | None:
    """The graph as plain JSON with lists `items` and `relations`; None where it is none."""
    if text is None:
        return None
    try:
        graph = json.loads(text)
        sound = isinstance(graph["items"], list) and isinstance(graph.get("relations", []), list)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return graph if sound else None


def strata(graph: Mapping[str, Any] | str | None) -> dict[str, str]:
    """Kind -> name, for a graph as JSON text or as what it says; `unknown` for all without one.

    `objects`: number of items; `relation`: none, spatial, non-spatial or mixed; `attribute`: none,
    the one kind that all attributes are of, or mixed. `number` are number words, and several items
    of one name that have no attributes.
    """
    found = read_graph(graph) if isinstance(graph, str) else graph
    if found is None:
        return dict(UNKNOWN)
    try:
        items, relations = found.get("items", ()), found.get("relations", ())
        return {
            "objects": str(len(items)) if len(items) < MANY else f"{MANY}+",
            "relation": _one_of({_relation(str(r["relation"])) for r in relations}),
            "attribute": _one_of(_attributes(items)),
        }
    except (TypeError, KeyError, AttributeError):
        return dict(UNKNOWN)


def _one_of(kinds: Iterable[str]) -> str:
    found = sorted(kinds)
    return found[0] if len(found) == 1 else "mixed" if found else "none"


def _attributes(items: Iterable[Mapping[str, Any]]) -> set[str]:
    kinds = {_attribute(str(name)) for item in items for name in item.get("attributes") or ()}
    labels = Counter(str(item["label"]) for item in items)
    return kinds or ({"number"} if any(n > 1 for n in labels.values()) else set())


@cache
def _attribute(name: str) -> str:
    """By the whole name, else by its last word: `dark blue` is a colour."""
    known, name = _words().attributes, name.casefold().strip()
    last = name.replace("-", " ").rpartition(" ")[2]
    if name.isdecimal():
        return "number"
    return known.get(name) or known.get(last, "other")


@cache
def _relation(name: str) -> str:
    """A place by its name, or by what is left of `is … of the`; anything else is non-spatial."""
    plain = " ".join(w for w in name.casefold().split() if w not in ("is", "are", "the", "to"))
    spatial = plain in _words().spatial or name.casefold() in _words().spatial
    return "spatial" if spatial else "non-spatial"


@cache
def _words() -> Words:
    ours = read_vocabulary()
    kinds = dict.fromkeys((*COLOURS.split(), *world.COLOURS), "color")
    kinds |= dict.fromkeys(ours.numbers, "number")
    for kind, words in ours.attributes.items():
        kinds |= {word: KINDS.get(kind, "other") for word in words if word not in kinds}
    phrases = {text for some in ours.relations.values() for text in some}
    plain = {" ".join(w for w in text.split() if w not in ("the", "to")) for text in phrases}
    return Words(kinds, frozenset({*ours.relations, *phrases, *plain, *PLACES.split()}))
