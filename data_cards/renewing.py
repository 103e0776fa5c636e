"""A card made anew where a person has edited the last one: their words stay, ours are renewed.

Ours are the texts between `<!-- invdpo:begin NAME -->` and `<!-- invdpo:end NAME -->`, and those
keys of the YAML head that still hold what was generated: a comment keeps a short hash of each.
"""

from __future__ import annotations

import hashlib
import json
import re

import yaml

from invdpo.data_cards.head import Head, split_head

SECTION = re.compile(
    r"<!-- invdpo:begin (?P<name>[\w-]+) -->\n.*?<!-- invdpo:end (?P=name) -->", re.S
)
MADE = re.compile(r"<!-- invdpo:head (\{.*?\}) -->")
OURS = ("configs", "dataset_info", "size_categories")
"""Keys that must agree with the files, whoever wrote them."""


def card(head: Head, body: str) -> str:
    """A card of a head and a body, whose mark of the generated head is filled in."""
    body = MADE.sub("", body)
    made = json.dumps({key: _digest(value) for key, value in head.items()})
    return _joined(head, f"{body.strip()}\n\n<!-- invdpo:head {made} -->")


def renewed(new: str, old: str | None, where: str = "README.md") -> str:
    """The new card with what a person changed in the old one; the new one as it is without an old.

    Sections that the person removed stay away; a card without any marks keeps its whole text.
    Raises `DataError` naming `where` for an old card whose head can't be read.
    """
    if not old or not old.strip():
        return new
    new_head, new_body = split_head(new, where)
    old_head, old_body = split_head(old, where)
    fresh = {match["name"]: match[0] for match in SECTION.finditer(new_body)}
    body = SECTION.sub(lambda match: fresh.get(match["name"], match[0]), old_body)
    made = _made(old_body)
    head = _merged(new_head, old_head, made)
    mark = MADE.search(new_body)
    body = MADE.sub("", body).strip()
    return _joined(head, f"{body}\n\n{mark[0]}" if mark else body)


def _merged(new: Head, old: Head, made: dict[str, str]) -> Head:
    """The new head, with the old one's values where a person set, changed or removed them."""
    head: Head = {}
    for key, value in new.items():
        if key in OURS:
            head[key] = value
        elif key not in old:
            if key not in made:  # else it was removed on purpose
                head[key] = value
        else:
            head[key] = value if made.get(key) == _digest(old[key]) else old[key]
    theirs = {k: v for k, v in old.items() if k not in new and made.get(k) != _digest(v)}
    head |= theirs
    if isinstance(old.get("configs"), list):
        names = {entry["config_name"] for entry in head.get("configs", [])}
        head["configs"] = [
            *head.get("configs", []),
            *(
                c
                for c in old["configs"]
                if isinstance(c, dict) and c.get("config_name") not in names
            ),
        ]
    return head


def _made(body: str) -> dict[str, str]:
    """Key -> hash of what was generated last; nothing where the mark is gone."""
    mark = MADE.search(body)
    try:
        found = json.loads(mark[1]) if mark else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()}


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _joined(head: Head, body: str) -> str:
    told = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{told}---\n\n{body.strip()}\n"
