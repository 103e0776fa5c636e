from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from invdpo.schemas.errors import ModelError, PluginError
from invdpo.train.adapters import ModelAdapter, load_adapter, to_epsilon
from tests.train.tiny import build_pipeline

CPU = torch.device("cpu")


def load(folder: Path) -> ModelAdapter:
    return load_adapter(str(folder), None, CPU, torch.float32)


def test_prompts_are_encoded_as_the_pipeline_encodes_them(pipeline: Path) -> None:
    from diffusers import StableDiffusionPipeline

    prompts = ["a red circle", "", "a very long prompt about a great many shapes"]
    ours = load(pipeline)
    pipe = StableDiffusionPipeline.from_pretrained(pipeline)
    theirs = pipe.encode_prompt(prompts, CPU, 1, False)[0]
    torch.testing.assert_close(ours.encode_prompts(prompts)["encoder_hidden_states"], theirs)
    assert ours.truncated == 1


def test_latents_are_the_scaled_mode_and_repeat(pipeline: Path) -> None:
    from diffusers import AutoencoderKL

    adapter, image = load(pipeline), Image.new("RGB", (16, 16), (255, 0, 128))
    latent = adapter.encode_images([image])
    vae = AutoencoderKL.from_pretrained(pipeline, subfolder="vae")
    pixels = torch.tensor([1.0, -1.0, 128 / 127.5 - 1]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    with torch.no_grad():
        expected = vae.encode(pixels).latent_dist.mode() * 0.5
    torch.testing.assert_close(latent, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(latent, adapter.encode_images([image]))


def test_other_sizes_and_modes_are_fitted(pipeline: Path) -> None:
    images = [Image.new("L", (40, 20)), Image.new("RGBA", (16, 16))]
    assert load(pipeline).encode_images(images).shape == (2, 4, 4, 4)


def test_v_prediction_is_turned_into_noise(tmp_path: Path, pipeline: Path) -> None:
    epsilon, v = load(pipeline), load(build_pipeline(tmp_path / "v", "v_prediction"))
    x, t = torch.randn(2, 4, 4, 4), torch.tensor([10, 900])
    told = {"encoder_hidden_states": torch.randn(2, 16, 16)}
    with torch.no_grad():
        out = epsilon.predict(epsilon.unet, x, t, told)
        noise = v.predict(epsilon.unet, x, t, told)
    level = v.alpha_bar[t].float().view(-1, 1, 1, 1)
    torch.testing.assert_close(noise, level.sqrt() * out + (1 - level).sqrt() * x)


def test_to_epsilon_inverts_the_definition_of_v() -> None:
    latent, noise, level = torch.randn(3), torch.randn(3), torch.tensor(0.3)
    x = level.sqrt() * latent + (1 - level).sqrt() * noise
    v = level.sqrt() * noise - (1 - level).sqrt() * latent
    torch.testing.assert_close(to_epsilon(v, x, level, "v_prediction"), noise)
    with pytest.raises(ModelError, match="sample"):
        to_epsilon(v, x, level, "sample")


def test_fingerprint_follows_the_weights(tmp_path: Path, pipeline: Path) -> None:
    copy = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    assert load(copy).fingerprint == load(pipeline).fingerprint
    weights = next((copy / "unet").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert load(copy).fingerprint != load(pipeline).fingerprint


def test_pickles_are_refused(tmp_path: Path, pipeline: Path) -> None:
    copy = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    weights = next((copy / "unet").glob("*.safetensors"))
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(ModelError, match=r"diffusion_pytorch_model\.bin, which is refused"):
        _ = load(copy).unet


def test_truncated_weights_are_named(tmp_path: Path, pipeline: Path) -> None:
    copy = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    weights = next((copy / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="unet"):
        _ = load(copy).unet


def test_a_folder_without_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model_index\.json"):
        load(tmp_path)


def test_an_unknown_pipeline_lists_the_known(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(PluginError, match=r"FluxPipeline.*StableDiffusionPipeline"):
        load(tmp_path)
