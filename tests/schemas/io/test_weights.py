"""What a model lacks, and what fits nothing in it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from invdpo.schemas import ModelError
from invdpo.schemas.io.weights import check_loaded


class CLIPTextModel: ...


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"missing_keys": {"b", "a"}},
            r"^here: lacks a, b \(2 in all\)\. Give the complete weights of",
        ),
        ({"missing_keys": list("edcba")}, r"lacks a, b, c \(5 in all\)"),
        (
            {"unexpected_keys": ["x.weight"]},
            r"has additional tensors: x\.weight \(1 in all\)",
        ),
        ({"mismatched_keys": {("w", (1, 2), (2, 2))}}, r"has in another shape: w \(1 in all\)"),
        (
            {"unexpected_keys": ["vision_model.a", "logit_scale"]},
            r"logit_scale, vision_model\.a \(2",
        ),
    ],
)
def test_misfits_are_told_with_number_and_first_keys(found: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as error:
        check_loaded("here", {"missing_keys": [], "unexpected_keys": []} | found)
    assert re.search(said, str(error.value))


def test_what_is_computed_and_other_towers_are_no_misfits() -> None:
    computed = ["position_ids", "text_model.embeddings.position_ids", "bn.num_batches_tracked"]
    check_loaded("here", {"missing_keys": [], "unexpected_keys": computed})
    whole_clip = {"unexpected_keys": ["vision_model.a", "visual_projection.weight", "logit_scale"]}
    check_loaded("here", {"missing_keys": []} | whole_clip, CLIPTextModel())
    for other in ("my_position_ids", "position_ids.weight", "vision_models.a"):
        with pytest.raises(ModelError):
            check_loaded("here", {"missing_keys": [], "unexpected_keys": [other]}, CLIPTextModel())
