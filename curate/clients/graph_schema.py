"""Scene graphs as a model writes them: the form it is asked for, and the check of what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from invdpo.curate.clients.questions import FaultError
from invdpo.schemas import DataError, SceneGraph

MOST_ITEMS = 100
MOST_RELATIONS = 1_000
"""Graphs with more are refused: a model that writes so many has lost its way."""
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


def schema(words: AllowedWords | None) -> dict[str, Any]:
    """The form as a JSON schema; without `words` any may be used."""
    label, attribute, relation = (
        {"type": "string", "enum": list(allowed)} if allowed else {"type": "string"}
        for allowed in ((words.labels, words.attributes, words.relations) if words else ("",) * 3)
    )
    number = {"type": "integer"}
    item = _record(item_id=number, label=label, attributes=_list(attribute))
    link = _record(item1=number, relation=relation, item2=number)
    return _record(id={"type": "string"}, items=_list(item), relations=_list(link))


def _record(**fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def read(answer: Any, name: str, words: AllowedWords | None) -> SceneGraph:
    """The graph of an answer to the question called `name`. Raises `FaultError`."""
    if not isinstance(answer, dict):
        raise FaultError("it is not one JSON object")
    if answer.get("id") != name:
        raise FaultError(f'its id is not "{name}", so it is about something else')
    for key, most in (("items", MOST_ITEMS), ("relations", MOST_RELATIONS)):
        if not isinstance(answer.get(key), list):
            raise FaultError(f"it has no list `{key}`")
        if len(answer[key]) > most:
            raise FaultError(f"it has {len(answer[key]):,} {key}, and at most {most:,} are taken")
    record = {
        "items": [_only(part, ITEM) for part in answer["items"]],
        "relations": [_only(part, LINK) for part in answer["relations"]],
    }
    try:
        graph = SceneGraph.from_dict(record if words is None else _spelt(record, words))
    except DataError as error:
        raise FaultError(str(error).rstrip(".")[:200]) from None
    if problems := graph.problems():
        raise FaultError(problems[0][:200])
    try:
        graph.to_json()
    except ValueError:
        raise FaultError("it holds half a character (a lone surrogate)") from None
    return graph


ITEM = ("item_id", "label", "attributes")
LINK = ("item1", "relation", "item2")


def _only(part: object, names: Iterable[str]) -> object:
    """A record without what was not asked for."""
    return {name: part[name] for name in names if name in part} if isinstance(part, dict) else part


def _spelt(record: Mapping[str, Any], words: AllowedWords) -> dict[str, Any]:
    """With every word as it stands in `words`. Raises `FaultError` for another word."""
    spell = {
        kind: {_folded(word): word for word in getattr(words, kind)}
        for kind in ("labels", "attributes", "relations")
    }

    def spelt(kind: str, word: object) -> object:
        if not isinstance(word, str):
            return word
        if (known := spell[kind].get(_folded(word))) is None:
            raise FaultError(f"{word[:60]!r} is not one of the {kind} that may be used")
        return known

    items, links = (
        [dict(part) if isinstance(part, dict) else part for part in record[key]]
        for key in ("items", "relations")
    )
    for part in items:
        if isinstance(part, dict):
            part["label"] = spelt("labels", part.get("label"))
            if isinstance(part.get("attributes"), list):
                part["attributes"] = [spelt("attributes", word) for word in part["attributes"]]
    for part in links:
        if isinstance(part, dict):
            part["relation"] = spelt("relations", part.get("relation"))
    return {"items": items, "relations": links}


def _folded(word: str) -> str:
    return " ".join(word.casefold().split())
