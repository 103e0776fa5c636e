"""From one line, or one record of a table, to a prompt with its graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invdpo.curate.prompts import geneval, grammar
from invdpo.curate.prompts.base import Draft
from invdpo.curate.shapes import world
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config import PromptsConfig

COLUMNS = ("prompt", "caption_ori", "caption")
"""Where prompts stand when no column is named; the first that is there."""
BESIDE = frozenset({"graph", "items", "relations", "include"})
"""Columns in which graphs may stand beside the prompts."""


class Reader:
    """Reads prompts as the configuration says."""

    def __init__(self, config: PromptsConfig) -> None:
        self._config = config

    def fingerprint(self) -> dict[str, Any]:
        """What of the configuration decides prompts and graphs."""
        rules = "" if self._config.parser == "none" else f" {grammar.REVISION}"
        return {"column": self._config.column, "parser": f"{self._config.parser}{rules}"}

    def column(self, found: Mapping[str, Any] | list[str], where: str) -> str:
        """The column with the prompts. Raises `DataError` naming those that are there."""
        wanted = (self._config.column,) if self._config.column else COLUMNS
        for name in wanted:
            if name in found:
                return name
        names = ", ".join(sorted(found)) or "none"
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
            return SceneGraph.from_dict(_given(graph))
        if geneval.is_geneval(record):
            return geneval.graph_of(record)
        if isinstance(record.get("items"), list):
            return SceneGraph.from_dict(_given(record))
        return self.parse(prompt)

    def parse(self, prompt: str) -> SceneGraph | None:
        """The graph by the configured parser; None where it can't tell."""
        if self._config.parser == "none":
            return None
        ours = world.parse(prompt) if self._config.parser == "auto" else None
        return ours or grammar.parse(prompt)


def _given(record: dict[str, Any]) -> dict[str, Any]:
    """Items and relations without what is null: tables have every field in every row."""
    lists = {name: record.get(name) for name in ("items", "relations")}
    some = {name: [_stated(part) for part in found] for name, found in lists.items()
            if isinstance(found, list)}  # fmt: skip
    return {name: value for name, value in record.items() if lists.get(name, "") is not None} | some


def _stated(part: object) -> object:
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if value is not None}
