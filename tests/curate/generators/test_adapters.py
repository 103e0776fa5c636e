"""LoRAs are applied whole, whoever wrote them, or refused with the number that fits nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from invdpo.curate.checkpoints.loading import load
from invdpo.curate.checkpoints.pipelines import find_lora, find_model
from invdpo.curate.generate import Generate
from invdpo.curate.generators.adapters import NUMBERS, _misfit, _rank
from invdpo.curate.generators.pipeline import ImageGenerator
from invdpo.schemas import ModelError
from tests.curate.tiny import tiny_config

Tensors = dict[str, torch.Tensor]
TARGETS = ["to_q", "to_v"]
GONE = "adapter_config.json, which is not there"


@pytest.fixture(scope="module")
def layers(tiny_model: Path) -> Tensors:
    """16 layers of a LoRA on the tiny model's attention, as PEFT names them in the UNet."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet: Any = load(find_model(str(tiny_model)), "float32").unet
    unet.add_adapter(LoraConfig(r=2, target_modules=TARGETS, init_lora_weights=False))
    generator = torch.Generator().manual_seed(1)
    return {
        name: 5 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in get_peft_model_state_dict(unet).items()
    }


def saved(path: Path, tensors: Tensors, **metadata: str) -> Path:
    save_file(tensors, path, metadata={"format": "pt", **metadata})
    return path


def plain(layers: Tensors) -> Tensors:
    return {f"unet.{name}": tensor for name, tensor in layers.items()}


def drawn(model: Path, lora: Path | None, scale: float = 1.0) -> bytes:
    loras = [] if lora is None else [f"{lora}={scale}"]
    config = tiny_config(model, generate={"loras": loras}).generate
    row = next(iter(Generate(config)([{"prompt_id": "p", "prompt": "a circle", "status": "ok"}])))
    assert row["error"] is None
    return bytes(row["image"]["bytes"])


def refusal(model: Path, lora: Path) -> str:
    with pytest.raises(ModelError) as error:
        drawn(model, lora)
    return str(error.value)


def test_a_peft_folder_draws_what_its_settings_say(
    tiny_model: Path, layers: Tensors, tmp_path: Path
) -> None:
    """lora_alpha 4 at rank 2 is scale 2; with another alpha images and revision are others."""
    from peft import LoraConfig, get_peft_model

    unet: Any = load(find_model(str(tiny_model)), "float32").unet
    wrapped = get_peft_model(unet, LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS))
    folder = tmp_path / "peft"
    wrapped.save_pretrained(str(folder))
    theirs = {f"base_model.model.{name}": tensor for name, tensor in layers.items()}
    assert load_file(folder / "adapter_model.safetensors").keys() == theirs.keys()
    saved(folder / "adapter_model.safetensors", theirs)
    usual = saved(tmp_path / "usual.safetensors", plain(layers))
    assert drawn(tiny_model, folder) == drawn(tiny_model, usual, 2) != drawn(tiny_model, None)
    assert drawn(tiny_model, folder, 0.5) == drawn(tiny_model, usual)
    before = find_lora(str(folder)).revision
    settings = folder / "adapter_config.json"
    settings.write_text(settings.read_text().replace('"lora_alpha": 4', '"lora_alpha": 2'))
    assert find_lora(str(folder)).revision != before
    assert drawn(tiny_model, folder) == drawn(tiny_model, usual)
    settings.write_text(
        settings.read_text().replace('"init_lora_weights": true', '"init_lora_weights": "pissa"')
    )
    assert "found init_lora_weights 'pissa'; only a plain LoRA" in refusal(tiny_model, folder)
    settings.unlink()
    assert GONE in refusal(tiny_model, folder)


def test_a_file_of_two_spellings_is_applied_whole(
    tiny_model: Path, layers: Tensors, tmp_path: Path
) -> None:
    """As trainers write that convert attention layers alone; the library would apply one half."""
    usual = saved(tmp_path / "usual.safetensors", plain(layers))
    older = {".to_q.lora_A": ".to_q.lora.down", ".to_q.lora_B": ".to_q.lora.up"}
    both = plain(layers)
    for new, old in older.items():
        both = {name.replace(new, old): tensor for name, tensor in both.items()}
    assert len(set(both) - set(plain(layers))) == 16
    mixed = saved(tmp_path / "mixed.safetensors", both)
    assert drawn(tiny_model, mixed) == drawn(tiny_model, usual)


def without(tensors: Tensors, text: str) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if text not in name}


def renamed(tensors: Tensors, old: str, new: str) -> Tensors:
    return {name.replace(old, new): tensor for name, tensor in tensors.items()}


FIRST = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


def kohya(layers: Tensors) -> Tensors:
    spelled = {}
    for name, tensor in layers.items():
        layer, _, side = name.removesuffix(".weight").rpartition(".")
        stem = f"lora_unet_{layer.replace('.', '_')}"
        spelled[f"{stem}.lora_{'down' if side == 'lora_A' else 'up'}.weight"] = tensor
        spelled[f"{stem}.alpha"] = torch.tensor(2.0)
    return spelled


