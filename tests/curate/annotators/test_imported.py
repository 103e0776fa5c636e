"""Graphs from files: joined by id or image, and every fault reported in its row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.annotate import Annotate
from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.batching import Failure
from invdpo.curate.candidate import Candidate
from invdpo.curate.images import encode
from invdpo.schemas import ConfigError, DataError, SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig

CAT = {"items": [{"item_id": 0, "label": "cat"}], "relations": []}
DANGLING = {"items": [], "relations": [{"item1": 0, "relation": "on", "item2": 1}]}


def candidate(name: str, data: bytes = b"picture") -> Candidate:
    return Candidate({"candidate_id": name, "image": {"bytes": data}})


def annotator(path: Path | None) -> Any:
    return ANNOTATORS["import"](AnnotateConfig(import_path=str(path) if path else None))


def labels_or_reasons(path: Path, candidates: Sequence[Candidate]) -> list[Any]:
    return [
        graph.reason if isinstance(graph, Failure) else graph.items[0].label
        for graph in annotator(path)(candidates)
    ]


def test_joined_by_id_and_by_picture(tmp_path: Path) -> None:
    dog = {"items": [{"item_id": 7, "label": "dog", "attributes": ["red"]}], "relations": []}
    digest = hashlib.sha256(b"other").hexdigest()
    records = [
        {"candidate_id": "a", "graph": CAT},
        {"candidate_id": "b", "graph": json.dumps(dog)},
        {"image_sha256": digest, **CAT},
    ]
    lines = "\n".join(json.dumps(record) for record in records)
    (tmp_path / "g.jsonl").write_text(lines)
    (tmp_path / "g.json").write_text(json.dumps(records))
    rows = [
        {"candidate_id": "a", "graph": json.dumps(CAT)},
        {"candidate_id": "b", "graph": json.dumps(dog)},
        {"image_sha256": digest, "graph": json.dumps(CAT)},
    ]
    names = ("candidate_id", "image_sha256", "graph")
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    pq.write_table(table, tmp_path / "g.parquet")
    candidates = [candidate("b"), candidate("a"), candidate("c", b"other"), candidate("d")]
    for name in ("g.jsonl", "g.json", "g.parquet"):
        expected = ["dog", "cat", "cat", f"no graph in {name}"]
        assert labels_or_reasons(tmp_path / name, candidates) == expected


def test_faults_of_a_record_are_its_own(tmp_path: Path) -> None:
    records = [
        {"candidate_id": "a", "graph": DANGLING},
        {"candidate_id": "b", "graph": CAT},
        {"candidate_id": "b", "graph": CAT},
        {"candidate_id": "c", "graph": "{broken"},
        {"candidate_id": "d"},
        {"candidate_id": "e", "graph": CAT},
    ]
    (tmp_path / "g.json").write_text(json.dumps(records))
    results = labels_or_reasons(tmp_path / "g.json", [candidate(name) for name in "abcde"])
    assert "which does not exist" in results[0]
    assert results[1] == "occurs twice in the file"
    assert results[2].startswith("scene graph: ")
    assert results[3].startswith("scene graph: ")
    assert results[4] == "cat"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("g.json", b"{}", "expected a list"),
        ("g.json", b"[]", "expected a list .*, found nothing"),
        ("g.json", b"[{}]", "record 1: no text under candidate_id or image_sha256"),
        ("g.jsonl", b"{", "not JSON"),
        ("g.json", b"\xff", "not UTF-8"),
        ("g.txt", b"[]", r"ending \.txt is not supported. Allowed: \.jsonl, "),
        ("g.parquet", b"PAR1", "damaged"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        annotator(tmp_path / name)([candidate("a")])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"annotate\.import_path: missing"):
        _ = annotator(None).revision
    with pytest.raises(DataError, match="No such file"):
        _ = annotator(tmp_path / "none.json").revision


def test_revision_is_the_content(tmp_path: Path) -> None:
    for name, graph in (("a.json", CAT), ("b.json", CAT), ("c.json", DANGLING)):
        (tmp_path / name).write_text(json.dumps([{"candidate_id": "a", "graph": graph}]))
    a, b, c = (annotator(tmp_path / f"{n}.json").revision for n in "abc")
    assert a == b != c


def test_ten_thousand_relations(tmp_path: Path) -> None:
    items = [{"item_id": n, "label": "cat"} for n in range(100)]
    relations = [{"item1": n % 100, "relation": "near", "item2": n // 100} for n in range(10_000)]
    graph = {"items": items, "relations": relations}
    (tmp_path / "g.json").write_text(json.dumps([{"candidate_id": "a", "graph": graph}]))
    (result,) = annotator(tmp_path / "g.json")([candidate("a")])
    assert isinstance(result, SceneGraph)
    assert len(result.relations) == 10_000


def test_tables_with_every_field_in_every_row(tmp_path: Path) -> None:
    """Parquet fills up with nulls what a record doesn't have."""
    graphs = [
        {
            "items": [{"item_id": 0, "label": "cat", "attributes": None, "box": None}],
            "relations": None,
        },
        {
            "items": [{"item_id": 1, "label": "dog", "attributes": ["red"], "box": [0, 0, 1, 1]}],
            "relations": [{"item1": 1, "relation": "near", "item2": 1}],
        },
        None,
    ]
    pq.write_table(pa.table({"candidate_id": [*"abc"], "graph": graphs}), tmp_path / "g.parquet")
    results = labels_or_reasons(tmp_path / "g.parquet", [candidate(name) for name in "abc"])
    assert results == ["cat", "dog", "scene graph: none in its record"]


def test_half_a_character_costs_its_row(tmp_path: Path) -> None:
    half = '{"items": [{"item_id": 0, "label": "\\ud800"}]}'
    lines = [
        f'{{"candidate_id": "a", "graph": {half}}}',
        json.dumps({"candidate_id": "b", "graph": CAT}),
    ]
    (tmp_path / "g.jsonl").write_text("\n".join(lines))
    stage = Annotate("import", AnnotateConfig(import_path=str(tmp_path / "g.jsonl")))
    picture = encode(np.zeros((4, 4, 3), dtype=np.uint8))
    rows = list(stage([candidate("a", picture), candidate("b", picture)]))
    assert [row["error"] for row in rows] == ["half a character (a lone surrogate)", None]
