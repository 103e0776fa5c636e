"""Scene graphs as a model writes them: the form that is asked for, and the check of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from invdpo.curate.clients.questions import UnusableAnswerError
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.ids import fold

MAX_ITEMS = 100
MAX_RELATIONS = 1_000
"""Graphs with more are refused: a model that writes so many repeats itself."""
ITEM_FIELDS = ("item_id", "label", "attributes")
RELATION_FIELDS = ("item1", "relation", "item2")
FORM = (
    'Answer with one JSON object: {"id": the id given below, "items": [{"item_id": number, '
    '"label": text, "attributes": [text, ...]}, ...], "relations": [{"item1": item_id, '
    '"relation": text, "item2": item_id}, ...]}. Every object is an item of its own, two cats are '
    "two items. Item ids are distinct, and relations name item ids of this answer. Say each "
    "relation once."
)


@dataclass(frozen=True)
class AllowedWords:
    """The only words that may be used."""

    labels: tuple[str, ...]
    attributes: tuple[str, ...]
    relations: tuple[str, ...]


def graph_schema(words: AllowedWords | None) -> dict[str, Any]:
    """The form as a JSON schema; without `words` any word may be used."""
    label, attribute, relation = (
        {"type": "string", "enum": list(allowed)} if allowed else {"type": "string"}
        for allowed in ((words.labels, words.attributes, words.relations) if words else ("",) * 3)
    )
    number = {"type": "integer"}
    item = _object(item_id=number, label=label, attributes=_array(attribute))
    link = _object(item1=number, relation=relation, item2=number)
    return _object(id={"type": "string"}, items=_array(item), relations=_array(link))


def _object(**fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _array(element: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": element}


def read_graph(answer: Any, name: str, words: AllowedWords | None) -> SceneGraph:
    """The graph in an answer about the image or prompt `name`. Raises `UnusableAnswerError`."""
    if not isinstance(answer, dict):
        raise UnusableAnswerError("it is not one JSON object")
    if answer.get("id") != name:
        raise UnusableAnswerError(f'its id is not "{name}", so it is about something else')
    for key, most in (("items", MAX_ITEMS), ("relations", MAX_RELATIONS)):
        if not isinstance(answer.get(key), list):
            raise UnusableAnswerError(f"it has no list `{key}`")
        if (count := len(answer[key])) > most:
            raise UnusableAnswerError(f"it has {count:,} {key}, and at most {most:,} are taken")
    record = {
        "items": [_select(element, ITEM_FIELDS) for element in answer["items"]],
        "relations": [_select(element, RELATION_FIELDS) for element in answer["relations"]],
    }
    try:
        graph = SceneGraph.from_dict(record if words is None else _as_spelt(record, words))
    except DataError as error:
        raise UnusableAnswerError(str(error).rstrip(".")[:200]) from None
    if problems := graph.problems():
        raise UnusableAnswerError(problems[0][:200])
    try:
        graph.to_json()
    except ValueError:
        raise UnusableAnswerError("it holds half a character (a lone surrogate)") from None
    return graph


def _select(element: object, fields: Iterable[str]) -> object:
    """A record without fields that were not asked for."""
    if not isinstance(element, dict):
        return element
    return {name: element[name] for name in fields if name in element}


def _as_spelt(record: Mapping[str, Any], words: AllowedWords) -> dict[str, Any]:
    """The record with each word spelt as in `words`. Raises `UnusableAnswerError` for others."""
    spelling = {
        kind: {fold(word): word for word in getattr(words, kind)}
        for kind in ("labels", "attributes", "relations")
    }

    def spell(kind: str, word: object) -> object:
        if not isinstance(word, str):
            return word
        if (known := spelling[kind].get(fold(word))) is None:
            raise UnusableAnswerError(f"{word[:60]!r} is not one of the {kind} that may be used")
        return known

    items, links = (
        [dict(element) if isinstance(element, dict) else element for element in record[key]]
        for key in ("items", "relations")
    )
    for item in items:
        if isinstance(item, dict):
            item["label"] = spell("labels", item.get("label"))
            if isinstance(item.get("attributes"), list):
                item["attributes"] = [spell("attributes", word) for word in item["attributes"]]
    for link in links:
        if isinstance(link, dict):
            link["relation"] = spell("relations", link.get("relation"))
    return {"items": items, "relations": links}
