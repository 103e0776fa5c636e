"""The layout of two folders: winners, losers, and captions beside the winners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from invdpo.schemas.layouts.files import Place
from invdpo.schemas.layouts.names import SIDES, SPLITS, by_stem, side_folders
from invdpo.schemas.layouts.rows import Row

NO_LOSER = "no loser of that name"
NO_WINNER = "no winner of that name"
TWICE = "two pictures of one name"
NOT_UTF8 = "caption is not UTF-8"


class Folders:
    """`chosen/0001.png` beats `rejected/0001.jpg` for the prompt in `chosen/0001.txt`."""

    expected = (
        "folders chosen and rejected (or winner and loser, win and lose), in the folder itself or "
        "in train/ and validation/, with pictures of equal names and captions NAME.txt in the first"
    )

    def lacks(self, place: Place) -> str | None:
        """What is missing to read the place in this layout; none when it fits."""
        if place.file:
            return "it is one file"
        if any(_sides(place, split) for split in SPLITS):
            return None
        half = [name for pair in SIDES for name in pair if (place.root / name).is_dir()]
        return f"{half[0]}/ stands alone" if half else "there are no such folders"

    def rows(self, place: Place, split: str) -> Iterator[Row]:
        """A row for every name that there is on either side."""
        found = _sides(place, split)
        if not found:
            return
        winners, losers = (by_stem(folder.iterdir()) for folder in found)
        for name in sorted(winners.keys() | losers.keys()):
            yield _row(place, winners.get(name, []), losers.get(name, []))


def _sides(place: Place, split: str) -> tuple[Path, Path] | None:
    """Both folders of a split."""
    pairs = ((place.root / better, place.root / worse) for better, worse in side_folders(split))
    return next((pair for pair in pairs if pair[0].is_dir() and pair[1].is_dir()), None)


def _row(place: Place, winners: list[Path], losers: list[Path]) -> Row:
    where = place.shown((winners or losers)[0])
    if not winners or not losers:
        return Row(where, reason=NO_LOSER if winners else NO_WINNER)
    if len(winners) > 1 or len(losers) > 1:
        return Row(where, reason=TWICE)
    caption, chosen, rejected = (
        place.read(place.shown(path), where)
        for path in (winners[0].with_suffix(".txt"), winners[0], losers[0])
    )
    try:
        prompt = caption.decode("utf-8-sig").strip() if caption else None
    except UnicodeDecodeError:
        return Row(where, reason=NOT_UTF8)
    return Row(where, prompt, chosen, rejected)
