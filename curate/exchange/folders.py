"""Winner and loser folders: `train/chosen/NAME.png`, `train/rejected/NAME.png`, and captions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from invdpo.curate.exchange.base import EXPORTS, IMPORTS, Found
from invdpo.curate.exchange.foreign import content, inside
from invdpo.curate.exchange.names import stem, suffix
from invdpo.curate.exchange.ours import OurSet
from invdpo.schemas import DataError
from invdpo.schemas.layouts.names import SIDES, SPLITS, by_stem, side_folders

OUR_ID = re.compile(r"[0-9a-f]{32}")
NO_LOSER = "no loser of that name"
NO_WINNER = "no winner of that name"
TWICE = "two pictures of one name"
NOT_UTF8 = "caption is not UTF-8"


@EXPORTS.register("folders")
def export(ours: OurSet, folder: Path) -> None:
    """Pictures keep their bytes; the prompt lies beside both as `NAME.txt`."""
    for split, table in ours.tables():
        for row in table.select(["pair_id", "prompt", "chosen", "rejected"]).to_pylist():
            name = stem(row["pair_id"])
            for side in SIDES[0]:
                home, data = folder / split / side, row[side]["bytes"]
                home.mkdir(parents=True, exist_ok=True)
                (home / f"{name}.{suffix(data) or 'bin'}").write_bytes(data)
                (home / f"{name}.txt").write_text(row["prompt"], encoding="utf-8", newline="")


@IMPORTS.register("folders")
def read(source: Path) -> Iterator[Found]:
    """A row for every name on either side; names that are our ids stay them."""
    found = {split: _sides(source, split) for split in SPLITS}
    if not any(found.values()):
        raise DataError(
            f"{source}: no folders chosen and rejected (or winner and loser, win and lose) there, "
            "nor in train/ and validation/."
        )
    for split, sides in found.items():
        winners, losers = (by_stem(folder.iterdir()) for folder in sides) if sides else ({}, {})
        for name in sorted(winners.keys() | losers.keys()):
            yield _found(source, split, winners.get(name, []), losers.get(name, []))


def _sides(source: Path, split: str) -> tuple[Path, Path] | None:
    """Both folders of a split."""
    pairs = ((source / better, source / worse) for better, worse in side_folders(split))
    return next((pair for pair in pairs if pair[0].is_dir() and pair[1].is_dir()), None)


def _found(source: Path, split: str, winners: list[Path], losers: list[Path]) -> Found:
    where = (winners or losers)[0].relative_to(source).as_posix()
    if not winners or not losers:
        return Found(split, where, flaw=NO_LOSER if winners else NO_WINNER)
    if len(winners) > 1 or len(losers) > 1:
        return Found(split, where, flaw=TWICE)
    better, worse = winners[0], losers[0]
    caption, chosen, rejected = (
        content(inside(source, path.relative_to(source).as_posix(), where))
        for path in (better.with_suffix(".txt"), better, worse)
    )
    try:
        prompt = caption.decode("utf-8-sig").strip() if caption else None
    except UnicodeDecodeError:
        return Found(split, where, flaw=NOT_UTF8)
    pair_id = better.stem if OUR_ID.fullmatch(better.stem) else None
    return Found(split, where, prompt, chosen, rejected, pair_id)
