"""Folders of images for the judges of GenEval and T2I-CompBench, read as those read them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from invdpo.curate.evaluation.benchmark_folders import export_images, find_export
from invdpo.curate.evaluation.results import Evaluation, Outcome, Result
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig

RECORDS = [
    {"tag": "counting", "include": [{"class": "cat", "count": 2}], "prompt": " two cats"},
    {"tag": "colors", "include": [{"class": "dog", "count": 1}], "prompt": "a dog", "exclude": []},
]


def evaluation(
    *rows: tuple[str, str | None], refused: int = -1, workspace: str = "tuned"
) -> Evaluation:
    """Two images of each prompt; one of the tuned model may be refused."""
    results = [
        Result(
            f"p{place}",
            prompt,
            Outcome(b"base", 1, {}, ()),
            Outcome(None if 2 * place + number == refused else b"tuned", 1, {}, ()),
            category,
            number,
        )
        for place, (prompt, category) in enumerate(rows)
        for number in range(2)
    ]
    return Evaluation(tuple(results), {}, tuned="lab/tuned", workspace=workspace)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_geneval(tmp_path: Path) -> None:
    """The number of a folder is that of the prompt's line, also of those that are left out."""
    path = tmp_path / "evaluation_metadata.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in RECORDS))
    write = find_export("geneval", PromptsConfig(source="file", path=str(path)))
    found = evaluation(("a dog", "colors"), refused=1)
    folders = export_images(tmp_path / "out", write, "lab/base", [found])
    assert [*folders.values()] == ["lab/base", "lab/tuned"]
    assert files(tmp_path / "out") == [
        "base/00001/metadata.jsonl",
        "base/00001/samples/0000.png",
        "base/00001/samples/0001.png",
        "tuned/00001/metadata.jsonl",
        "tuned/00001/samples/0000.png",
    ]
    metadata = (tmp_path / "out" / "tuned" / "00001" / "metadata.jsonl").read_text()
    assert json.loads(metadata) == RECORDS[1]
    assert (tmp_path / "out" / "base" / "00001" / "samples" / "0001.png").read_bytes() == b"base"


def test_geneval_of_several_files(tmp_path: Path) -> None:
    """The numbers go on from one file to the next, so that no two prompts share a folder."""
    for name, record in zip("ab", RECORDS, strict=True):
        (tmp_path / f"part_{name}.jsonl").write_text(json.dumps(record))
    prompts = PromptsConfig(source="file", path=str(tmp_path / "part_*.jsonl"))
    found = evaluation(("two cats", None), ("a dog", None))
    export_images(tmp_path / "out", find_export("geneval", prompts), "lab/base", [found])
    folders = [tmp_path / "out" / "base" / number for number in ("00000", "00001")]
    metadata = [json.loads((folder / "metadata.jsonl").read_text()) for folder in folders]
    assert metadata == RECORDS
    assert all(len([*(folder / "samples").iterdir()]) == 2 for folder in folders)


def test_t2i_compbench(tmp_path: Path) -> None:
    """Its judges take the prompt up to the first underscore, and sort by the number at the end."""
    write = find_export("t2i-compbench", PromptsConfig())
    rows = [("a red_brown cat / dog.", "color"), ("x" * 300, "color"), ("a cat", None)]
    second = evaluation(("../../a", "../b"), workspace="tuned-2")
    export_images(tmp_path / "out", write, "b", [evaluation(*rows), second])
    names = sorted(path.name for path in (tmp_path / "out/base/color/samples").iterdir())
    assert sorted(int(re.split(r"[_.]", name)[-2]) for name in names) == [0, 1, 2, 3]
    assert {name.split("_")[0] for name in names} == {"a red brown cat   dog.", "x" * 240}
    assert files(tmp_path / "out/base/none/samples") == ["a cat_000000.png", "a cat_000001.png"]
    (escaped,) = (tmp_path / "out" / "tuned-2").iterdir()
    assert files(escaped) == ["samples/.. .. a_000000.png", "samples/.. .. a_000001.png"]


def test_what_can_not_be_exported_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a cat"}\n')
    for prompts in (PromptsConfig(), PromptsConfig(source="file", path=str(tmp_path / "p.jsonl"))):
        with pytest.raises(DataError, match="needs prompts in GenEval's format"):
            find_export("geneval", prompts)
    with pytest.raises(ConfigError, match="expected geneval or t2i-compbench"):
        find_export("wise", PromptsConfig())
