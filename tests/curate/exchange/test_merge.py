"""Several datasets as one: doubles, leaks between splits, columns that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.dataset.card import write_dataset_card
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.dataset.write import write_splits
from invdpo.curate.exchange.merge import LEAK, TWICE, merge_datasets
from invdpo.curate.images import encode
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.tables import dataset_schema


def _image(shade: int) -> dict[str, Any]:
    return {"bytes": encode(np.full((4, 4, 3), shade, np.uint8)), "path": f"{shade}.png"}


def _dataset(folder: Path, rows: list[tuple[str, str, str]], *scores: str) -> Path:
    """Rows of (split, pair id, prompt)."""
    schema = dataset_schema(scores)
    (folder / "data").mkdir(parents=True)
    tables = []
    for number, (split, pair_id, prompt) in enumerate(rows):
        row = {"pair_id": pair_id, "prompt": prompt, "margin": 1.0}
        row |= {"chosen": _image(number), "rejected": _image(100 + number)}
        tables.append((split, pa.Table.from_pylist([row], schema)))
    write_splits(folder / "data", tables, schema)
    return folder


def test_the_first_of_equal_pairs_stays_and_no_prompt_is_in_both_splits(tmp_path: Path) -> None:
    first = _dataset(
        tmp_path / "a",
        [("train", "1", "a cat"), ("train", "2", "A  dog"), ("validation", "3", "x")],
    )
    second = _dataset(
        tmp_path / "b", [("train", "1", "a cat"), ("train", "4", "X"), ("validation", "5", "a dog")]
    )
    result = merge_datasets([first, second], tmp_path / "out", DatasetConfig())
    assert result.skipped == {TWICE: 1, LEAK: 2}
    left = {
        split: pq.read_table(path)["pair_id"].to_pylist()
        for split in ("train", "validation")
        for path in DatasetFolder(tmp_path / "out").shards(split)
    }
    assert left == {"train": ["1"], "validation": ["3", "5"]}
    assert result.pairs == {"train": 1, "validation": 2}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Merged by invdpo from 2 datasets: a, b." in card


def test_datasets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Rounds of two folders have the same names; the hash of each is kept."""
    folders = [
        _dataset(tmp_path / name / "round-001", [("train", name, f"prompt {name}")])
        for name in ("a", "b")
    ]
    merge_datasets(folders, tmp_path / "out", DatasetConfig())
    schema = pq.read_schema(next((tmp_path / "out" / "data").glob("*.parquet")))
    text = str(schema.metadata)
    assert "2 datasets: round-001 (1), round-001 (2)" in text
    assert all(DatasetFolder(folder).content_hash() in text for folder in folders)


def test_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    first = _dataset(tmp_path / "a", [("train", "1", "a cat")], "clip")
    second = _dataset(tmp_path / "b", [("train", "2", "a dog")], "pickscore")
    with pytest.raises(DataError, match="chosen_clip, chosen_pickscore, rejected_clip"):
        merge_datasets([first, second], tmp_path / "out", DatasetConfig())
    assert not (tmp_path / "out").exists()


def test_one_data_set_is_not_merged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two or more"):
        merge_datasets([tmp_path], tmp_path / "out", DatasetConfig())


def test_the_licence_stays_where_all_have_one_and_else_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was `other` in any case, without a word."""
    folders = [_dataset(tmp_path / name, [("train", name, name)]) for name in ("a", "b")]
    for name, licences, expected in (
        ("same", ("mit", "mit"), "mit"),
        ("unlike", ("mit", "cc0-1.0"), "other"),
        ("unknown", ("mit", "other"), "other"),
    ):
        caplog.clear()
        for folder, licence in zip(folders, licences, strict=True):
            write_dataset_card(folder, "card", DatasetConfig(license=licence))
        merge_datasets(folders, tmp_path / name, DatasetConfig())
        assert f"license: {expected}" in (tmp_path / name / "README.md").read_text()
        assert ("different licences" in caplog.text) == (expected == "other")
    merge_datasets(folders, tmp_path / "given", DatasetConfig(license="cc0-1.0"))
    assert "license: cc0-1.0" in (tmp_path / "given" / "README.md").read_text()
