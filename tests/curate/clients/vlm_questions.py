"""Questions whose answers are numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from invdpo.curate.clients.questions import Question, UnusableAnswerError
from tests.curate.clients.server import Answer, question_text, reply

Connect = Callable[..., Any]
"""Makes a client of a URL, as the fixture `connect` does."""


def read(answer: Any) -> int:
    if not isinstance(answer, dict) or not isinstance(answer.get("n"), int):
        raise UnusableAnswerError("it has no number n")
    return int(answer["n"])


def question(text: str = "how many?", image: bytes | None = None) -> Question[int]:
    return Question("Count.", text, {"type": "object"}, read, image)


def numbered(count: int) -> list[Question[int]]:
    return [question(f"number {n}") for n in range(count)]


def echo(request: dict[str, Any], _: int) -> Answer:
    """Answers with the number in the question."""
    return reply({"n": int(question_text(request).split()[-1])})


GOOD = reply({"n": 7})
