from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.train.data import LAYOUTS, image_id, open_dataset
from tests.train.data.dataset_folders import (
    BUILDERS,
    EXPECTED,
    PAIRS,
    contents,
    folders,
    invdpo,
    paths,
    pickapic,
    pickapic_row,
    structs,
    write_file,
    write_table,
)
from tests.train.tiny import SIZE, png

PREFERENCE = {"prompt": "x", "chosen": png(0), "rejected": png(1)}


@pytest.mark.parametrize("name", BUILDERS)
def test_every_layout_is_recognised_and_tells_the_same_pairs(name: str, tmp_path: Path) -> None:
    layout, build = BUILDERS[name]
    build(tmp_path)
    dataset = open_dataset(tmp_path)
    assert (dataset.name, dataset.data_format) == (tmp_path.as_posix(), layout)
    pairs = dataset.pairs("train")
    assert contents(pairs) == EXPECTED
    assert all(pair.sizes == (SIZE, SIZE) for pair in pairs.pairs)
    assert not pairs.skipped
    assert dataset.pairs("validation").pairs == []


@pytest.mark.parametrize("name", BUILDERS)
def test_every_layout_gives_each_wanted_picture_once(name: str, tmp_path: Path) -> None:
    _, build = BUILDERS[name]
    build(tmp_path)
    wanted = {image_id(PAIRS[0][2]), image_id(PAIRS[1][1]), "another"}
    images = list(open_dataset(tmp_path).images("train", wanted))
    assert images == [(image_id(i), i) for i in (PAIRS[0][2], PAIRS[1][1])]


def test_every_layout_has_a_builder_here() -> None:
    assert {layout for layout, _ in BUILDERS.values()} == LAYOUTS.keys()


def test_pair_ids_are_the_columns_or_follow_from_the_content(tmp_path: Path) -> None:
    invdpo(tmp_path / "a")
    structs(tmp_path / "b")
    folders("win", "lose")(tmp_path / "c")
    a, b, c = ([p.pair_id for p in open_dataset(tmp_path / n).pairs("train").pairs] for n in "abc")
    assert a == ["pair0", "pair1"]
    assert b == c
    assert len(set(b)) == 2


def test_one_file_is_all_for_training_whatever_it_is_called(tmp_path: Path) -> None:
    path = write_table(tmp_path / "validation-00000.parquet", [PREFERENCE])
    dataset = open_dataset(path)
    assert len(dataset.pairs("train").pairs) == 1
    assert dataset.pairs("validation").pairs == []


def test_paths_in_one_file_start_from_its_folder(tmp_path: Path) -> None:
    paths(tmp_path)
    assert contents(open_dataset(tmp_path / "pairs.parquet").pairs("train")) == EXPECTED


@pytest.mark.parametrize("label", [0.5, None, float("nan"), 2.0, -1.0])
def test_what_is_neither_0_nor_1_is_a_tie(label: float | None, tmp_path: Path) -> None:
    rows = [pickapic_row(png(0), png(1), 1.0, "won"), pickapic_row(png(2), png(3), label, "tie")]
    write_table(tmp_path / "train.parquet", rows)
    pairs = open_dataset(tmp_path).pairs("train")
    assert [pair.prompt for pair in pairs.pairs] == ["won"]
    assert pairs.skipped == {"tie": 1}
    assert pairs.examples == {"tie": "train.parquet row 1"}


def test_labels_may_be_whole_numbers(tmp_path: Path) -> None:
    rows = [pickapic_row(png(0), png(1), 0, "x"), pickapic_row(png(2), png(3), 1, "y")]
    write_table(tmp_path / "train.parquet", rows)
    pairs = open_dataset(tmp_path).pairs("train").pairs
    assert [pair.chosen for pair in pairs] == [image_id(png(1)), image_id(png(2))]


def test_the_unique_validation_split_is_preferred(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "validation", "validation_unique", "test")):
        rows = [pickapic_row(png(2 * number), png(2 * number + 1), 1.0, name)]
        write_table(tmp_path / f"data/{name}-00000-of-00001.parquet", rows)
    dataset = open_dataset(tmp_path)
    assert [p.prompt for p in dataset.pairs("train").pairs] == ["train"]
    assert [p.prompt for p in dataset.pairs("validation").pairs] == ["validation_unique"]


def test_the_format_asked_for_wins(tmp_path: Path) -> None:
    paths(tmp_path)
    folders("chosen", "rejected")(tmp_path)
    assert open_dataset(tmp_path).data_format == "preference"
    assert open_dataset(tmp_path, "folders").data_format == "folders"


def test_our_own_layout_reads_as_preference_too(tmp_path: Path) -> None:
    invdpo(tmp_path)
    pairs = open_dataset(tmp_path, "preference").pairs("train")
    assert [pair.pair_id for pair in pairs.pairs] == ["pair0", "pair1"]


