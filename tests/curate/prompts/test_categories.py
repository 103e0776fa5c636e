"""Categories of benchmarks, which stay with the prompts, and several files of prompts at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.prompts import collect
from invdpo.curate.prompts.file import FileSource
from invdpo.schemas import DataError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.tables import Record


def read(path: Path, text: str) -> list[Record]:
    path.write_text(text)
    return collect(FileSource(PromptsConfig(source="file", path=str(path)))(), "file", 400)[0]


def test_categories_of_a_benchmark_stay_with_its_prompts(tmp_path: Path) -> None:
    """GenEval's are `tag`; a record without one has none, and a text alone is taken for one."""
    records: list[dict[str, Any]] = [
        {"tag": "counting", "include": [{"class": "cat", "count": 2}], "prompt": "two cats"},
        {"tag": 3, "prompt": "a dog"},
        {"category": "animals", "include": "none", "prompt": "a bird"},
    ]
    rows = read(tmp_path / "p.jsonl", "\n".join(map(json.dumps, records)))
    assert [row["category"] for row in rows] == ["counting", None, "animals"]
    assert read(tmp_path / "plain.txt", "a cat\n")[0]["category"] is None


def test_several_files_are_read_in_turn(tmp_path: Path) -> None:
    """T2I-CompBench's are named for their categories; another name says nothing."""
    texts = {"color_val": "a red cat\na red dog\na red bird", "spatial_val": "a cat on a mat"}
    for name, text in (texts | {"other_val": "a fish", "shape_train": "a cone"}).items():
        (tmp_path / f"{name}.txt").write_text(text)
    source = FileSource(PromptsConfig(source="file", path=str(tmp_path / "*_val.txt")))
    assert [(draft.prompt, draft.category) for draft in source()] == [
        ("a red cat", "color"),
        ("a fish", None),
        ("a cat on a mat", "spatial"),
        ("a red dog", "color"),
        ("a red bird", "color"),
    ]
    assert set(source.fingerprint()["file_sha256"]) == {
        "color_val.txt",
        "other_val.txt",
        "spatial_val.txt",
    }
    with pytest.raises(DataError, match="no such file"):
        FileSource(PromptsConfig(source="file", path=str(tmp_path / "*_test.txt")))
