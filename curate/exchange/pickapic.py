"""Pick-a-Pic's layout: two images per row, and labels that say which one is better.

Training scripts of the field (Diffusion-DPO's, diffusers', InPO's) read `jpg_0`, `jpg_1`,
`label_0` and `caption`. The `jpg` columns hold bytes of any format; Pillow opens them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.exchange.base import EXPORTS
from invdpo.curate.exchange.ours import SourceDataset, text_column, write_tables
from invdpo.schemas.ids import derived_seed
from invdpo.schemas.tables import SIDES

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
def export(source: SourceDataset, folder: Path) -> None:
    """As Pick-a-Pic v2 has it, with our `pair_id` beside, which decides the side of the winner."""
    counts = source.prompt_counts()
    tables = ((split, _convert(table, counts)) for split, table in source.tables())
    write_tables(tables, SCHEMA, folder)


def _convert(table: pa.Table, prompt_counts: Mapping[str, int]) -> pa.Table:
    ids = table["pair_id"].to_pylist()
    chosen_first = pa.array([derived_seed("side", pair_id) % 2 == 0 for pair_id in ids])
    won = pc.cast(chosen_first, pa.float64())
    values: dict[str, Any] = {
        "caption": table["prompt"],
        "pair_id": table["pair_id"],
        "label_0": won,
        "label_1": pc.subtract(1.0, won),
        "best_image_uid": text_column(table, "chosen_id"),
        "ranking_id": pa.array([derived_seed("ranking", pair_id) for pair_id in ids]),
    }
    for name, target in (("id", "image_{}_uid"), ("model", "model_{}"), ("bytes", "jpg_{}")):
        chosen, rejected = (_side_column(table, side, name) for side in SIDES)
        values[target.format(0)] = pc.if_else(chosen_first, chosen, rejected)
        values[target.format(1)] = pc.if_else(chosen_first, rejected, chosen)
    yes = pa.array([True] * len(table))
    values |= {"are_different": yes, "has_label": yes}
    counts = [prompt_counts[prompt] for prompt in table["prompt"].to_pylist()]
    values |= {"num_example_per_prompt": pa.array(counts, pa.int64())}
    return pa.table({name: values.get(name, pa.nulls(len(table))) for name in SCHEMA.names})


def _side_column(table: pa.Table, side: str, name: str) -> pa.ChunkedArray | pa.Array:
    if name == "bytes":
        return pc.struct_field(table[side], "bytes")
    if name == "model" and side == "chosen":
        return text_column(table, "model")
    return text_column(table, f"{side}_{name}")
