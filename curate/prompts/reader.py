"""From one line of a file, or one record of a table, to a prompt with its scene graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from invdpo.curate.batching import Failure
from invdpo.curate.prompts import geneval
from invdpo.curate.prompts.base import MAX_CHARACTERS, Draft, prompt_row
from invdpo.curate.prompts.spacy_parser import SpacyParser
from invdpo.curate.prompts.vlm_parser import VlmParser
from invdpo.curate.scene_graphs import grammar
from invdpo.curate.scene_graphs.records import parse_graph
from invdpo.curate.shapes import world
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.io.records import find_column
from invdpo.schemas.io.text import Counts
from invdpo.schemas.tables import OK

GRAPH_COLUMNS = frozenset({"graph", "items", "relations", "include"})
"""Columns that may hold graphs beside the prompts."""
CATEGORY_COLUMNS = ("category", "tag")
"""Columns that may hold the category of a prompt; GenEval's is `tag`."""
COLUMNS_BESIDE = GRAPH_COLUMNS.union(CATEGORY_COLUMNS)
"""All columns that are read beside the prompts."""
RULES = ("auto", "rules", "rules+spacy")
"""Parsers that try the rules of `grammar`."""


class PromptReader:
    """Reads prompts, with the column and the parser of the configuration."""

    def __init__(self, config: PromptsConfig) -> None:
        self._config = config
        self._vlm = VlmParser(config) if config.parser == "vlm" else None
        self._spacy = SpacyParser() if config.parser in ("spacy", "rules+spacy") else None

    def fingerprint(self) -> dict[str, Any]:
        """The part of the configuration that decides prompts and graphs."""
        parser = self._config.parser
        rules = grammar.REVISION if parser in RULES else ""
        model = self._vlm or self._spacy
        revisions = filter(None, (parser, rules, model.revision if model else ""))
        return {"column": self._config.column, "parser": " ".join(revisions)}

    def counts(self) -> Counts:
        """What asking a model cost since the last call of this method."""
        return self._vlm.counts() if self._vlm else {}

    def add_graphs(self, drafts: Iterable[Draft]) -> Iterator[Draft]:
        """The same drafts, with graphs read by a model if the parser is one.

        A prompt that the model can't read gets the reason as its error. Raises as `VlmClient`.
        """
        if self._vlm is None:
            yield from drafts
            return
        source = iter(drafts)
        while batch := list(islice(source, self._config.vlm_concurrency)):
            missing = [d for d in batch if d.graph is None and prompt_row(d, "")["status"] == OK]
            graphs = self._vlm.graphs([str(draft.prompt) for draft in missing])
            completed = {id(d): _add(d, graph) for d, graph in zip(missing, graphs, strict=True)}
            yield from (completed.get(id(draft), draft) for draft in batch)

    def column(self, columns: Iterable[str], source: str) -> str:
        """The column with the prompts. Raises `DataError` naming those that are there."""
        return find_column(list(columns), self._config.column, source)

    def read_entry(self, value: object, number: int) -> Draft:
        """A prompt with nothing beside it, or a record."""
        if isinstance(value, str):
            prompt = value.strip()
            return Draft(prompt, self._parse(prompt), line=number)
        return self.read_record(value, number)

    def read_record(self, record: object, number: int, source: str = "the record") -> Draft:
        """A record with a prompt, and perhaps a graph, in LAION-SG's form or GenEval's."""
        if not isinstance(record, dict):
            return Draft(None, error="not a record with a `prompt`", line=number)
        try:
            prompt = record[self.column(record, source)]
        except DataError as error:
            return Draft(None, error=str(error), line=number)
        if not isinstance(prompt, str):
            return Draft(None, error="the prompt is no text", line=number)
        prompt = prompt.strip()
        draft = Draft(prompt, line=number, category=_category(record))
        try:
            return replace(draft, graph=self._graph(prompt, record))
        except DataError as error:
            return replace(draft, error=str(error))

    def _graph(self, prompt: str, record: dict[str, Any]) -> SceneGraph | None:
        graph = record.get("graph")
        if isinstance(graph, dict) or (isinstance(graph, str) and graph.strip()):
            return parse_graph(graph)
        if geneval.is_geneval(record):
            return geneval.graph_of(record)
        if isinstance(record.get("items"), list):
            return parse_graph(record)
        return self._parse(prompt)

    def _parse(self, prompt: str) -> SceneGraph | None:
        """The graph by the configured rules; None if they don't understand the prompt."""
        parser = self._config.parser
        if len(prompt) > MAX_CHARACTERS:
            return None
        graph = world.parse(prompt) if parser == "auto" else None
        if graph is None and parser in RULES:
            graph = grammar.parse(prompt)
        if graph is None and self._spacy is not None:
            graph = self._spacy.parse(prompt)
        return graph


def _category(record: dict[str, Any]) -> str | None:
    """The first text in one of the columns of categories."""
    texts = (record.get(name) for name in CATEGORY_COLUMNS)
    return next((t.strip() for t in texts if isinstance(t, str) and t.strip()), None)


def _add(draft: Draft, graph: SceneGraph | Failure) -> Draft:
    if isinstance(graph, Failure):
        return replace(draft, error=graph.reason)
    return replace(draft, graph=graph) if graph.items else draft
