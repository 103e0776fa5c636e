"""Names of splits, folders and images in datasets of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from invdpo.schemas.layouts.names import (
    files_by_stem,
    files_of_split,
    side_folders,
    unread_files,
)
from invdpo.schemas.layouts.rows import NO_SPLIT, OTHER_NAME


@pytest.mark.parametrize(
    ("names", "train", "validation"),
    [
        (["a", "b"], ["a", "b"], []),
        (["train-0", "val-0", "test-0"], ["train-0"], ["val-0"]),
        (["validation-0", "validation_unique-0", "notes"], [], ["validation_unique-0"]),
        (["training", "dev", "trains"], ["training"], ["dev"]),
        (["evaluation"], [], []),
    ],
)
def test_files_belong_to_the_split_they_name(
    names: list[str], train: list[str], validation: list[str]
) -> None:
    paths = [Path(f"{name}.parquet") for name in names]
    train_files, validation_files = (files_of_split(s, paths) for s in ("train", "validation"))
    assert [path.stem for path in train_files] == train
    assert [path.stem for path in validation_files] == validation


@pytest.mark.parametrize(
    ("names", "train", "validation"),
    [
        (["pairs", "test", "trains"], {"pairs": NO_SPLIT, "trains": NO_SPLIT}, {}),
        (["pairs", "more"], {}, {}),
        (["train-0", "train-1", "training"], {"training": OTHER_NAME}, {}),
        (["train", "dev", "validation", "val"], {}, {"dev": OTHER_NAME, "val": OTHER_NAME}),
    ],
)
def test_files_that_no_split_reads_have_a_reason(
    names: list[str], train: dict[str, str], validation: dict[str, str]
) -> None:
    paths = [Path(f"{name}.parquet") for name in names]
    for split, expected in (("train", train), ("validation", validation)):
        found = {path.stem: reason for path, reason in unread_files(split, paths).items()}
        assert found == expected


def test_a_splits_own_folder_comes_before_the_top_of_the_data_set() -> None:
    folders = list(side_folders("train"))
    assert folders[0] == ("train/chosen", "train/rejected")
    assert folders[-1] == ("win", "lose")
    assert ("chosen", "rejected") not in list(side_folders("validation"))


def test_images_go_by_their_stems() -> None:
    names = ["b.PNG", "a.jpg", "a.png", "a.txt", ".c.png"]
    images = files_by_stem(map(Path, names), {".png", ".jpg"})
    assert images == {"a": [Path("a.jpg"), Path("a.png")], "b": [Path("b.PNG")]}
