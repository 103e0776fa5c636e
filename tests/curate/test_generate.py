"""The generate stage on a pipeline of random weights."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from invdpo.curate.checkpoints.loading import load
from invdpo.curate.checkpoints.pipelines import find_model
from invdpo.curate.generate import Generate, remake
from invdpo.curate.generators import pipeline
from invdpo.curate.generators.pipeline import ImageGenerator, ImageRequest
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.io.images import decode
from invdpo.schemas.tables import Record
from tests.curate.tiny import tiny_config


@pytest.fixture(scope="module")
def config(tiny_model: Path) -> GenerateConfig:
    return tiny_config(tiny_model).generate


@pytest.fixture(scope="module")
def candidates(config: GenerateConfig) -> list[Record]:
    return list(Generate(config)(prompts()))


def prompts(count: int = 3) -> list[Record]:
    text = ["a red circle", "a blue square", "a green star", "two cyan stars"]
    return [{"prompt_id": f"p{n}", "prompt": text[n], "status": "ok"} for n in range(count)]


def test_rows_say_where_they_come_from(candidates: list[Record], config: GenerateConfig) -> None:
    assert [row["prompt_id"] for row in candidates] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert len({row["candidate_id"] for row in candidates}) == 6
    assert len({row["seed"] for row in candidates}) == 6
    assert len({row["image"]["bytes"] for row in candidates}) == 6
    row = candidates[0]
    assert (row["width"], row["height"]) == decode(row["image"]["bytes"]).size == (16, 16)
    assert (row["steps"], row["scheduler"], row["model"]) == (1, "DDIMScheduler", "pipeline")
    assert set(row) == set(Generate(config).schema.names)


def test_again_is_the_same(candidates: list[Record], config: GenerateConfig) -> None:
    assert list(Generate(config)(prompts())) == candidates


def test_a_prompt_alone_gives_the_same(candidates: list[Record], config: GenerateConfig) -> None:
    assert list(Generate(config)(prompts()[1:2])) == candidates[2:4]


def test_a_candidate_alone_is_remade(candidates: list[Record], config: GenerateConfig) -> None:
    for row, prompt in [(candidates[0], prompts()[0]), (candidates[5], prompts()[2])]:
        assert remake(row, prompt["prompt"], config) == row["image"]["bytes"]


def test_another_batch_size_moves_no_level_by_more_than_one(
    candidates: list[Record], config: GenerateConfig
) -> None:
    small = Generate(config.model_copy(update={"batch_size": 1}))(prompts())
    for one, other in zip(candidates, small, strict=True):
        assert one["candidate_id"] == other["candidate_id"]
        pixels = [np.asarray(decode(r["image"]["bytes"]), dtype=int) for r in (one, other)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"num_inference_steps": 2},
        {"guidance_scale": 2.0},
        {"width": 32, "height": 24},
    ],
)
def test_other_settings_other_ids(
    candidates: list[Record], config: GenerateConfig, change: dict[str, Any]
) -> None:
    other = Generate(config.model_copy(update=change))
    assert other.fingerprint() != Generate(config).fingerprint()
    row = next(iter(other(prompts())))
    assert row["candidate_id"] != candidates[0]["candidate_id"]
    assert row["width"] == change.get("width", 16)


def test_width_alone_is_refused(config: GenerateConfig) -> None:
    with pytest.raises(ConfigError, match="give both or neither"):
        Generate(config.model_copy(update={"width": 32}))


def test_rejected_prompt_gives_rejected_candidates(config: GenerateConfig) -> None:
    rows = prompts(2)
    rows[0] |= {"status": "rejected", "error": "too long"}
    made = list(Generate(config)(rows))
    assert [row["status"] for row in made] == ["rejected"] * 2 + ["ok"] * 2
    assert made[0]["error"] == "prompt rejected: too long"
    assert len({row["candidate_id"] for row in made}) == 4


def test_values_not_finite_are_rejected(
    candidates: list[Record], config: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ImageGenerator.__call__

    def spoil(self: ImageGenerator, requests: list[ImageRequest]) -> list[Any]:
        pictures: list[Any] = call(self, requests)
        return [
            p * np.nan if prompt == "a red circle" else p
            for p, (prompt, _, _) in zip(pictures, requests, strict=True)
        ]

    monkeypatch.setattr(ImageGenerator, "__call__", spoil)
    made = list(Generate(config)(prompts()))
    assert [row["status"] for row in made] == ["rejected"] * 2 + ["ok"] * 4
    assert "not finite" in made[0]["error"]
    assert made[2:] == candidates[2:]


def test_a_model_that_draws_nothing_finite_stops(
    config: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first two prompts, whatever the size of a batch; after a finite one no more."""
    answers: Any = pipeline._answers
    spoiled = [0, 1, 2, 3, 4]

    def spoil(output: Any, count: int) -> list[Any]:
        return [a * np.nan if spoiled and spoiled.pop(0) else a for a in answers(output, count)]

    monkeypatch.setattr(pipeline, "_answers", spoil)
    one = config.model_copy(update={"batch_size": 1})
    made = list(Generate(one)(prompts()))
    assert [row["status"] for row in made] == ["ok"] + ["rejected"] * 4 + ["ok"]
    for size in (1, 4):
        spoiled.extend([1] * 6)
        with pytest.raises(
            ModelError, match=r"first 2 prompts are not finite \(dtype float32\)\. The weights"
        ):
            list(Generate(config.model_copy(update={"batch_size": size}))(prompts()))
        spoiled.clear()


