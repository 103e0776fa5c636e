"""Phase two: the training loop.

Shapes: B pairs, S sides, K points.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.files import append_line
from invdpo.schemas.io.progress import progress_bar
from invdpo.train.batches import Batch, BatchSampler, step_pairs
from invdpo.train.checkpoint.optimizer_state import pack_optimizer, placed, unpack_optimizer, whole
from invdpo.train.checkpoint.resume import STATE, forget_after
from invdpo.train.checkpoint.state import TrainState, save_state
from invdpo.train.chunks import chunks
from invdpo.train.data import Pair
from invdpo.train.distributed import ProcessGroup
from invdpo.train.gradient import Goal, Predict, accumulate, all_errors
from invdpo.train.metrics import Metrics, check_finite, judge, means
from invdpo.train.models import Conditioning, ModelAdapter
from invdpo.train.models.finetuning import Tuning
from invdpo.train.monitoring.validation_images import Pictures
from invdpo.train.optim.ema import Average
from invdpo.train.optim.optimizers import make_optimizer
from invdpo.train.optim.schedules import LossScale, rate, set_rate

VALIDATION_POINTS = 8
"""Points a validation pair is judged at; the same in every look and every run."""


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    """Spent on training steps alone."""
    validation_seconds: float = 0.0
    forwards: int = 0
    """UNet sample-forwards of training steps of all processes, the reference's included."""


