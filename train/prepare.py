"""Phase one: read the pairs, find the state to continue from, fill the cache, free the encoders.

`Setup` is what both phases work with, `Prepared` what the first hands to the second.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import DataError, WorkspaceError
from invdpo.schemas.io.files import remove_abandoned, remove_leftovers
from invdpo.schemas.io.model_folder import INDEX
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.sizes import ensure_space, lacking
from invdpo.train.cache.trajectories import Cache, open_cache
from invdpo.train.checkpoint.resume import IMAGES, discard_state, find_state, identity_of
from invdpo.train.checkpoint.state import TrainState
from invdpo.train.data import DataSet, Pair
from invdpo.train.diagnostics.memory import Setting, advice, out_of_memory
from invdpo.train.diagnostics.notes import notes_on
from invdpo.train.distributed import ProcessGroup, start_processes
from invdpo.train.models import ModelAdapter, load_adapter
from invdpo.train.models.finetuning import set_reference
from invdpo.train.models.load import family_origin
from invdpo.train.models.lora_format import FILE as LORA_FILE
from invdpo.train.models.output_sizes import output_bytes
from invdpo.train.models.start import notes_on_base, start_id
from invdpo.train.monitoring.validation_images import read_image_prompts
from invdpo.train.optim.optimizers import check_package
from invdpo.train.splits import no_pairs, read_splits, resolve_config

log = logging.getLogger("invdpo.train")


@dataclass(frozen=True)
class Setup:
    """The model, the options, the processes, and where the result goes."""

    adapter: ModelAdapter
    config: TrainConfig
    group: ProcessGroup
    output: Path
    show_progress: bool
    """Whether this process shows progress bars."""

    def within_memory(
        self, moving: Sequence[Tensor] = (), samples: int | None = None
    ) -> AbstractContextManager[None]:
        """Turn a lack of memory into a `ModelError` that says which settings would fit.

        `moving` are the parameters in training, `samples` the UNet samples of one graph.
        """
        return out_of_memory(lambda: self._advice(moving, samples or self.config.unet_batch_size))

    def _advice(self, moving: Sequence[Tensor], samples: int) -> str:
        parameters, device = list(self.adapter.denoiser.parameters()), self.group.device
        setting = Setting.of(
            self.config,
            sum(p.numel() * p.element_size() for p in parameters),
            sum(p.numel() for p in parameters),
            moving,
            samples=samples,
            devices=self.group.world,
            sharded=self.group.sharded,
        )
        return advice(
            setting, torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else None
        )


def set_up(config: TrainConfig, output: Path, *, show_progress: bool) -> Setup:
    """Join the processes and find the model.

    Raises `ConfigError`, `ModelError`, and `PluginError` for an optimiser without its package.
    """
    check_package(config.optimizer)
    group = start_processes(config)
    adapter = load_adapter(config, group.device)
    config = resolve_config(config, adapter)
    set_reference(adapter, config)
    return Setup(adapter, config, group, output, show_progress and group.is_main)


@dataclass
class Prepared:
    """What phase one hands to phase two."""

    cache: Cache
    train: list[Pair]
    validation: list[Pair]
    prompts: list[str]
    """Of the validation images."""
    skipped: Counter[str]
    """Rows left out, by reason."""
    identity: dict[str, Any]
    """What the training is about; see `checkpoint.resume`."""
    state: TrainState | None
    """The state to continue from, if any."""
    is_main: bool
    """Whether this process logs what the user should know."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Log what the user should know, and keep it for the result."""
        if self.is_main:
            log.warning(text)
        self.notes.append(text)


def prepare(setup: Setup, dataset: DataSet, root: Path, *, restart: bool) -> Prepared:
    """Phase one, with its cache in `root`; with `restart` an earlier state is thrown away first.

    Raises as `train` does.
    """
    began = time.perf_counter()
    adapter, config, group = setup.adapter, setup.config, setup.group
    splits = read_splits(dataset, adapter, config)
    pairs = {name: split.pairs for name, split in splits.items()}
    count = group.pairs_per_step(config)
    identity = identity_of(
        adapter.fingerprint, adapter.precision, pairs, count, margins=config.margin_weights
    )
    if start := start_id(config):
        identity["start_from"] = start
    if family := family_origin(adapter, config):
        identity["family"] = family
    state, notes = _state(setup, identity, restart=restart)
    notes += notes_on_base(config, adapter.fingerprint)
    if config.strategy == "fsdp" and group.world == 1:
        notes.append("strategy fsdp: there is one process, so nothing is split. Start several.")
    image_prompts = read_image_prompts(config, pairs)
    cache = open_cache(root, adapter, config)
    if group.is_main:
        _tidy(setup.output, cache)
        written = output_bytes(adapter, config, state.step if state else 0)
        ensure_space(lacking(cache, adapter, config, pairs), cache, setup.output, written)
    group.wait()
    with setup.within_memory():
        builder = CacheBuilder(
            adapter, config, cache, group=group, show_progress=setup.show_progress
        )
        builder.fill(dataset, pairs, image_prompts)
    # all prompts, not those alone that this run or this process encoded
    prompts = {*image_prompts, *(pair.prompt for split in pairs.values() for pair in split)}
    truncated = sum(adapter.is_truncated(sorted(prompts)))
    adapter.drop_encoders()
    usable = {name: cache.readable(split.pairs, split) for name, split in splits.items()}
    if not usable["train"]:
        raise DataError(no_pairs(dataset, splits["train"]))
    skipped = sum((split.skipped for split in splits.values()), Counter[str]())
    train, validation, is_main = usable["train"], usable["validation"], group.is_main
    prepared = Prepared(cache, train, validation, image_prompts, skipped, identity, state, is_main)
    for text in (*notes, *notes_on(config, splits, cache, truncated)):
        prepared.note(text)
    prepared.seconds = time.perf_counter() - began
    return prepared


def _tidy(output: Path, cache: Cache) -> None:
    """Remove what killed trainings left; others may be writing to the cache."""
    for folder in (output, output / IMAGES):
        remove_leftovers(folder)
    for store in cache.stores():
        remove_abandoned(store.folder)


def _state(
    setup: Setup, identity: dict[str, Any], *, restart: bool
) -> tuple[TrainState | None, list[str]]:
    """The state to continue from, if any, and notes on it."""
    if restart and setup.group.is_main:
        discard_state(setup.output)
    setup.group.wait()
    tidy = setup.group.is_main
    state, notes = find_state(setup.output, setup.config, identity, tidy=tidy)
    if state:
        _require_weights(setup, state)
        notes.append(_resume_note(state.step, setup.config.max_steps))
    return state, notes


def _require_weights(setup: Setup, state: TrainState) -> None:
    """Raise `WorkspaceError` where the weights are gone that no later step may write again."""
    best = state.progress["best_step"]
    path = setup.output / (LORA_FILE if setup.config.tuning == "lora" else INDEX)
    if best and not path.is_file():
        raise WorkspaceError(
            f"{path}: missing, though the training has saved the weights of step {best}. Restore "
            "the file, or train again with --restart."
        )


def _resume_note(done: int, steps: int) -> str:
    if done == steps:
        return f"All {steps} steps are done: nothing was trained. Use --restart to start again."
    return f"Resuming after step {done} of {steps}."
