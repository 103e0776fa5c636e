"""Datasets of any layout as ours: their plain columns come along, their doubles are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from invdpo.any_dataset import read_known
from invdpo.cli import app
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.schemas import DataError
from invdpo.schemas.ids import prompt_key
from tests.curate.dataset_files import png

COUNT = 12


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pairs of somebody else in one Parquet file, with columns of their own."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "prompt": f"a thing, number {n}",
            "chosen": png(n),
            "rejected": png(100 + n),
            "category": ("animal", "food")[n % 2],
            "votes": n,
            "graph": n,
            "boxes": [n],
        }
        for n in range(COUNT)
    ]
    table = pa.Table.from_pylist(rows)
    large = table.schema.get_field_index("category")
    table = table.set_column(large, "category", table["category"].cast(pa.large_string()))
    pq.write_table(table, "others.parquet")
    return Path("others.parquet")


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, ["curate", *map(str, words)])


def test_a_file_of_others_is_cut_by_its_own_columns(others: Path) -> None:
    where = ["--where", "category=food", "--where", "votes>=5"]
    result = invdpo("subset", others, *where, "--output", "out")
    assert result.exit_code == 0, result.output
    (path,) = DatasetFolder(Path("out")).shards()
    table = pq.read_table(path)
    assert table["votes"].to_pylist() == [5, 7, 9, 11]
    assert table["category"].type == pa.string()
    assert "boxes" not in table.column_names  # no plain value
    assert table["graph"].null_count == len(table)  # a number, where we have texts
    assert list(Path().glob(".invdpo-*")) == []


def test_sets_of_two_layouts_are_merged_pushed_into_one_card_and_cleared(others: Path) -> None:
    steps = (
        ["subset", others, "--number", 4, "--output", "few"],
        ["merge", "few", others, "--output", "all"],
        ["dedupe", "all", "--against", "few", "--output", "rest"],
        ["card", "rest", "--license", "mit"],
    )
    for words in steps:
        result = invdpo(*words)
        assert result.exit_code == 0, result.output
    counts = [DatasetFolder(Path(name)).count_pairs("train") for name in ("few", "all", "rest")]
    assert counts == [4, COUNT, COUNT - 4]
    assert "license: mit" in Path("rest/README.md").read_text(encoding="utf-8")


def test_prompts_are_known_from_sets_and_files(others: Path) -> None:
    Path("prompts.txt").write_text("A cat\n\na dog\n", encoding="utf-8")
    known = read_known([str(others), "prompts.txt"])
    assert {prompt_key("a CAT"), prompt_key("a thing, number 3")} <= set(known.prompts)
    assert len(known.prompts) == COUNT + 2
    assert known.names == ("others.parquet", "prompts.txt")
    with pytest.raises(DataError, match="not found"):
        read_known(["gone"])
