"""Small tables to cut pairs from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.tables import CANDIDATES, PROMPTS, SCORES

Values = Mapping[str, float | None]
NO_IMAGE = pa.schema([field for field in CANDIDATES if field.name != "image"])


def prompts(count: int, **changes: Any) -> pa.Table:
    graph = '{"items":[{"item_id":0,"label":"circle"}]}'
    rows = [
        {"prompt_id": f"p{n}", "graph": graph, "split_group": f"g{n}", "status": "ok"} | changes
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=PROMPTS)


def candidates(names: Mapping[str, str], **looks: str) -> pa.Table:
    """Candidates by name, each with the prompt it belongs to."""
    rows = [
        {"candidate_id": name, "prompt_id": prompt, "phash": looks.get(name), "status": "ok"}
        for name, prompt in names.items()
    ]
    return pa.Table.from_pylist(rows, schema=NO_IMAGE)


def scored(values: Values, scorer: str = "a") -> pa.Table:
    rows = [
        {
            "candidate_id": name,
            "score": value,
            "scorer": scorer,
            "status": "rejected" if value is None else "ok",
        }
        for name, value in values.items()
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def config(**values: Any) -> PairConfig:
    return PairConfig(**({"weights": {"a": 1.0}, "min_margin": 0.0} | values))


def random_tables(
    count: int, seed: int = 0, each: int = 4, scorers: str = "ab"
) -> tuple[pa.Table, pa.Table, dict[str, pa.Table]]:
    """Random scores of `each` candidates of `count` prompts, by scorers of one letter."""
    rng = np.random.default_rng(seed)
    names = {f"c{p}-{k}": f"p{p}" for p in range(count) for k in range(each)}
    scores = {s: scored({n: float(rng.normal()) for n in names}, s) for s in scorers}
    return prompts(count), candidates(names), scores


def with_columns(table: pa.Table, **columns: Any) -> pa.Table:
    """The table with some columns replaced by lists."""
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        kind = table.schema.field(name)
        table = table.set_column(index, kind, pa.array(values, kind.type))
    return table


def shuffled(table: pa.Table, seed: int = 1) -> pa.Table:
    """The same rows in another order, in two chunks."""
    mixed = table.take(pa.array(np.random.default_rng(seed).permutation(len(table))))
    return pa.concat_tables([mixed.slice(0, len(mixed) // 3), mixed.slice(len(mixed) // 3)])
