"""Updates a card that a person has edited: their text stays, generated text is replaced.

Generated are the texts between `<!-- invdpo:begin NAME -->` and `<!-- invdpo:end NAME -->`, and
keys of the YAML head that still hold what was generated: a comment keeps a short hash of each.
"""

from __future__ import annotations

import hashlib
import json
import re

import yaml

from invdpo.data_cards.head import Head, split_head
from invdpo.schemas.errors import DataError
from invdpo.schemas.io.documents import read_json

SECTION = re.compile(
    r"<!-- invdpo:begin (?P<name>[\w-]+) -->\n.*?<!-- invdpo:end (?P=name) -->", re.S
)
GENERATED = re.compile(r"<!-- invdpo:head (\{.*?\}) -->")
ALWAYS_REPLACED = ("configs", "dataset_info", "size_categories")
"""Keys that must agree with the files, whoever wrote them."""


def join_card(head: Head, body: str) -> str:
    """A card of a head and a body, with a comment that keeps the hashes of the head."""
    body = GENERATED.sub("", body)
    hashes = json.dumps({key: _digest(value) for key, value in head.items()})
    return _join(head, f"{body.strip()}\n\n<!-- invdpo:head {hashes} -->")


def renewed(new: str, old: str | None, where: str = "README.md") -> str:
    """The new card with what a person changed in the old one; without an old one, the new card.

    Sections that the person removed stay removed; a card without any marks keeps all of its text.
    Raises `DataError` naming `where` for an old card whose head can't be read.
    """
    if not old or not old.strip():
        return new
    new_head, new_body = split_head(new, where)
    old_head, old_body = split_head(old, where)
    fresh = {match["name"]: match[0] for match in SECTION.finditer(new_body)}
    body = SECTION.sub(lambda match: fresh.get(match["name"], match[0]), old_body)
    head = _merge(new_head, old_head, _generated_hashes(old_body))
    mark = GENERATED.search(new_body)
    body = GENERATED.sub("", body).strip()
    return _join(head, f"{body}\n\n{mark[0]}" if mark else body)


def _merge(new: Head, old: Head, hashes: dict[str, str]) -> Head:
    """The new head, with the old one's values where a person set, changed or removed them."""
    head: Head = {}
    for key, value in new.items():
        if key in ALWAYS_REPLACED:
            head[key] = value
        elif key not in old:
            if key not in hashes:  # else it was removed on purpose
                head[key] = value
        else:
            head[key] = value if hashes.get(key) == _digest(old[key]) else old[key]
    added = {k: v for k, v in old.items() if k not in new and hashes.get(k) != _digest(v)}
    head |= added
    if isinstance(old.get("configs"), list):
        names = [entry["config_name"] for entry in head.get("configs", [])]
        others = [entry for entry in old["configs"] if isinstance(entry, dict)]
        head["configs"] = [
            *head.get("configs", []),
            *(entry for entry in others if entry.get("config_name") not in names),
        ]
    return head


def _generated_hashes(body: str) -> dict[str, str]:
    """Key -> hash of what was generated last; nothing if the comment is gone."""
    mark = GENERATED.search(body)
    try:
        hashes = read_json(mark[1], "the comment", dict) if mark else {}
    except DataError:
        return {}
    return {str(key): str(value) for key, value in hashes.items()}


def _digest(value: object) -> str:
    try:
        text = json.dumps(value, sort_keys=True, default=str)
    except TypeError:  # keys of several types, which nothing of ours has
        text = repr(value)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _join(head: Head, body: str) -> str:
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---\n\n{body.strip()}\n"
