"""Records of GenEval's form (arXiv 2310.11513), which state what a prompt asks for."""

from __future__ import annotations

from typing import Any

from invdpo.schemas import DataError, Item, Relation, SceneGraph


def is_geneval(record: dict[str, Any]) -> bool:
    """Whether a record has GenEval's list of objects."""
    return isinstance(record.get("include"), list)


def graph_of(record: dict[str, Any]) -> SceneGraph:
    """The graph that `include` states. Raises `DataError` naming the entry that makes no sense.

    An entry has a `class`, a `count`, perhaps a `color`, and perhaps a `position`: a predicate and
    the number of the entry that it refers to. `exclude` is ignored: it bounds the same counts.
    """
    items: list[Item] = []
    first_ids: list[int] = []
    for number, entry in enumerate(record["include"]):
        label, count, colour = _entry(entry, number)
        first_ids.append(len(items))
        attributes = (colour,) if colour else ()
        items += [
            Item(item_id=len(items) + n, label=label, attributes=attributes) for n in range(count)
        ]
    relations = [
        _relation(entry["position"], first_ids, number)
        for number, entry in enumerate(record["include"])
        if entry.get("position")
    ]
    return SceneGraph(items=tuple(items), relations=tuple(relations))


def _entry(entry: object, number: int) -> tuple[str, int, str | None]:
    if isinstance(entry, dict):
        label, count, colour = entry.get("class"), entry.get("count", 1), entry.get("color")
        is_count = isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= 100
        if isinstance(label, str) and label and is_count and isinstance(colour, str | None):
            return label, count, colour
    raise DataError(f"include[{number}]: expected class, count (1 to 100) and perhaps color")


def _relation(position: object, first_ids: list[int], number: int) -> Relation:
    if isinstance(position, list) and len(position) == 2:
        name, target = position
        if isinstance(name, str) and isinstance(target, int) and 0 <= target < len(first_ids):
            return Relation(item1=first_ids[number], relation=name, item2=first_ids[target])
    raise DataError(f"include[{number}].position: expected a predicate and the number of an entry")
