"""`import`: scene graphs from a file, joined to candidates by id or by image.

The file holds records (see `schemas.io.records`), each with `candidate_id` or `image_sha256`, and
with a `graph` (a record or JSON text) or LAION-SG's `items` and `relations`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from invdpo.curate.annotators.base import ANNOTATORS, Annotator
from invdpo.curate.batching import Failure
from invdpo.curate.candidate import IMAGE, Candidate
from invdpo.curate.scene_graphs.records import parse_graph
from invdpo.curate.storage.object_store import content
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import ConfigError, DataError, SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.io.files import os_reason
from invdpo.schemas.io.records import read_entries

KEYS = ("candidate_id", "image_sha256")


@ANNOTATORS.register("import")
class ImportAnnotator(Annotator):
    """The graphs of a file. Raises `ConfigError` without a file, `DataError` for a bad one."""

    name = "import"
    needs: Sequence[str] = (IMAGE,)

    def __init__(self, config: AnnotateConfig) -> None:
        self._import_path = config.import_path

    @cached_property
    def revision(self) -> str:
        """Hash of the file."""
        return f"sha256:{hashlib.sha256(self._data).hexdigest()[:32]}"

    @property
    def _path(self) -> Path:
        if self._import_path is None:
            text = "annotate.import_path: missing; the annotator `import` needs a file with graphs."
            raise ConfigError(text)
        return to_path(self._import_path)

    @cached_property
    def _data(self) -> bytes:
        try:
            return content(self._path)
        except OSError as error:
            raise DataError(f"{self._path}: {os_reason(error)}.") from None

    @cached_property
    def _graphs(self) -> dict[str, SceneGraph | Failure]:
        """Key -> graph, or why there is none; a key of two records has none."""
        graphs: dict[str, SceneGraph | Failure] = {}
        for number, record, error in read_entries(self._path, self._data, list, text=False):
            if error:
                raise DataError(f"{self._path}: record {number}: {error}.")
            key = _key(record, f"{self._path}: record {number}")
            is_new = key not in graphs
            graphs[key] = _graph(record) if is_new else Failure("occurs twice in the file")
        if not graphs:
            raise DataError(f"{self._path}: no records.")
        return graphs

    def __call__(self, candidates: Sequence[Candidate]) -> list[SceneGraph | Failure]:
        """One graph a candidate, if the file has one."""
        return [self._graph_of(candidate) for candidate in candidates]

    def _graph_of(self, candidate: Candidate) -> SceneGraph | Failure:
        digest = hashlib.sha256(candidate.image_bytes).hexdigest()
        for key in (candidate.candidate_id, digest):
            if key in self._graphs:
                return self._graphs[key]
        return Failure(f"no graph in {self._path.name}")


def _key(record: object, source: str) -> str:
    if isinstance(record, Mapping):
        for name in KEYS:
            if isinstance(key := record.get(name), str) and key:
                return key
    raise DataError(f"{source}: no text under {' or '.join(KEYS)}.")


def _graph(record: Mapping[str, Any]) -> SceneGraph | Failure:
    value = record.get("graph")
    if value is None and isinstance(record.get("items"), list):
        value = {name: record.get(name) for name in ("items", "relations")}
    if not isinstance(value, str | Mapping):
        return Failure("scene graph: none in its record")
    try:
        graph = parse_graph(value)
    except DataError as error:
        return Failure(str(error))
    problems = graph.problems()
    return Failure(f"scene graph: {problems[0]}") if problems else graph