def test_what_always_fails_stops_instead_of_rejecting_all(
    config: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_answers", Mock(side_effect=RuntimeError("no kernel")))
    with pytest.raises(ModelError, match=r"failed on all of 4 inputs.*no kernel"):
        list(Generate(config)(prompts()))


def test_damaged_weights(config: GenerateConfig, tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(tiny_model, tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    broken = config.model_copy(update={"model": str(folder)})
    with pytest.raises(ModelError, match="can't be loaded"):
        list(Generate(broken)(prompts()))


def test_lora_changes_pictures_and_ids(
    candidates: list[Record], config: GenerateConfig, tmp_path: Path
) -> None:
    make_lora(config.model, tmp_path / "lora")
    tuned = config.model_copy(update={"lora": str(tmp_path / "lora")})
    made = list(Generate(tuned)(prompts(1)))
    assert made[0]["seed"] == candidates[0]["seed"]
    assert made[0]["revision"].startswith(candidates[0]["revision"] + "+")
    assert made[0]["candidate_id"] != candidates[0]["candidate_id"]
    assert made[0]["image"]["bytes"] != candidates[0]["image"]["bytes"]


def make_lora(model: str, folder: Path, seed: int = 1) -> None:
    """A LoRA of random weights on the pipeline's attention."""
    import diffusers
    import torch
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipeline = load(find_model(model), "float32")
    pipeline.unet.add_adapter(
        LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    )
    torch.manual_seed(seed)
    weights = {
        k: 5 * torch.randn_like(v) for k, v in get_peft_model_state_dict(pipeline.unet).items()
    }
    kind: Any = diffusers.StableDiffusionPipeline
    kind.save_lora_weights(str(folder), unet_lora_layers=weights)


def test_lora_of_another_architecture(config: GenerateConfig, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    make_lora(config.model, tmp_path / "lora")
    path = next((tmp_path / "lora").glob("*.safetensors"))
    name = "attn2.to_v.lora_A.weight"
    wider = {k: v.repeat(1, 2) if k.endswith(name) else v for k, v in load_file(path).items()}
    save_file(wider, path)
    other = config.model_copy(update={"lora": str(path)})
    with pytest.raises(
        ModelError, match=r"does not fit the model .*attn2.to_v: 32 channels, 16 in"
    ):
        list(Generate(other)(prompts(1)))


def test_lora_of_another_model(config: GenerateConfig, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"unet.nowhere.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    other = config.model_copy(update={"lora": str(tmp_path / "x.safetensors")})
    with pytest.raises(ModelError, match="this LoRA does not fit the model"):
        list(Generate(other)(prompts(1)))
