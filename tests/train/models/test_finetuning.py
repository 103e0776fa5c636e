from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from invdpo.curate.shapes import bundle
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train.distributed import ProcessGroup
from invdpo.train.models import load_adapter
from invdpo.train.models.finetuning import start_tuning
from invdpo.train.models.lora_format import base_name, diffusers_names, in_order, kohya_names

INPUTS = (
    torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0)),
    torch.tensor([10, 900]),
    torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1)),
)


ADDED = {"text_embeds": torch.ones(2, 12), "time_ids": torch.ones(2, 6)}
XL = {
    "encoder_hidden_states": torch.randn(2, 16, 36, generator=torch.Generator().manual_seed(2)),
    "added_cond_kwargs": ADDED,
}


def output(unet: Any, **conditioning: Any) -> torch.Tensor:
    with torch.no_grad():
        return unet(*INPUTS[: 2 if conditioning else 3], **conditioning).sample  # type: ignore[no-any-return]


def start(config: TrainConfig, *, keep_reference: bool = True) -> Any:
    adapter = load_adapter(config, torch.device("cpu"))
    return start_tuning(
        adapter, config, ProcessGroup(torch.device("cpu")), keep_reference=keep_reference
    )


def shake(tuning: Any) -> None:
    with torch.no_grad():
        for p in tuning.parameters:
            p.add_(0.05)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("xl", [False, True])
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_saved_weights_load_into_diffusers(
    config: TrainConfig, xl_pipeline: Path, tmp_path: Path, kind: str, xl: bool, dtype: str
) -> None:
    import diffusers

    model = str(xl_pipeline) if xl else config.model
    changes = {"tuning": kind, "model": model, "dtype": dtype}
    tuning = start(config.model_copy(update=changes))
    shake(tuning)
    tuning.save(tmp_path)
    parts: Any = diffusers
    pipe = parts.DiffusionPipeline.from_pretrained(model if kind == "lora" else tmp_path)
    assert type(pipe).__name__ == f"StableDiffusion{'XL' if xl else ''}Pipeline"
    if kind == "lora":
        pipe.load_lora_weights(tmp_path)
    conditioning = XL if xl else {}
    # in half precision the frozen weights have been rounded
    near = 1e-5 if dtype == "float32" or kind == "full" else 0.05
    ours = output(tuning.denoiser.float(), **conditioning)
    torch.testing.assert_close(output(pipe.unet, **conditioning), ours, atol=near, rtol=10 * near)
    assert not list(tmp_path.glob(".*"))


ALL_KINDS = ("to_q", "to_out.0", "proj_in", "ff.net.0.proj", "conv1", "time_emb_proj", "linear_1")


@pytest.mark.parametrize("base", ["sd", "sdxl", "embedded"])
@pytest.mark.parametrize("form", ["diffusers", "kohya"])
@pytest.mark.parametrize("targets", [ALL_KINDS, ("to_q", "to_k", "to_v", "to_out.0")])
def test_all_layers_of_a_lora_are_read_back(
    config: TrainConfig,
    xl_pipeline: Path,
    tmp_path: Path,
    targets: tuple[str, ...],
    form: str,
    base: str,
) -> None:
    """Diffusers' own reader: of attention and other layers in one file it read half, before."""
    import diffusers
    from safetensors import safe_open

    models = {"sd": config.model, "sdxl": xl_pipeline, "embedded": bundle.model_path()}
    model = str(models[base])
    changes = {"model": model, "lora_targets": targets, "lora_format": form, "lora_rank": 3}
    tuning = start(config.model_copy(update=changes))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in tuning.parameters:
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    tuning.save(tmp_path)
    parts: Any = diffusers
    pipe = parts.DiffusionPipeline.from_pretrained(model)
    pipe.load_lora_weights(tmp_path)
    read = {n: p for n, p in pipe.unet.named_parameters() if ".lora_" in n}
    assert len(read) == len(tuning.parameters)
    shape = pipe.unet.config
    given = {
        "sample": torch.randn(1, shape.in_channels, 8, 8, generator=generator),
        "timestep": 500,
        "encoder_hidden_states": torch.randn(1, 5, shape.cross_attention_dim, generator=generator),
    } | ({} if base != "sdxl" else {"added_cond_kwargs": {n: t[:1] for n, t in ADDED.items()}})
    with torch.no_grad():
        theirs, ours = (unet(**given).sample for unet in (pipe.unet, tuning.denoiser))
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)
    with safe_open(tmp_path / "pytorch_lora_weights.safetensors", "pt") as file:
        head, keys = file.metadata(), list(file.keys())
    assert (head["ss_network_dim"], head["ss_network_alpha"]) == ("3", "3")
    assert head["ss_sd_model_name"] == Path(model).name
    ends = {key.partition(".")[2] for key in keys}
    kohya = {"lora_down.weight", "lora_up.weight", "alpha"}
    assert (ends == kohya) == (form == "kohya")
    assert all(key.startswith("lora_unet_" if form == "kohya" else "unet.") for key in keys)


