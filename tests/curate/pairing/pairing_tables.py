"""Small tables to cut pairs from."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from invdpo.schemas.config import PairConfig
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
