"""Out and in again, and read by our trainer: the same pairs, the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from invdpo.curate.exchange import IMPORTS, export_dataset, import_dataset
from invdpo.hub.source import find_dataset
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.train.data import image_id, open_dataset
from tests.curate.dataset_files import workspace, write

KEEP = DatasetConfig()
LAYOUTS = ["folders", "pickapic", "preference"]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pairs to train on and 6 for validation."""
    return write(workspace(tmp_path_factory.mktemp("ours") / "work"))


def rows(folder: Path) -> list[dict[str, Any]]:
    return [
        row | {"split": path.name.split("-")[0]}
        for path in sorted((folder / "data").iterdir())
        for row in pq.read_table(path).to_pylist()
    ]


def pairs(folder: Path) -> set[tuple[str, str, bytes, bytes]]:
    """What makes a pair, whatever it is called."""
    return {
        (row["split"], row["prompt"], row["chosen"]["bytes"], row["rejected"]["bytes"])
        for row in rows(folder)
    }


def read_by_trainer(folder: Path, data_format: str) -> set[tuple[str, str, str, str]]:
    dataset = open_dataset(folder, data_format)
    return {
        (split, pair.prompt, pair.chosen, pair.rejected)
        for split in ("train", "validation")
        for pair in dataset.pairs(split).pairs
    }


def test_every_layout_is_tried() -> None:
    assert IMPORTS.names() == LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_out_and_in_again(layout: str, ours: Path, tmp_path: Path) -> None:
    out = export_dataset(ours, layout, tmp_path / "out", KEEP)
    back = import_dataset(tmp_path / "out", layout, tmp_path / "back", KEEP)
    assert out.pairs == back.pairs == {"train": 24, "validation": 6}
    assert not back.skipped
    assert pairs(tmp_path / "back") == pairs(ours)
    if layout != "folders":
        names = {row["pair_id"] for row in rows(tmp_path / "back")}
        assert names == {f"pair{n}" for n in range(30)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_our_trainer_reads_the_same_pairs(layout: str, ours: Path, tmp_path: Path) -> None:
    export_dataset(ours, layout, tmp_path / "out", KEEP)
    expected = {(s, prompt, image_id(c), image_id(r)) for s, prompt, c, r in pairs(ours)}
    assert read_by_trainer(tmp_path / "out", layout) == expected
    # with pair_id beside, the preference layout is as good as ours
    recognised = "invdpo" if layout == "preference" else layout
    assert open_dataset(tmp_path / "out").data_format == recognised
    import_dataset(tmp_path / "out", layout, tmp_path / "back", KEEP)
    assert read_by_trainer(tmp_path / "back", "invdpo") == expected


def test_ids_that_hash_keep_their_names_in_folders(ours: Path, tmp_path: Path) -> None:
    """An id made of content names the files, and is taken from there again."""
    import_dataset(ours, "preference", tmp_path / "hashed", KEEP)
    table = pq.read_table(tmp_path / "hashed" / "data").drop_columns(["pair_id"])
    (tmp_path / "plain").mkdir()
    pq.write_table(table, tmp_path / "plain" / "train.parquet")
    import_dataset(tmp_path / "plain", "preference", tmp_path / "named", KEEP)
    export_dataset(tmp_path / "named", "folders", tmp_path / "out", KEEP)
    import_dataset(tmp_path / "out", "folders", tmp_path / "back", KEEP)
    names = {row["pair_id"] for row in rows(tmp_path / "back")}
    assert names == {row["pair_id"] for row in rows(tmp_path / "named")}
    assert {len(name) for name in names} == {32}
    assert names == {pair.pair_id for pair in open_dataset(tmp_path / "plain").pairs("train").pairs}


def test_what_came_in_can_be_pushed_and_go_out_again(ours: Path, tmp_path: Path) -> None:
    export_dataset(ours, "pickapic", tmp_path / "out", KEEP)
    import_dataset(tmp_path / "out", "pickapic", tmp_path / "back", KEEP)
    source = find_dataset(tmp_path / "back")
    assert (source.pairs, source.workspace) == (30, None)
    export_dataset(tmp_path / "back", "preference", tmp_path / "on", KEEP)
    assert read_by_trainer(tmp_path / "on", "preference") == read_by_trainer(ours, "invdpo")


def test_the_workspace_stands_for_its_data_set(ours: Path, tmp_path: Path) -> None:
    done = export_dataset(ours.parent, "preference", tmp_path / "out", KEEP)
    assert done.pairs.total() == 30


def test_the_same_set_gives_the_same_bytes(ours: Path, tmp_path: Path) -> None:
    for layout in ("pickapic", "webdataset"):
        contents = []
        for name in ("one", "two"):
            export_dataset(ours, layout, tmp_path / layout / name, KEEP)
            files = sorted(p for p in (tmp_path / layout / name).rglob("*") if p.is_file())
            contents.append([path.read_bytes() for path in files])
        assert contents[0] == contents[1]
