"""Prompt files of every form, good and bad."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.prompts import PROMPT_SOURCES, collect
from invdpo.curate.prompts.file import FileSource
from invdpo.schemas import ConfigError, DataError, PluginError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.tables import PROMPTS, Record


def read(tmp_path: Path, name: str, data: str | bytes) -> tuple[list[Record], int]:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return collect(FileSource(PromptsConfig(source="file", path=str(path)))(), "file", 400)[:2]


def test_text_one_prompt_a_line(tmp_path: Path) -> None:
    text = "\ufeffa red circle to the left of a blue square\r\n\n a cat \u2028 that naps \na cat\n"
    rows, doubled = read(tmp_path, "p.txt", text)
    assert [row["prompt"] for row in rows] == [
        "a red circle to the left of a blue square",
        "a cat \u2028 that naps",
        "a cat",
    ]
    assert json.loads(rows[0]["graph"])["relations"][0]["relation"] == "left of"
    assert rows[1]["graph"] is None
    assert {row["status"] for row in rows} == {"ok"}
    assert doubled == 0


def test_doubled_prompts_are_dropped_and_counted(tmp_path: Path) -> None:
    rows, doubled = read(tmp_path, "p.txt", "a cat\na dog\na cat\na cat\n")
    assert [row["prompt"] for row in rows] == ["a cat", "a dog"]
    assert doubled == 2


@pytest.mark.parametrize("data", [b"", b"\n \n\t", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError, match=r"p\.txt: empty\. Expected text with one prompt per line"):
        read(tmp_path, "p.txt", data)


def test_not_utf8_names_byte_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p\.txt: not UTF-8 at byte 9 \(line 2\)"):
        read(tmp_path, "p.txt", b"a cat\ncaf\xe9\n")


def test_too_long_line_is_rejected_and_the_others_go_on(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "p.txt", f"a cat\n{'x' * 100_000}\na dog\n")
    assert [row["status"] for row in rows] == ["ok", "rejected", "ok"]
    assert rows[1]["error"] == "longer than 10,000 characters (line 2)"
    assert len(rows[1]["prompt"]) == 100_000


def test_json_lines(tmp_path: Path) -> None:
    graph = {"items": [{"item_id": 0, "label": "cat"}], "relations": []}
    lines = [
        json.dumps({"prompt": "a cat", "graph": graph}),
        json.dumps({"prompt": "a cat", "graph": json.dumps(graph)}),
        "{broken",
        json.dumps({"text": "no prompt"}),
        json.dumps(["a list"]),
        json.dumps({"prompt": "a dog", "graph": {"items": "none"}}),
        json.dumps({"prompt": "  "}),
        json.dumps(
            {
                "prompt": "a bird",
                "graph": {"relations": [{"item1": 0, "relation": "on", "item2": 1}]},
            }
        ),
    ]
    rows, doubled = read(tmp_path, "p.jsonl", "\n".join(lines))
    assert doubled == 1
    assert json.loads(rows[0]["graph"]) == graph
    assert [row["status"] for row in rows] == ["ok"] + ["rejected"] * 6
    assert rows[1]["error"] == "not JSON (line 3)"
    assert rows[4]["error"].startswith("scene graph: items:")
    assert rows[5]["error"] == "no prompt text (line 7)"
    assert "which does not exist" in rows[6]["error"]
    assert len({row["prompt_id"] for row in rows}) == len(rows)


def test_csv(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "p.csv", 'id,prompt\n1,"a cat, and\na dog"\n2,a bird\n3\n')
    assert [row["prompt"] for row in rows] == ["a cat, and\na dog", "a bird", None]
    assert rows[2]["status"] == "rejected"
    long, _ = read(tmp_path, "q.csv", f"prompt\n{'x' * 200_000}\na bird\n")
    assert [row["status"] for row in long] == ["rejected", "ok"]
    with pytest.raises(DataError, match=r"no column `prompt` or .*; found: id, text\."):
        read(tmp_path, "r.csv", "id,text\n1,a\n")


def laion() -> dict[str, Any]:
    return {
        "img_id": "482027",
        "name": "482027.jpg",
        "caption_ori": "Woman on a chair",
        "score": "6.7",
        "url": "https://example.org/a.jpg",
        "items": [
            {"item_id": 0, "label": "woman", "attributes": ["young"], "global_item_id": 3},
            {"item_id": 1, "label": "chair", "attributes": [], "global_item_id": 4},
        ],
        "relations": [
            {"triple_id": 0, "item1": 0, "relation": "sits on", "item2": 1, "global_relation_id": 9}
        ],
    }


def test_laion_sg_file(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "laion.json", json.dumps([laion(), {"prompt": "a cat"}]))
    assert rows[0]["prompt"] == "Woman on a chair"
    assert json.loads(rows[0]["graph"]) == laion()
    assert [i["label"] for i in json.loads(rows[1]["graph"])["items"]] == ["cat"]
    with pytest.raises(DataError, match="expected a list"):
        read(tmp_path, "laion.json", "{}")
    with pytest.raises(DataError, match="not JSON"):
        read(tmp_path, "laion.json", "[{]")


def test_fingerprint_follows_the_content_not_the_path(tmp_path: Path) -> None:
    fingerprints = []
    for name, text in [("a.txt", "a cat"), ("b.txt", "a cat"), ("c.txt", "a dog")]:
        (tmp_path / name).write_text(text)
        config = PromptsConfig(source="file", path=str(tmp_path / name))
        fingerprints.append(FileSource(config).fingerprint())
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_no_file_and_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"prompts\.path: missing"):
        FileSource(PromptsConfig(source="file"))
    with pytest.raises(DataError, match="No such file"):
        FileSource(PromptsConfig(source="file", path=str(tmp_path / "none.txt")))
    with pytest.raises(DataError, match="directory"):
        FileSource(PromptsConfig(source="file", path=str(tmp_path)))
    with pytest.raises(PluginError, match="Known: file, hub, scenes, shapes"):
        PROMPT_SOURCES["web"]


def test_column_of_ones_own(tmp_path: Path) -> None:
    text = "id,words\n1,a red cat\n"
    (tmp_path / "p.csv").write_text(text)
    rows = collected(tmp_path / "p.csv", column="words")
    assert [row["prompt"] for row in rows] == ["a red cat"]
    table = pa.table({"words": ["a red cat", None, "two dogs"], "image": [b"x"] * 3})
    pq.write_table(table, tmp_path / "p.parquet")
    rows = collected(tmp_path / "p.parquet", column="words")
    assert [row["status"] for row in rows] == ["ok", "rejected", "ok"]
    assert len(json.loads(rows[2]["graph"])["items"]) == 2
    with pytest.raises(DataError, match="no column `text`; found: image, words"):
        collected(tmp_path / "p.parquet", column="text")
    (tmp_path / "p.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DataError, match="damaged, or not readable as Parquet"):
        collected(tmp_path / "p.parquet", column="words")


def test_parser_by_option(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a dog next to a cat\na red circle above a blue square\n")
    for parser, count in (("none", 0), ("rules", 2), ("auto", 2)):
        graphs = [row["graph"] for row in collected(tmp_path / "p.txt", parser=parser)]
        assert sum(graph is not None for graph in graphs) == count
    fingerprints = {
        str(FileSource(settings(tmp_path / "p.txt", parser=parser)).fingerprint())
        for parser in ("none", "rules", "auto")
    }
    assert len(fingerprints) == 3


def test_genevals_lines(tmp_path: Path) -> None:
    lines = [
        {"tag": "counting", "include": [{"class": "cow", "count": 3}], "prompt": "three cows"},
        {"tag": "broken", "include": [{"class": "cow", "count": -3}], "prompt": "no cows"},
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    good, bad = collected(tmp_path / "p.jsonl")
    assert [i["label"] for i in json.loads(good["graph"])["items"]] == ["cow"] * 3
    assert bad["error"].startswith("include[0]: expected class, count")


def test_ten_thousand_relations(tmp_path: Path) -> None:
    items = [{"item_id": n, "label": "cat"} for n in range(100)]
    relations = [{"item1": n % 100, "relation": "near", "item2": n // 100} for n in range(10_000)]
    graph = {"items": items, "relations": relations}
    (tmp_path / "p.jsonl").write_text(json.dumps({"prompt": "cats", "graph": graph}))
    (row,) = collected(tmp_path / "p.jsonl")
    assert row["status"] == "ok"
    assert len(json.loads(row["graph"])["relations"]) == 10_000


UNUSUAL_LINES = (
    '{"prompt": "a\\ndog says \\"no\\", {x} {{y}} {% z %} %s"}',
    '{"prompt": "赤い猫 и синяя собака, قطة حمراء 🐈"}',
    '{"prompt": "a cat \\u0000"}',
)


def test_prompts_hold_whatever_they_hold(tmp_path: Path) -> None:
    """Any script, line breaks, quotes and braces come back from the table as they were."""
    rows, _ = read(tmp_path, "p.jsonl", "\n".join(UNUSUAL_LINES))
    path = tmp_path / "prompts.parquet"
    pq.write_table(pa.Table.from_pylist(rows, PROMPTS), path)
    stored = pq.read_table(path)["prompt"].to_pylist()
    assert stored == [json.loads(line)["prompt"] for line in UNUSUAL_LINES]
    assert {row["status"] for row in rows} == {"ok"}


def test_half_a_character_is_a_rejected_row(tmp_path: Path) -> None:
    lines = [
        r'{"prompt": "a \ud800 cat"}',
        r'{"prompt": "a cat", "graph": {"items": [{"item_id": 0, "label": "\ud800"}]}}',
        r'{"prompt": "a dog"}',
    ]
    rows, _ = read(tmp_path, "p.jsonl", "\n".join(lines))
    assert [row["error"] for row in rows] == [
        "half a character (a lone surrogate) (line 1)",
        "half a character (a lone surrogate) (line 2)",
        None,
    ]
    pa.Table.from_pylist(rows, PROMPTS)


def test_items_that_are_no_list_are_a_column_like_any_other(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "p.csv", "prompt,items\na red cat,3\na dog,\n")
    assert [json.loads(row["graph"])["items"][0]["label"] for row in rows] == ["cat", "dog"]


def test_graphs_in_the_columns_of_a_table(tmp_path: Path) -> None:
    """LAION-SG's and GenEval's fields, with nulls where a row has no such field."""
    items = [{"item_id": 0, "label": "woman", "attributes": None}, {"item_id": 1, "label": "hat"}]
    relations = [{"item1": 0, "relation": "wears", "item2": 1}]
    include = [{"class": "cow", "count": 2, "color": None, "position": None}]
    table = pa.Table.from_pylist(
        [
            {"prompt": "she", "items": items, "relations": relations, "include": None},
            {"prompt": "cows", "items": None, "relations": None, "include": include},
            {"prompt": "a red cat", "items": None, "relations": None, "include": None},
        ]
    )
    pq.write_table(table, tmp_path / "p.parquet")
    graphs = [json.loads(row["graph"]) for row in collected(tmp_path / "p.parquet")]
    assert [[item["label"] for item in graph["items"]] for graph in graphs] == [
        ["woman", "hat"],
        ["cow", "cow"],
        ["cat"],
    ]
    assert graphs[0]["relations"][0]["relation"] == "wears"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            {"items": [{"item_id": 1, "label": "cat"}, {"item_id": 1, "label": "dog"}]},
            "item_id 1 occurs 2 times",
        ),
        (
            {
                "items": [{"item_id": 1, "label": "cat"}],
                "relations": [{"item1": 1, "relation": "near", "item2": 7}],
            },
            "relation 'near' names item 7, which does not exist",
        ),
    ],
)
def test_graphs_that_contradict_themselves(tmp_path: Path, graph: object, message: str) -> None:
    line = json.dumps({"prompt": "a cat", "graph": graph})
    rows, _ = read(tmp_path, "p.jsonl", f'{line}\n{{"prompt": "a dog"}}')
    assert [row["status"] for row in rows] == ["rejected", "ok"]
    assert rows[0]["error"] == f"scene graph: {message} (line 1)"


def settings(path: Path, **more: Any) -> PromptsConfig:
    return PromptsConfig.model_validate({"source": "file", "path": str(path), **more})


def collected(path: Path, **more: Any) -> list[dict[str, Any]]:
    rows, *_ = collect(FileSource(settings(path, **more))(), "file", 100)
    return rows
