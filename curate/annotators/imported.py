"""`import`: scene graphs from a file, joined to candidates by id or by picture.

The file holds records (a `.json` list, `.jsonl` or `.parquet`), each with `candidate_id` or
`image_sha256`, and with a `graph` (a record or JSON text) or LAION-SG's `items` and `relations`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
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
            text = "annotate.import_path: missing; the annotator `import` needs a file of graphs."
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
        for number, record in enumerate(_records(self._path, self._data), start=1):
            key = _key(record, f"{self._path}: record {number}")
            is_new = key not in graphs
            graphs[key] = _graph(record) if is_new else Failure("stands twice in the file")
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


def _records(path: Path, data: bytes) -> Iterator[Any]:
    """The records of a file, by its ending. Raises `DataError`."""
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path, data)
        return
    try:
        text = data.decode("utf-8-sig")
        if path.suffix.lower() == ".jsonl":
            yield from (json.loads(line) for line in text.split("\n") if line.strip())
            return
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}.") from None
    if not isinstance(records, list):
        raise DataError(f"{path}: expected a list of records.")
    yield from records


def _parquet(path: Path, data: bytes) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield from pq.read_table(pa.BufferReader(data), page_checksum_verification=True).to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: damaged, or no Parquet file ({reason}).") from None


def _key(record: object, source: str) -> str:
    if isinstance(record, Mapping):
        for name in KEYS:
            if isinstance(record.get(name), str):
                return str(record[name])
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
