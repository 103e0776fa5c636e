"""Phase one: read the pairs, find the state to go on from, fill the cache, free the encoders.

MERGED: What both phases of a training work with.
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
from invdpo.schemas.errors import DataError
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.trajectories import Cache, open_cache
from invdpo.train.checkpoint.resume import find_state, identity_of, throw_away
from invdpo.train.checkpoint.state import TrainState
from invdpo.train.data import DataSet, Pair, Pairs
from invdpo.train.diagnostics.memory import advice, out_of_memory
from invdpo.train.distributed import ProcessGroup, start_processes
from invdpo.train.models import ModelAdapter, load_adapter
from invdpo.train.monitoring.validation_images import picture_prompts
from invdpo.train.splits import enlarged, no_pairs, read_splits, resolve_config

log = logging.getLogger("invdpo.train")


@dataclass
class Prepared:
    """What phase one hands to phase two."""

    cache: Cache
    train: list[Pair]
    validation: list[Pair]
    prompts: list[str]
    """Of the validation pictures."""
    skipped: Counter[str]
    """Rows left out, by reason."""
    identity: dict[str, Any]
    """What the training is about; see `resume`."""
    state: TrainState | None
    """What it goes on from."""
    speaks: bool
    """Whether this process tells the user."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Log what the user should know, and keep it for the result."""
        if self.speaks:
            log.warning(text)
        self.notes.append(text)


def prepare(setup: Setup, dataset: DataSet, root: Path, *, restart: bool) -> Prepared:
    """Phase one, with its cache in `root`; a state is thrown away first with `restart`.

    Raises as `train` does.
    """
    began = time.perf_counter()
    adapter, config = setup.adapter, setup.config
    found = read_splits(dataset, adapter, config)
    splits = {split: some.pairs for split, some in found.items()}
    identity = identity_of(adapter.fingerprint, adapter.precision, splits, setup.count)
    state, notes = _state(setup, identity, restart=restart)
    prompts = picture_prompts(config, splits)
    cache = open_cache(root, adapter, config)
    with setup.within_memory():
        filler = CacheBuilder(adapter, config, cache, ranks=setup.team, shown=setup.shown)
        filler.fill(dataset, splits, prompts)
    # all of them, not those alone that this run or this process encoded
    told = {*prompts, *(pair.prompt for some in splits.values() for pair in some)}
    cut = sum(adapter.cut(sorted(told)))
    adapter.drop_encoders()
    usable = {split: _readable(some, cache) for split, some in found.items()}
    if not usable["train"]:
        raise DataError(no_pairs(dataset, found["train"]))
    skipped = sum((some.skipped for some in found.values()), Counter[str]())
    train, validation = usable["train"], usable["validation"]
    speaks = setup.team.leads
    ready = Prepared(cache, train, validation, prompts, skipped, identity, state, speaks)
    for text in (*notes, *_notes(config, found, cache, cut)):
        ready.note(text)
    ready.seconds = time.perf_counter() - began
    return ready


def _state(
    setup: Setup, identity: dict[str, Any], *, restart: bool
) -> tuple[TrainState | None, list[str]]:
    """What to go on from, if anything, and notes on it."""
    if restart and setup.team.leads:
        throw_away(setup.output)
    setup.team.wait()
    state, notes = find_state(setup.output, setup.config, identity)
    if state:
        notes.append(_going_on(state.step, setup.config.max_steps))
    return state, notes


def _going_on(done: int, steps: int) -> str:
    if done == steps:
        return f"All {steps} steps are done: nothing was trained. --restart begins anew."
    return f"Going on after step {done} of {steps}."


def _readable(found: Pairs, cache: Cache) -> list[Pair]:
    """The pairs whose pictures could be decoded; the others are counted."""
    kept = []
    for pair in found.pairs:
        if cache.unreadable.keys() & set(pair.images):
            found.skip_unreadable(pair.row)
        else:
            kept.append(pair)
    return kept


def _notes(config: TrainConfig, found: dict[str, Pairs], cache: Cache, cut: int) -> list[str]:
    notes = [
        f"{split}: {count} rows skipped, {reason} (first: {some.examples[reason]})."
        for split, some in found.items()
        for reason, count in some.skipped.items()
    ]
    if cache.damaged():
        notes.append(f"{cache.damaged()} damaged cache shards were made again.")
    if small := sum(map(enlarged, found.values())):
        notes.append(f"{small} pictures were smaller than they are trained at and were enlarged.")
    if cut:
        notes.append(f"{cut} prompts were longer than the text encoder takes and were cut.")
    if not found["validation"].pairs:
        notes.append("No validation pairs: the last step's weights are kept.")
    if config.objective == "inversion-dpo" and config.residual == "reference":
        notes.append(
            "residual `reference` has exactly zero gradient at the base model, where training "
            "starts, so nothing will move; choose `endpoint` or `implied` to train."
        )
    return notes


@dataclass(frozen=True)
class Setup:
    """The model, the options, the processes, and where the result goes."""

    adapter: ModelAdapter
    config: TrainConfig
    team: ProcessGroup
    output: Path
    shown: bool
    """Whether this process shows progress."""

    @property
    def count(self) -> int:
        """Pairs a step, of all processes."""
        config = self.config
        return config.batch_size * config.gradient_accumulation_steps * self.team.world

    def within_memory(
        self, moving: Sequence[Tensor] = (), samples: int | None = None
    ) -> AbstractContextManager[None]:
        """Turns a lack of memory into a `ModelError` that says which settings would fit.

        `moving` are the parameters in training, `samples` the UNet samples of one graph.
        """
        return out_of_memory(lambda: self._advice(moving, samples or self.config.unet_batch_size))

    def _advice(self, moving: Sequence[Tensor], samples: int) -> str:
        config, device = self.config, self.team.device
        return advice(
            config,
            samples=samples,
            weights_bytes=sum(p.numel() * p.element_size() for p in self.adapter.unet.parameters()),
            moving=moving,
            device_bytes=torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else None,
            optimizer=config.optimizer,
            averaged=config.ema_decay is not None,
            # without anything that moves there is no graph to save
            gradient_checkpointing=config.gradient_checkpointing or not moving,
            sharded=self.team.sharded,
            devices=self.team.world,
        )


def set_up(config: TrainConfig, output: Path, *, shown: bool) -> Setup:
    """Join the processes and find the model. Raises `ConfigError` and `ModelError`."""
    team = start_processes(config)
    adapter = load_adapter(config, team.device)
    return Setup(adapter, resolve_config(config, adapter), team, output, shown and team.leads)
