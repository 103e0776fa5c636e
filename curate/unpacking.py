"""A workspace out of the files it was packed into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from invdpo.curate.packed import unpack
from invdpo.curate.parts import read_part
from invdpo.curate.restore import Pictures
from invdpo.curate.workspace import Workspace

PLAIN = ("pairs.report.json", "invdpo.yaml", "reviews.parquet")


def unpack_workspace(packed: Path, shards: list[Path], root: Path) -> None:
    """Write the tables packed below `packed` into a workspace at `root`.

    Candidates get the pictures that the data set's `shards` show; others stay without one, unless
    they were packed with it. Raises `DataError` for files that are no packed tables.
    """
    ws = Workspace(root)
    root.mkdir(parents=True, exist_ok=True)
    for name in ("prompts", "pairs"):
        unpack(_files(packed, name), root, _same)
    columns = ["pair_id", "chosen_id", "rejected_id"]
    pictures = Pictures(shards, read_part(ws.pairs_path, columns))
    unpack(_files(packed, "candidates"), ws.candidates_dir, pictures.fill)
    for kind in ("annotations", "scores"):
        stems = {path.name.rsplit("-", 3)[0] for path in (packed / kind).glob("*.parquet")}
        for name in sorted(stems):
            unpack(_files(packed / kind, name), root / kind / name, _same)
    for name in PLAIN:
        if (packed / name).is_file():
            shutil.copyfile(packed / name, root / name)


def _files(folder: Path, stem: str) -> list[Path]:
    return sorted(folder.glob(f"{stem}-?????-of-?????.parquet"))


def _same(table: pa.Table) -> pa.Table:
    return table
