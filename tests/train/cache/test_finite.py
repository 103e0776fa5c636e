"""What is not finite is told where it is made, with the part and the precision, and never kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ModelError, WorkspaceError
from invdpo.train import train
from invdpo.train.cache.store import Store
from invdpo.train.models.stable_diffusion import StableDiffusion

LATENT, TEXT = "latent", "encoder_hidden_states"


@pytest.fixture
def overflowing(pipeline: Path, tmp_path: Path) -> Path:
    """A model whose VAE is right in float32 and overflows in float16, as SDXL's first one does."""
    folder = tmp_path / "overflowing"
    shutil.copytree(pipeline, folder)
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    for name in ("encoder.conv_in.weight", "encoder.conv_in.bias"):
        tensors[name] = tensors[name] * 3e5
    save_file(tensors, weights, {"format": "pt"})
    settings = folder / "vae" / "config.json"
    config = json.loads(settings.read_text()) | {"force_upcast": False}
    settings.write_text(json.dumps(config))
    return folder


def spoiled(function: Callable[..., Any], name: str, rows: slice) -> Callable[..., Any]:
    """The same function with rows of one of its tensors that are not finite, in every call."""

    def spoil(*given: Any) -> Any:
        tensors = function(*given)
        tensors[name][rows] = float("nan")
        return tensors

    return spoil


def test_a_vae_that_overflows_is_told_before_anything_is_inverted(
    config: TrainConfig, dataset: Path, overflowing: Path, tmp_path: Path
) -> None:
    given = config.model_copy(update={"model": str(overflowing), "dtype": "float16"})
    match = r"overflowing: the VAE gives .* not finite in float16. Use --dtype bfloat16 or"
    with pytest.raises(ModelError, match=match):
        train(dataset, tmp_path / "out", given, cache_dir=tmp_path / "cache")
    kept = [path.parent.name for path in (tmp_path / "cache").glob("*/*.safetensors")]
    assert not [name for name in kept if not name.startswith("prompts")]


def test_one_picture_is_left_out_and_counted(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = spoiled(StableDiffusion.encode_images, LATENT, slice(0))
    monkeypatch.setattr(StableDiffusion, "encode_images", whole)
    everything = train(dataset, tmp_path / "a", config, cache_dir=tmp_path / "c1")
    one = spoiled(StableDiffusion.encode_images, LATENT, slice(0, 1))
    monkeypatch.setattr(StableDiffusion, "encode_images", one)
    fewer = train(dataset, tmp_path / "b", config, cache_dir=tmp_path / "c2")
    assert fewer.pairs + fewer.validation_pairs < everything.pairs + everything.validation_pairs
    assert sum(fewer.skipped.values()) > sum(everything.skipped.values())


def test_text_encoders_and_denoisers_are_named(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        bad = spoiled(StableDiffusion.encode_prompts, TEXT, slice(0, 1))
        patch.setattr(StableDiffusion, "encode_prompts", bad)
        with pytest.raises(ModelError, match=r"the text encoder gives values .* in float32. Its"):
            train(dataset, tmp_path / "out", config, cache_dir=tmp_path / "cache")
    predict = StableDiffusion.predict
    monkeypatch.setattr(StableDiffusion, "predict", lambda *given: predict(*given) * float("inf"))
    with pytest.raises(ModelError, match="the denoiser gives values that are not finite"):
        train(dataset, tmp_path / "out", config, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("trajectories*/*.safetensors"))


def test_what_earlier_versions_kept_is_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path, {"kind": "latents"})
    store.add(["good", "bad"], {"x": torch.tensor([[1.0, 2.0], [float("nan"), 1.0]])})
    assert store.get("x", ["good"]).tolist() == [[1.0, 2.0]]
    assert store.get("x", ["bad"], torch.tensor([[1]])).tolist() == [[1.0]]
    with pytest.raises(WorkspaceError, match=r"not finite.*Remove this folder"):
        store.get("x", ["good", "bad"])
