from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id
from invdpo.train.data import image_id, open_dataset
from tests.schemas.io import icc
from tests.train.tiny import png, row, write_pairs


def test_pairs_and_their_pictures(tmp_path: Path) -> None:
    write_pairs(tmp_path, "train", [row(0), row(1)])
    pairs = open_dataset(tmp_path).pairs("train").pairs
    assert [(p.pair_id, p.prompt) for p in pairs] == [
        ("pair0", "a red circle"),
        ("pair1", "a blue square"),
    ]
    images = dict(open_dataset(tmp_path).images("train", {pairs[1].chosen}))
    assert images == {image_id(png(2)): png(2)}


def test_what_is_skipped_is_counted_with_its_first_row(tmp_path: Path) -> None:
    rows = [row(0), row(1, png(5), png(5)), {**row(2), "chosen": None}, {**row(3), "prompt": None}]
    write_pairs(tmp_path, "train", rows)
    pairs = open_dataset(tmp_path).pairs("train")
    assert len(pairs.pairs) == 1
    assert pairs.skipped == {"chosen equals rejected": 1, "image missing": 1, "prompt missing": 1}
    assert pairs.examples["chosen equals rejected"].endswith("row 1")


def test_a_split_that_is_not_there_is_empty(tmp_path: Path) -> None:
    write_pairs(tmp_path, "train", [row(0)])
    assert open_dataset(tmp_path).pairs("validation").pairs == []
    assert list(open_dataset(tmp_path).images("validation", {image_id(png(0))})) == []


def test_missing_columns_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"caption": ["x"], "prompt": ["x"]}), tmp_path / "train-0.parquet")
    with pytest.raises(DataError, match="column chosen, rejected missing; expected"):
        open_dataset(tmp_path).pairs("train")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = write_pairs(tmp_path, "train", [row(0)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=path.name):
        open_dataset(tmp_path).pairs("train")


def test_caches_of_pictures_that_were_read_wrongly_are_not_used(tmp_path: Path) -> None:
    """The ids of all others stay, so what was computed for them is found."""
    file = io.BytesIO()
    Image.open(io.BytesIO(png(2))).save(file, "PNG", icc_profile=icc.display_p3())
    write_pairs(tmp_path, "train", [row(0, png(1), file.getvalue())])
    (pair,) = open_dataset(tmp_path).pairs("train").pairs
    assert pair.readings == (1, 2)
    assert pair.pictures[0] == content_id(pair.chosen, pair.bucket)
    assert pair.pictures[1] != content_id(pair.rejected, pair.bucket)
