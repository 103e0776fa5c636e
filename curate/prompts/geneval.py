"""Records of GenEval's form (arXiv 2310.11513): what a prompt asks for, stated beside it."""

from __future__ import annotations

from typing import Any

from invdpo.schemas import DataError, Item, Relation, SceneGraph


def is_geneval(record: dict[str, Any]) -> bool:
    """Whether a record has GenEval's list of what must be there."""
    return isinstance(record.get("include"), list)


def graph_of(record: dict[str, Any]) -> SceneGraph:
    """The graph that `include` states. Raises `DataError` naming the entry that makes no sense.

    An entry has a `class`, a `count`, perhaps a `color`, and perhaps a `position`: a predicate and
    the number of the entry that it refers to. `exclude`, an upper bound, is what the count says.
    """
    items: list[Item] = []
    first: list[int] = []
    for number, entry in enumerate(record["include"]):
        label, count, colour = _entry(entry, number)
        first.append(len(items))
        attributes = (colour,) if colour else ()
        items += [
            Item(item_id=len(items) + n, label=label, attributes=attributes) for n in range(count)
        ]
    relations = [
        _relation(entry["position"], first, number)
        for number, entry in enumerate(record["include"])
        if entry.get("position")
    ]
    return SceneGraph(items=tuple(items), relations=tuple(relations))


def _entry(entry: object, number: int) -> tuple[str, int, str | None]:
    if isinstance(entry, dict):
        label, count, colour = entry.get("class"), entry.get("count", 1), entry.get("color")
        whole = isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= 100
        if isinstance(label, str) and label and whole and isinstance(colour, str | None):
            return label, count, colour
    raise DataError(f"include[{number}]: expected class, count (1 to 100) and perhaps color")


def _relation(position: object, first: list[int], number: int) -> Relation:
    if isinstance(position, list) and len(position) == 2:
        name, target = position
        if isinstance(name, str) and isinstance(target, int) and 0 <= target < len(first):
            return Relation(item1=first[number], relation=name, item2=first[target])
    raise DataError(f"include[{number}].position: expected a predicate and the number of an entry")
