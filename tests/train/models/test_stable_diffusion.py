from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ModelError
from invdpo.train.data.buckets import Framing, fit
from invdpo.train.models import ModelAdapter, load_adapter
from invdpo.train.models.stable_diffusion import StableDiffusion, to_epsilon
from tests.train.tiny import PROMPTS, SIZE, build_pipeline

CPU = torch.device("cpu")
LONG = "a very long prompt about a great many shapes"


def load(folder: Path, **changes: Any) -> ModelAdapter:
    return load_adapter(TrainConfig(model=str(folder), **changes), CPU)


def edit(folder: Path, copy: Path, name: str, **changes: Any) -> Path:
    """A copy of a pipeline with other values in one of its JSON files."""
    shutil.copytree(folder, copy)
    path = copy / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy


def reference(folder: Path) -> Any:
    import diffusers

    parts: Any = diffusers
    return parts.DiffusionPipeline.from_pretrained(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_parts_that_lack_a_weight_or_hold_a_strange_one(
    pipeline: Path, tmp_path: Path, part: str
) -> None:
    """A text encoder without a tensor was trained on: the library made it up."""
    for name in ("less", "more"):
        folder = shutil.copytree(pipeline, tmp_path / name)
        (file,) = (folder / part).glob("*.safetensors")
        tensors = load_file(file)
        gone = next(key for key in sorted(tensors) if key.endswith("norm1.bias"))
        strange = {"strange.weight": torch.zeros(2)}
        kept = {k: v for k, v in tensors.items() if name == "more" or k != gone}
        save_file(kept | (strange if name == "more" else {}), file, {"format": "pt"})
        with pytest.raises(ModelError, match=rf"{name}/{part}: .*\(1 in all\)") as error:
            getattr(load(folder), "denoiser" if part == "unet" else part)
        expected = "lacks " if name == "less" else "has additional tensors: strange.weight"
        assert expected in str(error.value)


def test_prompts_are_encoded_as_the_pipeline_encodes_them(pipeline: Path) -> None:
    prompts, ours = ["a red circle", "", LONG], load(pipeline)
    theirs, blank = reference(pipeline).encode_prompt(prompts, CPU, 1, True)
    torch.testing.assert_close(ours.encode_prompts(prompts)["encoder_hidden_states"], theirs)
    none = ours.encode_prompts([None])["encoder_hidden_states"]
    torch.testing.assert_close(none, blank[:1])
    assert ours.is_truncated(prompts) == [False, False, True]


@pytest.mark.parametrize("zeros", [True, False])
def test_xl_prompts_are_encoded_as_the_pipeline_encodes_them(
    xl_pipeline: Path, tmp_path: Path, zeros: bool
) -> None:
    changes = {"force_zeros_for_empty_prompt": zeros}
    folder = edit(xl_pipeline, tmp_path / "copy", "model_index.json", **changes)
    prompts, ours = ["a red circle", "", LONG], load(folder)
    hidden, blank, pooled, blank_pooled = reference(folder).encode_prompt(
        prompts, device=CPU, num_images_per_prompt=1, do_classifier_free_guidance=True
    )
    encoded, none = ours.encode_prompts(prompts), ours.encode_prompts([None])
    assert hidden.shape == (3, 16, 36)
    torch.testing.assert_close(encoded["encoder_hidden_states"], hidden)
    torch.testing.assert_close(encoded["text_embeds"], pooled)
    torch.testing.assert_close(none["encoder_hidden_states"], blank[:1])
    torch.testing.assert_close(none["text_embeds"], blank_pooled[:1])
    assert (none["text_embeds"] == 0).all() == zeros
    assert (encoded["text_embeds"] != 0).any(1).all()
    assert ours.is_truncated(prompts) == [False, False, True]


def test_xl_is_conditioned_on_real_sizes_and_crops(xl_pipeline: Path) -> None:
    fitted = fit(Image.new("RGB", (60, 40)), (16, 16))
    assert fitted.framing == Framing((60, 40), (4, 0), (16, 16))
    ids = load(xl_pipeline).encode_images([fitted])["time_ids"]
    pipe = reference(xl_pipeline)
    theirs = pipe._get_add_time_ids((40, 60), (0, 4), (16, 16), torch.float32, 12)
    assert torch.equal(ids, theirs)


@pytest.mark.parametrize("xl", [False, True])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_sampling_with_our_parts_gives_the_pipelines_picture(
    pipeline: Path, xl_pipeline: Path, xl: bool, scale: float
) -> None:
    """Encoders, denoiser, guidance, size conditioning and decoder, all at once."""
    from invdpo.train.inversion import regenerate
    from invdpo.train.models.reference import Reference
    from invdpo.train.schedule import Grid

    folder = xl_pipeline if xl else pipeline
    adapter, pipe = load(folder), reference(folder)
    noise = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    theirs = pipe(
        PROMPTS[0],
        height=16,
        width=16,
        num_inference_steps=4,
        guidance_scale=scale,
        latents=noise,
        output_type="pt",
    ).images
    times = [0, *sorted(pipe.scheduler.timesteps.tolist())]
    bar = adapter.process.training_levels(noise.shape[1:]).levels
    levels = [bar[t].item() for t in times]
    grid = Grid(torch.tensor(times), torch.tensor(levels, dtype=torch.float64))
    sizes = adapter.size_conditioning([Framing(SIZE, (0, 0), SIZE)])
    full, empty = (adapter.encode_prompts([p]) | sizes for p in (PROMPTS[0], None))
    predict = Reference(adapter, full, empty if scale != 1 else None, scale, 2)
    ours = adapter.decode_latents(regenerate(predict, adapter.process, noise, grid)) / 2 + 0.5
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_latents_are_the_scaled_mode_and_repeat(pipeline: Path) -> None:
    from diffusers import AutoencoderKL

    adapter, image = load(pipeline), fit(Image.new("RGB", SIZE, (255, 0, 128)), SIZE)
    latent = adapter.encode_images([image])["latent"]
    vae = AutoencoderKL.from_pretrained(pipeline, subfolder="vae")
    pixels = torch.tensor([1.0, -1.0, 128 / 127.5 - 1]).view(1, 3, 1, 1).expand(1, 3, *SIZE)
    with torch.no_grad():
        expected = vae.encode(pixels).latent_dist.mode() * 0.5
    torch.testing.assert_close(latent, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(latent, adapter.encode_images([image])["latent"])


def test_a_mirrored_picture_has_another_latent(pipeline: Path) -> None:
    adapter, image = load(pipeline), Image.linear_gradient("L").rotate(90).convert("RGB")
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    first, second = (adapter.encode_images([fit(i, SIZE)])["latent"] for i in (image, mirrored))
    assert not torch.allclose(first, second, atol=1e-2)


@pytest.mark.parametrize("xl", [False, True])
def test_sizes_follow_from_the_configuration(pipeline: Path, xl_pipeline: Path, xl: bool) -> None:
    adapter = load(xl_pipeline if xl else pipeline)
    assert (adapter.side, adapter.multiple) == (16, 8)
    image = fit(Image.new("L", (70, 20)).convert("RGB"), (32, 8))
    assert adapter.encode_images([image])["latent"].shape == (1, *adapter.latent_shape((32, 8)))
    assert isinstance(adapter, StableDiffusion)
    assert {name: value.shape for name, value in adapter.prompt_shapes(1).items()} == {
        name: value.shape for name, value in adapter.encode_prompts([PROMPTS[0]]).items()
    }


@pytest.mark.parametrize("xl", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near(pipeline: Path, xl_pipeline: Path, xl: bool, dtype: str) -> None:
    folder, image = xl_pipeline if xl else pipeline, fit(Image.new("RGB", SIZE, "red"), SIZE)
    noises: list[Tensor] = []
    kinds: list[dict[str, str]] = [{}, {"dtype": dtype}, {"dtype": dtype, "tuning": "full"}]
    for changes in kinds:
        adapter = load(folder, **changes)
        images = adapter.encode_images([image])
        latent = images.pop("latent")
        encoded = adapter.encode_prompts(PROMPTS[:1]) | images
        with torch.no_grad():
            noise = adapter.predict(adapter.denoiser, latent, torch.tensor([500]), encoded)
        assert noise.dtype == latent.dtype == torch.float32
        kept = "float32" if "tuning" in changes else changes.get("dtype", "float32")
        assert next(adapter.denoiser.parameters()).dtype == getattr(torch, kept)
        noises.append(noise)
    for half in noises[1:]:
        torch.testing.assert_close(half, noises[0], atol=0.05, rtol=0.05)
    assert load(folder, dtype=dtype).precision == dtype
    assert load(folder, dtype=dtype, tuning="full").precision == f"{dtype} on float32"


@pytest.mark.parametrize("xl", [False, True])
def test_weights_saved_as_a_variant_alone_are_found(
    pipeline: Path, xl_pipeline: Path, tmp_path: Path, xl: bool
) -> None:
    folder = xl_pipeline if xl else pipeline
    reference(folder).save_pretrained(tmp_path / "half", variant="fp16")
    assert list((tmp_path / "half/unet").glob("*.fp16.safetensors"))
    main, variant = load(folder), load(tmp_path / "half")
    x, t = torch.randn(1, 4, 4, 4), torch.tensor([10])
    encoded = main.encode_prompts(PROMPTS[:1]) | main.size_conditioning(
        [Framing(SIZE, (0, 0), SIZE)]
    )
    again = variant.encode_prompts(PROMPTS[:1])
    assert all(torch.equal(again[name], encoded[name]) for name in again)
    with torch.no_grad():
        expected = main.predict(main.denoiser, x, t, encoded)
        assert torch.equal(variant.predict(variant.denoiser, x, t, encoded), expected)


def test_v_prediction_is_turned_into_noise(tmp_path: Path, pipeline: Path) -> None:
    epsilon: Any = load(pipeline)
    v: Any = load(build_pipeline(tmp_path / "v", "v_prediction"))
    x, t = torch.randn(2, 4, 4, 4), torch.tensor([10, 900])
    encoded = {"encoder_hidden_states": torch.randn(2, 16, 16)}
    with torch.no_grad():
        out = epsilon.predict(epsilon.denoiser, x, t, encoded)
        noise = v.predict(epsilon.denoiser, x, t, encoded)
    level = v.process.alpha_bar[t].float().view(-1, 1, 1, 1)
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
        _ = load(copy).denoiser


def test_truncated_weights_are_named(tmp_path: Path, pipeline: Path) -> None:
    copy = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    weights = next((copy / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="unet"):
        _ = load(copy).denoiser


def test_a_folder_without_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model_index\.json"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["ChromaPipeline", "Missing"])
def test_an_unknown_pipeline_lists_the_known(tmp_path: Path, name: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    with pytest.raises(ModelError, match=rf"{name}.*FluxPipeline.*StableDiffusionXLPipeline.*can"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("unet/config.json", {"in_channels": 9}, "inpainting or editing"),
        ("unet/config.json", {"time_cond_proj_dim": 8}, "distilled"),
        ("vae/config.json", {"latents_mean": [0, 0, 0, 0]}, "latents_mean"),
        ("scheduler/scheduler_config.json", {"rescale_betas_zero_snr": True}, "zero_snr"),
    ],
)
def test_relatives_that_would_train_wrongly_are_refused(
    pipeline: Path, tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load(edit(pipeline, tmp_path / "copy", name, **changes))


def test_a_hub_that_can_not_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    told = r"^nobody/nothing: no such file or folder here, .* \(ConnectError: .*\)"
    with pytest.raises(ModelError, match=told) as error:
        load(Path("nobody/nothing"))
    assert "stacktrace" not in str(error.value)
