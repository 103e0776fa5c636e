"""Names by which data sets of others are read: of splits, of folders, of pictures."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

P = TypeVar("P")

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation_unique", "validation", "valid", "val", "dev"),
}
"""Split to the names it goes by; the first that is there is taken."""
UNUSED = ("test_unique", "testing", "test", "evaluation", "eval")
"""Names of splits that are never trained on."""
SIDES = (("chosen", "rejected"), ("winner", "loser"), ("win", "lose"))
"""Folders of the better and of the worse pictures."""
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Of picture files."""

_NAMED = re.compile(
    rf"({'|'.join(sorted((*SPLITS['train'], *SPLITS['validation'], *UNUSED), key=len)[::-1])})"
    "(?![a-z])"
)


def of_split(split: str, stems: Mapping[P, str]) -> list[P]:
    """Those of `stems` (a file -> its name without suffix) that belong to a split.

    A name belongs to the split that it begins with. If none names a split, all are for training.
    """
    names = {entry: _named(stem) for entry, stem in stems.items()}
    if not any(names.values()):
        return list(stems) if split == "train" else []
    known = next((name for name in SPLITS[split] if name in names.values()), None)
    return [entry for entry in stems if known and names[entry] == known]


def side_folders(split: str) -> Iterator[tuple[str, str]]:
    """Where a split's better and worse pictures may lie, below the data set; the first counts.

    What lies in the data set's own folder is for training.
    """
    homes = [f"{name}/" for name in SPLITS[split]] + ([""] if split == "train" else [])
    return ((home + better, home + worse) for home in homes for better, worse in SIDES)


def by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Pictures by their names without suffix, in order; hidden and other files are left out."""
    found = defaultdict[str, list[Path]](list)
    for path in sorted(paths):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            found[path.stem].append(path)
    return found


def _named(stem: str) -> str | None:
    found = _NAMED.match(stem.lower())
    return found[1] if found else None
