"""From one line, or one record of a table, to a prompt with its graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from invdpo.curate.batching import Failure
from invdpo.curate.prompts import geneval
from invdpo.curate.prompts.base import Draft, prompt_row
from invdpo.curate.prompts.vlm_parser import PromptReader
from invdpo.curate.scene_graphs import grammar
from invdpo.curate.shapes import world
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.io.text import Counts
from invdpo.schemas.tables import OK

COLUMNS = ("prompt", "caption_ori", "caption")
"""Where prompts stand when no column is named; the first that is there."""
BESIDE = frozenset({"graph", "items", "relations", "include"})
"""Columns in which graphs may stand beside the prompts."""


class Reader:
    """Reads prompts as the configuration says."""

    def __init__(self, config: PromptsConfig) -> None:
        self._config = config
        self._model = PromptReader(config) if config.parser == "vlm" else None

    def fingerprint(self) -> dict[str, Any]:
        """What of the configuration decides prompts and graphs."""
        rules = "" if self._config.parser == "none" else f" {grammar.REVISION}"
        revision = f" {self._model.revision}" if self._model else rules
        return {"column": self._config.column, "parser": f"{self._config.parser}{revision}"}

    def counts(self) -> Counts:
        """What asking a model has cost since it was last asked for."""
        return self._model.counts() if self._model else {}

    def filled(self, drafts: Iterable[Draft]) -> Iterator[Draft]:
        """The same drafts, with the graphs that a model reads where the parser is one.

        A prompt of which it can make nothing comes with the reason. Raises as `PromptReader`.
        """
        if self._model is None:
            yield from drafts
            return
        source = iter(drafts)
        while batch := list(islice(source, self._config.vlm_concurrency)):
            lacking = [d for d in batch if d.graph is None and prompt_row(d, "")["status"] == OK]
            graphs = self._model.graphs([str(draft.prompt) for draft in lacking])
            completed = {id(d): _with(d, graph) for d, graph in zip(lacking, graphs, strict=True)}
            yield from (completed.get(id(draft), draft) for draft in batch)

    def column(self, columns: Mapping[str, Any] | list[str], where: str) -> str:
        """The column with the prompts. Raises `DataError` naming those that are there."""
        wanted = (self._config.column,) if self._config.column else COLUMNS
        for name in wanted:
            if name in columns:
                return name
        names = ", ".join(sorted(columns)) or "none"
        expected = " or ".join(f"`{name}`" for name in wanted)
        raise DataError(f"{where}: no column {expected}; found: {names}. Name one by --column.")

    def line(self, text: str, number: int) -> Draft:
        """A prompt without anything beside it."""
        return Draft(text, self.parse(text), line=number)

    def record(self, record: object, number: int, where: str = "the record") -> Draft:
        """A record with a prompt, and perhaps a graph, in LAION-SG's form or GenEval's."""
        if not isinstance(record, dict):
            return Draft(None, error="not a record with a `prompt`", line=number)
        try:
            prompt = record[self.column(record, where)]
        except DataError as error:
            return Draft(None, error=str(error), line=number)
        if not isinstance(prompt, str):
            return Draft(None, error="the prompt is no text", line=number)
        prompt = prompt.strip()
        try:
            return Draft(prompt, self._graph(prompt, record), line=number)
        except DataError as error:
            return Draft(prompt, error=str(error), line=number)

    def _graph(self, prompt: str, record: dict[str, Any]) -> SceneGraph | None:
        graph = record.get("graph")
        if isinstance(graph, str) and graph.strip():
            return SceneGraph.from_json(graph)
        if isinstance(graph, dict):
            return SceneGraph.from_dict(given(graph))
        if geneval.is_geneval(record):
            return geneval.graph_of(record)
        if isinstance(record.get("items"), list):
            return SceneGraph.from_dict(given(record))
        return self.parse(prompt)

    def parse(self, prompt: str) -> SceneGraph | None:
        """The graph by the configured parser; None where it can't tell."""
        if self._config.parser in ("none", "vlm"):
            return None
        ours = world.parse(prompt) if self._config.parser == "auto" else None
        return ours or grammar.parse(prompt)


def _with(draft: Draft, graph: SceneGraph | Failure) -> Draft:
    if isinstance(graph, Failure):
        return replace(draft, error=graph.reason)
    return replace(draft, graph=graph) if graph.items else draft


def given(record: dict[str, Any]) -> dict[str, Any]:
    """Items and relations without what is null: tables have every field in every row."""
    lists = {name: record.get(name) for name in ("items", "relations")}
    present = {
        name: [_stated(part) for part in values]
        for name, values in lists.items()
        if isinstance(values, list)
    }
    return {
        name: value for name, value in record.items() if lists.get(name, "") is not None
    } | present


def _stated(part: object) -> object:
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if value is not None}
