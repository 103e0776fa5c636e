"""Real processes that train together: what they come to equals what one process comes to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train import train
from invdpo.train.distributed import BLOCKS, ProcessGroup, start_processes
from invdpo.train.models import load_adapter
from tests import flow_pipelines
from tests.flow_pipelines import FLOW_PIPELINES
from tests.processes import run_processes
from tests.train.smooth import NOWHERE, SMOOTH, apart, smooth_steps
from tests.train.tiny import png, row, write_pairs
from tests.train.worker import main, save_shares, swap_shares

ROOT = Path(__file__).parents[2]
UNLIKE = {"forwards", "second", "seconds", "peak", "accuracies", "negative"}
"""In the names of metrics that are counted or measured, or leap where rounding turns a sign."""


def launch(world: int, data: Path, out: Path, config: TrainConfig, **variables: str) -> str:
    """Run the training in `world` processes; what they printed if they failed."""
    arguments = (str(data), str(out), str(out.parent / "cache"), config.model_dump_json())
    log = out.parent / "printed"
    log.unlink(missing_ok=True)
    codes = run_processes(world, main, arguments, log, **variables)
    return log.read_text() if any(codes) else ""


def torchrun(world: int, data: Path, out: Path, config: TrainConfig, **variables: str) -> str:
    """The same by the launcher that users have."""
    cache, options = str(out.parent / "cache"), config.model_dump_json()
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc_per_node={world}", f"--log-dir={out.parent / 'logs'}"),
        *("-m", "tests.train.worker", str(data), str(out), cache, options),
    ]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def weights(out: Path) -> dict[str, torch.Tensor]:
    paths = [*out.glob("pytorch_lora_weights.safetensors"), *out.glob("unet/*.safetensors")]
    return load_file(paths[0])


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of two shapes, and an odd number for validation."""
    folder = tmp_path_factory.mktemp("shapes")
    sizes = [(16, 16), (40, 16), (16, 16), (16, 40), (16, 16)]
    data = [row(n, png(2 * n, size), png(2 * n + 1, size)) for n, size in enumerate(sizes)]
    write_pairs(folder, "train", data)
    write_pairs(folder, "validation", [row(n) for n in range(6, 9)])
    return folder


CASES: dict[str, dict[str, Any]] = {
    "ddp": {"ema_decay": 0.9, "inversion_guidance_scale": 2.0},
    "ddp, live reference": {"objective": "diffusion-dpo"},
    "ddp, full, many graphs": {"tuning": "full", "unet_batch_size": 1, "learning_rate": 0.1},
    "fsdp, flow": {
        "strategy": "fsdp",
        "gradient_checkpointing": True,
        "beta": 1.0,
        "weighting": "uniform",
        "resolution": 32,
    },
    "fsdp, full, many graphs": {
        "strategy": "fsdp",
        "tuning": "full",
        "unet_batch_size": 1,
        "learning_rate": 0.1,
        "objective": "diffusion-dpo",
        "ema_decay": 0.9,
        "extrapolation": 0.5,
    },
}


def test_what_processes_share_unequally_can_be_saved(tmp_path: Path) -> None:
    """One row, and three, for two processes."""
    codes = run_processes(2, save_shares, (str(tmp_path),), tmp_path / "printed")
    assert codes == [0, 0], (tmp_path / "printed").read_text()
    saved = load_file(tmp_path / "weights.safetensors")
    for rows in (1, 3):
        assert torch.equal(saved[f"{rows}"], torch.arange(rows * 8.0).reshape(rows, 8))


