"""Other files are another dataset: for the cache of `datasets`, for readers, for a push."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.dataset.shards import CHUNKED, CHUNKING
from invdpo.curate.exchange.exporter import export_dataset
from invdpo.data_cards.head import split_head
from invdpo.data_cards.metadata import stored_content_hash
from invdpo.hub.source import find_dataset
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.parquet import iter_records
from tests.curate.dataset_files import pairs, workspace, write

OTHER_SIDE = {"chosen_id": "rejected_id", "rejected_id": "chosen_id"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default cache of `datasets`, which all datasets share."""
    import datasets

    folder = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return folder


def loaded(folder: Path) -> dict[str, list[Any]]:
    """Split -> colour of each chosen image, as `datasets` gives them."""
    import datasets

    return {
        name: [row["chosen"].getpixel((0, 0)) for row in split]
        for name, split in datasets.load_dataset(str(folder)).items()
    }


def stored(folder: Path) -> dict[str, list[Any]]:
    """The same from the files."""
    from invdpo.schemas.io.images import decode

    found = {}
    for split in ("train", "validation"):
        shards = DatasetFolder(folder).shards(split)
        rows = [row for path in shards for row in iter_records(path, ["chosen"])]
        if rows:
            found[split] = [decode(row["chosen"]["bytes"]).getpixel((0, 0)) for row in rows]
    return found


def flipped(table: pa.Table) -> pa.Table:
    """The same pairs with their sides exchanged, as a review does it."""
    return table.rename_columns([OTHER_SIDE.get(name, name) for name in table.column_names])


@pytest.mark.usefixtures("cache")
def test_each_is_loaded_as_it_is(tmp_path: Path) -> None:
    first, second = (workspace(tmp_path / name) for name in ("first", "second"))
    folders = [write(first), write(second, pairs(20))]
    contents = [loaded(folder) for folder in folders]
    assert contents == [stored(folder) for folder in folders]
    assert contents[0] != contents[1]
    for again in (pairs(12), flipped(pairs(12)), flipped(pairs())):  # cut anew, and flipped
        assert loaded(write(first, again)) == stored(folders[0])
    assert loaded(folders[1]) == contents[1]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("layout", ["preference", "pickapic"])
def test_exports_are_loaded_as_they_are(layout: str, tmp_path: Path) -> None:
    import datasets

    ws = workspace(tmp_path / "work")
    for number, table in enumerate((pairs(), flipped(pairs()))):
        dataset = write(ws, table)
        output = tmp_path / str(number) / "out"
        output.parent.mkdir()
        export_dataset(dataset, layout, output, DatasetConfig())
        rows = datasets.load_dataset(str(output), split="train").with_format("arrow")[:].to_pylist()
        shards = DatasetFolder(output).shards("train")
        expected = [row for path in shards for row in iter_records(path, list(rows[0]))]
        assert rows == expected


def test_card_tells_sizes_and_hash(tmp_path: Path) -> None:
    folder = write(workspace(tmp_path / "work"))
    head, _ = split_head((folder / "README.md").read_text(encoding="utf-8"), "card")
    info = head["dataset_info"]
    assert [(split["name"], split["num_examples"]) for split in info["splits"]] == [
        ("train", 24),
        ("validation", 6),
    ]
    sizes = [path.stat().st_size for path in (folder / "data").iterdir()]
    assert info["download_size"] == sum(sizes)
    assert info["dataset_size"] == sum(split["num_bytes"] for split in info["splits"])
    assert stored_content_hash(head) == DatasetFolder(folder).content_hash()


def test_files_say_that_they_are_chunked_by_content(tmp_path: Path) -> None:
    shard = DatasetFolder(write(workspace(tmp_path / "work"))).shards()[0]
    assert json.loads(pq.read_metadata(shard).metadata[CHUNKED.encode()]) == CHUNKING


@pytest.mark.parametrize("name", ["prompt", "pair_id", "chosen_clip", "graph"])
def test_a_flipped_bit_is_not_read(name: str, tmp_path: Path) -> None:
    folder = DatasetFolder(write(workspace(tmp_path / "work")))
    shard = folder.shards("train")[0]
    before, content = folder.read_columns([name]), bytearray(shard.read_bytes())
    group = pq.read_metadata(shard).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    column = next(column for column in columns if column.path_in_schema == name)
    start = column.dictionary_page_offset or column.data_page_offset
    content[start + column.total_compressed_size - 1] ^= 1  # the last byte of the last page
    shard.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        list(iter_records(shard, [name]))
    with pytest.raises(DataError, match="damaged"):
        folder.read_columns([name])
    content[start + column.total_compressed_size - 1] ^= 1
    shard.write_bytes(content)
    assert folder.read_columns([name]) == before


def test_a_damaged_file_is_not_pushed(tmp_path: Path) -> None:
    folder = write(workspace(tmp_path / "work"))
    find_dataset(folder)
    shard = DatasetFolder(folder).shards("train")[0]
    content = bytearray(shard.read_bytes())
    at = content.index(b"IDAT") + 6
    content[at] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"(?s)damaged or were changed.*curate pair --overwrite"):
        find_dataset(folder)