class Loop:
    """Trains until `max_steps`; what is worth keeping lies in `output` at any moment."""

    def __init__(
        self,
        adapter: ModelAdapter,
        tuning: Tuning,
        sampler: BatchSampler,
        config: TrainConfig,
        output: Path,
        team: ProcessGroup,
    ) -> None:
        self.adapter, self.tuning, self.sampler, self.team = adapter, tuning, sampler, team
        self.config, self.output = config, output
        self.goal = Goal(sampler.objective, config.beta)
        self.progress, self.scale = Progress(), LossScale.of(config.dtype)
        self.count = config.batch_size * config.gradient_accumulation_steps * team.world
        """Pairs a step."""
        self.optimizer = make_optimizer(
            config.optimizer, tuning.parameters, config.learning_rate, config.weight_decay
        )
        self.pictures: Pictures | None = None
        decay = config.ema_decay
        self.average = Average(tuning.parameters, decay) if decay else None

    @property
    def samples(self) -> int:
        """Most UNet samples of one graph."""
        return min(self.config.unet_batch_size, self.config.batch_size * self.sampler.width)

    def run(
        self,
        train: Sequence[Pair],
        validation: Sequence[Pair],
        identity: dict[str, Any],
        *,
        shown: bool,
        on_step: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Metrics:
        """Train on `train`, look at `validation` now and then; the last step's metrics.

        Every process calls `on_step` with each step's metrics.
        """
        config = self.config
        metrics = forget_after(self.output, self.progress.step) if self.team.leads else Metrics()
        done = self.progress.step
        with progress_bar("training", config.max_steps, unit="step", done=done, show=shown) as bar:
            if self.pictures and not self.progress.step:
                self.pictures.draw(0)
            while self.progress.step < config.max_steps:
                metrics = self.step(train)
                step = self.progress.step
                last = step == config.max_steps
                if step % config.validate_every == 0 or last:
                    with self.weights_to_save():
                        metrics |= self.look(validation)
                if config.save_every and step % config.save_every == 0:
                    with self.weights_to_save():
                        self.tuning.save(self.output / "checkpoints" / f"step-{step:06d}")
                if self.pictures and step % (config.pictures_every or 1) == 0:
                    with self.weights_to_save():
                        self.pictures.draw(step)
                if self.team.leads:
                    append_line(self.output / "metrics.jsonl", json.dumps(metrics))
                if on_step:
                    on_step(metrics)
                if step % (config.checkpoint_every or config.validate_every) == 0 or last:
                    self.save(identity)
                bar.set_postfix(loss=f"{metrics['loss']:.4f}", refresh=False)
                bar.update()
        return metrics

    def step(self, train: Sequence[Pair]) -> Metrics:
        """One optimiser step. Raises `DataError`, nothing moved, if a loss is not finite."""
        began, config, done = time.perf_counter(), self.config, self.progress.step
        pairs = step_pairs(train, self.count, done, config.seed)
        while True:
            table, forwards = self._learn(pairs, (config.seed, "step", done))
            norm = self._norm()
            if not table.isfinite().all() or math.isfinite(norm) or not self.scale.lower():
                break
            self.optimizer.zero_grad()
        check_finite(table, norm, pairs, done + 1)
        learning_rate = config.learning_rate * rate(done, config)
        set_rate(self.optimizer, learning_rate)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.scale.keep()
        self.progress.step += 1
        if self.average:
            self.average.update(self.progress.step)
        self.progress.forwards += forwards
        self.progress.seconds += time.perf_counter() - began
        return {
            "step": done + 1,
            **means(table, self.goal.objective.sides),
            "grad_norm": norm,
            "learning_rate": learning_rate,
            "forwards": self.progress.forwards,
            "seconds": round(self.progress.seconds, 3),
        }

    @torch.no_grad()
    def look(self, validation: Sequence[Pair]) -> Metrics:
        """Judge the validation pairs at fixed points, and save the weights if they are worth it."""
        began = time.perf_counter()
        found = means(self._judge(validation), self.goal.objective.sides)
        loss = found.get("loss", math.nan)
        if not found or self.config.keep == "last" or loss < self.progress.best_loss:
            self.progress.best_step, self.progress.best_loss = self.progress.step, loss
            self.tuning.save(self.output)
        self.progress.validation_seconds += time.perf_counter() - began
        return {f"validation/{name}": value for name, value in found.items()}

    def save(self, identity: dict[str, Any]) -> None:
        """Write all that the training goes on from; every process must call it."""
        names = list(self.tuning.named)
        optimizer, meta = pack_optimizer(self.optimizer, names)
        averages = self.average.tensors if self.average else []
        state = TrainState(
            step=self.progress.step,
            config=self.config.fingerprint(),
            identity=identity,
            progress=asdict(self.progress),
            weights={name: whole(p) for name, p in self.tuning.named.items()},
            optimizer=optimizer,
            optimizer_meta=meta,
            average={n: whole(t) for n, t in zip(names, averages, strict=False)},
            scaler=asdict(self.scale),
        )
        if self.team.leads:
            save_state(self.output / STATE, state)

    @torch.no_grad()
    def restore(self, state: TrainState) -> None:
        """Go on where a saved training stood, bit for bit."""
        names = list(self.tuning.named)
        unpack_optimizer(self.optimizer, names, state.optimizer, state.optimizer_meta)
        for name, parameter in self.tuning.named.items():
            parameter.copy_(placed(state.weights[name], parameter))
        if self.average:
            self.average.restore([state.average[name] for name in names])
        self.progress, self.scale = Progress(**state.progress), LossScale(**state.scaler)

    def _learn(self, pairs: Sequence[Pair], key: tuple[object, ...]) -> tuple[Tensor, int]:
        """Add the gradient of the mean loss to the parameters; the table of all the pairs.

        And the UNet sample-forwards it took, those of all processes.
        """
        share = self.count // self.team.world
        mine = range(self.team.rank * share, (self.team.rank + 1) * share)
        table, forwards = torch.zeros(self.count, 3, dtype=torch.float64), 0
        # shared weights have their gradients averaged over the processes in each backward
        scale = self.scale.value * (self.team.world if self.team.sharded else 1) / self.count
        for batch in self._batches(pairs, mine, *key):
            error = accumulate(
                self._predict(),
                batch,
                self.goal,
                self.tuning.parameters,
                self.samples,
                scale,
                scores_first=self.team.sharded,
            )
            table[list(batch.places)] = judge(error, batch, self.goal)
            forwards += error.numel() * (2 if self.goal.objective.live_reference else 1)
        self.team.sum_gradients(self.tuning.parameters)
        return self.team.total(table), forwards * self.team.world

    def _norm(self) -> float:
        """Norm of the unscaled gradient, which is then clipped."""
        self.scale.unscale([p.grad for p in self.tuning.parameters if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(self.tuning.parameters, self.config.max_grad_norm)
        return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()

    def _judge(self, pairs: Sequence[Pair]) -> Tensor:
        """The table of the pairs at points that are the same in every look and run."""
        table = torch.zeros(len(pairs), 3, dtype=torch.float64)
        rank, world = self.team.rank, self.team.world
        mine = range(rank, -(-len(pairs) // world) * world, world)
        for places in chunks(mine, self.config.batch_size):
            # one pair more for some, so that sharing processes make equally many calls
            within = [place % len(pairs) for place in places]
            for batch in self._batches(pairs, within, "validation", points=VALIDATION_POINTS):
                error = all_errors(self._predict(), batch, self.config.unet_batch_size)
                table[list(batch.places)] = judge(error, batch, self.goal)
        surplus = [place - len(pairs) for place in mine if place >= len(pairs)]
        table[surplus] = 0
        return self.team.total(table)

    def _batches(
        self, pairs: Sequence[Pair], places: Sequence[int], *key: object, points: int = 0
    ) -> Iterator[Batch]:
        # processes that share weights must call them equally often, whatever sizes they meet
        for some in chunks(places, 1 if self.team.sharded else max(1, len(places))):
            for drawn in self.sampler.batches(pairs, some, *key, points=points):
                yield self._with_reference(drawn.to(self.adapter.device))

    def _with_reference(self, batch: Batch) -> Batch:
        """With E_0 taken live for objectives that need it so."""
        if not self.goal.objective.live_reference:
            return batch
        with self.tuning.reference() as unet:
            error = all_errors(self._predict(unet), batch, self.config.unet_batch_size)
        return replace(batch, reference_error=error)

    def weights_to_save(self) -> AbstractContextManager[None]:
        """The averaged weights in place of the moving ones while it lasts, if there are some."""
        return self.average.swapped() if self.average else nullcontext()

    def _predict(self, unet: nn.Module | None = None) -> Predict:
        denoiser = self.tuning.unet if unet is None else unet

        def predict(x: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
            return self.adapter.predict(denoiser, x, t, conditioning)

        return predict
