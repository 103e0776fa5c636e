"""The grid of images: every card fits, marks tell right from wrong."""

import io
from pathlib import Path

import pytest
from PIL import Image

from invdpo.curate.evaluation.grid import BAD, GOOD, write_grid
from invdpo.curate.evaluation.results import ALL_RIGHT, Outcome, Result


def outcome(*wrong: str, picture: bool = True) -> Outcome:
    file = io.BytesIO()
    Image.new("RGB", (64, 32), "white").save(file, "PNG")
    right = {ALL_RIGHT: 0.0 if wrong else 1.0} if picture else {}
    return Outcome(file.getvalue() if picture else None, 1, right, wrong)


def colours(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as image:
        counted = image.convert("RGB").getcolors(1 << 24) or []
    return {colour for _, colour in counted}  # type: ignore[misc]


def rgb(text: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(text[1:]))  # type: ignore[return-value]


def test_marks(tmp_path: Path) -> None:
    right = Result("p", "a red circle", outcome(), outcome())
    write_grid(tmp_path / "right.png", [right])
    assert rgb(GOOD) in colours(tmp_path / "right.png")
    assert rgb(BAD) not in colours(tmp_path / "right.png")
    wrong = Result(
        "p", "a red circle", outcome("no red circle"), outcome("rejected", picture=False)
    )
    write_grid(tmp_path / "wrong.png", [wrong])
    assert rgb(BAD) in colours(tmp_path / "wrong.png")
    assert rgb(GOOD) not in colours(tmp_path / "wrong.png")
    refused = Result("p", "a red circle", outcome(), outcome("refused", picture=False))
    write_grid(tmp_path / "refused.png", [refused])
    assert rgb(BAD) not in colours(tmp_path / "refused.png")


@pytest.mark.parametrize("count", [0, 1, 4])
def test_any_number_of_results(tmp_path: Path, count: int) -> None:
    long = Result(
        "p", "word " * 60 + "x" * 200, outcome(*["a wrong fact of some length"] * 9), outcome()
    )
    write_grid(tmp_path / "grid.png", [long] * count, columns=3)
    with Image.open(tmp_path / "grid.png") as image:
        assert image.height > 0
