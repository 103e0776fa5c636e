"""What a step costs on the flow-matching world, and what its first epoch costs; prints Markdown.

    python benchmarks/flow_steps.py [--repeats 5] [--quick]

A step from the cache stands beside a plain flow-DPO step, as public scripts take it: the same
pairs at the same points, but the reference (the same network without its LoRA) is called in every
step. Then two first epochs from nothing, with K = M = 4 cached points: with the noise of the
inversion, which has to go through all N, and with the noise that the images were drawn from, which
asks the reference at the cached points alone. Times are processor seconds; within a repeat what is
compared follows each other. `--quick` only tries the script.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from released import spread
from report import stamp, table

from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.shapes.bundle import flow_model_path
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.section import EMBEDDED_FLOW, EMBEDDED_FLOW_TEXT
from invdpo.schemas.config.train import TrainConfig
from invdpo.train import train
from invdpo.train.batches import Batch
from invdpo.train.diagnostics.kept import counted
from invdpo.train.distributed import ProcessGroup
from invdpo.train.gradient import accumulate
from invdpo.train.models import load_adapter
from invdpo.train.models.finetuning import start_tuning
from invdpo.train.objective import OBJECTIVES
from invdpo.train.splits import resolve_config

BETA, PAIRS = 2000.0, 8
TRAINING = TrainConfig(
    model=str(flow_model_path()),
    num_points=4,
    fresh_noise=0.0,
    **EMBEDDED_FLOW_TEXT,
    trackers=(),
    batch_size=PAIRS,
)


class Steps:
    """The network with a LoRA, and pairs at points of fresh noise, whose E_0 is known."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.adapter = load_adapter(TRAINING, torch.device("cpu"))
        config = resolve_config(TRAINING, self.adapter)
        self.tuning = start_tuning(
            self.adapter, config, ProcessGroup(torch.device("cpu")), keep_reference=True
        )
        prompts = [f"a red circle and {count} blue squares" for count in range(PAIRS)]
        self.conditioning = self.adapter.encode_prompts(prompts)
        self.objective = OBJECTIVES["inversion-dpo"](BETA)

    def batch(self, points: int) -> Batch:
        """Pairs at K points."""
        shape = self.adapter.latent_shape((self.adapter.side, self.adapter.side))
        sigma = torch.linspace(0.1, 0.95, points).expand(PAIRS, points)
        level = sigma[:, None, :, None, None, None]
        latent = torch.randn(PAIRS, 2, 1, *shape)
        noise = torch.randn(PAIRS, 1, points, *shape)
        return Batch(
            x=(1 - level) * latent + level * noise,
            target=noise - latent,
            timesteps=sigma,
            weight=torch.ones(PAIRS, points),
            reference_error=torch.ones(PAIRS, 2, points),
            conditioning=self.conditioning,
        )

    def cached(self, batch: Batch) -> None:
        """Ours: E_0 comes with the batch; as many samples in a graph as a pair has points."""
        limit = 2 * min(batch.x.shape[2], TRAINING.num_points or 1)
        accumulate(self._predict, batch, self.objective, self.tuning.parameters, limit, 1 / PAIRS)

    def plain(self, batch: Batch) -> None:
        """One graph over a pair's samples, and the reference called beside it."""
        for pair in range(PAIRS):
            with torch.no_grad(), self.tuning.reference():
                reference = self._errors(batch, pair)
            error = self._errors(batch, pair)
            chosen, rejected = (reference - error).mean(-1).mul(BETA / 2).unbind()
            loss = torch.nn.functional.softplus(rejected - chosen) / PAIRS
            torch.autograd.backward(loss)

    def _errors(self, batch: Batch, pair: int) -> torch.Tensor:
        """Squared errors of the velocity (S, K)."""
        x = batch.x[pair].flatten(0, 1)
        told = {name: value[[pair] * len(x)] for name, value in batch.conditioning.items()}
        made = self._predict(x, batch.timesteps[pair].repeat(2), told)
        square = (made - batch.target[pair].flatten(0, 1)).pow(2)
        return square.mean((-3, -2, -1)).view(2, -1)

    def _predict(
        self, x: torch.Tensor, t: torch.Tensor, told: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        return self.adapter.predict(self.tuning.denoiser, x, t, told)


def seconds(work: Callable[[], object]) -> float:
    """Of the processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def step_times(repeats: int, times: int) -> tuple[list[float], list[float]]:
    """Seconds of a plain and of a cached step, by repeat."""
    world = Steps()
    batch = world.batch(4)
    plain, cached = list[float](), list[float]()
    for one in (world.plain, world.cached):
        one(batch)
    for _ in range(repeats):
        plain.append(seconds(lambda: [world.plain(batch) for _ in range(times)]) / times)
        cached.append(seconds(lambda: [world.cached(batch) for _ in range(times)]) / times)
    return plain, cached


def memory(points: int) -> float:
    """Most MiB that autograd keeps in a step on K points."""
    world = Steps()
    with counted(world.tuning.denoiser.parameters()) as kept:
        world.cached(world.batch(points))
    return kept.peak / 2**20


def first_epochs(folder: Path, prompts: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of a training of one epoch on a cold cache, by source of noise and repeat."""
    config = Config.model_validate(
        {
            "prompts": {"num_prompts": prompts},
            "generate": {
                "model": EMBEDDED_FLOW,
                "num_candidates": 4,
                "num_inference_steps": 12,
                "guidance_scale": 1.0,
            },
            "pair": {"validation_fraction": 0.0},
        }
    )
    ws = Workspace(folder / "work")
    for step in (steps.make_prompts, steps.generate, steps.annotate, steps.score, steps.pair):
        step(ws, config, RunOptions())
    pairs = ws.read_table(ws.pairs_path).num_rows
    made: dict[str, list[float]] = {"inversion": [], "own": []}
    for number in range(repeats):
        for noise, times in made.items():
            change = {
                "noise": noise,
                "num_inversion_steps": 28,
                "cache_points": TRAINING.num_points,
                "max_steps": -(-pairs // PAIRS),
                "warmup_steps": 0,
                "resolution": 64,
            }
            where, cache = folder / f"{noise}-{number}", folder / f"cache-{noise}-{number}"
            section = TRAINING.model_copy(update=change)

            def run() -> None:
                train(ws.dataset_dir, where, section, cache_dir=cache, progress=False)  # noqa: B023

            times.append(seconds(run))
    return made


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repeat of everything, small")
    parser.add_argument("--repeats", type=int, default=5, help="of everything; 5 by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    repeats, times, prompts = (1, 1, 8) if given.quick else (given.repeats, 5, 192)
    plain, cached = step_times(repeats, times)
    print("steps measured", file=sys.stderr, flush=True)
    few, many = memory(7), memory(28)
    with tempfile.TemporaryDirectory() as folder:
        epochs = first_epochs(Path(folder), prompts, 1 if given.quick else 3)
    ratios = [a / b for a, b in zip(plain, cached, strict=True)]
    inverted, own = epochs["inversion"], epochs["own"]
    quicker = [a / b for a, b in zip(inverted, own, strict=True)]
    rows = [
        ("plain flow-DPO step, s", "", spread(plain)),
        ("step from the cache, s", "", spread(cached)),
        ("plain against cached", "at least 1.25×", spread(ratios, "×")),
        ("kept by autograd at K = 28 against K = 7", "at most 1.05", f"{many / few:.3f}"),
        ("first epoch with noise of the inversion (N = 28), s", "", spread(inverted)),
        ("first epoch with the images' own noise, s", "", spread(own)),
        ("inversion against own", "at least 2×", spread(quicker, "×")),
    ]
    print(f"{stamp()}, no accelerator; 1 thread, torch {torch.__version__}.\n")
    print(table(("what", "goal", f"measured, {repeats} repeats"), rows))


if __name__ == "__main__":
    main()
