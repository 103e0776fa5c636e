from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from invdpo.train.data import open_dataset
from tests.train.data.dataset_folders import write_file
from tests.train.tiny import png


def pair(folder: Path, stem: str, caption: bytes | None = b"a circle") -> None:
    """One name on both sides; its images follow from the name."""
    write_file(folder / "chosen" / f"{stem}.png", png(2 * sum(stem.encode())))
    write_file(folder / "rejected" / f"{stem}.png", png(2 * sum(stem.encode()) + 1))
    if caption is not None:
        write_file(folder / "chosen" / f"{stem}.txt", caption)


def test_what_has_no_partner_is_counted_with_its_name(tmp_path: Path) -> None:
    pair(tmp_path, "both")
    write_file(tmp_path / "chosen" / "alone.png", png(1))
    write_file(tmp_path / "rejected" / "lonely.webp", png(2))
    pairs = open_dataset(tmp_path).pairs("train")
    assert [p.row for p in pairs.pairs] == ["chosen/both.png"]
    assert pairs.skipped == {"no loser of that name": 1, "no winner of that name": 1}
    assert pairs.examples["no loser of that name"] == "chosen/alone.png"
    assert pairs.examples["no winner of that name"] == "rejected/lonely.webp"


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_two_pictures_of_one_name_are_ambiguous(side: str, tmp_path: Path) -> None:
    pair(tmp_path, "a")
    write_file(tmp_path / side / "a.webp", png(9))
    assert open_dataset(tmp_path).pairs("train").skipped == {"two images of one name": 1}


def test_nothing_of_a_folder_is_left_out_without_a_count(tmp_path: Path) -> None:
    """Images of every ending are pairs, or a row that says why they are none."""
    kinds = {
        "gif": "GIF",
        "jfif": "JPEG",
        "jpe": "JPEG",
        "PNG": "PNG",
        "webp": "WEBP",
        "TIF": "TIFF",
    }
    for number, (suffix, kind) in enumerate([*kinds.items(), ("avif", "PNG"), ("heic", "PNG")]):
        for side, colour in (("chosen", "red"), ("rejected", "blue")):
            file = io.BytesIO()
            Image.new("RGB", (8, 8), colour).save(file, kind)
            write_file(tmp_path / side / f"{number}.{suffix}", file.getvalue())
        write_file(tmp_path / "chosen" / f"{number}.txt", f"image {number}".encode())
    pair(tmp_path, "half")
    (tmp_path / "rejected" / "half.png").rename(tmp_path / "rejected" / "half.avif")
    pair(tmp_path, "source")
    write_file(tmp_path / "chosen" / "source.psd", b"beside the image that was made from it")
    write_file(tmp_path / "chosen" / "gone.txt", b"a caption alone")
    write_file(tmp_path / "chosen" / "more" / "x.png", png(1))
    pairs = open_dataset(tmp_path).pairs("train")
    assert len(pairs.pairs) == len(kinds) + 1
    assert pairs.skipped == {
        "image format is not read": 3,
        "image missing": 1,
        "folder inside is not searched": 1,
    }


@pytest.mark.parametrize(
    ("caption", "skipped"),
    [
        (None, {"prompt missing": 1}),
        (b" \n", {"prompt missing": 1}),
        ("große Tür".encode("latin-1"), {"caption is not UTF-8": 1}),
    ],
)
def test_a_pair_needs_a_caption(
    caption: bytes | None, skipped: dict[str, int], tmp_path: Path
) -> None:
    pair(tmp_path, "a", caption)
    assert open_dataset(tmp_path).pairs("train").skipped == skipped


def test_two_captions_of_one_name_are_ambiguous(tmp_path: Path) -> None:
    pair(tmp_path, "caf\u00e9")
    write_file(tmp_path / "chosen" / "cafe\u0301.txt", b"another")
    pair(tmp_path, "b")
    write_file(tmp_path / "chosen" / "b.TXT", b"another")
    assert open_dataset(tmp_path).pairs("train").skipped == {"two captions of one name": 2}


def test_folders_by_other_names_are_counted(tmp_path: Path) -> None:
    pair(tmp_path / "train", "a")
    pair(tmp_path, "b")
    for side in ("win", "lose"):
        (tmp_path / side).mkdir()
    pairs = open_dataset(tmp_path).pairs("train")
    assert [pair.row for pair in pairs.pairs] == ["train/chosen/a.png"]
    assert pairs.skipped == {"split is there by another name, too": 2}
    assert pairs.examples == {"split is there by another name, too": "chosen"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_captions_are_utf8_or_have_a_mark(encoding: str, tmp_path: Path) -> None:
    pair(tmp_path, "a", " eine große Tür 门\n".encode(encoding))
    assert open_dataset(tmp_path).pairs("train").pairs[0].prompt == "eine große Tür 门"


@pytest.mark.parametrize("decomposed", ["chosen", "rejected", "caption"])
def test_names_from_a_mac_find_their_partners(decomposed: str, tmp_path: Path) -> None:
    composed, other = "caf\u00e9", "cafe\u0301"
    names = dict.fromkeys(("chosen", "rejected", "caption"), composed) | {decomposed: other}
    write_file(tmp_path / "chosen" / f"{names['chosen']}.png", png(1))
    write_file(tmp_path / "rejected" / f"{names['rejected']}.png", png(2))
    write_file(tmp_path / "chosen" / f"{names['caption']}.TXT", b"a cup")
    pairs = open_dataset(tmp_path).pairs("train")
    assert [pair.prompt for pair in pairs.pairs] == ["a cup"]
    assert not pairs.skipped


def test_one_name_in_two_unicode_forms_is_ambiguous(tmp_path: Path) -> None:
    pair(tmp_path, "caf\u00e9")
    write_file(tmp_path / "rejected" / "cafe\u0301.png", png(9))
    assert open_dataset(tmp_path).pairs("train").skipped == {"two images of one name": 1}


@pytest.mark.parametrize("stored", ["a cat\nand a dog", "a cat\rand a dog", "a bird"])
def test_a_caption_of_one_line_gets_the_line_breaks_it_was_exported_with(
    stored: str, tmp_path: Path
) -> None:
    """Unless somebody changed the caption since, or the file is somebody else's."""
    pair(tmp_path, "a", b"a cat and a dog")
    record = {"chosen_file_name": "chosen/a.png", "prompt": stored}
    lines = ["no JSON", "[1]", json.dumps(record)]
    write_file(tmp_path / "metadata.jsonl", "\n".join(lines).encode())
    (read,) = open_dataset(tmp_path).pairs("train").pairs
    assert read.prompt == (stored if "cat" in stored else "a cat and a dog")


def test_names_may_hold_dots_and_other_files_lie_beside(tmp_path: Path) -> None:
    pair(tmp_path, "a.v2")
    write_file(tmp_path / "chosen" / "notes.json", b"{}")
    write_file(tmp_path / "chosen" / "._a.v2.png", b"what a Mac leaves")
    pairs = open_dataset(tmp_path).pairs("train")
    assert len(pairs.pairs) == 1
    assert not pairs.skipped


def test_splits_are_folders(tmp_path: Path) -> None:
    pair(tmp_path / "train", "a")
    pair(tmp_path / "validation", "b")
    dataset = open_dataset(tmp_path)
    assert [p.row for p in dataset.pairs("train").pairs] == ["train/chosen/a.png"]
    assert [p.row for p in dataset.pairs("validation").pairs] == ["validation/chosen/b.png"]
