"""What a step does in each precision, with each optimiser, and when something goes wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import DataError, ModelError
from invdpo.train import loop
from invdpo.train.loop import Loop
from invdpo.train.models.stable_diffusion import StableDiffusion
from tests.train.smooth import NOWHERE, SMOOTH, apart, smooth_steps
from tests.train.test_distributed import lines, weights


@pytest.mark.parametrize("xl", [False, True])
@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_trains_what_float32_trains(
    run: Any, xl_pipeline: Path, xl: bool, tuning: str, dtype: str
) -> None:
    common = {"beta": 100.0, "learning_rate": 1e-3, "tuning": tuning, "keep": "last"}
    if xl:
        common["model"] = str(xl_pipeline)
    whole, half = run("whole", **common), run("half", dtype=dtype, **common)
    assert lines(half.output)[0]["loss"] == pytest.approx(math.log(2), abs=0.02)
    ratio = lines(half.output)[0]["grad_norm"] / lines(whole.output)[0]["grad_norm"]
    assert ratio == pytest.approx(1, abs=0.2)
    assert {t.dtype for t in weights(half.output).values()} == {torch.float32}


def test_a_step_that_overflows_is_repeated_at_half_the_scale(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, scales = Loop._clipped_norm, list[float]()

    def overflowing(self: Loop) -> float:
        scales.append(self.scale.value)
        norm = real(self)
        return math.inf if len(scales) <= 2 else norm

    monkeypatch.setattr(Loop, "_clipped_norm", overflowing)
    result = run("half", dtype="float16", max_steps=2, beta=0.1)
    assert scales == [2.0**16, 2.0**15, 2.0**14, 2.0**14]
    assert [line["step"] for line in lines(result.output)] == [1, 2]


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit", "adafactor"])
def test_every_optimiser_moves_the_weights(run: Any, optimizer: str) -> None:
    if optimizer == "adamw8bit":
        pytest.importorskip("torchao")
    result = run(optimizer=optimizer, tuning="full", learning_rate=1e-3, beta=10.0)
    assert lines(result.output)[-1]["loss"] != pytest.approx(math.log(2), abs=1e-6)


def test_gradient_checkpointing_changes_nothing_but_memory(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth_steps(monkeypatch)
    start = weights(run("start", **SMOOTH | NOWHERE).output)
    plain = weights(run("plain", **SMOOTH).output)
    sparing = weights(run("sparing", gradient_checkpointing=True, **SMOOTH).output)
    assert apart(plain, sparing, start) < 1e-3


def test_gradient_checkpointing_keeps_less(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    from invdpo.train.diagnostics.estimate import estimate

    kept = []
    for on in (False, True):
        changed = config.model_copy(update={"gradient_checkpointing": on})
        measured = estimate(dataset, tmp_path / "out", changed).measured
        assert measured is not None
        kept.append(measured.graph_bytes)
    assert kept[1] < 0.6 * kept[0]


def test_the_average_is_what_is_saved_and_judged(run: Any) -> None:
    plain = run("plain", keep="last", max_steps=2)
    averaged = run("averaged", keep="last", max_steps=2, ema_decay=0.9)
    first = run("first", keep="last", max_steps=1)
    # the first step's weights come in with 9/11, the second's with 9/12
    start = run("start", keep="last", max_steps=1, learning_rate=1e-12)
    for name, moved in weights(plain.output).items():
        after_one = weights(start.output)[name] * 2 / 11 + weights(first.output)[name] * 9 / 11
        expected = after_one * 3 / 12 + moved * 9 / 12
        torch.testing.assert_close(weights(averaged.output)[name], expected, atol=1e-5, rtol=1e-4)
    assert averaged.best_loss != plain.best_loss


@pytest.mark.parametrize("ema", [None, 0.9])
def test_extrapolated_weights_are_saved_and_judged(run: Any, ema: float | None) -> None:
    common = {"keep": "last", "max_steps": 3, "tuning": "full", "ema_decay": ema}
    plain = run("plain", **common)
    further = run("further", extrapolation=1.5, **common)
    start = weights(run("start", **(common | {"learning_rate": 1e-12})).output)
    assert lines(further.output)[-1]["loss"] == lines(plain.output)[-1]["loss"]
    assert further.best_loss != plain.best_loss
    changed = weights(further.output)
    for name, moved in weights(plain.output).items():
        expected = start[name] + 2.5 * (moved - start[name])
        torch.testing.assert_close(changed[name], expected, atol=1e-5, rtol=1e-5)


def test_a_validation_loss_that_is_not_finite_stops_before_anything_is_saved(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "all_errors", lambda predict, batch, limit: batch.x[..., 0, 0, 0] / 0)
    found = r"^Validation after step 1: the loss of pair pair6 \(.*\) is not finite"
    with pytest.raises(DataError, match=found):
        run("spoiled", max_steps=1)
    assert not (tmp_path / "spoiled" / "pytorch_lora_weights.safetensors").exists()


@pytest.mark.parametrize("phase", ["inverting", "training"])
def test_a_device_out_of_memory_says_what_would_fit(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    if phase == "training":
        run("first", max_steps=1)
    real = StableDiffusion.predict

    def full(self: Any, unet: Any, x: Tensor, *args: Any) -> Tensor:
        if torch.is_grad_enabled() == (phase == "training"):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(self, unet, x, *args)

    monkeypatch.setattr(StableDiffusion, "predict", full)
    steps = {} if phase == "training" else {"num_inversion_steps": 3}
    with pytest.raises(ModelError) as error:
        run("second", unet_batch_size=8, **steps)
    text = str(error.value)
    assert "Out of memory" in text
    assert "unet_batch_size: 4 (the same results)" in text
    assert ("gradient_checkpointing" in text) == (phase == "training")