def test_shared_weights_are_those_of_the_moment_also_while_they_are_swapped(
    tmp_path: Path,
) -> None:
    codes = run_processes(2, swap_shares, (str(tmp_path),), tmp_path / "printed")
    assert codes == [0, 0], (tmp_path / "printed").read_text()
    seen = load_file(tmp_path / "seen.safetensors")
    assert [seen[name][0, 0] for name in ("before", "during", "after")] == [2, 4, 2]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_come_to_what_one_comes_to(
    config: TrainConfig, shapes: Path, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth_steps(monkeypatch)
    changes = SMOOTH | {"beta": 50.0, "validate_every": 2} | CASES[case]
    if "flow" in case:
        changes["model"] = str(flow_pipelines.sd3(tmp_path / "model"))
    alone = config.model_copy(update=changes)
    both = alone.model_copy(update={"batch_size": 1})
    start_both = torchrun if case == "ddp" else launch
    if printed := start_both(2, shapes, tmp_path / "both", both, SMOOTH="1"):
        pytest.fail(printed)
    train(shapes, tmp_path / "one", alone, progress=False)
    train(shapes, tmp_path / "start", alone.model_copy(update=NOWHERE), progress=False)
    ours, theirs, start = (weights(tmp_path / name) for name in ("one", "both", "start"))
    assert apart(ours, theirs, start) < 1e-3
    # the score of a pair that shared weights see in many graphs is computed before, once more
    more = 3 / 2 if case == "fsdp, full, many graphs" else 1
    for single, double in zip(lines(tmp_path / "one"), lines(tmp_path / "both"), strict=True):
        assert single.keys() == double.keys()
        assert double["forwards"] == more * single["forwards"]
        for name in {n for n in single if not UNLIKE & set(re.split(r"[/_]", n))}:
            assert double[name] == pytest.approx(single[name], rel=1e-3, abs=1e-4), name
    result = json.loads((tmp_path / "both" / "training.json").read_text())["result"]
    assert result["validation_pairs"] == 3
    assert {p.name for p in (tmp_path / "both").iterdir()} == {
        p.name for p in (tmp_path / "one").iterdir()
    }


def test_processes_stop_together_and_go_on_together(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    changes = {"batch_size": 1, "checkpoint_every": 1, "keep": "last"}
    config = config.model_copy(update=changes)
    shorter = config.model_copy(update={"max_steps": 2})
    assert launch(2, dataset, tmp_path / "out", shorter) == ""
    assert launch(2, dataset, tmp_path / "out", config) == ""
    assert launch(2, dataset, tmp_path / "whole", config) == ""
    again, whole = (weights(tmp_path / name) for name in ("out", "whole"))
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    alone = config.model_copy(update={"batch_size": 2})
    assert "pairs a step" in launch(1, dataset, tmp_path / "out", config)
    train(dataset, tmp_path / "out", alone, cache_dir=tmp_path / "cache", progress=False)


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("world", range(1, 6))
def test_equally_many_are_evaluated_by_each_process_and_each_is_counted_once(
    world: int, count: int
) -> None:
    groups = [ProcessGroup(torch.device("cpu"), rank, world) for rank in range(world)]
    shares = [group.shares(count) for group in groups]
    assert {len(indices) for indices, _ in shares} == {-(-count // world)}
    counted = list[int]()
    for indices, surplus in shares:
        assert len({*indices}) == len(indices)
        counted += {*indices} - {*surplus}
    assert sorted(counted) == list(range(count))


def test_options_that_processes_cannot_serve(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes each get a device"):
        start_processes(config.model_copy(update={"device": "cuda:1"}))
    with pytest.raises(ConfigError, match="float16; allowed with strategy fsdp"):
        start_processes(config.model_copy(update={"strategy": "fsdp", "dtype": "float16"}))
    with pytest.raises(ConfigError, match=r"found adafactor.*fsdp"):
        start_processes(config.model_copy(update={"strategy": "fsdp", "optimizer": "adafactor"}))


@pytest.mark.parametrize("family", sorted(FLOW_PIPELINES.keys() - {"flux2_dev"}))
def test_shared_weights_are_gathered_block_by_block(tmp_path: Path, family: str) -> None:
    """A family whose blocks are unknown would be gathered whole, and fit into memory no better."""
    config = TrainConfig(model=str(FLOW_PIPELINES[family](tmp_path / "model")))
    children = load_adapter(config, torch.device("cpu")).empty_denoiser().named_children()
    stacks = [child for _, child in children if isinstance(child, torch.nn.ModuleList)]
    blocks = {type(block).__name__ for stack in stacks for block in stack}
    assert blocks
    assert blocks <= {*BLOCKS}
