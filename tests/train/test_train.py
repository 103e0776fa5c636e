from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, DataError, PluginError
from invdpo.schemas.ids import prompt_key
from invdpo.train import TrainResult, train
from invdpo.train.batches import step_pairs
from invdpo.train.loop import Loop
from invdpo.train.objective import InversionDPO
from tests.train.smooth import NOWHERE, SMOOTH, apart, smooth_steps
from tests.train.tiny import png, row, write_pairs

WEIGHTS = "pytorch_lora_weights.safetensors"


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    return load_file(result.output / WEIGHTS)


def lines(result: TrainResult) -> list[dict[str, float]]:
    text = (result.output / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("objective", ["inversion-dpo", "diffusion-dpo", "sft"])
def test_every_objective_trains_and_reports(run: Any, objective: str) -> None:
    result = run(objective=objective, validate_every=2)
    rows = lines(result)
    assert [r["step"] for r in rows] == [1, 2, 3]
    assert all(math.isfinite(v) for r in rows for v in r.values())
    assert {"loss", "grad_norm", "learning_rate", "seconds", "forwards"} <= rows[0].keys()
    assert ("rewards/accuracies" in rows[0]) == (objective != "sft")
    assert ("running/rewards/margins" in rows[0]) == (objective != "sft")
    assert all(r["pairs_per_second"] > 0 and 0.05 < r["peak_rss_gb"] < 1000 for r in rows)
    assert ["validation/loss" in r for r in rows] == [False, True, True]
    samples = 3 * 2 * {"inversion-dpo": 4, "diffusion-dpo": 8, "sft": 2}[objective]
    assert result.forwards == rows[-1]["forwards"] == samples
    assert any(t.abs().max() > 0 for t in weights(result).values())
    assert json.loads((result.output / "training.json").read_text())["result"]["steps"] == 3


def test_the_report_tells_the_base_and_the_prompts(run: Any, dataset: Path) -> None:
    result = run(keep="best", max_steps=1)
    report = json.loads((result.output / "training.json").read_text())
    assert report["pipeline"] == "StableDiffusionPipeline"
    assert report["data"]["dataset"] == str(dataset)
    keys = {name: set(keys) for name, keys in report["data"]["prompts"].items()}
    assert keys["train"] == {prompt_key(row(n)["prompt"]) for n in range(6)}
    assert keys["validation"] == {prompt_key(row(n)["prompt"]) for n in range(6, 8)}
    assert any("Only 2 validation pairs" in note for note in result.notes)
    kept_last = run("last", keep="last", max_steps=1)
    assert not any("validation pairs" in note for note in kept_last.notes)


@pytest.mark.parametrize("residual", ["implied", "endpoint"])
def test_the_first_loss_is_ln_2_and_a_step_moves(run: Any, residual: str) -> None:
    result = run(residual=residual)
    assert lines(result)[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert lines(result)[0]["grad_norm"] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_points": 2, "num_points": None},
        {"cache_points": 3, "residual": "implied"},
        {"cache_dtype": "bfloat16"},
        {"cache_dtype": "float16", "cache_points": 2, "residual": "implied"},
    ],
)
def test_a_smaller_cache_trains_alike(run: Any, changes: dict[str, Any]) -> None:
    result = run(**changes)
    assert lines(result)[0]["loss"] == pytest.approx(math.log(2), abs=0.05)
    assert lines(result)[0]["grad_norm"] > 0
    assert result.forwards == 3 * 2 * 2 * min(2, changes.get("cache_points", 4))


