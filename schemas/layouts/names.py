"""Names by which the datasets of others are read: of splits, of folders, of image files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

from invdpo.schemas.layouts.rows import NO_SPLIT, OTHER_NAME

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


def unread_files(split: str, paths: Sequence[Path]) -> dict[Path, str]:
    """Files that `files_of_split` leaves out, and why; those without a split count as training's.

    Not those for tests, which nothing is to train on.
    """
    prefixes = {path: _split_prefix(path.stem) for path in paths}
    taken = files_of_split(split, paths)
    reasons: dict[str | None, str] = dict.fromkeys(SPLITS[split], OTHER_NAME)
    if split == "train" and any(prefixes.values()):
        reasons[None] = NO_SPLIT
    return {p: reasons[name] for p, name in prefixes.items() if name in reasons and p not in taken}


def side_folders(split: str) -> Iterator[tuple[str, str]]:
    """Where a split's better and worse images may be, relative to the dataset; the first counts.

    Folders at the top of the dataset are for training.
    """
    parents = [f"{name}/" for name in SPLITS[split]] + ([""] if split == "train" else [])
    return (
        (parent + better, parent + worse) for parent in parents for better, worse in FOLDER_PAIRS
    )


def stem_of(path: Path) -> str:
    """A name without suffix as names are compared: in Unicode's composed form.

    Macs write the other one, in which an accent is a character of its own.
    """
    return normalize("NFC", path.stem)


def files_by_stem(paths: Iterable[Path], suffixes: Container[str]) -> dict[str, list[Path]]:
    """Files with these endings, in any case, by their `stem_of`; hidden ones are left out."""
    files = defaultdict[str, list[Path]](list)
    for path in sorted(paths):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            files[stem_of(path)].append(path)
    return files


def _split_prefix(stem: str) -> str | None:
    match = _SPLIT_PREFIX.match(stem.lower())
    return match[1] if match else None