def beyond(_: Tensors) -> Tensors:
    """On a layer that the text encoder hasn't, as of a larger model."""
    place = "text_encoder.encoder.layers.{}.self_attn.q_proj.lora_{}.weight"
    shapes = {"A": (2, 16), "B": (16, 2)}
    return {place.format(n, side): torch.ones(s) for n in (0, 9) for side, s in shapes.items()}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda t: renamed(plain(t), "attn2", "attn3"), r"16 of 32 .* \(first: unet\.\S+attn3"),
        (lambda t: renamed(plain(t), "unet.", "transformer."), r"32 of 32 tensors"),
        (lambda t: t, rf"32 of 32 tensors of this LoRA match nothing in .* \(first: {FIRST}"),
        (lambda t: renamed(plain(t), "unet.", "other."), r"32 of 32"),
        (lambda t: without(plain(t), f"{FIRST}.lora_B"), rf"1 of 31 .*unet\.{FIRST}\.lora_A"),
        (lambda t: without(plain(t), f"{FIRST}.lora_A"), rf"1 of 31 .*unet\.{FIRST}\.lora_B"),
        (
            lambda t: kohya(t) | {"lora_unet_mid_block_x.dora_scale": torch.ones(1)},
            r"1 of 49 .* \(first: lora_unet_mid_block_x\.dora_scale",
        ),
        (lambda t: plain(t) | beyond(t), r"2 of 36 .* \(first: text_encoder\.encoder\.layers\.9"),
        (lambda _: {}, "no tensors in it"),
    ],
)
def test_what_fits_nothing_is_counted(
    tiny_model: Path, layers: Tensors, tmp_path: Path, damage: Any, said: str
) -> None:
    import re

    text = refusal(tiny_model, saved(tmp_path / "x.safetensors", damage(layers)))
    assert re.search(said, text), text


def test_every_known_form_fits(tiny_model: Path, layers: Tensors, tmp_path: Path) -> None:
    """Kohya's with scales of 1, and diffusers' own with its settings in the file's head."""
    usual = drawn(tiny_model, saved(tmp_path / "usual.safetensors", plain(layers)))
    assert drawn(tiny_model, saved(tmp_path / "k.safetensors", kohya(layers))) == usual
    settings = {
        f"unet.{k}": v for k, v in {"r": 2, "lora_alpha": 2, "target_modules": TARGETS}.items()
    }
    head = {"lora_adapter_metadata": json.dumps(settings)}
    assert drawn(tiny_model, saved(tmp_path / "h.safetensors", plain(layers), **head)) == usual
    # settings that name fewer layers than the file has: all are applied
    narrow = {"lora_adapter_metadata": json.dumps(settings | {"unet.target_modules": ["to_q"]})}
    file = saved(tmp_path / "n.safetensors", plain(layers), **narrow)
    assert drawn(tiny_model, file) == usual


@pytest.mark.parametrize("others", [None, 1.0, 4.0])
def test_each_layer_has_its_own_scale(
    tiny_model: Path, layers: Tensors, tmp_path: Path, others: float | None
) -> None:
    """It is alpha over rank, which is 2, and 1 without an alpha, whatever most layers have."""
    theirs = kohya(layers)
    for number, key in enumerate(key for key in kohya(layers) if key.endswith(".alpha")):
        value = 0.5 if number < 10 else others
        if value is None:
            del theirs[key]
        else:
            theirs[key] = torch.tensor(value)
    lora = saved(tmp_path / "lora.safetensors", theirs)
    config = tiny_config(tiny_model, generate={"lora": str(lora)}).generate
    unet = ImageGenerator(config)._pipeline.unet
    scales = {}
    for name, module in unet.named_modules():
        if hasattr(module, "scaling"):
            applied = module.scaling["lora0"] * module.lora_A["lora0"].weight.detach()
            scales[name] = float((applied / layers[f"{name}.lora_A.weight"]).mean())
    expected = [0.25] * 10 + [(others or 2.0) / 2] * 6
    names = [key.removesuffix(".lora_A.weight") for key in layers if "lora_A" in key]
    assert [round(scales[name], 4) for name in names] == expected


@pytest.mark.parametrize(
    ("end", "value", "said"),
    [
        (
            "down.weight",
            float("nan"),
            r"16 of 48 .* not finite \(first: lora_unet_\S+lora_down",
        ),
        (".alpha", float("inf"), r"16 of 48 tensors .* \(first: lora_unet_\S+\.alpha\)"),
        (".alpha", 0.0, "alpha is 0 in every layer of this LoRA, so it changes nothing"),
    ],
)
def test_a_lora_of_useless_values_is_refused(
    tiny_model: Path, layers: Tensors, tmp_path: Path, end: str, value: float, said: str
) -> None:
    import re

    spoiled = {
        key: torch.full_like(tensor, value) if key.endswith(end) else tensor
        for key, tensor in kohya(layers).items()
    }
    text = refusal(tiny_model, saved(tmp_path / "x.safetensors", spoiled))
    assert re.search(said, text), text


def test_numbers_differ_in_every_precision() -> None:
    for kind in (torch.float16, torch.bfloat16, torch.float32):
        kept = torch.tensor(NUMBERS, dtype=kind).double().tolist()
        assert kept == NUMBERS
        assert len(set(kept)) == len(NUMBERS) == 3839


def test_the_rank_of_a_layer_is_the_first_axis_of_its_lower_half() -> None:
    shapes = {"a.lora_down.weight": (4, 8), "a.lora_up.weight": (8, 4)}
    assert _rank("a.alpha", shapes) == 4.0
    assert _rank("b.alpha", shapes) == 1.0


def test_a_layer_of_another_size_is_named() -> None:
    error = RuntimeError(
        "Error(s) in loading:\n\tsize mismatch for down.0.to_q.lora_A.default.weight: copying a "
        "param with shape torch.Size([4, 320]) from checkpoint, the shape in current model is "
        "torch.Size([4, 24])."
    )
    text = "another architecture: down.0.to_q has the shape [4, 320] there, here [4, 24]"
    assert _misfit(error) == text
    assert "odd" in _misfit(ValueError("odd"))
