"""Exports as those read them for whom they are."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from invdpo.curate.exchange import export_dataset
from invdpo.curate.exchange import webdataset as webdataset_layout
from invdpo.schemas import DataError, PluginError
from invdpo.schemas.config.dataset import DatasetConfig
from tests.curate.dataset_files import png, workspace, write
from tests.hub_repos import card_errors

KEEP = DatasetConfig()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(workspace(tmp_path_factory.mktemp("ours") / "work"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_pickapic_as_training_scripts_read_it(ours: Path, tmp_path: Path, offline: None) -> None:
    """Both images decoded from bytes, and put in order by `label_0`, as the scripts do."""
    import datasets

    folder = export_dataset(ours, "pickapic", tmp_path / "out", KEEP).folder
    split = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(split.filter(lambda row: row["label_0"] in (0, 1))) == 24
    for row in split:
        number = int(row["pair_id"].removeprefix("pair"))
        shades = []
        for n in (0, 1):
            picture = Image.open(io.BytesIO(row[f"jpg_{n}"])).convert("RGB")
            pixel: Any = picture.getpixel((0, 0))
            shades.append(pixel[0])
        better, worse = shades if row["label_0"] == 1 else shades[::-1]
        assert (better, worse) == (3 * number + 2, 3 * number)
        assert row["caption"] == f"image {number}"
        assert row["label_0"] + row["label_1"] == 1
        assert row["best_image_uid"] == row["image_0_uid" if row["label_0"] else "image_1_uid"]
        assert row["num_example_per_prompt"] == 1


def test_the_better_picture_stands_on_either_side(ours: Path, tmp_path: Path) -> None:
    export_dataset(ours, "pickapic", tmp_path / "out", KEEP)
    labels = pq.read_table(tmp_path / "out" / "data", columns=["label_0"])["label_0"].to_pylist()
    assert min(Counter(labels).values()) >= 8


def test_pairs_of_one_prompt_are_counted(ours: Path, tmp_path: Path) -> None:
    table = pq.read_table(ours / "data")
    prompts = ["a", "a", "a", *(["b"] * 27)]
    table = table.set_column(table.schema.get_field_index("prompt"), "prompt", [prompts])
    (tmp_path / "set" / "data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "set" / "data" / "train-00000-of-00001.parquet")
    export_dataset(tmp_path / "set", "pickapic", tmp_path / "out", KEEP)
    rows = pq.read_table(tmp_path / "out" / "data").to_pylist()
    assert {(row["caption"], row["num_example_per_prompt"]) for row in rows} == {
        ("a", 3),
        ("b", 27),
    }


def test_preference_has_images(ours: Path, tmp_path: Path, offline: None) -> None:
    import datasets

    folder = export_dataset(ours, "preference", tmp_path / "out", KEEP).folder
    split = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert {"prompt", "chosen", "rejected"} <= set(split.column_names)
    assert split[0]["chosen"].size == (6, 6)


def test_webdataset_is_read_as_such(ours: Path, tmp_path: Path, offline: None) -> None:
    import datasets

    folder = export_dataset(ours, "webdataset", tmp_path / "out", KEEP).folder
    split = datasets.load_dataset(
        "webdataset", data_files=str(folder / "train-*.tar"), split="train", streaming=True
    )
    row = next(iter(split))
    metadata = row["json"]
    number = int(metadata["pair_id"].removeprefix("pair"))
    assert row["txt"] == f"image {number}"
    assert row["chosen.png"].getpixel((0, 0)) == (3 * number + 2, 0, 0)
    assert metadata["chosen_clip"] == pytest.approx((3 * number + 2) / 90)


def test_tar_files_hold_a_pair_together_and_no_time(ours: Path, tmp_path: Path) -> None:
    export_dataset(ours, "webdataset", tmp_path / "out", KEEP)
    with tarfile.open(tmp_path / "out" / "validation-00000.tar") as tar:
        members = tar.getmembers()
        assert [m.name for m in members][:4] == [
            "pair0.txt",
            "pair0.json",
            "pair0.chosen.png",
            "pair0.rejected.png",
        ]
        assert {(m.mtime, m.uid, m.uname) for m in members} == {(0, 0, "")}
        file = tar.extractfile("pair0.rejected.png")
        assert file is not None
        assert file.read() == png(0)
        graph = tar.extractfile("pair0.json")
        assert graph is not None
        assert "circle" in json.loads(graph.read())["graph"]


def test_full_tar_files_are_followed_by_others(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset_layout, "SHARD_BYTES", 4000)
    export_dataset(ours, "webdataset", tmp_path / "out", KEEP)
    tars = sorted((tmp_path / "out").glob("train-*.tar"))
    assert len(tars) > 2
    names = []
    for path in tars:
        with tarfile.open(path) as tar:
            names += tar.getnames()
    assert len(names) == len(set(names)) == 4 * 24


def test_jpeg_only_when_asked(ours: Path, tmp_path: Path) -> None:
    settings = DatasetConfig(image_format="jpeg", quality=85)
    export_dataset(ours, "pickapic", tmp_path / "out", settings)
    images = pq.read_table(tmp_path / "out" / "data", columns=["jpg_0"])["jpg_0"].to_pylist()
    assert all(data.startswith(b"\xff\xd8") for data in images)


def test_the_card_keeps_licence_and_says_where_it_comes_from(ours: Path, tmp_path: Path) -> None:
    for layout in ("pickapic", "webdataset"):
        export_dataset(ours, layout, tmp_path / layout, KEEP)
        card = (tmp_path / layout / "README.md").read_text()
        assert "license: other" in card
        assert f"layout `{layout}`" in card
        assert card_errors(card, "dataset") == []


def test_names_that_no_file_may_have_are_hashed(ours: Path, tmp_path: Path) -> None:
    table = pq.read_table(ours / "data").slice(0, 2)
    names = [["../../escape", "a/b:c"]]
    table = table.set_column(0, table.schema.field("pair_id"), names)
    (tmp_path / "set" / "data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "set" / "data" / "train-00000-of-00001.parquet")
    export_dataset(tmp_path / "set", "folders", tmp_path / "out", KEEP)
    stems = {path.stem for path in (tmp_path / "out" / "train" / "chosen").iterdir()}
    assert {len(name) for name in stems} == {32}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "set"]


def test_what_holds_something_is_not_touched(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match=r"such as mine\.txt, so it is not replaced"):
        export_dataset(ours, "folders", tmp_path, KEEP)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_unknown_layouts_and_foreign_sets_are_told(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="Known: folders, pickapic, preference, webdataset"):
        export_dataset(ours, "lmdb", tmp_path / "out", KEEP)
    with pytest.raises(DataError, match=r"no dataset: neither data/"):
        export_dataset(tmp_path, "folders", tmp_path / "out", KEEP)
    export_dataset(ours, "pickapic", tmp_path / "theirs", KEEP)
    with pytest.raises(
        DataError, match="not a dataset of invdpo; prompt, chosen, rejected missing"
    ):
        export_dataset(tmp_path / "theirs", "folders", tmp_path / "out", KEEP)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["folders", "webdataset"])
def test_no_pair_replaces_another_of_its_id(ours: Path, tmp_path: Path, layout: str) -> None:
    """Fewer images were written than the count of pairs said."""
    twice = Path(shutil.copytree(ours, tmp_path / "twice"))
    shard = next((twice / "data").glob("train-*.parquet"))
    rows = pq.read_table(shard)
    pq.write_table(pa.concat_tables([rows, rows]).combine_chunks(), shard)
    with pytest.raises(DataError, match=r"24 ids occur in several rows.*invdpo curate dedupe"):
        export_dataset(twice, layout, tmp_path / "out", KEEP)
    assert not (tmp_path / "out").exists()
