"""The columns of every table. Parquet files hold exactly these, whatever made them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

Record = dict[str, Any]
"""One row of a table: column name to value."""

OK = "ok"
REJECTED = "rejected"

SIDES = ("chosen", "rejected")

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

_OUTCOME = [("status", pa.string()), ("error", pa.string())]

PROMPTS = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        ("prompt", pa.string()),
        ("graph", pa.string()),
        ("source", pa.string()),
        ("split_group", pa.string()),
        *_OUTCOME,
    ]
)

CATEGORY = pa.field("category", pa.string())


def with_categories(prompts: pa.Schema) -> pa.Schema:
    """Prompts of a benchmark that says of each which of its categories it belongs to."""
    return prompts.append(CATEGORY)


CANDIDATES = pa.schema(
    [
        pa.field("candidate_id", pa.string(), nullable=False),
        ("prompt_id", pa.string()),
        ("image", IMAGE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("seed", pa.int64()),
        ("model", pa.string()),
        ("revision", pa.string()),
        ("steps", pa.int32()),
        ("guidance_scale", pa.float64()),
        ("scheduler", pa.string()),
        ("phash", pa.string()),
        *_OUTCOME,
    ]
)

PIPELINE_OPTIONS = pa.field("pipeline_options", pa.string())


def with_options(candidates: pa.Schema) -> pa.Schema:
    """Candidates generated with options of the pipeline's own, which each row holds as JSON."""
    return candidates.append(PIPELINE_OPTIONS)


ANNOTATIONS = pa.schema(
    [
        pa.field("candidate_id", pa.string(), nullable=False),
        ("graph", pa.string()),
        ("annotator", pa.string()),
        ("revision", pa.string()),
        *_OUTCOME,
    ]
)

SCORES = pa.schema(
    [
        pa.field("candidate_id", pa.string(), nullable=False),
        ("score", pa.float64()),
        ("components", pa.map_(pa.string(), pa.float64())),
        ("scorer", pa.string()),
        ("revision", pa.string()),
        *_OUTCOME,
    ]
)


REVIEWS = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),  # a name of DECISIONS
        ("reviewer", pa.string()),
        ("note", pa.string()),
        ("reviewed_at", pa.timestamp("s", tz="UTC")),
    ]
)
"""What people decided on pairs; the last row of a pair counts."""

DECISIONS = ("keep", "flip", "equal", "drop")


def pairs_schema(scorers: Iterable[str]) -> pa.Schema:
    """Pairs, with one column of chosen minus rejected raw score for each scorer."""
    return pa.schema(
        [
            pa.field("pair_id", pa.string(), nullable=False),
            ("prompt_id", pa.string()),
            ("chosen_id", pa.string()),
            ("rejected_id", pa.string()),
            ("margin", pa.float64()),
            *((f"delta_{name}", pa.float64()) for name in scorers),
            ("split", pa.string()),
        ]
    )


TYPES = {
    field.name: field.type
    for schema in (
        with_categories(PROMPTS),
        with_options(CANDIDATES),
        ANNOTATIONS,
        SCORES,
        pairs_schema(()),
    )
    for field in schema
}
"""Column -> its type, the same in every table of a workspace that has it; reviews aside."""


def dataset_schema(scores: Iterable[str]) -> pa.Schema:
    """The published set; `scores` names the flat float columns, as `chosen_<name>` each.

    `model` and `revision` are the chosen image's.
    """
    return pa.schema(
        [
            pa.field("pair_id", pa.string(), nullable=False),
            ("prompt", pa.string()),
            ("chosen", IMAGE),
            ("rejected", IMAGE),
            ("graph", pa.string()),
            ("chosen_graph", pa.string()),
            ("rejected_graph", pa.string()),
            ("margin", pa.float64()),
            *((f"{side}_{name}", pa.float64()) for name in scores for side in SIDES),
            ("chosen_seed", pa.int64()),
            ("rejected_seed", pa.int64()),
            ("model", pa.string()),
            ("revision", pa.string()),
            ("rejected_model", pa.string()),
            ("rejected_revision", pa.string()),
            ("prompt_id", pa.string()),
            ("chosen_id", pa.string()),
            ("rejected_id", pa.string()),
        ]
    )
