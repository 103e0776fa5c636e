from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ModelError
from invdpo.train.diagnostics.estimate import estimate
from invdpo.train.diagnostics.estimate_text import estimate_text
from invdpo.train.models import load_adapter


def test_without_weights_the_same_is_counted_as_is_measured_with_them(
    bare: Path, config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    config = config.model_copy(update={"ema_decay": 0.9, "reference_decay": 0.9})
    measured = estimate(dataset, tmp_path / "out", config)
    counted = estimate(dataset, tmp_path / "out", config.model_copy(update={"model": str(bare)}))
    required, calls = counted.required, measured.measured
    assert required is not None
    assert calls is not None
    assert (measured.required, counted.measured, counted.cache_seconds) == (None, None, None)
    assert counted.lacking == measured.lacking
    assert calls.fixed_bytes == required.fixed_bytes["lora"]
    assert calls.fixed_bytes.keys() >= {"averages", "reference"}
    assert calls.graph_bytes == pytest.approx(8 * required.graph_bytes, rel=0.15)
    assert required.checkpointed_bytes < required.graph_bytes / 2
    adapter = load_adapter(config, torch.device("cpu"))
    parameters = {
        "unet": adapter.denoiser,
        **{n: getattr(adapter, n) for n in ("vae", "text_encoder")},
    }
    assert required.parameters == {
        name: sum(p.numel() for p in part.parameters() if "lora" not in name)
        for name, part in parameters.items()
    }
    encoding, walking = ({n: size // 4 for n, size in s.items()} for s in required.phase_one)
    assert walking == {"unet": required.parameters["unet"]}
    texts = required.parameters["text_encoder"]
    assert encoding == {"vae": required.parameters["vae"], "text encoders": texts}
    assert sorted(tmp_path.iterdir()) == []
    text = estimate_text(counted)
    assert "no weights of unet, vae, text_encoder); nothing was measured" in text
    assert "not known without weights; --tflops" in text
    assert "nothing was measured" not in estimate_text(measured)


def test_a_rate_turns_the_counts_into_hours(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    """Every forward of a step has a backward, and with checkpointing one forward more."""
    config = config.model_copy(update={"gradient_checkpointing": True, "tuning": "full"})
    counted = estimate(dataset, tmp_path / "out", config, tflops=0.5)
    required, need = counted.required, counted.lacking
    assert required is not None
    assert required.step_flops > 2 * required.forward_flops
    encoding = need.images * required.image_flops + need.prompts * required.prompt_flops
    cache = encoding + counted.cache_forwards * required.forward_flops
    steps = counted.train_forwards * (required.step_flops + required.forward_flops)
    assert counted.cache_flops == cache
    assert counted.train_flops == steps + counted.validation_forwards * required.forward_flops
    assert counted.cache_seconds == round(cache / 0.5e12, 3)
    assert required.phase_two == pytest.approx(
        sum(required.fixed_bytes["full"].values()) + 8 * required.checkpointed_bytes
    )
    assert "(--tflops was given); nothing was measured" in estimate_text(counted)


def test_pickles_are_no_reason_to_count(
    bare: Path, config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(bare, tmp_path / "pickled")
    for name in ("unet", "vae", "text_encoder"):
        (folder / name / "model.bin").touch()
    with pytest.raises(ModelError, match=r"refused|can't be used"):
        estimate(dataset, tmp_path / "out", config.model_copy(update={"model": str(folder)}))


def test_a_model_out_of_reach_names_the_way_out(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"can't be used.*\n.*needs no weights.*model_index"):
        estimate(
            dataset, tmp_path, config.model_copy(update={"model": "nobody/nothing"}), tflops=100.0
        )