def test_residual_reference_has_zero_gradient_and_says_so(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth_steps(monkeypatch)  # AdamW would make a step of the gradient's rounding
    result = run(residual="reference")
    assert all(
        r["grad_norm"] < 1e-2 and r["loss"] == pytest.approx(math.log(2)) for r in lines(result)
    )
    assert any("gradient is exactly zero" in note for note in result.notes)


def test_options_that_the_objective_does_not_use_are_named(run: Any) -> None:
    unused = {"noise": "own", "fresh_noise": 0.5, "strategy": "fsdp"}
    result = run(objective="diffusion-dpo", max_steps=1, **unused)
    expected = "objective diffusion-dpo inverts nothing; not used: noise own, fresh_noise 0.5."
    assert expected in result.notes
    assert any("fsdp: there is one process" in note for note in result.notes)
    assert not any("not used" in note for note in run("plain", max_steps=1).notes)
    assert any("no step beat the base model" in note for note in result.notes)


def test_the_same_seed_gives_the_same_weights(run: Any) -> None:
    first, again, other = (weights(run(n, seed=s)) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


@pytest.mark.parametrize("objective", ["inversion-dpo", "diffusion-dpo"])
def test_batch_1_accumulated_8_times_is_batch_8(
    run: Any, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth_steps(monkeypatch)
    common = {"objective": objective, "beta": 10.0} | SMOOTH
    start = weights(run("start", batch_size=8, **common | NOWHERE))
    whole = weights(run("whole", batch_size=8, **common))
    parts = weights(run("parts", batch_size=1, gradient_accumulation_steps=8, **common))
    few = weights(run("few", batch_size=8, unet_batch_size=3, **common))
    assert apart(whole, parts, start) < 1e-3
    assert apart(whole, few, start) < 1e-3


def test_training_lowers_the_loss_on_the_pairs(run: Any) -> None:
    result = run(
        max_steps=25, num_points=None, batch_size=6, beta=200.0, tuning="full", learning_rate=1e-3
    )
    rows = lines(result)
    assert rows[-1]["loss"] < 0.8 * math.log(2)
    assert rows[-1]["rewards/margins"] > 0


def test_the_best_weights_are_kept(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, validate = iter([0.5, 0.2, 0.9]), Loop.validate

    def staged(self: Loop, validation: Any) -> dict[str, float]:
        value = next(losses)
        with monkeypatch.context() as patch:
            constant = lambda self, score: torch.full_like(score, value)  # noqa: E731
            patch.setattr(InversionDPO, "loss", constant)
            return validate(self, validation)

    monkeypatch.setattr(Loop, "validate", staged)
    result = run(validate_every=1, save_every=1)
    assert (result.best_step, result.best_loss) == (2, pytest.approx(0.2))
    kept = load_file(result.output / "checkpoints" / "step-000002" / WEIGHTS)
    assert all(torch.equal(kept[k], v) for k, v in weights(result).items())


def test_a_cached_run_needs_no_encoders(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("first")
    assert first.cache_seconds >= 0
    assert first.trajectory_forwards > 0
    from invdpo.train.models.stable_diffusion import StableDiffusion

    def load(self: Any, kind: Any, name: str, dtype: Any) -> Any:
        assert name == "unet"
        return real(self, kind, name, dtype)

    real = StableDiffusion._load
    monkeypatch.setattr(StableDiffusion, "_load", load)
    second = run("second")
    assert second.cache_forwards == 0
    assert second.trajectory_forwards == first.trajectory_forwards


def test_an_optimiser_without_its_package_is_told_before_phase_one(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a dry run, too, unless it counts for another machine."""
    from invdpo.train.diagnostics.estimate import estimate
    from invdpo.train.optim import optimizers

    def lack(*_: str) -> None:
        raise PluginError("needs the package 'torchao'")

    monkeypatch.setattr(optimizers, "require", lack)
    eight_bit = config.model_copy(update={"optimizer": "adamw8bit"})
    with pytest.raises(PluginError, match="torchao"):
        train(dataset, tmp_path / "out", eight_bit, cache_dir=tmp_path / "cache", progress=False)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(PluginError, match="torchao"):
        estimate(dataset, tmp_path / "out", eight_bit)
    assert estimate(dataset, tmp_path / "out", eight_bit, tflops=1.0).required


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_no_encoder_or_reference_is_alive_while_training(
    run: Any, monkeypatch: pytest.MonkeyPatch, tuning: str
) -> None:
    import gc

    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    step, counts = Loop.step, []

    def alive() -> list[int]:
        gc.collect()
        kinds = (AutoencoderKL, CLIPTextModel, UNet2DConditionModel)
        return [sum(issubclass(type(o), kind) for o in gc.get_objects()) for kind in kinds]

    def counted(self: Loop, pairs: Any) -> dict[str, float]:
        counts.append(alive())
        return step(self, pairs)

    before = alive()  # other tests of this process keep pipelines of their own
    monkeypatch.setattr(Loop, "step", counted)
    changes = {"residual": "implied"} if tuning == "full" else {"inversion_guidance_scale": 1.5}
    run(tuning=tuning, max_steps=1, **changes)
    assert [now - then for now, then in zip(counts[-1], before, strict=True)] == [0, 0, 1]


def test_unusable_rows_are_skipped_and_named(run: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    bad = b"\x89PNG no more"
    write_pairs(data, "train", [row(0), row(1, chosen=bad), row(2, png(9), png(9))])
    result = run(data=data)
    assert result.pairs == 1
    assert result.skipped == {"image unreadable": 1, "chosen equals rejected": 1}
    assert any("image unreadable" in n and "row 1" in n for n in result.notes)
    assert any("last step" in n for n in result.notes)
    assert result.best_loss is None


def test_truncated_prompts_are_counted_in_every_run(run: Any, tmp_path: Path) -> None:
    """In the second, too, which finds them in the cache."""
    long = {"prompt": "a red circle " * 20}
    write_pairs(tmp_path / "data", "train", [row(0), row(1) | long, row(2) | long])
    for name in ("first", "second"):
        notes = run(name, data=tmp_path / "data", max_steps=1).notes
        assert "1 prompt longer than the text encoder allows: truncated." in notes


@pytest.mark.parametrize("rows", [[], [row(0, png(1), png(1))], [row(0, b"x", b"y")]])
def test_no_usable_pair_is_an_error(run: Any, tmp_path: Path, rows: list[Any]) -> None:
    write_pairs(tmp_path / "data", "train", rows)
    with pytest.raises(DataError, match=r"no training pairs|no usable pair"):
        run(data=tmp_path / "data")


def test_a_loss_that_is_not_finite_stops_before_the_step(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_step: list[tuple[Loop, list[torch.Tensor]]] = []
    step = Loop.step

    def poisoned(self: Loop, pairs: Any) -> dict[str, float]:
        before_step.append((self, [p.detach().clone() for p in self.tuning.parameters]))
        self.objective = replace(self.objective, beta=math.nan)
        return step(self, pairs)

    monkeypatch.setattr(Loop, "step", poisoned)
    with pytest.raises(DataError, match=r"Step 1: the loss of pair pair\d .*row \d"):
        run()
    loop, before = before_step[0]
    assert all(torch.equal(p, b) for p, b in zip(loop.tuning.parameters, before, strict=True))


def test_an_unknown_device_is_told(run: Any) -> None:
    """`abacus` is no name, `fpga` one of which torch has a lot to say."""
    for name in ("abacus", "fpga"):
        text = rf"^device: '{name}' is not available\. Available: auto, cpu\b.*\.$"
        with pytest.raises(ConfigError, match=text):
            run(device=name)


def test_every_pair_comes_once_an_epoch() -> None:
    pairs: Any = list(range(10))
    taken = [p for step in range(5) for p in step_pairs(pairs, 4, step, seed=0)]
    assert set(taken[:10]) == set(taken[10:]) == set(pairs)
    assert taken[:10] != taken[10:]


def test_importing_the_room_is_light() -> None:
    code = "import sys, invdpo.train; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
