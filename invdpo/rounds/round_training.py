"""The training of one round: its pairs, its options, and the processes that do it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invdpo.rounds.round_plan import BASE, RoundPlan, weights_path
from invdpo.schemas import ModelError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.files import write_atomically
from invdpo.training import training_options, with_model_path


def train_round(plan: RoundPlan, number: int, note: Callable[[str], None]) -> dict[str, Any]:
    """Train a round's model; the `result` of its `training.json`. Raises as `train` does."""
    dataset, output = training_set(plan, number, note), plan.tuned(number)
    config, cache = training_config(plan, number), plan.folder(number) / "trajectories"
    if plan.config.improve.train_processes > 1:
        _train_in_processes(plan, number, dataset, cache)
    else:
        from invdpo.curate.scene_graphs.focus import focus_boxes
        from invdpo.train import train

        train(dataset, output, config, cache_dir=cache, focus_boxes=focus_boxes)
    report = output / "training.json"
    result: dict[str, Any] = read_json(read_file(report), report, dict)["result"]
    return result


def _train_in_processes(plan: RoundPlan, number: int, dataset: Path, cache: Path) -> None:
    """The same by `torchrun`, one process per device. Raises `ModelError` when it fails."""
    options = plan.folder(number) / "training.yaml"
    whole = Config(train=training_config(plan, number))
    write_atomically(options, dump_config(whole).encode())
    count = str(plan.config.improve.train_processes)
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", count, "-m", "invdpo"]
    where = ["--output", str(plan.tuned(number)), "--cache-dir", str(cache)]
    command = [sys.executable, "-m", *launch, "train", str(dataset), *where]
    done = subprocess.run([*command, "--config", str(options)], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise ModelError(
            f"Round {number}: the training by {count} processes ended with status "
            f"{done.returncode}; see stderr for the reason. Run the same command again to "
            "continue."
        )


def training_set(plan: RoundPlan, number: int, note: Callable[[str], None]) -> Path:
    """The pairs of a round, or those of earlier rounds with them; a note tells what is left out."""
    from invdpo.curate.exchange.merge import merge_datasets

    first = max(1, number - plan.config.improve.replay_rounds)
    own = plan.workspace(number).dataset_dir
    if first == number:
        return own
    merged = plan.merged_pairs(number)
    if not merged.exists():
        earlier = [plan.workspace(n).dataset_dir for n in range(first, number)]
        licence = {"license": plan.config.dataset.license or "other"}  # nobody else gets it
        config = plan.config.dataset.model_copy(update=licence)
        result = merge_datasets([own, *earlier], merged, config)
        for message in result.messages():
            note(f"Round {number}: {message}")
    return merged


def training_config(plan: RoundPlan, number: int) -> TrainConfig:
    """The configuration of a round's training."""
    config, base = plan.config, plan.generator(BASE)
    same = config.train.model_copy(update={"model": config.generate.model})
    options = training_options(config.model_copy(update={"train": same}))
    earlier = str(plan.tuned(number - 1)) if number > 1 else None
    own: dict[str, Any] = {"model": weights_path(base["model"]), "revision": base["revision"]}
    if earlier and config.train.tuning == "full" and config.improve.reference == "previous":
        own = {"model": earlier, "revision": None}
    elif earlier:
        tied = "start" if config.improve.reference == "previous" else "base"
        own |= {"start_from": earlier, "reference": tied}
    return with_model_path(options.model_copy(update=own))