def test_when_nothing_fits_every_layout_says_why(tmp_path: Path) -> None:
    write_table(tmp_path / "train.parquet", [{"caption": "x", "jpg_0": b"", "prompt": "x"}])
    write_file(tmp_path / "win" / "1.png", png(0))
    with pytest.raises(DataError) as error:
        open_dataset(tmp_path)
    text = str(error.value)
    assert "Found train.parquet with caption, jpg_0, prompt." in text
    assert "invdpo: column pair_id, chosen, rejected missing; expected data/" in text
    assert "pickapic: column jpg_1, label_0 missing; expected" in text
    assert "preference: column chosen, rejected missing; expected" in text
    assert "folders: win/ has no counterpart; expected folders chosen and rejected" in text


def test_an_empty_folder_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Found an empty folder.*\n.*there is no Parquet file"):
        open_dataset(tmp_path)


def test_a_folder_of_other_things_is_told_by_their_names(tmp_path: Path) -> None:
    write_file(tmp_path / "images" / "1.png", png(0))
    write_file(tmp_path / "notes.md", b"")
    with pytest.raises(DataError, match=r"Found images/, notes\.md\."):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("data_format", "problem"),
    [
        ("pickapic", "column jpg_0, jpg_1, label_0, caption missing"),
        ("folders", "there are no such folders"),
    ],
)
def test_a_wrong_format_says_what_it_lacks(data_format: str, problem: str, tmp_path: Path) -> None:
    invdpo(tmp_path)
    with pytest.raises(DataError) as error:
        open_dataset(tmp_path, data_format)
    assert f"no dataset in the layout {data_format}." in str(error.value)
    assert problem in str(error.value)
    assert "preference:" not in str(error.value)


def test_plain_bytes_are_not_our_own_layout(tmp_path: Path) -> None:
    write_table(tmp_path / "train.parquet", [PREFERENCE | {"pair_id": "1"}])
    assert open_dataset(tmp_path).data_format == "preference"
    with pytest.raises(DataError, match="column chosen is binary, expected an image"):
        open_dataset(tmp_path, "invdpo")


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "x"}]
    write_table(tmp_path / "train.parquet", [PREFERENCE | {"prompt": prompt}])
    with pytest.raises(DataError, match=r"column prompt is list.*, expected text"):
        open_dataset(tmp_path, "preference")


def test_a_column_that_stands_twice_is_named(tmp_path: Path) -> None:
    names = ["prompt", "chosen", "rejected", "prompt"]
    table = pa.Table.from_arrays([pa.array(["a cat"])] * 4, names=names)
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(DataError, match="preference: column prompt occurs twice; expected"):
        open_dataset(str(tmp_path))


def test_an_unknown_format_lists_those_there_are(tmp_path: Path) -> None:
    invdpo(tmp_path)
    with pytest.raises(DataError, match="'csv'; allowed: auto, invdpo, pickapic, preference, fold"):
        open_dataset(tmp_path, "csv")


def test_a_later_file_without_the_columns_is_named(tmp_path: Path) -> None:
    pickapic(tmp_path)
    write_table(tmp_path / "data/train-99999.parquet", [{"caption": "x"}])
    with pytest.raises(DataError, match=r"train-99999\.parquet: column jpg_0.*; found caption"):
        open_dataset(tmp_path).pairs("train")


def test_the_trainer_knows_pairs_by_content_whatever_an_export_stored(tmp_path: Path) -> None:
    """Else a run that began before, on the same pairs, could not go on."""
    for name, more in (("with", {"pair_id": "pair0"}), ("without", {})):
        write_table(
            tmp_path / name / "train.parquet", [pickapic_row(png(0), png(1), 1.0, "x") | more]
        )
    folder = tmp_path / "folders"
    for side, content in (("chosen", png(0)), ("rejected", png(1))):
        write_file(folder / side / f"{32 * 'a'}.png", content)
    write_file(folder / "chosen" / f"{32 * 'a'}.txt", b"x")
    pairs = [open_dataset(tmp_path / n).pairs("train").pairs for n in ("with", "without")]
    ids = {pair.pair_id for (pair,) in [*pairs, open_dataset(folder).pairs("train").pairs]}
    assert ids == {content_id("x", image_id(png(0)), image_id(png(1)))}


def test_what_an_export_stored_is_in_the_row(tmp_path: Path) -> None:
    more = {"pair_id": "pair0", "image_0_uid": "u0", "image_1_uid": "u1", "model_1": "m1"}
    write_table(tmp_path / "train.parquet", [pickapic_row(png(0), png(1), 0.0, "x") | more])
    (row,) = LAYOUTS["pickapic"].rows(DatasetFiles(tmp_path), "train")
    assert (row.chosen, row.rejected) == (png(1), png(0))
    assert (row.pair_id, row.exported_id) == (None, "pair0")
    assert (row.image_ids, row.models) == (("u1", "u0"), ("m1", "m"))


def test_texts_may_be_dictionaries_large_and_views(tmp_path: Path) -> None:
    columns = {
        "prompt": pa.array(["x", "x"]).dictionary_encode(),
        "chosen": pa.array([png(0), png(1)], pa.large_binary()),
        "rejected": pa.array([png(2), png(3)], pa.binary_view()),
        "pair_id": pa.array(["a", "b"], pa.string_view()),
    }
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    pairs = open_dataset(tmp_path).pairs("train").pairs
    assert [(pair.pair_id, pair.prompt) for pair in pairs] == [("a", "x"), ("b", "x")]