def test_equal_weights_are_equal_files(config: TrainConfig, tmp_path: Path) -> None:
    tuning = start(config)
    found = set()
    for _ in range(8):  # five keys in random order: all of them equal once in 10 ** 14
        tuning.save(tmp_path)
        found.add((tmp_path / "pytorch_lora_weights.safetensors").read_bytes())
    assert len(found) == 1
    weights = {"b": torch.arange(3.0), "a": torch.ones(2, dtype=torch.float16)}
    read = load(in_order(save(weights, {"z": "é", "y": "\n"})))
    assert {name: tensor.tolist() for name, tensor in read.items()} == {
        "a": [1, 1],
        "b": [0, 1, 2],
    }


def test_names_that_comfyui_and_a1111_read() -> None:
    weights = {"lora_A": torch.ones(4, 2), "lora_B": torch.zeros(2, 4)}
    layers = {
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0": "down_blocks_1_attentions"
        "_0_transformer_blocks_0_attn1_to_out_0",
        "mid_block.resnets.1.time_emb_proj": "mid_block_resnets_1_time_emb_proj",
        "add_embedding.linear_2": "label_emb_0_2",
    }
    for layer, name in layers.items():
        named = kohya_names({f"{layer}.{side}.weight": t for side, t in weights.items()})
        assert named.keys() == {
            f"lora_unet_{name}.{end}" for end in ("lora_down.weight", "lora_up.weight", "alpha")
        }
        assert named[f"lora_unet_{name}.lora_down.weight"].shape == (4, 2)
        assert named[f"lora_unet_{name}.alpha"] == 4


def test_the_conversion_that_the_docs_name() -> None:
    import diffusers.utils

    untyped: Any = diffusers.utils
    steps = [untyped.convert_all_state_dict_to_peft, untyped.convert_state_dict_to_kohya]
    for others in ([], ["ff.net.0.proj"]):
        stem = "mid_block.attentions.0.transformer_blocks.0"
        places = [f"{stem}.{name}" for name in ("attn1.to_q", "attn1.to_out.0", *others)]
        layers = {
            f"{place}.lora_{side}.weight": torch.ones(2, 2) for place in places for side in "AB"
        }
        converted = diffusers_names(layers)
        for step in steps:
            converted = step(converted)
        assert converted.keys() == kohya_names(layers).keys()


@pytest.mark.parametrize(
    ("model", "revision", "name"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", None, None),
        ("someone/model", "v2", "someone/model@v2"),
        ("/models/mine", None, "mine"),
    ],
)
def test_the_base_is_named_without_folders(
    config: TrainConfig, model: str, revision: str | None, name: str | None
) -> None:
    changed = config.model_copy(update={"model": model, "revision": revision})
    assert base_name(changed) == (name or model)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_the_reference_stays_where_it_was(config: TrainConfig, kind: str) -> None:
    tuning = start(config.model_copy(update={"tuning": kind}))
    before = output(tuning.denoiser)
    shake(tuning)
    with tuning.reference() as unet:
        assert torch.equal(output(unet), before)
    assert (output(tuning.denoiser) - before).abs().max() > 1e-3


def test_only_the_adapters_move_and_start_at_zero(config: TrainConfig) -> None:
    adapter = load_adapter(config, torch.device("cpu"))
    before = output(adapter.denoiser)
    tuning = start_tuning(adapter, config, ProcessGroup(torch.device("cpu")), keep_reference=False)
    assert torch.equal(output(tuning.denoiser), before)
    names = [n for n, p in tuning.denoiser.named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in name for name in names)


def test_the_seed_decides_the_adapters(config: TrainConfig) -> None:
    first, again, other = (
        start(config.model_copy(update={"seed": s})).parameters[0] for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_saving_one_kind_removes_the_other(config: TrainConfig, tmp_path: Path) -> None:
    start(config.model_copy(update={"tuning": "full"})).save(tmp_path)
    start(config).save(tmp_path)
    assert not (tmp_path / "model_index.json").exists()
    start(config.model_copy(update={"tuning": "full"})).save(tmp_path)
    assert not (tmp_path / "pytorch_lora_weights.safetensors").exists()


def test_unknown_targets_are_listed(config: TrainConfig) -> None:
    wrong = config.model_copy(update={"lora_targets": ("to_q", "nothing")})
    with pytest.raises(ConfigError, match=r"called nothing; allowed: .*to_out\.0.*to_q"):
        start(wrong)
