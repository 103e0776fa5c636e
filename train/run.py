"""`train`: from a data-set folder to tuned weights, in two phases."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from invdpo.schemas.config import TrainConfig
from invdpo.schemas.errors import ConfigError, DataError
from invdpo.train.adapters import load_adapter
from invdpo.train.cache import Cache, Filler
from invdpo.train.data import Pair, Pairs, read_pairs
from invdpo.train.files import write_atomically
from invdpo.train.loop import Loop, Metrics
from invdpo.train.objective import OBJECTIVES
from invdpo.train.sampling import Sampler
from invdpo.train.tuning import start_tuning

SPLITS = ("train", "validation")

log = logging.getLogger("invdpo.train")


@dataclass(frozen=True)
class TrainResult:
    """What a run came to; also in `training.json` beside the weights."""

    output: Path
    steps: int
    best_step: int
    """Step of the weights in `output`."""
    best_loss: float | None
    """Validation loss there; none without validation pairs."""
    pairs: int
    validation_pairs: int
    skipped: dict[str, int]
    """Rows left out, by reason."""
    notes: tuple[str, ...]
    """What the user should know, in plain sentences."""
    cache_seconds: float
    cache_forwards: int
    """UNet sample-forwards of phase one; 0 when all was in the cache."""
    seconds: float
    """Of training steps alone."""
    validation_seconds: float
    forwards: int
    """UNet sample-forwards of training steps."""
    metrics: Metrics
    """Of the last step."""

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {**asdict(self), "output": str(self.output), "notes": list(self.notes)}


def train(
    dataset: Path,
    output: Path,
    config: TrainConfig,
    *,
    cache_dir: Path | None = None,
    progress: bool = True,
    on_step: Callable[[Metrics], None] | None = None,
) -> TrainResult:
    """Fill the cache with what `dataset` needs, then train and leave the weights in `output`.

    Args:
        dataset: Folder with `data/train-*.parquet` and, if pairs are held out, `validation-*`;
            columns `prompt`, `chosen`, `rejected`.
        output: Gets LoRA weights (or a whole pipeline), `metrics.jsonl`, `training.json` and
            `checkpoints/`.
        config: `config.model` is a diffusers folder or a Hub id.
        cache_dir: Shared by runs; `trajectories` beside `output` when not given.
        progress: Whether to show bars when stderr is a terminal.
        on_step: Called with each step's metrics.

    Raises:
        DataError: No usable pairs, unreadable files, or a loss that is not finite.
        ModelError: A model that can't be loaded or trained.
        ConfigError: Options that don't fit the model or this machine.
        WorkspaceError: A folder that can't be written.
    """
    objective, device = OBJECTIVES[config.objective], pick_device(config.device)
    adapter = load_adapter(config.model, config.revision, device, getattr(torch, config.dtype))
    found = {split: read_pairs(dataset, split) for split in SPLITS}
    if not found["train"].pairs:
        raise DataError(_no_pairs(dataset, found["train"]))
    began = time.perf_counter()
    root = cache_dir or output.parent / "trajectories"
    filler = Filler(adapter, config, root, inverts=objective.inverts, shown=progress)
    cache = filler.fill(dataset, {split: some.pairs for split, some in found.items()})
    cache_seconds = time.perf_counter() - began
    usable = {split: _readable(some, cache) for split, some in found.items()}
    if not usable["train"]:
        raise DataError(_no_pairs(dataset, found["train"]))
    notes = [*_notes(config, found, cache), *_truncation(adapter.truncated)]
    for note in notes:
        log.warning(note)
    adapter.drop_encoders()
    tuning = start_tuning(adapter, config, keep_reference=objective.live_reference)
    loop = Loop(adapter, tuning, Sampler(cache, config, adapter.alpha_bar), config, output)
    metrics = loop.run(usable["train"], usable["validation"], shown=progress, on_step=on_step)
    done = loop.progress
    if objective.sides == 2 and done.best_loss >= math.log(2):
        notes.append("The validation loss never fell below ln 2: no step beat the base model.")
        log.warning(notes[-1])
    result = TrainResult(
        output=output,
        steps=done.step,
        best_step=done.best_step,
        best_loss=done.best_loss if usable["validation"] else None,
        pairs=len(usable["train"]),
        validation_pairs=len(usable["validation"]),
        skipped=dict(sum((some.skipped for some in found.values()), Counter())),
        notes=tuple(notes),
        cache_seconds=round(cache_seconds, 3),
        cache_forwards=cache.forwards,
        seconds=round(done.seconds, 3),
        validation_seconds=round(done.validation_seconds, 3),
        forwards=done.forwards,
        metrics=metrics,
    )
    report = {"config": config.model_dump(mode="json"), "model": adapter.fingerprint}
    report |= {"result": result.to_dict()}
    write_atomically(output / "training.json", json.dumps(report, indent=1).encode())
    return result


def pick_device(name: str) -> torch.device:
    """`auto` is the first accelerator, else the CPU. Raises `ConfigError` for an unknown name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"device: found {name!r}, no use on this machine ({first}).") from None


def _readable(found: Pairs, cache: Cache) -> list[Pair]:
    """The pairs whose pictures could be decoded; the others are counted."""
    kept = []
    for pair in found.pairs:
        if cache.unreadable.keys() & set(pair.images):
            found.skip("image unreadable", pair.row)
        else:
            kept.append(pair)
    return kept


def _notes(config: TrainConfig, found: dict[str, Pairs], cache: Cache) -> list[str]:
    notes = [
        f"{split}: {count} rows skipped, {reason} (first: {some.examples[reason]})."
        for split, some in found.items()
        for reason, count in some.skipped.items()
    ]
    if cache.damaged():
        notes.append(f"{cache.damaged()} damaged cache shards were made again.")
    if not found["validation"].pairs:
        notes.append("No validation pairs: the last step's weights are kept.")
    if config.objective == "inversion-dpo" and config.residual == "reference":
        notes.append(
            "residual `reference` has exactly zero gradient at the base model, where training "
            "starts, so nothing will move; choose `endpoint` or `implied` to train."
        )
    return notes


def _truncation(count: int) -> list[str]:
    text = f"{count} prompts were longer than the text encoder takes and were cut."
    return [text] if count else []


def _no_pairs(dataset: Path, found: Pairs) -> str:
    if not found.skipped:
        return f"{dataset}: no pairs in data/train-*.parquet. Give a data-set folder with some."
    reasons = (f"{n} x {why} ({found.examples[why]})" for why, n in found.skipped.items())
    return f"{dataset}: no usable pair; skipped {', '.join(reasons)}."
