"""Scene graphs in the records of files and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invdpo.schemas import SceneGraph


def parse_graph(value: str | Mapping[str, Any]) -> SceneGraph:
    """The graph in JSON text, or in a record of a table. Raises `DataError`."""
    if isinstance(value, str):
        return SceneGraph.from_json(value)
    return SceneGraph.from_dict(without_nulls(value))


def without_nulls(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record, its items and relations without fields that are null.

    Parquet gives every record each field that any record has.
    """
    lists = {name: record.get(name) for name in ("items", "relations")}
    cleaned = {
        name: [_without_nulls(element) for element in values]
        for name, values in lists.items()
        if isinstance(values, list)
    }
    kept = {name: value for name, value in record.items() if lists.get(name, "") is not None}
    return kept | cleaned


def _without_nulls(element: object) -> object:
    if not isinstance(element, dict):
        return element
    return {name: value for name, value in element.items() if value is not None}
