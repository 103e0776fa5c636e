from __future__ import annotations

import os
from pathlib import Path

import pytest

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.text_files import POINTER
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.train.data import open_dataset
from tests.train.data.dataset_folders import EXPECTED, contents, paths, write_file, write_table
from tests.train.tiny import png


def names(folder: Path, split: str) -> list[str]:
    return [path.name for path in DatasetFiles(folder).split_files(split)]


@pytest.mark.parametrize(
    ("files", "train", "validation"),
    [
        ("train-0 train-1 validation-0", "train-0 train-1", "validation-0"),
        ("train val test", "train", "val"),
        ("train_a valid_a", "train_a", "valid_a"),
        ("training dev-0 evaluation", "training", "dev-0"),
        ("validation validation_unique", "", "validation_unique"),
        ("trainable-0 valley", "trainable-0 valley", ""),
        ("part-0 part-1", "part-0 part-1", ""),
        ("part-0 test-0", "", ""),
        ("train-0 extra", "train-0", ""),
    ],
)
def test_splits_go_by_the_names_of_files(
    files: str, train: str, validation: str, tmp_path: Path
) -> None:
    for name in files.split():
        write_file(tmp_path / f"{name}.parquet", b"")
    write_file(tmp_path / "._train-0.parquet", b"")
    assert names(tmp_path, "train") == [f"{name}.parquet" for name in train.split()]
    assert names(tmp_path, "validation") == [f"{name}.parquet" for name in validation.split()]


def one_row(folder: Path, chosen: str) -> Path:
    write_file(folder / "good.png", png(0))
    write_table(
        folder / "train.parquet", [{"prompt": "x", "chosen": chosen, "rejected": "good.png"}]
    )
    return folder


@pytest.mark.parametrize(
    "path", ["../out.png", "a/../../out.png", "..", "{out}", "{here}/good.png", "a\0b.png"]
)
def test_a_path_out_of_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    out = write_file(tmp_path / "out.png", png(1))
    folder = one_row(tmp_path / "set", path.format(out=out, here=tmp_path / "set"))
    with pytest.raises(DataError, match=r"train\.parquet row 0: .* is outside the dataset"):
        open_dataset(folder).pairs("train")


@pytest.mark.parametrize("inner", ["link.png", "deep/out.png"])
def test_a_link_out_of_the_folder_is_refused(inner: str, tmp_path: Path) -> None:
    out = write_file(tmp_path / "outside" / "out.png", png(1))
    folder = one_row(tmp_path / "set", inner)
    (folder / "link.png").symlink_to(out)
    (folder / "deep").symlink_to(out.parent)
    with pytest.raises(DataError, match="is outside the dataset"):
        open_dataset(folder).pairs("train")
    with pytest.raises(DataError, match="is outside the dataset"):
        list(open_dataset(folder).images("train", {"any"}))


def test_a_ring_of_links_is_refused(tmp_path: Path) -> None:
    folder = one_row(tmp_path, "ring.png")
    (folder / "ring.png").symlink_to("ring.png")
    with pytest.raises(DataError, match="is outside the dataset"):
        open_dataset(folder).pairs("train")


def test_a_link_of_a_winner_folder_is_refused_too(tmp_path: Path) -> None:
    secret = write_file(tmp_path / "secret", b"a password")
    for side in ("win", "lose"):
        write_file(tmp_path / "set" / side / "1.png", png(len(side)))
    (tmp_path / "set/win/1.txt").symlink_to(secret)
    with pytest.raises(DataError, match=r"win/1\.png: 'win/1\.txt' is outside"):
        open_dataset(tmp_path / "set").pairs("train")


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    folder = one_row(tmp_path, "link.png")
    (folder / "link.png").symlink_to(write_file(folder / "images" / "1.png", png(1)))
    assert len(open_dataset(folder).pairs("train").pairs) == 1


def test_the_data_set_may_be_a_link_itself(tmp_path: Path) -> None:
    paths(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert contents(open_dataset(tmp_path / "link").pairs("train")) == EXPECTED


def test_an_address_is_not_fetched(tmp_path: Path) -> None:
    folder = one_row(tmp_path, "https://example.org/1.png")
    with pytest.raises(DataError, match="is a URL"):
        open_dataset(folder).pairs("train")


@pytest.mark.parametrize("path", ["gone.png", "", "folder"])
def test_a_path_to_no_file_is_a_missing_image(path: str, tmp_path: Path) -> None:
    folder = one_row(tmp_path, path)
    (folder / "folder").mkdir()
    assert open_dataset(folder).pairs("train").skipped == {"image missing": 1}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = one_row(tmp_path, "pipe.png")
    os.mkfifo(folder / "pipe.png")
    assert open_dataset(folder).pairs("train").skipped == {"image missing": 1}


def test_bytes_in_a_row_need_no_path(tmp_path: Path) -> None:
    images = [{"bytes": png(n), "path": "/elsewhere/1.png"} for n in range(2)]
    rows = [{"prompt": "x", "chosen": images[0], "rejected": images[1]}]
    write_table(tmp_path / "train.parquet", rows)
    assert len(open_dataset(tmp_path).pairs("train").pairs) == 1


@pytest.mark.parametrize("name", ["chosen/b.txt", "chosen/b.png", "rejected/b.png"])
def test_a_pointer_of_git_lfs_is_no_file_of_a_set(name: str, tmp_path: Path) -> None:
    for number, side in enumerate(("chosen", "rejected")):
        write_file(tmp_path / side / "b.png", png(number))
    write_file(tmp_path / "chosen" / "b.txt", b"a cat")
    write_file(tmp_path / name, POINTER + b"spec/v1\noid sha256:0a\nsize 67671\n")
    with pytest.raises(DataError, match=f"{name}: a pointer of Git LFS.* git lfs pull"):
        contents(open_dataset(str(tmp_path)).pairs("train"))
