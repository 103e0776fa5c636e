"""The configuration: fingerprints know what decides a result, and every field explains itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invdpo.schemas.config import Config
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.config.section import Section
from invdpo.schemas.config.train import TrainConfig

SECTIONS = {name: type(getattr(Config(), name)) for name in Config.model_fields}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_field_has_a_description(name: str) -> None:
    section: type[Section] = SECTIONS[name]
    assert section.__doc__
    for field, info in section.model_fields.items():
        assert info.description, f"{name}.{field}"


@pytest.mark.parametrize(("field", "value"), [("batch_size", 3), ("device", "cuda:1")])
def test_how_work_is_done_is_no_part_of_the_fingerprint(field: str, value: object) -> None:
    changed = GenerateConfig.model_validate({field: value})
    assert changed.fingerprint() == GenerateConfig().fingerprint()
    assert field not in changed.fingerprint()


@pytest.mark.parametrize(
    ("field", "value"), [("seed", 5), ("num_candidates", 9), ("model", "x"), ("dtype", "bfloat16")]
)
def test_what_comes_out_is(field: str, value: object) -> None:
    changed = GenerateConfig.model_validate({field: value})
    assert changed.fingerprint() != GenerateConfig().fingerprint()
    assert changed.fingerprint()[field] == value


def test_a_training_batch_decides_the_result() -> None:
    assert "batch_size" in TrainConfig().fingerprint()


@given(st.dictionaries(st.text(min_size=1), st.floats(-9, 9), min_size=1))
def test_weights_of_any_scorer(weights: dict[str, float]) -> None:
    assert PairConfig(weights=weights).weights == weights


@pytest.mark.parametrize("targets", [[""], ["to_q", ""]])
def test_layers_have_names(targets: list[str]) -> None:
    with pytest.raises(ValueError, match="expected names of layers, such as to_q"):
        TrainConfig.model_validate({"lora_targets": targets})


def test_sections_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        GenerateConfig().seed = 3  # type: ignore[misc]
