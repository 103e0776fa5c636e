"""What a prompt source gives, and how it becomes the table of prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from invdpo.schemas import SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.text import Counts
from invdpo.schemas.plugins import Registry
from invdpo.schemas.tables import OK, REJECTED, Record

MAX_CHARACTERS = 10_000
"""Longer prompts are rejected: no text encoder reads so much, and it is a broken file, mostly."""


@dataclass(frozen=True)
class Draft:
    """A prompt as a source gives it; `error` says why it is none."""

    prompt: str | None
    graph: SceneGraph | None = None
    error: str | None = None
    line: int | None = None
    """Where it stands in its file, from 1."""


class PromptSource(Protocol):
    """Gives prompts; made from the configuration. Raises `DataError` when it can't give any."""

    name: str

    def __init__(self, config: PromptsConfig) -> None: ...

    def fingerprint(self) -> dict[str, Any]:
        """What decides the prompts: of a file its content, not its place."""
        ...

    def __call__(self) -> Iterator[Draft]:
        """Prompts in order, the same at every call; may end before `num_prompts` are reached."""
        ...

    def counts(self) -> Counts:
        """What a model that was asked has cost so far; empty where none is asked."""
        ...


PROMPT_SOURCES: Registry[type[PromptSource]] = Registry("prompt source")


def collect(drafts: Iterable[Draft], source: str, limit: int) -> tuple[list[Record], int]:
    """The first `limit` distinct prompts as rows, and how many doubled ones were dropped."""
    seen: Counter[str] = Counter()
    rows = list(islice(_distinct((prompt_row(d, source) for d in drafts), seen), limit))
    return rows, seen.total() - len(seen)


def _distinct(rows: Iterable[Record], seen: Counter[str]) -> Iterator[Record]:
    for row in rows:
        seen[row["prompt_id"]] += 1
        if seen[row["prompt_id"]] == 1:
            yield row


def prompt_row(draft: Draft, source: str) -> Record:
    """One row of the table of prompts; rejected when the draft has an error or is too long."""
    draft = _storable(draft)
    graph = draft.graph.to_dict() if draft.graph is not None else None
    error = draft.error or _fault(draft)
    line = f" (line {draft.line})" if error and draft.line else ""
    key = [draft.prompt, graph] if draft.prompt else [draft.prompt, graph, error, draft.line]
    return {
        "prompt_id": content_id(*key),
        "prompt": draft.prompt,
        "graph": draft.graph.to_json() if draft.graph is not None else None,
        "source": source,
        "split_group": split_group(draft.prompt, draft.graph),
        "status": REJECTED if error else OK,
        "error": f"{error}{line}" if error else None,
    }


def _storable(draft: Draft) -> Draft:
    """Escapes of JSON may stand for half a character, which no table can hold."""
    try:
        (draft.prompt or "").encode()
        if draft.graph is not None:
            draft.graph.to_json()
    except ValueError:
        return Draft(None, error="half a character (a lone surrogate)", line=draft.line)
    return draft


def _fault(draft: Draft) -> str | None:
    if not draft.prompt or not draft.prompt.strip():
        return "no prompt text"
    if len(draft.prompt) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS:,} characters"
    problems = draft.graph.problems() if draft.graph is not None else []
    return f"scene graph: {problems[0]}" if problems else None


def split_group(prompt: str | None, graph: SceneGraph | None) -> str:
    """A key that every wording of one composition shares, so that none lies in two splits.

    With a graph: its kinds of objects with their numbers, and its facts, whichever way round they
    are told. Without one: the text but for case and blanks.
    """
    if graph is None or graph.problems():
        return content_id("text", " ".join((prompt or "").casefold().split()))
    return content_id("graph", sorted(graph.phrases().values()), sorted(graph.facts()))
