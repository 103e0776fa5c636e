"""A LoRA of another model is refused by the heads of the files, before the model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from invdpo.curate.generate import Generate
from invdpo.curate.generators import pipeline
from invdpo.schemas import ModelError
from tests.curate.tiny import tiny_config

LAYER = "up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
FORMS = {
    "diffusers": f"unet.{LAYER}.lora_A.weight",
    "older": f"unet.{LAYER}.lora.down.weight",
    "kohya": f"lora_unet_{LAYER.replace('.', '_')}.lora_down.weight",
    "peft": f"base_model.model.{LAYER}.lora_A.weight",
}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was loaded; loading itself fails."""
    loaded: list[Any] = []

    def load(source: Any, dtype: str) -> None:
        loaded.append(source)
        raise ModelError("loaded")

    monkeypatch.setattr(pipeline, "load", load)
    return loaded


def outcome(model: Path, folder: Path, tensors: dict[str, torch.Tensor]) -> str:
    file = folder / "lora.safetensors"
    save_file(tensors, file)
    config = tiny_config(model, generate={"lora": str(file)}).generate
    with pytest.raises(ModelError) as error:
        list(Generate(config)([{"prompt_id": "p", "prompt": "a circle", "status": "ok"}]))
    return str(error.value)


def width(model: Path) -> int:
    (file,) = (model / "unet").glob("*.safetensors")
    return int(load_file(file)[f"{LAYER}.weight"].shape[1])


@pytest.mark.parametrize("form", FORMS)
def test_another_width_is_told_before_the_model_is_loaded(
    tiny_model: Path, tmp_path: Path, loads: list[Any], form: str
) -> None:
    key, inner = FORMS[form], width(tiny_model)
    said = outcome(tiny_model, tmp_path, {key: torch.zeros(2, inner + 1)})
    assert "this LoRA does not fit the model" in said
    assert f"{inner + 1} channels, {inner} in the model" in said
    up = key.replace("lora_A", "lora_B").replace("down", "up")
    said = outcome(tiny_model, tmp_path, {up: torch.zeros(inner + 1, 2)})
    assert f"{inner + 1} channels, {inner} in the model" in said
    assert not loads
    assert outcome(tiny_model, tmp_path, {key: torch.zeros(2, inner)}) == "loaded"


def test_layers_of_another_kind_of_model(
    tiny_model: Path, tmp_path: Path, loads: list[Any]
) -> None:
    """FLUX's, say; names in kohya's form may be others for the same layers."""
    place = "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"
    assert "the model has none of its layers" in outcome(
        tiny_model, tmp_path, {place: torch.zeros(2, 8)}
    )
    assert not loads
    other = "lora_unet_input_blocks_4_1_proj_in.lora_down.weight"
    assert outcome(tiny_model, tmp_path, {other: torch.zeros(2, 8)}) == "loaded"
