"""Names by which the data sets of others are read: of splits, of folders, of image files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from invdpo.schemas.io.images import IMAGE_SUFFIXES, UNREAD_SUFFIXES

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation_unique", "validation", "valid", "val", "dev"),
}
"""Split -> the names it goes by; the first one present is taken."""
UNUSED_SPLITS = ("test_unique", "testing", "test", "evaluation", "eval")
"""Splits that are never trained on."""
FOLDER_PAIRS = (("chosen", "rejected"), ("winner", "loser"), ("win", "lose"))
"""Folders of the better and of the worse images."""

_SPLIT_NAMES = sorted(
    (*SPLITS["train"], *SPLITS["validation"], *UNUSED_SPLITS), key=len, reverse=True
)
_SPLIT_PREFIX = re.compile(rf"({'|'.join(_SPLIT_NAMES)})(?![a-z])")


def files_of_split(split: str, paths: Sequence[Path]) -> list[Path]:
    """The files of a split, which their names begin with.

    If no file names a split, all are for training.
    """
    prefixes = {path: _split_prefix(path.stem) for path in paths}
    if not any(prefixes.values()):
        return list(paths) if split == "train" else []
    prefix = next((name for name in SPLITS[split] if name in prefixes.values()), None)
    return [path for path in paths if prefix and prefixes[path] == prefix]


def side_folders(split: str) -> Iterator[tuple[str, str]]:
    """Where a split's better and worse images may be, relative to the data set; the first counts.

    Folders at the top of the data set are for training.
    """
    parents = [f"{name}/" for name in SPLITS[split]] + ([""] if split == "train" else [])
    return (
        (parent + better, parent + worse) for parent in parents for better, worse in FOLDER_PAIRS
    )


def images_by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Image files by their names without suffix, in order; also those in formats we don't read.

    Hidden and other files are left out.
    """
    images = defaultdict[str, list[Path]](list)
    for path in sorted(paths):
        image = path.suffix.lower() in IMAGE_SUFFIXES | UNREAD_SUFFIXES
        if image and not path.name.startswith("."):
            images[path.stem].append(path)
    return images


def _split_prefix(stem: str) -> str | None:
    match = _SPLIT_PREFIX.match(stem.lower())
    return match[1] if match else None
