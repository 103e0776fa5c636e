"""Winner and loser folders: `train/chosen/NAME.png`, `train/rejected/NAME.png`, and captions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invdpo.curate.exchange.base import EXPORTS
from invdpo.curate.exchange.names import file_stem
from invdpo.curate.exchange.ours import SourceDataset
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.images import image_suffix
from invdpo.schemas.io.text_files import one_line
from invdpo.schemas.layouts.folders import METADATA
from invdpo.schemas.tables import SIDES, Record


@EXPORTS.register("folders")
def export(source: SourceDataset, folder: Path) -> None:
    """Images keep their bytes; the prompt is beside both as `NAME.txt`, on one line.

    `metadata.jsonl` says which two images are a pair, and has prompts to the letter.
    """
    for split, table in source.tables():
        rows = table.select(["pair_id", "prompt", "chosen", "rejected"]).to_pylist()
        (folder / split).mkdir(exist_ok=True)
        with (folder / split / METADATA).open("a", encoding="utf-8", newline="\n") as metadata:
            for row in rows:
                record = dict(_write_sides(row, folder / split))
                record |= {"prompt": row["prompt"], "pair_id": row["pair_id"]}
                metadata.write(f"{json.dumps(record, ensure_ascii=False)}\n")


def _write_sides(row: Record, folder: Path) -> Iterator[tuple[str, str]]:
    """Write both images with captions; name of the metadata's field and of the image."""
    stem = file_stem(row["pair_id"])
    for side in SIDES:
        content = row[side]["bytes"]
        path = folder / side / f"{stem}.{image_suffix(content)}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        caption = one_line(row["prompt"])
        path.with_name(f"{stem}.txt").write_text(caption, encoding="utf-8", newline="")
        yield f"{side}_file_name", path.relative_to(folder).as_posix()


def folders_metadata(folder: Path, description: str) -> dict[str, Any]:
    """The part of a card's head by which `load_dataset` gives pairs with both sides known.

    `description` stands before a hash of all files: `datasets` keeps what it loaded by the head.
    """
    splits = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".txt")
    lines = "".join(f"{p.relative_to(folder).as_posix()} {hash_file(p)}\n" for p in files)
    data_files = [{"split": split, "path": _paths(folder, split)} for split in splits]
    digest = hashlib.sha256(lines.encode()).hexdigest()
    config = {"config_name": "default", "data_files": data_files}
    return {"configs": [config | {"description": f"{description}{digest}"}]}


def _paths(folder: Path, split: str) -> list[str]:
    """Patterns of a split's images and metadata, without the captions."""
    images = {
        f"{split}/{side}/*{path.suffix}"
        for side in SIDES
        for path in (folder / split / side).iterdir()
        if path.suffix != ".txt"
    }
    return [f"{split}/{METADATA}", *sorted(images)]
