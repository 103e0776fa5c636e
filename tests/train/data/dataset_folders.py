"""Small datasets of every layout, all with the same two pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.train.data import Pairs, image_id
from tests.train.tiny import PROMPTS, png, row, write_pairs

PAIRS = [(PROMPTS[n], png(2 * n), png(2 * n + 1)) for n in range(2)]
"""(prompt, chosen, rejected) that every builder writes."""
EXPECTED = [(prompt, image_id(chosen), image_id(rejected)) for prompt, chosen, rejected in PAIRS]
Builder = Callable[[Path], None]


def write_table(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    """A Parquet file with columns of whatever type the values have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def write_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pickapic_row(
    first: bytes | None, second: bytes | None, label: object, text: str
) -> dict[str, Any]:
    """A row of Pick-a-Pic, with one of the columns that nobody reads here."""
    return {"jpg_0": first, "jpg_1": second, "label_0": label, "caption": text, "model_0": "m"}


def invdpo(folder: Path) -> None:
    write_pairs(folder, "train", [row(0), row(1)])


def pickapic(folder: Path) -> None:
    (prompt, chosen, rejected), (second_prompt, best, worst) = PAIRS
    rows = [
        pickapic_row(chosen, rejected, 1.0, prompt),
        pickapic_row(worst, best, 0.0, second_prompt),
    ]
    write_table(folder / "data/train-00000-of-00001-ab12.parquet", rows)


def structs(folder: Path) -> None:
    rows = [
        {"prompt": p, "chosen": {"bytes": c, "path": "c"}, "rejected": {"bytes": r, "path": None}}
        for p, c, r in PAIRS
    ]
    write_table(folder / "train.parquet", rows)


def binaries(folder: Path) -> None:
    rows = [{"prompt": p, "chosen": c, "rejected": r} for p, c, r in PAIRS]
    write_table(folder / "data" / "pairs.parquet", rows)


def paths(folder: Path) -> None:
    rows = []
    for number, (prompt, chosen, rejected) in enumerate(PAIRS):
        write_file(folder / f"images/{number}w.png", chosen)
        write_file(folder / f"images/{number}l.png", rejected)
        names = {"chosen": f"images/{number}w.png", "rejected": f"images/{number}l.png"}
        rows.append({"prompt": prompt} | names)
    write_table(folder / "pairs.parquet", rows)


def folders(winner: str, loser: str) -> Builder:
    """A builder of winner and loser folders."""

    def build(folder: Path) -> None:
        for number, (prompt, chosen, rejected) in enumerate(PAIRS):
            write_file(folder / winner / f"{number}.png", chosen)
            write_file(folder / winner / f"{number}.txt", f"{prompt}\n".encode())
            write_file(folder / loser / f"{number}.jpeg", rejected)

    return build


BUILDERS: dict[str, tuple[str, Builder]] = {
    "invdpo": ("invdpo", invdpo),
    "pickapic": ("pickapic", pickapic),
    "structs": ("preference", structs),
    "binaries": ("preference", binaries),
    "paths": ("preference", paths),
    "chosen": ("folders", folders("chosen", "rejected")),
    "winner": ("folders", folders("winner", "loser")),
    "win": ("folders", folders("win", "lose")),
}
"""Name to layout and builder."""


def contents(pairs: Pairs) -> list[tuple[str, str, str]]:
    """What `EXPECTED` tells of pairs."""
    return [(pair.prompt, pair.chosen, pair.rejected) for pair in pairs.pairs]
