"""The layout of two folders: winners, losers, and captions beside the winners."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.images import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from invdpo.schemas.io.records import read_entries
from invdpo.schemas.io.text_files import decode_text, one_line
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.schemas.layouts.names import (
    FOLDER_PAIRS,
    SPLITS,
    files_by_stem,
    side_folders,
    stem_of,
)
from invdpo.schemas.layouts.rows import IMAGE_MISSING, NESTED, OTHER_NAME, Row

NO_LOSER = "no loser of that name"
NO_WINNER = "no winner of that name"
TWICE = "two images of one name"
TWO_CAPTIONS = "two captions of one name"
NOT_UTF8 = "caption is not UTF-8"
UNREAD = "image format is not read"

METADATA = "metadata.jsonl"
"""A file of an export, with the names of both images and the prompt of every pair."""
CHOSEN_FILE = "chosen_file_name"
"""The field of `METADATA` that names the better image, as `datasets` wants it."""
IMAGES = IMAGE_SUFFIXES | UNREAD_SUFFIXES
"""Endings of what may be an image, read or counted."""
OUR_ID = re.compile(r"[0-9a-f]{32}")
"""An id made of content; `invdpo curate export` names files by it."""


class FolderLayout:
    """`chosen/0001.png` beats `rejected/0001.jpg` for the prompt in `chosen/0001.txt`."""

    expected = (
        "folders chosen and rejected (or winner and loser, win and lose), in the folder itself or "
        "in train/ and validation/, with images of equal names and captions NAME.txt in the first"
    )

    def problem(self, files: DatasetFiles) -> str | None:
        """What is missing to read these files in this layout; None when it fits."""
        if files.file:
            return "it is one file"
        if any(_all_sides(files, split) for split in SPLITS):
            return None
        single = [n for names in FOLDER_PAIRS for n in names if (files.root / n).is_dir()]
        return f"{single[0]}/ has no counterpart" if single else "there are no such folders"

    def rows(self, files: DatasetFiles, split: str) -> Iterator[Row]:
        """A row for every name on either side, for captions alone, and for folders inside."""
        found = _all_sides(files, split)
        if not found:
            return
        sides, *others = found
        winners, losers = (files_by_stem(folder.iterdir(), IMAGES) for folder in sides)
        captions = files_by_stem(sides[0].iterdir(), {".txt"})
        prompts = _stored_prompts(files, sides[0].parent / METADATA)
        for name in sorted(winners.keys() | losers.keys()):
            parts = (by_name.get(name, []) for by_name in (winners, losers, captions))
            row, stored = _row(files, *parts), prompts.get(name)
            is_stored = stored is not None and one_line(stored).strip() == row.prompt
            yield replace(row, prompt=stored) if is_stored else row
        for other in others:
            yield Row(files.relative(other[0]), reason=OTHER_NAME)
        for path in sorted(path for folder in sides for path in folder.iterdir()):
            caption = path.suffix.lower() == ".txt"
            alone = caption and stem_of(path) not in winners.keys() | losers.keys()
            if not path.name.startswith(".") and (alone or path.is_dir()):
                yield Row(files.relative(path), reason=IMAGE_MISSING if alone else NESTED)


def _all_sides(files: DatasetFiles, split: str) -> list[tuple[Path, Path]]:
    """Both folders of a split, by all names that are there; the first are read."""
    pairs = ((files.root / better, files.root / worse) for better, worse in side_folders(split))
    return [pair for pair in pairs if pair[0].is_dir() and pair[1].is_dir()]


def _stored_prompts(files: DatasetFiles, path: Path) -> dict[str, str]:
    """Name -> prompt with its line breaks, which a caption that is one line does not have."""
    content = files.read(files.relative(path), METADATA)
    prompts: dict[str, str] = {}
    with suppress(DataError):  # a file of others, by the same name
        for entry in read_entries(path, content or b"", list):
            record = entry.value if isinstance(entry.value, dict) else {}
            name, prompt = record.get(CHOSEN_FILE), record.get("prompt")
            if isinstance(name, str) and isinstance(prompt, str):
                prompts[stem_of(Path(name))] = prompt
    return prompts


def _row(files: DatasetFiles, winners: list[Path], losers: list[Path], captions: list[Path]) -> Row:
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
    if len(captions) > 1:
        return Row(where, reason=TWO_CAPTIONS)
    winner, loser = winners[0], losers[0]
    caption, chosen, rejected = (
        files.read(files.relative(path), where) if path else None
        for path in (next(iter(captions), None), winner, loser)
    )
    try:
        prompt = decode_text(caption, where).strip() if caption else None
    except DataError:
        return Row(where, reason=NOT_UTF8)
    exported_id = winner.stem if OUR_ID.fullmatch(winner.stem) else None
    return Row(where, prompt, chosen, rejected, exported_id=exported_id)
