"""Pick-a-Pic's layout: two pictures a row, and labels that say which one is better.

Training scripts of the field (Diffusion-DPO's, diffusers', InPO's) read `jpg_0`, `jpg_1`,
`label_0` and `caption`. The `jpg` columns hold bytes of any format; Pillow opens them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.exchange.base import EXPORTS, IMPORTS, Found
from invdpo.curate.exchange.foreign import picture, records
from invdpo.curate.exchange.ours import OurSet, column, write_tables
from invdpo.schemas.ids import derived_seed
from invdpo.schemas.tables import SIDES

TIE = "tie"
SCHEMA = pa.schema(
    [
        ("are_different", pa.bool_()),
        ("best_image_uid", pa.string()),
        ("caption", pa.string()),
        ("created_at", pa.timestamp("ns")),
        ("has_label", pa.bool_()),
        ("image_0_uid", pa.string()),
        ("image_0_url", pa.string()),
        ("image_1_uid", pa.string()),
        ("image_1_url", pa.string()),
        ("jpg_0", pa.binary()),
        ("jpg_1", pa.binary()),
        ("label_0", pa.float64()),
        ("label_1", pa.float64()),
        ("model_0", pa.string()),
        ("model_1", pa.string()),
        ("ranking_id", pa.int64()),
        ("user_id", pa.int64()),
        ("num_example_per_prompt", pa.int64()),
        ("pair_id", pa.string()),
    ]
)


@EXPORTS.register("pickapic")
def export(ours: OurSet, folder: Path) -> None:
    """As Pick-a-Pic v2 has it, with our `pair_id` beside; which side is better is drawn by it."""
    prompts = ours.prompts()
    tables = ((split, _converted(table, prompts)) for split, table in ours.tables())
    write_tables(tables, SCHEMA, folder)


def _converted(table: pa.Table, prompts: Mapping[str, int]) -> pa.Table:
    ids = table["pair_id"].to_pylist()
    first = pa.array([derived_seed("side", name) % 2 == 0 for name in ids])
    won = pc.cast(first, pa.float64())
    values: dict[str, Any] = {
        "caption": table["prompt"],
        "pair_id": table["pair_id"],
        "label_0": won,
        "label_1": pc.subtract(1.0, won),
        "best_image_uid": column(table, "chosen_id"),
        "ranking_id": pa.array([derived_seed("ranking", name) for name in ids]),
    }
    for name, target in (("id", "image_{}_uid"), ("model", "model_{}"), ("bytes", "jpg_{}")):
        better, worse = (_of_side(table, side, name) for side in SIDES)
        values[target.format(0)] = pc.if_else(first, better, worse)
        values[target.format(1)] = pc.if_else(first, worse, better)
    yes = pa.array([True] * len(table))
    values |= {"are_different": yes, "has_label": yes}
    counts = [prompts[prompt] for prompt in table["prompt"].to_pylist()]
    values |= {"num_example_per_prompt": pa.array(counts, pa.int64())}
    return pa.table({name: values.get(name, pa.nulls(len(table))) for name in SCHEMA.names})


def _of_side(table: pa.Table, side: str, name: str) -> pa.ChunkedArray | pa.Array:
    if name == "bytes":
        return pc.struct_field(table[side], "bytes")
    if name == "model" and side == "chosen":
        return column(table, "model")
    return column(table, f"{side}_{name}")


@IMPORTS.register("pickapic")
def read(source: Path) -> Iterator[Found]:
    """Rows with a label of 0 or 1; the others are ties."""
    needed = ("caption", "jpg_0", "jpg_1", "label_0")
    known = ("pair_id", "image_0_uid", "image_1_uid", "model_0", "model_1")
    for split, where, row in records(source, needed, known):
        if row["label_0"] not in (0, 1):
            yield Found(split, where, flaw=TIE)
            continue
        order = ("0", "1") if row["label_0"] == 1 else ("1", "0")
        home = source if source.is_dir() else source.parent
        chosen, rejected = (picture(row[f"jpg_{n}"], home, where) for n in order)
        ids, models = (
            (row.get(names.format(order[0])), row.get(names.format(order[1])))
            for names in ("image_{}_uid", "model_{}")
        )
        caption, pair_id = row["caption"], row.get("pair_id")
        yield Found(split, where, caption, chosen, rejected, pair_id, ids, models)
