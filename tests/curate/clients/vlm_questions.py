"""Questions with numbers for answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from invdpo.curate.clients.questions import FaultError, Question
from tests.curate.clients.server import Answer, said, words_of

Consult = Callable[..., Any]
"""Makes a consultant for an address, as the fixture `consultant` does."""


def read(found: Any) -> int:
    if not isinstance(found, dict) or not isinstance(found.get("n"), int):
        raise FaultError("it has no number n")
    return int(found["n"])


def question(text: str = "how many?", picture: bytes | None = None) -> Question[int]:
    return Question("Count.", text, {"type": "object"}, read, picture)


def many(count: int) -> list[Question[int]]:
    return [question(f"number {n}") for n in range(count)]


def echo(asked: dict[str, Any], _: int) -> Answer:
    """The number in the question."""
    return said({"n": int(words_of(asked).split()[-1])})


GOOD = said({"n": 7})
