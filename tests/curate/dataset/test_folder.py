"""A dataset found by its folder or its workspace, and its files read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.dataset.folder import DatasetFolder, RowLocation, open_shard
from invdpo.schemas import DataError
from tests.curate.dataset_files import pairs, workspace, write


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """24 pairs to train on and 6 for validation."""
    return write(workspace(tmp_path / "work"))


def test_a_data_set_is_found_by_itself_and_by_its_workspace(dataset: Path) -> None:
    itself, by_workspace = DatasetFolder.find(dataset), DatasetFolder.find(dataset.parent)
    assert itself.path == by_workspace.path == dataset
    assert itself.workspace is None
    assert by_workspace.workspace is not None
    assert by_workspace.workspace.root == dataset.parent
    assert itself.enclosing_workspace is not None
    assert itself.enclosing_workspace.root == dataset.parent


def test_a_data_set_elsewhere_is_in_no_workspace(dataset: Path, tmp_path: Path) -> None:
    alone = dataset.rename(tmp_path / "dataset")
    assert DatasetFolder.find(alone).enclosing_workspace is None


def test_what_is_no_data_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no dataset: no such folder"):
        DatasetFolder.find(tmp_path / "gone")
    with pytest.raises(DataError, match="no dataset: neither data/"):
        DatasetFolder.find(tmp_path)
    work = workspace(tmp_path / "work").root
    (work / "dataset" / "data").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no dataset yet. First run: invdpo curate pair \S+work$"):
        DatasetFolder.find(work)
    with pytest.raises(DataError, match=r"no dataset. Expected data/\*\.parquet"):
        DatasetFolder(work / "dataset").schema()


def test_files_and_pairs_by_split(dataset: Path) -> None:
    folder = DatasetFolder(dataset)
    names = [path.name.split("-")[0] for path in folder.shards()]
    assert names == ["train", "validation"]
    assert folder.shards("train") == folder.shards()[:1]
    assert [folder.count_pairs(split) for split in ("train", "validation", "test")] == [24, 6, 0]
    assert len(folder.read_columns(["pair_id", "prompt"])) == 30
    assert "chosen" in folder.schema().names


def test_every_row_tells_where_it_is(dataset: Path) -> None:
    """Row groups of 10 rows: 3 for the 24 pairs to train on, 1 for validation."""
    folder = DatasetFolder(dataset)
    for path in folder.shards():
        pq.write_table(pq.read_table(path), path, row_group_size=10)
    rows = list(folder.rows(["pair_id", "none"], required=["prompt"]))
    assert [record for _, record in rows] == [
        {"pair_id": f"pair{n}"} for n in [*range(6, 30), *range(6)]
    ]
    train, validation = folder.shards()
    assert rows[0][0] == RowLocation(train, 0, 0)
    assert rows[23][0] == RowLocation(train, 2, 3)
    assert rows[29][0] == RowLocation(validation, 0, 5)
    for location, record in rows:
        with open_shard(location.path) as file:
            ids = file.read_row_group(location.group, ["pair_id"])["pair_id"]
        assert ids[location.row].as_py() == record["pair_id"]


def test_lacking_columns_and_damage_are_told(dataset: Path) -> None:
    folder = DatasetFolder(dataset)
    shard = folder.shards()[0]
    pq.write_table(pa.table({"pair_id": ["a"]}), shard)
    with pytest.raises(DataError, match=rf"{shard.name}: .*: column prompt, graph missing"):
        list(folder.rows(["pair_id"], required=["pair_id", "prompt", "graph"]))
    shard.write_bytes(b"PAR1")
    for read in (folder.schema, lambda: folder.count_pairs("train"), lambda: [*folder.rows([])]):
        with pytest.raises(DataError, match=f"{shard.name}: damaged, or not readable"):
            read()


def test_cards(dataset: Path) -> None:
    folder = DatasetFolder(dataset)
    assert folder.read_card() == (dataset / "README.md").read_text()
    (dataset / "README.md").write_text("---\n{\n---\n")
    with pytest.raises(DataError, match=r"dataset/README\.md: the head is not YAML"):
        folder.read_card()
    (dataset / "README.md").unlink()
    assert folder.read_card() is None


def test_a_data_set_on_a_store() -> None:
    path = write(workspace("memory://folders/work"), pairs(3, held=1))
    folder = DatasetFolder(path)
    assert [folder.count_pairs(split) for split in ("train", "validation")] == [2, 1]
    assert [record["pair_id"] for _, record in folder.rows(["pair_id"])] == [
        "pair1",
        "pair2",
        "pair0",
    ]
