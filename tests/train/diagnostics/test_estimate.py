from __future__ import annotations

import shutil
from collections import namedtuple
from itertools import count, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from invdpo.schemas import timing as calls
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import DataError, WorkspaceError
from invdpo.schemas.io.text import format_bytes
from invdpo.train import train
from invdpo.train.diagnostics import timing
from invdpo.train.diagnostics.estimate import estimate
from invdpo.train.models import load_adapter
from invdpo.train.models.output_sizes import output_bytes
from tests.train.tiny import png, row, write_pairs

Usage = namedtuple("Usage", "total used free")


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fresh_noise": 0.8},
        {"residual": "implied", "num_inversion_steps": 8},
        {"cache_points": 2, "cache_dtype": "bfloat16", "inversion_guidance_scale": 2.0},
        {"unet_batch_size": 1},
        {"objective": "diffusion-dpo"},
        {"objective": "diffusion-dpo", "sft_share": 0.1, "num_points": 16, "unet_batch_size": 16},
        {"objective": "sft", "gradient_accumulation_steps": 2},
        {"noise": "own", "fresh_noise": 0.5},  # these images are another model's, and inverted
    ],
)
def test_the_estimate_is_what_then_happens(
    config: TrainConfig, dataset: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = config.model_copy(update={"tuning": "full", **changes})
    output, cache = tmp_path / "out", tmp_path / "cache"
    estimated = estimate(dataset, output, config, cache_dir=cache)
    assert sorted(tmp_path.iterdir()) == []
    result = train(dataset, output, config, cache_dir=cache, progress=False)
    assert estimated.lacking.bytes == pytest.approx(size(cache), rel=0.05)
    assert (estimated.pairs, estimated.validation_pairs) == (result.pairs, result.validation_pairs)
    assert estimated.cache_forwards == result.cache_forwards == result.trajectory_forwards
    assert estimated.train_forwards == result.forwards
    assert (estimated.cached_bytes, estimated.prompts, estimated.images) == (0, 3, 16)
    again = estimate(dataset, output, config, cache_dir=cache)
    assert (again.lacking.bytes, again.lacking.images, again.cache_forwards) == (0, 0, 0)
    assert again.cached_bytes == pytest.approx(estimated.lacking.bytes, rel=0.1)


def test_processes_that_share_weights_evaluate_split_pairs_twice(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    """For their scores first, as `accumulate` does; a pair that fits into a graph once."""
    forwards = {}
    for samples, strategy in product((1, 64), ("ddp", "fsdp")):
        changes = {"strategy": strategy, "unet_batch_size": samples}
        estimated = estimate(dataset, tmp_path, config.model_copy(update=changes))
        forwards[samples, strategy] = estimated.train_forwards
    once = forwards[1, "ddp"]
    assert forwards == {
        (1, "ddp"): once,
        (1, "fsdp"): 2 * once,
        (64, "ddp"): once,
        (64, "fsdp"): once,
    }


def test_times_and_memory_come_from_calls(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call takes a second: of 8 samples, or of the 8 images of 4 pairs."""
    seconds = count(0.0)
    for module in (timing, calls):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    estimated = estimate(dataset, tmp_path, config)
    measured = estimated.measured
    assert measured is not None
    assert measured.samples == 2 * 2 * 2
    assert measured.forward_seconds == measured.step_seconds == measured.encode_seconds == 1 / 8
    assert estimated.train_seconds == (estimated.train_forwards + estimated.validation_forwards) / 8
    assert estimated.cache_seconds == (estimated.images + estimated.cache_forwards) / 8
    assert measured.graph_bytes > 100_000
    assert 3 * measured.fixed_bytes["gradients"] < measured.fixed_bytes["weights"]
    assert estimated.to_dict()["lacking"]["trajectories"] == 16


def test_rows_left_out_and_unreadable_pictures(config: TrainConfig, tmp_path: Path) -> None:
    write_pairs(tmp_path, "train", [row(0, png(1), png(1)), row(1, png(2)[:500], png(3)[:500])])
    estimated = estimate(tmp_path, tmp_path / "out", config)
    assert estimated.skipped == {"chosen equals rejected": 1}
    assert (estimated.measured, estimated.train_seconds) == (None, None)
    write_pairs(tmp_path, "train", [row(0, png(1), png(1))])
    with pytest.raises(DataError, match="no usable pair"):
        estimate(tmp_path, tmp_path / "out", config)


def test_too_little_disk_is_an_error_before_the_start(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = load_adapter(config, torch.device("cpu"))
    free = output_bytes(adapter, config) + 10_000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))
    with pytest.raises(WorkspaceError, match=r"16 images need .* kB.*free.*--cache-points"):
        train(dataset, tmp_path / "out", config, cache_dir=tmp_path / "cache", progress=False)
    assert not (tmp_path / "cache").exists()


def test_a_state_has_room_for_the_average_that_is_its_reference(config: TrainConfig) -> None:
    adapter = load_adapter(config, torch.device("cpu"))
    plain, averaged, moving = (
        output_bytes(adapter, config.model_copy(update=changes))
        for changes in ({}, {"ema_decay": 0.9}, {"reference_decay": 0.9})
    )
    assert plain < averaged == moving


def test_bytes_in_words() -> None:
    texts = [format_bytes(n) for n in (12, 1234, 5.5e9, 2e15)]
    assert texts == ["12 bytes", "1.2 kB", "5.5 GB", "2,000.0 TB"]
