"""The base class of prompt sources, and the rows of the table of prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple
from unicodedata import normalize

from invdpo.schemas import SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.ids import content_id, fold
from invdpo.schemas.io.text import Counts
from invdpo.schemas.plugins import Registry
from invdpo.schemas.tables import OK, REJECTED, Record

MAX_CHARACTERS = 10_000
"""Longer prompts are rejected: no text encoder reads so much; mostly the file is broken."""


@dataclass(frozen=True)
class Draft:
    """A prompt as a source gives it; `error` says why it can't be used."""

    prompt: str | None
    graph: SceneGraph | None = None
    error: str | None = None
    line: int | None = None
    """Line or number of its record in the file, from 1."""
    category: str | None = None
    """What a benchmark calls prompts of this kind; None where nobody says."""


class PromptSource(ABC):
    """Gives prompts; made from the configuration. Raises `DataError` if it can't give any."""

    name: str
    origin: Mapping[str, Any] = MappingProxyType({})
    """Of a plug-in: its class, package and options, for a fingerprint."""

    @abstractmethod
    def __init__(self, config: PromptsConfig) -> None: ...

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """What decides the prompts: of a file its content, not its path."""

    @abstractmethod
    def __call__(self) -> Iterator[Draft]:
        """Prompts in order, the same at every call; may end before `num_prompts` are reached."""

    def counts(self) -> Counts:
        """What asking a model cost since the last call of this method; empty if none is asked."""
        return {}


PROMPT_SOURCES: Registry[Callable[..., PromptSource]] = Registry(
    "prompt source", "invdpo.prompts", PromptSource
)


class Collected(NamedTuple):
    """What was taken of a source's prompts."""

    rows: list[Record]
    duplicates: int
    """Drafts dropped, whose prompt and graph had come before."""
    read: int
    """Distinct prompts read after the skipped ones; more than taken where some say the same as
    those, or have too few objects. Who skips these, too, meets none of the taken again."""
    small: int = 0
    """Prompts left out for too few objects."""


def collect(
    drafts: Iterable[Draft],
    source: str,
    limit: int,
    *,
    skip: int = 0,
    min_objects: int = 0,
    shuffle_seed: int | None = None,
) -> Collected:
    """The first `limit` distinct prompts that have `min_objects` in their graph, or an error.

    The first `skip` are passed over, and with them every prompt that says the same as one of them.
    With a `shuffle_seed` it decides the order, not the source.
    """
    seen: Counter[str] = Counter()
    rows = _distinct((prompt_row(draft, source) for draft in drafts), seen)
    if shuffle_seed is not None:
        rows = iter(sorted(rows, key=lambda row: content_id(shuffle_seed, row["prompt_id"])))
    passed = {key for row in islice(rows, skip) for key in _meaning(row)}
    taken: list[Record] = []
    read = small = 0
    while len(taken) < limit and (row := next(rows, None)):
        read += 1
        if passed.intersection(_meaning(row)):
            continue
        if row["status"] == OK and _objects(row) < min_objects:
            small += 1
        else:
            taken.append(row)
    return Collected(taken, seen.total() - len(seen), read, small)


def selection(config: PromptsConfig, *, asked: bool = True) -> dict[str, int]:
    """Which prompts `collect` takes, by its own words; empty where it is the first ones.

    Where graphs are a model's, and it was not `asked`, nobody knows which have too few objects.
    """
    chosen = {"skip": config.skip_prompts} if config.skip_prompts else {}
    if config.min_objects and (asked or config.parser != "vlm"):
        chosen |= {"min_objects": config.min_objects}
    return chosen | ({"shuffle_seed": config.seed} if config.shuffle else {})


def _meaning(row: Record) -> tuple[str, str]:
    """What two prompts that say the same have in common: the text, or the composition."""
    return fold(row["prompt"] or ""), row["split_group"]


def _objects(row: Record) -> int:
    """How many objects a prompt asks for, as far as its graph says."""
    return len(SceneGraph.from_json(row["graph"]).items) if row["graph"] else 0


def _distinct(rows: Iterable[Record], seen: Counter[str]) -> Iterator[Record]:
    for row in rows:
        key = content_id(row["prompt_id"])
        if row["prompt"]:  # one text in both of Unicode's forms is one prompt
            key = content_id(normalize("NFC", row["prompt"]), row["graph"])
        seen[key] += 1
        if seen[key] == 1:
            yield row


def prompt_row(draft: Draft, source: str) -> Record:
    """One row of the table of prompts; rejected if the draft has an error or can't be used."""
    draft = _storable(draft)
    graph = draft.graph.to_dict() if draft.graph is not None else None
    error = draft.error or _problem(draft)
    line = f" (line {draft.line})" if error and draft.line else ""
    key = [draft.prompt, graph] if draft.prompt else [draft.prompt, graph, error, draft.line]
    return {
        "prompt_id": content_id(*key),
        "prompt": draft.prompt,
        "graph": draft.graph.to_json() if draft.graph is not None else None,
        "source": source,
        "split_group": split_group(draft.prompt, draft.graph),
        "category": draft.category,
        "status": REJECTED if error else OK,
        "error": f"{error}{line}" if error else None,
    }


def _storable(draft: Draft) -> Draft:
    """The draft, or an error for half a surrogate pair, which JSON allows and no table can hold."""
    try:
        f"{draft.prompt}{draft.category}".encode()
        if draft.graph is not None:
            draft.graph.to_json()
    except ValueError:
        return Draft(None, error="half a character (a lone surrogate)", line=draft.line)
    return draft


def _problem(draft: Draft) -> str | None:
    if not draft.prompt or not draft.prompt.strip():
        return "no prompt text"
    if len(draft.prompt) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS:,} characters"
    problems = draft.graph.problems() if draft.graph is not None else []
    return f"scene graph: {problems[0]}" if problems else None


def split_group(prompt: str | None, graph: SceneGraph | None) -> str:
    """A key that all wordings of one composition share, so that no composition is in two splits.

    With a graph: its kinds of objects with their numbers, and its facts, in whichever direction
    they are stated. Without a graph: the text without case and repeated blanks.
    """
    if graph is None or graph.problems():
        return content_id("text", fold(prompt or ""))
    return content_id("graph", sorted(graph.phrases().values()), sorted(graph.facts()))
