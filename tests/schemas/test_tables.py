"""Tables: a key that is never null, and an outcome wherever a row can be rejected."""

from __future__ import annotations

import pyarrow as pa
import pytest

from invdpo.schemas import tables

KEYS = {
    "prompt_id": tables.PROMPTS,
    "candidate_id": tables.CANDIDATES,
    "pair_id": tables.pairs_schema(["clip"]),
}


@pytest.mark.parametrize("key", KEYS)
def test_the_key_comes_first_and_is_never_null(key: str) -> None:
    field = KEYS[key].field(0)
    assert (field.name, field.nullable) == (key, False)


@pytest.mark.parametrize(
    "schema", [tables.PROMPTS, tables.CANDIDATES, tables.ANNOTATIONS, tables.SCORES]
)
def test_rows_can_be_rejected_with_a_reason(schema: pa.Schema) -> None:
    assert schema.field("status").type == pa.string()
    assert schema.field("error").type == pa.string()


def test_scores_are_raw_doubles() -> None:
    assert tables.SCORES.field("score").type == pa.float64()


def test_pairs_have_a_difference_for_each_scorer() -> None:
    names = tables.pairs_schema(["clip", "composition"]).names
    assert [name for name in names if name.startswith("delta_")] == [
        "delta_clip",
        "delta_composition",
    ]


def test_the_data_set_has_flat_float_columns() -> None:
    schema = tables.dataset_schema(["clip"])
    assert schema.field("chosen").type == tables.IMAGE
    assert schema.field("chosen_clip").type == schema.field("rejected_clip").type == pa.float64()
