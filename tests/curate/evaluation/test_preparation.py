"""Who judges an evaluation, and which of its prompts the training has seen."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from invdpo.curate.evaluation.preparation import TrainingPrompts, choose_judges
from invdpo.schemas import DataError
from invdpo.schemas.config.load import load_config
from invdpo.schemas.ids import prompt_key

GRAPHS: list[dict[str, Any]] = [{"graph": "{}"}, {"graph": None}]
NONE: list[dict[str, Any]] = [{"graph": None}] * 3


def judges(base: str, prompts: list[dict[str, Any]], **score: Any) -> tuple[tuple[str, ...], int]:
    """The scorers, and how many notes there are on them."""
    config, notes = choose_judges(load_config(None, {"score": score}), base, prompts)
    return config.score.scorers, len(notes)


def test_composition_judges_where_there_are_graphs() -> None:
    assert judges("embedded", GRAPHS, scorers=["clip"]) == (("composition", "clip"), 0)
    assert judges("embedded", GRAPHS, scorers=["clip", "composition"])[0][0] == "composition"
    named = judges("sd15", GRAPHS, scorers=["nsfw"], annotator="detector")
    assert named == (("composition", "nsfw"), 0)


def test_no_annotator_of_shapes_is_added_for_another_model() -> None:
    assert judges("sd15", GRAPHS, scorers=["nsfw"]) == (("nsfw",), 0)


def test_composition_is_left_out_where_no_prompt_has_a_graph() -> None:
    assert judges("embedded", NONE) == (("clip",), 1)
    assert judges("embedded", NONE, scorers=["clip"]) == (("clip",), 0)
    with pytest.raises(DataError, match="None of 3 prompts has a scene graph"):
        judges("embedded", NONE, scorers=["composition"])


def test_a_leak_is_counted_by_split_whatever_the_spelling() -> None:
    keys = {"train": {prompt_key("caf\u00e9"), prompt_key("b")}, "validation": {prompt_key("c")}}
    prompts = TrainingPrompts("w/dataset", keys)
    asked = [unicodedata.normalize("NFD", "Caf\u00e9 "), "c", "C", "d"]
    leak = str(prompts.leak(asked))
    assert leak.startswith("Leak: 3 of 4 prompts")
    assert "(w/dataset: 1 in train, 2 in validation)" in leak
    assert prompts.leak(["d", "e"]) is None
