"""Phase two: the training loop. `Loop.run` goes through the steps, `Loop.step` does one.

Shapes: B pairs, S sides, K points.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.interrupts import Interrupted, stop_request
from invdpo.schemas.io.files import append_line
from invdpo.schemas.io.progress import progress_bar
from invdpo.train.batches import Batch, BatchSampler, step_pairs
from invdpo.train.checkpoint.optimizer_state import (
    gather,
    pack_optimizer,
    place_like,
    unpack_optimizer,
)
from invdpo.train.checkpoint.resume import STATE, forget_after
from invdpo.train.checkpoint.state import Progress, TrainState, save_state
from invdpo.train.chunks import chunks
from invdpo.train.data import Pair
from invdpo.train.distributed import ProcessGroup
from invdpo.train.gradient import Predict, accumulate, all_errors, forwards_per_sample
from invdpo.train.metrics import (
    VALIDATION_POINTS,
    Columns,
    Metrics,
    check_finite,
    mean_metrics,
    pair_table,
    shown,
)
from invdpo.train.models import ModelAdapter
from invdpo.train.models.finetuning import Tuning
from invdpo.train.models.live_reference import LiveReference
from invdpo.train.monitoring.peak_memory import PeakMemory
from invdpo.train.monitoring.running_means import RunningMeans
from invdpo.train.monitoring.validation_images import ValidationImages
from invdpo.train.optim.optimizers import make_optimizer
from invdpo.train.optim.saved_weights import SavedWeights
from invdpo.train.optim.schedules import LossScale, rate, set_rate


class Loop:
    """Trains until `max_steps`; at any moment `output` holds everything needed to resume."""

    def __init__(
        self,
        adapter: ModelAdapter,
        tuning: Tuning,
        sampler: BatchSampler,
        config: TrainConfig,
        output: Path,
        group: ProcessGroup,
    ) -> None:
        self.adapter, self.tuning, self.sampler, self.group = adapter, tuning, sampler, group
        self.config, self.output, self.objective = config, output, sampler.objective
        self.progress, self.scale = Progress(), LossScale.of(config.dtype)
        self.pairs_per_step = group.pairs_per_step(config)
        self.optimizer = make_optimizer(
            config.optimizer, tuning.parameters, config.learning_rate, config.weight_decay
        )
        self.images: ValidationImages | None = None
        self.peak = PeakMemory(group.device)
        self.saved_weights = SavedWeights(tuning.parameters, config)
        self.reference = LiveReference(tuning, config) if sampler.live_reference else None

    def run(
        self,
        train: Sequence[Pair],
        validation: Sequence[Pair],
        identity: dict[str, Any],
        *,
        show_progress: bool,
        on_step: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Metrics:
        """Train on `train`, evaluate `validation` at intervals; the last step's metrics.

        Every process calls `on_step` with each step's metrics. Ctrl-C and SIGTERM let the step end
        and save it. Raises `Interrupted` then.
        """
        config, done = self.config, self.progress.step
        running = RunningMeans.after(done, self.output / "metrics.jsonl")
        metrics = forget_after(self.output, done) if self.group.is_main else Metrics()
        with (
            stop_request() as stop,
            progress_bar(
                "training", config.max_steps, unit="step", done=done, show=show_progress
            ) as bar,
        ):
            if self.images and not done:
                self.images.draw(0)
            while self.progress.step < config.max_steps:
                metrics = self.step(train)
                metrics |= running.add(metrics)
                step = self.progress.step
                last = step == config.max_steps
                if step % config.validate_every == 0 or last:
                    with self.saved_weights.swapped():
                        metrics |= self.validate(validation)
                if config.save_every and step % config.save_every == 0:
                    with self.saved_weights.swapped():
                        self.tuning.save(self.output / "checkpoints" / f"step-{step:06d}")
                if self.images and step % (config.pictures_every or 1) == 0:
                    with self.saved_weights.swapped():
                        self.images.draw(step)
                if self.group.is_main:
                    append_line(self.output / "metrics.jsonl", json.dumps(metrics))
                if on_step:
                    on_step(metrics)
                stopped = self.group.largest(stop.number)
                due = step % (config.checkpoint_every or config.validate_every) == 0
                if due or last or stopped:
                    self.save(identity)
                if stopped and not last:
                    raise Interrupted(f"step {step} of {config.max_steps} is saved", stopped)
                bar.set_postfix(shown(metrics), refresh=False)
                bar.update()
        return metrics

    def step(self, train: Sequence[Pair]) -> Metrics:
        """One optimiser step. Raises `DataError`, nothing moved, if a loss is not finite."""
        began, config, done = time.perf_counter(), self.config, self.progress.step
        pairs = step_pairs(train, self.pairs_per_step, done, config.seed)
        while True:
            table, forwards = self._accumulate(pairs, (config.seed, "step", done))
            norm = self._clipped_norm()
            if not table.isfinite().all() or math.isfinite(norm) or not self.scale.lower():
                break
            self.optimizer.zero_grad()
        check_finite(table, pairs, f"Step {done + 1}", norm)
        learning_rate = config.learning_rate * rate(done, config)
        set_rate(self.optimizer, learning_rate)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.scale.keep()
        self.progress.step += 1
        self.saved_weights.update(self.progress.step)
        if self.reference:
            self.reference.follow(self.progress.step)
        self.progress.forwards += forwards
        seconds, peak = time.perf_counter() - began, table[:, Columns.PEAK].max().item()
        self.progress.seconds += seconds
        return {
            "step": done + 1,
            **mean_metrics(table, self.objective.sides),
            "grad_norm": norm,
            "learning_rate": learning_rate,
            "forwards": self.progress.forwards,
            "seconds": round(self.progress.seconds, 3),
            "pairs_per_second": round(len(pairs) / seconds, 3),
            **({self.peak.metric: peak} if peak else {}),
        }

    @torch.no_grad()
    def validate(self, validation: Sequence[Pair]) -> Metrics:
        """Evaluate the validation pairs at fixed points, and save the weights if they are best.

        Raises `DataError`, nothing saved, if a loss is not finite.
        """
        began = time.perf_counter()
        table = self._validation_table(validation)
        check_finite(table, validation, f"Validation after step {self.progress.step}")
        metrics = mean_metrics(table, self.objective.sides)
        loss = metrics.get("loss", math.nan)
        if not metrics or self.config.keep == "last" or loss < self.progress.best_loss:
            self.progress.best_step, self.progress.best_loss = self.progress.step, loss
            self.tuning.save(self.output)
        self.progress.validation_seconds += time.perf_counter() - began
        return {f"validation/{name}": value for name, value in metrics.items()}

    def save(self, identity: dict[str, Any]) -> None:
        """Write all that the training continues from; every process must call it."""
        names = list(self.tuning.named)
        optimizer, meta = pack_optimizer(self.optimizer, names)
        state = TrainState(
            step=self.progress.step,
            config=self.config.fingerprint(),
            identity=identity,
            progress=asdict(self.progress),
            weights={name: gather(p) for name, p in self.tuning.named.items()},
            optimizer=optimizer,
            optimizer_meta=meta,
            average=self.saved_weights.state(names),
            reference=self.reference.state(names) if self.reference else {},
            scaler=asdict(self.scale),
        )
        if self.group.is_main:
            save_state(self.output / STATE, state)

    @torch.no_grad()
    def restore(self, state: TrainState) -> None:
        """Continue where a saved training stopped, bit for bit."""
        names = list(self.tuning.named)
        unpack_optimizer(self.optimizer, names, state.optimizer, state.optimizer_meta)
        for name, parameter in self.tuning.named.items():
            parameter.copy_(place_like(state.weights[name], parameter))
        self.saved_weights.restore(names, state.average)
        if self.reference:
            self.reference.restore(names, state.reference)
        self.progress, self.scale = Progress(**state.progress), LossScale(**state.scaler)

    def _accumulate(self, pairs: Sequence[Pair], key: tuple[object, ...]) -> tuple[Tensor, int]:
        """Add the gradient of the mean loss to the parameters.

        Returns the table of all the pairs, and the UNet sample-forwards that all processes took.
        """
        world = self.group.world
        share = self.pairs_per_step // world
        indices = range(self.group.rank * share, (self.group.rank + 1) * share)
        table = torch.zeros(self.pairs_per_step, Columns.COUNT, dtype=torch.float64)
        each = forwards_per_sample(self.sampler, scores_first=self.group.sharded)
        forwards = 0
        # shared weights have their gradients averaged over the processes in each backward
        scale = self.scale.value * (world if self.group.sharded else 1) / self.pairs_per_step
        for batch in self._batches(pairs, indices, *key):
            error = accumulate(
                self._predict(),
                batch,
                self.objective,
                self.tuning.parameters,
                self.sampler.samples_per_graph,
                scale,
                scores_first=self.group.sharded,
            )
            table[list(batch.indices)] = pair_table(error, batch, self.objective)
            forwards += error.numel() * each
        table[list(indices), Columns.PEAK] = self.peak.gigabytes()
        self.group.sum_gradients(self.tuning.parameters)
        return self.group.total(table), forwards * world

    def _clipped_norm(self) -> float:
        """The norm of the unscaled gradient, which is clipped."""
        self.scale.unscale([p.grad for p in self.tuning.parameters if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(self.tuning.parameters, self.config.max_grad_norm)
        return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()

    def _validation_table(self, pairs: Sequence[Pair]) -> Tensor:
        """The table of the pairs at points that are the same in every validation and every run."""
        table = torch.zeros(len(pairs), Columns.COUNT, dtype=torch.float64)
        indices, surplus = self.group.shares(len(pairs))
        for chunk in chunks(indices, self.config.batch_size):
            for batch in self._batches(pairs, chunk, "validation", points=VALIDATION_POINTS):
                error = all_errors(self._predict(), batch, self.config.unet_batch_size)
                table[list(batch.indices)] = pair_table(error, batch, self.objective)
        table[surplus] = 0
        return self.group.total(table)

    def _batches(
        self, pairs: Sequence[Pair], indices: Sequence[int], *key: object, points: int = 0
    ) -> Iterator[Batch]:
        # processes that share weights must call them equally often, whatever sizes they meet
        for chunk in chunks(indices, 1 if self.group.sharded else max(1, len(indices))):
            for batch in self.sampler.batches(pairs, chunk, *key, points=points):
                yield self._with_reference(batch.to(self.adapter.device))

    def _with_reference(self, batch: Batch) -> Batch:
        """With E_0 computed now, for objectives of which no cache holds it."""
        if self.reference is None:
            return batch
        with self.reference() as denoiser:
            error = all_errors(self._predict(denoiser), batch, self.config.unet_batch_size)
        return replace(batch, reference_error=error)

    def _predict(self, denoiser: nn.Module | None = None) -> Predict:
        return partial(self.adapter.predict, denoiser or self.tuning.denoiser)
