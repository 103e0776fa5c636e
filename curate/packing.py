"""All tables of a workspace, packed into few files that may leave this machine."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.curate.packed import Change, Clean, cleaned, pack, without_pictures
from invdpo.curate.parts import read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.load import dump_config, load_config

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
