"""Exported folders as others read them: pairs with their sides, one caption a pair."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from invdpo.curate.exchange import export_dataset, import_dataset
from invdpo.schemas.config.dataset import DatasetConfig
from tests.curate.dataset_files import pairs, workspace, write

KEEP = DatasetConfig()
PROMPT = "a cat\nand a dog\r\n\u2028 in the rain"
FLIPPED = {"chosen_id": "rejected_id", "rejected_id": "chosen_id"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default cache of `datasets`, which all datasets share."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("cache")
def test_load_dataset_gives_pairs(tmp_path: Path) -> None:
    """And those of this folder, not of another one of its name that was loaded before."""
    import datasets

    ws = workspace(tmp_path / "work")
    flipped = pairs().rename_columns([FLIPPED.get(name, name) for name in pairs().column_names])
    for number, table in enumerate((pairs(), flipped)):
        output = tmp_path / str(number) / "out"
        output.parent.mkdir()
        export_dataset(write(ws, table), "folders", output, KEEP)
        loaded = datasets.load_dataset(str(output))
        assert {name: len(split) for name, split in loaded.items()} == {
            "train": 24,
            "validation": 6,
        }
        for row in loaded["train"]:
            n = int(row["pair_id"].removeprefix("pair"))
            assert row["prompt"] == f"image {n}"
            shades = [row[side].getpixel((0, 0))[0] for side in ("chosen", "rejected")]
            expected = [3 * n + 2, 3 * n]
            assert shades == (expected[::-1] if number else expected)


def test_a_prompt_with_line_breaks_is_one_caption(tmp_path: Path) -> None:
    folder = write(workspace(tmp_path / "work"))
    for shard in (folder / "data").iterdir():
        table = pq.read_table(shard)
        index = table.schema.get_field_index("prompt")
        pq.write_table(table.set_column(index, "prompt", [[PROMPT] * len(table)]), shard)
    export_dataset(folder, "folders", tmp_path / "out", KEEP)
    captions = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.txt")]
    assert {*captions} == {"a cat and a dog  in the rain"}
    assert [len(caption.splitlines()) for caption in captions] == [1] * 60
    lines = (tmp_path / "out" / "train" / "metadata.jsonl").read_text(encoding="utf-8")
    assert {json.loads(line)["prompt"] for line in lines.split("\n") if line} == {PROMPT}
    import_dataset(tmp_path / "out", "folders", tmp_path / "back", KEEP)
    back = pq.read_table(tmp_path / "back" / "data")
    assert {*back["prompt"].to_pylist()} == {PROMPT}
