"""What is skipped, what stops, and how much is in memory."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.images import FORMATS
from invdpo.schemas.layouts import folders, rows
from invdpo.schemas.layouts.rows import Row
from invdpo.train.data import LAYOUTS, DataSet, image_id, open_dataset
from tests.train.data.dataset_folders import write_file, write_table
from tests.train.tiny import png, row, write_pairs

BAD = b"no image at all"


def spoilt(folder: Path, count: int, bad: set[int]) -> DataSet:
    """A dataset of which some rows hold no image, on either side."""
    sides = ({"chosen": BAD}, {"rejected": BAD})
    rows = [row(n, **sides[n % 2] if n in bad else {}) for n in range(count)]
    write_pairs(folder, "train", rows)
    return open_dataset(folder)


def test_unreadable_pictures_are_skipped_and_their_rows_named(tmp_path: Path) -> None:
    pairs = spoilt(tmp_path, 5, {1, 4}).pairs("train")
    assert [pair.pair_id for pair in pairs.pairs] == ["pair0", "pair2", "pair3"]
    assert pairs.skipped == {"image unreadable": 2}
    file = "data/train-00000-of-00001.parquet"
    assert pairs.unreadable == [f"{file} row 1", f"{file} row 4"]


def test_as_many_as_allowed_are_no_error(tmp_path: Path) -> None:
    assert len(spoilt(tmp_path, 4, {0, 2}).pairs("train", max_unreadable=2).pairs) == 2


def test_one_more_stops_and_names_the_first(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        spoilt(tmp_path, 12, set(range(2, 12))).pairs("train", max_unreadable=7)
    text = str(error.value)
    assert "in 8 rows, at most 7 allowed (max_unreadable)" in text
    assert all(f"row {n}," in text for n in range(2, 7))
    assert "row 7" not in text


def test_none_allowed_stops_at_the_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"in 1 row, at most 0 allowed .*parquet row 3\."):
        spoilt(tmp_path, 5, {3, 4}).pairs("train", max_unreadable=0)


def test_an_empty_file_is_no_picture(tmp_path: Path) -> None:
    write_file(tmp_path / "a.png", b"")
    write_file(tmp_path / "b.png", png(0))
    write_table(tmp_path / "x.parquet", [{"prompt": "x", "chosen": "a.png", "rejected": "b.png"}])
    assert open_dataset(tmp_path).pairs("train").skipped == {"image unreadable": 1}


def test_unreadable_rows_still_give_their_readable_picture(tmp_path: Path) -> None:
    dataset = spoilt(tmp_path, 2, {1})
    wanted = {image_id(png(2)), image_id(BAD)}
    assert dict(dataset.images("train", wanted)).keys() == wanted


STATES: dict[str, dict[str, Any]] = {
    "fine": {},
    "prompt missing": {"prompt": None},
    "blank": {"prompt": " \n"},
    "image missing": {"rejected": None},
    "chosen equals rejected": {"chosen": b"same", "rejected": b"same"},
}


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(sorted(STATES)), st.integers(0, 5)), st.integers())
def test_every_row_is_a_pair_or_counted(counts: dict[str, int], seed: int) -> None:
    states = [name for name, count in counts.items() for _ in range(count)]
    random.Random(seed).shuffle(states)
    good = Row("here", "x", b"a", b"b")
    reasons = [replace(good, **STATES[state]).skip_reason for state in states]
    expected = [{"fine": None, "blank": "prompt missing"}.get(state, state) for state in states]
    assert reasons == expected


def test_pictures_stop_when_all_wanted_are_found(tmp_path: Path) -> None:
    write_pairs(tmp_path, "train", [row(0)])
    (tmp_path / "data" / "train-99999.parquet").write_bytes(b"never opened")
    dataset = open_dataset(tmp_path)
    assert dict(dataset.images("train", {image_id(png(0))})) == {image_id(png(0)): png(0)}
    with pytest.raises(DataError, match="not readable as Parquet"):
        list(dataset.images("train", {"another"}))


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    write_file(tmp_path / "train.parquet", b"PAR1 but no more")
    with pytest.raises(DataError, match=r"train\.parquet: damaged, or not readable"):
        open_dataset(tmp_path)


def test_a_file_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    path = write_pairs(tmp_path, "train", [row(0)])
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train-.*: damaged, or not readable"):
        open_dataset(tmp_path).pairs("train")


def test_few_rows_are_in_memory(tmp_path: Path) -> None:
    """64 rows of 128 kB a side in groups of 8: one group at a time, whatever the file's size."""
    pictures = [png(n, (209, 209)) for n in range(128)]
    rows = [{"prompt": "x", "chosen": pictures[n], "rejected": pictures[-1 - n]} for n in range(64)]
    path = write_table(tmp_path / "train.parquet", rows, row_group_size=8, use_dictionary=False)
    dataset, most, before = open_dataset(tmp_path), 0, pa.total_allocated_bytes()
    for _ in dataset.images("train", {image_id(picture) for picture in pictures}):
        most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < path.stat().st_size / 2


def test_the_page_on_data_names_every_layout_reason_and_format() -> None:
    page = (Path(__file__).parents[3] / "docs" / "data-in.md").read_text(encoding="utf-8")
    reasons = [rows.TIE, rows.IMAGE_MISSING, rows.PROMPT_MISSING, rows.EQUAL, rows.UNREADABLE]
    reasons += [folders.NO_LOSER, folders.NO_WINNER, folders.TWICE, folders.NOT_UTF8]
    assert [reason for reason in reasons if f"`{reason}`" not in page] == []
    assert all(f"| `{name}` |" in page for name in LAYOUTS)
    assert all(name.lower() in page.lower() for name in FORMATS)
