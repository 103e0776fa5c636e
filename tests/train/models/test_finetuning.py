from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train.distributed import ProcessGroup
from invdpo.train.models import load_adapter
from invdpo.train.models.finetuning import start_tuning

INPUTS = (
    torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0)),
    torch.tensor([10, 900]),
    torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1)),
)


XL = {
    "encoder_hidden_states": torch.randn(2, 16, 36, generator=torch.Generator().manual_seed(2)),
    "added_cond_kwargs": {"text_embeds": torch.ones(2, 12), "time_ids": torch.ones(2, 6)},
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
    ours = output(tuning.unet.float(), **conditioning)
    torch.testing.assert_close(output(pipe.unet, **conditioning), ours, atol=near, rtol=10 * near)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_the_reference_stays_where_it_was(config: TrainConfig, kind: str) -> None:
    tuning = start(config.model_copy(update={"tuning": kind}))
    before = output(tuning.unet)
    shake(tuning)
    with tuning.reference() as unet:
        assert torch.equal(output(unet), before)
    assert (output(tuning.unet) - before).abs().max() > 1e-3


def test_only_the_adapters_move_and_start_at_zero(config: TrainConfig) -> None:
    adapter = load_adapter(config, torch.device("cpu"))
    before = output(adapter.unet)
    tuning = start_tuning(adapter, config, ProcessGroup(torch.device("cpu")), keep_reference=False)
    assert torch.equal(output(tuning.unet), before)
    names = [n for n, p in tuning.unet.named_parameters() if p.requires_grad]
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
    with pytest.raises(ConfigError, match=r"called nothing; there are: .*to_out\.0.*to_q"):
        start(wrong)
