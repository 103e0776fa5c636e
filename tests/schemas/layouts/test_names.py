"""Names of splits, folders and pictures in data sets of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from invdpo.schemas.layouts.names import by_stem, of_split, side_folders


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
    stems = {name: name for name in names}
    assert (of_split("train", stems), of_split("validation", stems)) == (train, validation)


def test_a_folder_of_its_own_comes_before_the_data_sets() -> None:
    found = list(side_folders("train"))
    assert found[0] == ("train/chosen", "train/rejected")
    assert found[-1] == ("win", "lose")
    assert ("chosen", "rejected") not in list(side_folders("validation"))


def test_pictures_go_by_their_stems() -> None:
    names = ["b.PNG", "a.jpg", "a.png", "a.txt", ".c.png"]
    found = by_stem(map(Path, names))
    assert found == {"a": [Path("a.jpg"), Path("a.png")], "b": [Path("b.PNG")]}
