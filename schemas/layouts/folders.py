"""The layout of two folders: winners, losers, and captions beside the winners."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from invdpo.schemas.io.images import IMAGE_SUFFIXES
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.schemas.layouts.names import FOLDER_PAIRS, SPLITS, images_by_stem, side_folders
from invdpo.schemas.layouts.rows import IMAGE_MISSING, Row

NO_LOSER = "no loser of that name"
NO_WINNER = "no winner of that name"
TWICE = "two pictures of one name"
NOT_UTF8 = "caption is not UTF-8"
UNREAD = "picture format is not read"
NESTED = "folder inside is not searched"

OUR_ID = re.compile(r"[0-9a-f]{32}")
"""An id made of content; `invdpo curate export` names files by it."""


class FolderLayout:
    """`chosen/0001.png` beats `rejected/0001.jpg` for the prompt in `chosen/0001.txt`."""

    expected = (
        "folders chosen and rejected (or winner and loser, win and lose), in the folder itself or "
        "in train/ and validation/, with pictures of equal names and captions NAME.txt in the first"
    )

    def problem(self, files: DatasetFiles) -> str | None:
        """What is missing to read these files in this layout; None when it fits."""
        if files.file:
            return "it is one file"
        if any(_sides(files, split) for split in SPLITS):
            return None
        single = [n for names in FOLDER_PAIRS for n in names if (files.root / n).is_dir()]
        return f"{single[0]}/ stands alone" if single else "there are no such folders"

    def rows(self, files: DatasetFiles, split: str) -> Iterator[Row]:
        """A row for every name on either side, for captions alone, and for folders inside."""
        sides = _sides(files, split)
        if not sides:
            return
        winners, losers = (images_by_stem(folder.iterdir()) for folder in sides)
        for name in sorted(winners.keys() | losers.keys()):
            yield _row(files, winners.get(name, []), losers.get(name, []))
        for path in sorted(path for folder in sides for path in folder.iterdir()):
            alone = path.suffix == ".txt" and not {path.stem} & (winners.keys() | losers.keys())
            if not path.name.startswith(".") and (alone or path.is_dir()):
                yield Row(files.relative(path), reason=IMAGE_MISSING if alone else NESTED)


def _sides(files: DatasetFiles, split: str) -> tuple[Path, Path] | None:
    """Both folders of a split."""
    pairs = ((files.root / better, files.root / worse) for better, worse in side_folders(split))
    return next((pair for pair in pairs if pair[0].is_dir() and pair[1].is_dir()), None)


def _row(files: DatasetFiles, winners: list[Path], losers: list[Path]) -> Row:
    where = files.relative((winners or losers)[0])
    count = len(winners) + len(losers)
    winners, losers = (
        [path for path in side if path.suffix.lower() in IMAGE_SUFFIXES]
        for side in (winners, losers)
    )
    if not (winners and losers) and len(winners) + len(losers) < count:
        return Row(where, reason=UNREAD)
    if not winners or not losers:
        return Row(where, reason=NO_LOSER if winners else NO_WINNER)
    if len(winners) > 1 or len(losers) > 1:
        return Row(where, reason=TWICE)
    winner, loser = winners[0], losers[0]
    caption, chosen, rejected = (
        files.read(files.relative(path), where)
        for path in (winner.with_suffix(".txt"), winner, loser)
    )
    try:
        prompt = caption.decode("utf-8-sig").strip() if caption else None
    except UnicodeDecodeError:
        return Row(where, reason=NOT_UTF8)
    exported_id = winner.stem if OUR_ID.fullmatch(winner.stem) else None
    return Row(where, prompt, chosen, rejected, exported_id=exported_id)
