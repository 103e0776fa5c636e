"""All tables of a workspace, packed into few files that may leave this machine.

MERGED: A workspace out of the files it was packed into.

MERGED: Puts the pictures of a data set back into the candidates that it was made of.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.curate.dataset.archive_tables import (
    Change,
    Clean,
    cleaned,
    pack,
    unpack,
    without_pictures,
)
from invdpo.curate.storage.parts import read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config.load import dump_config, load_config
from invdpo.schemas.tables import SIDES

Taken = Literal["none", "others", "all"]
"""Pictures that go with the candidates; `others` are those of no pair."""

REVIEWS = "reviews.parquet"


def pack_workspace(ws: Workspace, place: Path, pictures: Taken, clean: Clean) -> list[Path]:
    """Write the tables, the report and the configuration into `place`; the files.

    What they tell passes through `clean`. Raises `WorkspaceError` for tables that are missing or
    damaged.
    """
    parts = ws.iter_parts(ws.candidates_dir)
    plain = partial(pack, clean=clean, change=lambda table: table)
    packed = [
        *plain([ws.need(ws.prompts_path)], place / "prompts"),
        *plain([ws.need(ws.pairs_path)], place / "pairs"),
        *pack(parts, place / "candidates", clean, _change(ws, pictures)),
    ]
    for kind in ("annotations", "scores"):
        for folder in sorted(path for path in (ws.root / kind).glob("[!.]*") if path.is_dir()):
            packed += plain(ws.iter_parts(folder), place / kind / folder.name)
    return [*packed, *_texts(ws, place, clean), *_reviews(ws, place, clean)]


def _change(ws: Workspace, pictures: Taken) -> Change:
    """What becomes of a part of candidates before it goes."""
    if pictures == "all":
        return lambda table: table
    if pictures == "none":
        return without_pictures
    pairs = ws.read_table(ws.pairs_path, ["chosen_id", "rejected_id"])
    ids = pa.concat_arrays([column.combine_chunks() for column in pairs.columns])
    return partial(without_pictures, of=ids)


def _texts(ws: Workspace, place: Path, clean: Clean) -> list[Path]:
    report = json.loads(ws.need(ws.report_path).read_text(encoding="utf-8"))
    config = load_config(ws.need(ws.config_path))
    told = type(config).model_validate(clean(config.model_dump(mode="json")))
    texts = {
        ws.report_path.name: json.dumps(clean(report), indent=1, ensure_ascii=False),
        ws.config_path.name: dump_config(told),
    }
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    return [place / name for name in texts]


def _reviews(ws: Workspace, place: Path, clean: Clean) -> list[Path]:
    """What people decided, their notes cleaned; nothing where nobody did."""
    if not (ws.root / REVIEWS).is_file():
        return []
    table = cleaned(read_part(ws.root / REVIEWS), clean)
    pq.write_table(table, place / REVIEWS, write_page_checksum=True)
    return [place / REVIEWS]


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


HELD = 4
"""Row groups in memory: sets are written in the order of candidates, each split in its own."""


class RowLocation(NamedTuple):
    """Where a picture is."""

    path: Path
    group: int
    row: int
    side: str


class Pictures:
    """The pictures in the shards of a data set, by the candidate that each is of."""

    def __init__(self, shards: Sequence[Path], pairs: pa.Table) -> None:
        """`pairs` has `pair_id`, `chosen_id` and `rejected_id`."""
        rows: list[dict[str, Any]] = pairs.to_pylist()
        ids = {row["pair_id"]: [row[f"{side}_id"] for side in SIDES] for row in rows}
        self._spots: dict[str, RowLocation] = {}
        for path in shards:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    found = file.read_row_group(group, ["pair_id"])["pair_id"].to_pylist()
                    for row, pair in enumerate(found):
                        for side, name in zip(SIDES, ids.get(pair, ()), strict=False):
                            self._spots.setdefault(name, RowLocation(path, group, row, side))
        self._read = lru_cache(HELD)(_group)

    def fill(self, candidates: pa.Table) -> pa.Table:
        """The same rows, with a picture wherever one was missing and is here."""
        field = candidates.schema.field("image")
        images = [
            image if image is not None else self._picture(name)
            for name, image in zip(
                candidates["candidate_id"].to_pylist(), candidates["image"].to_pylist(), strict=True
            )
        ]
        place = candidates.column_names.index("image")
        return candidates.set_column(place, field, pa.array(images, field.type))

    def _picture(self, candidate: str) -> Any:
        spot = self._spots.get(candidate)
        if spot is None:
            return None
        return self._read(spot.path, spot.group)[spot.side][spot.row].as_py()


def _group(path: Path, group: int) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read_row_group(group, list(SIDES))
