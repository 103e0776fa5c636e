"""`train`: from a dataset to tuned weights, in two phases: `prepare`, then `Loop.run`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.schemas.ids import prompt_key
from invdpo.schemas.io.files import write_atomically
from invdpo.schemas.io.home import expand_home, expand_path
from invdpo.schemas.io.lock import FolderLock
from invdpo.schemas.io.processes import is_main_process
from invdpo.schemas.io.redact import redact
from invdpo.train.batches import BatchSampler
from invdpo.train.cache.sizes import trajectory_forwards
from invdpo.train.checkpoint.resume import IMAGES
from invdpo.train.data import DataSet
from invdpo.train.data.buckets import bucket_of
from invdpo.train.data.dataset import FocusBoxes
from invdpo.train.diagnostics.overtraining import Watch, overtraining
from invdpo.train.loop import Loop
from invdpo.train.metrics import Metrics
from invdpo.train.models.finetuning import start_tuning
from invdpo.train.models.live_reference import kept_copy
from invdpo.train.monitoring.curves import plot_curves, read_series
from invdpo.train.monitoring.trackers import OnStep, TrackedRun, open_trackers
from invdpo.train.monitoring.validation_images import ValidationImages
from invdpo.train.prepare import Prepared, Setup, prepare, set_up
from invdpo.train.splits import buckets, open_data

SIGNS = ("training.json", "metrics.jsonl", "state", "tensorboard", "wandb", IMAGES)
"""What the folder of a training has from its first step on, or from the images before it."""


@dataclass(frozen=True)
class TrainResult:
    """The result of a run; also in `training.json` beside the weights."""

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
    """UNet sample-forwards of phase one in this run; 0 when all was in the cache."""
    trajectory_forwards: int
    """Those that the trajectories of these pairs take, whichever run computed them."""
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
    dataset: str | Path,
    output: Path,
    config: TrainConfig,
    *,
    cache_dir: Path | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
    restart: bool = False,
    focus_boxes: FocusBoxes | None = None,
) -> TrainResult:
    """Fill the cache with what `dataset` needs, then train and leave the weights in `output`.

    A training that was stopped continues from its last state; a finished one has nothing left to
    do. Started by `torchrun` or `accelerate launch`, the processes share the work.

    Args:
        dataset: A folder, a Parquet file, or `OWNER/NAME` on the Hub; see `data.LAYOUTS`.
        output: Receives LoRA weights (or a full pipeline), `metrics.jsonl`, `curves.png`,
            `training.json`, `checkpoints/`, `state/` and what the trackers write.
        config: `config.model` is a diffusers folder or a Hub id.
        cache_dir: Shared by runs; `trajectories` beside `output` when not given.
        progress: Whether to show bars when stderr is a terminal.
        on_step: Called with each step's metrics.
        restart: Throw away the state in `output`, whatever training it belongs to.
        focus_boxes: What gives the boxes that `config.box_weight` weights, from a pair's scene
            graphs: `invdpo.curate.scene_graphs.focus.focus_boxes`.

    Raises:
        DataError: No usable pairs, unreadable files, or a loss that is not finite.
        ModelError: A model that can't be loaded or trained.
        ConfigError: Options that don't fit the model or this machine.
        WorkspaceError: A folder that can't be written, that holds another training, or in which
            another process is training.
    """
    dataset = expand_path(dataset) if isinstance(dataset, Path) else expand_home(dataset)
    output, cache_dir = expand_path(output), cache_dir and expand_path(cache_dir)
    _require_another(output, config)
    with lock_output(output):
        setup = set_up(config, output, show_progress=progress)
        data = open_data(dataset, setup.config, focus_boxes)
        root = cache_dir or output.parent / "trajectories"
        prepared = prepare(setup, data, root, restart=restart)
        return _train(setup, data, prepared, on_step)


def lock_output(output: Path) -> AbstractContextManager[None]:
    """Keep other trainings out of `output`; of several processes the main one does, for all.

    May be nested. Entering raises `WorkspaceError` when another process is training there, and for
    a folder of other files, such as a dataset, whose card a training would replace.
    """
    return FolderLock(output, "training there", signs=SIGNS) if is_main_process() else nullcontext()


def _require_another(output: Path, config: TrainConfig) -> None:
    """Raise `ConfigError` for weights to begin with that the training would replace or remove."""
    for option in ("model", "start_from"):
        if given := getattr(config, option):
            place = Path(given).resolve()
            folder = place.parent if place.is_file() else place
            if output.resolve() in (folder, folder.parent.parent):
                text = (
                    f"train.{option}: {given} is in the output folder, {output}, where the training"
                )
                raise ConfigError(f"{text} would replace it. Give another --output.")


def _train(setup: Setup, data: DataSet, prepared: Prepared, on_step: OnStep | None) -> TrainResult:
    """Phase two, and what is reported of both."""
    loop = _loop(setup, prepared)
    names = setup.config.trackers if setup.group.is_main else ()
    tracked = _tracked_run(setup, data, loop.progress.step)
    with (
        setup.within_memory(loop.tuning.parameters, loop.sampler.samples_per_graph),
        open_trackers(names, tracked, prepared.note) as trackers,
    ):
        watch = Watch(setup.output / "metrics.jsonl", setup.config) if setup.group.is_main else None

        def report(metrics: Mapping[str, float]) -> None:
            trackers.log(metrics)
            if watch:
                watch(metrics)
            if on_step:
                on_step(metrics)

        if loop.images:
            loop.images.on_sheet = trackers.log_images
        metrics = loop.run(
            prepared.train,
            prepared.validation,
            prepared.identity,
            show_progress=setup.show_progress,
            on_step=report,
        )
    if setup.group.is_main:
        best_loss = loop.progress.best_loss if prepared.validation else None
        for text in overtraining(read_series(setup.output / "metrics.jsonl"), best_loss):
            prepared.note(text)
    result = _result(prepared, loop, metrics)
    if setup.group.is_main:
        _report(setup, data, prepared, result)
    setup.group.wait()
    return result


def _tracked_run(setup: Setup, data: DataSet, done: int) -> TrackedRun:
    """The training as trackers show it, perhaps on a server; `done` are its earlier steps."""
    output, config = setup.output, setup.config
    name = config.run_name or "/".join(output.resolve().parts[-2:])
    options = redact({"dataset": data.name, **config.model_dump(mode="json")})
    return TrackedRun(output, name, options, done)


def _loop(setup: Setup, prepared: Prepared) -> Loop:
    """The loop of phase two, at the step from which it continues."""
    adapter, config, group = setup.adapter, setup.config, setup.group
    sampler = BatchSampler(prepared.cache, config)
    with setup.within_memory():
        frozen = kept_copy(config) == "network"
        tuning = start_tuning(adapter, config, group, keep_reference=frozen)
        loop = Loop(adapter, tuning, sampler, config, setup.output, group)
        if prepared.state:
            loop.restore(prepared.state)
    if prepared.prompts:
        size = bucket_of([(1, 1)], buckets(adapter, config))
        folder = setup.output / IMAGES
        loop.images = ValidationImages(
            adapter, prepared.cache, config, prepared.prompts, size, folder, group.is_main
        )
    return loop


def _report(setup: Setup, data: DataSet, prepared: Prepared, result: TrainResult) -> None:
    """Write the curves and `training.json` beside the weights."""
    splits = {"train": prepared.train, "validation": prepared.validation}
    plot_curves(setup.output / "metrics.jsonl", setup.output / "curves.png")
    report = {
        "config": setup.config.model_dump(mode="json"),
        "model": setup.adapter.fingerprint,
        "pipeline": setup.adapter.pipeline,
        "data": {
            "dataset": data.name,
            "revision": data.revision,
            "prompts": {
                name: sorted({prompt_key(pair.prompt) for pair in pairs})
                for name, pairs in splits.items()
            },
        },
        "result": result.to_dict(),
    }
    write_atomically(setup.output / "training.json", json.dumps(report, indent=1).encode())


def _result(prepared: Prepared, loop: Loop, metrics: Metrics) -> TrainResult:
    done, pairs = loop.progress, [*prepared.train, *prepared.validation]
    walked = 0
    if loop.objective.inverts:
        walks = {walk.id: walk for pair in pairs for walk in pair.walks}
        walked = trajectory_forwards(prepared.cache, loop.config, walks.values())
    return TrainResult(
        output=loop.output,
        steps=done.step,
        best_step=done.best_step,
        best_loss=done.best_loss if prepared.validation else None,
        pairs=len(prepared.train),
        validation_pairs=len(prepared.validation),
        skipped=dict(prepared.skipped),
        notes=tuple(prepared.notes),
        cache_seconds=round(prepared.seconds, 3),
        cache_forwards=int(loop.group.total(torch.tensor(prepared.cache.forwards))),
        trajectory_forwards=walked,
        seconds=round(done.seconds, 3),
        validation_seconds=round(done.validation_seconds, 3),
        forwards=done.forwards,
        metrics=metrics,
    )
