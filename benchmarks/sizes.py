"""How large training published models is, from configurations alone; prints Markdown.

    python benchmarks/sizes.py
    python benchmarks/sizes.py "SD 3.5 medium" Z-Image

It is what `invdpo train --dry-run` counts of a folder without weights, on torch's meta device.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from published import PUBLISHED, Published
from report import table

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.data import Pair
from invdpo.train.diagnostics.counting import META
from invdpo.train.diagnostics.requirements import LETTERS, Requirements, count_pair, require
from invdpo.train.models import load_adapter
from invdpo.train.models.latent_model import LatentModel
from invdpo.train.models.output_sizes import lora_tensors
from invdpo.train.optim.optimizers import OptimizerName, state_bytes
from invdpo.train.splits import resolve_config

GB = 1e9
OPTIMISERS: tuple[OptimizerName, ...] = ("adamw", "adafactor", "adamw8bit")
TOKENS = 75
"""Of a prompt, where texts vary in length."""
Row = tuple[str, ...]


@dataclass
class Counted:
    """A model with what both tunings take, one sample a graph."""

    of: Published
    folder: Path
    by_tuning: dict[str, Requirements]

    def load(self, **changes: Any) -> tuple[LatentModel, TrainConfig]:
        """Adapter and resolved configuration."""
        return load(self.folder, **changes)


def main() -> None:
    """Print all tables, of the models that were named."""
    names = sys.argv[1:] or [of.name for of in PUBLISHED]
    with tempfile.TemporaryDirectory() as folder:
        models = [count(of, Path(folder) / of.name) for of in PUBLISHED if of.name in names]
        print(f"torch {torch.__version__}; millions of parameters:\n")
        show(models, parameters, "network", "denoiser", "LoRA, rank 16", "VAE", "text encoders")
        print("\nTFLOPs of a sample; forward and backward count together in the last two:\n")
        show(models, work, "network", "pixels", "forward", "LoRA", "full")
        print("\nGB that stay through training: LoRA on bfloat16 weights, full in float32:\n")
        show(models, state, "network", "tuning", "weights", "gradients", *OPTIMISERS)
        print("\nGB that a sample's graph keeps, at least (all in bfloat16, attention fused):\n")
        show(models, graph, "network", "pixels", "tuning", "kept", "kept with checkpointing")
        print("\nGB in memory: weights in phase one, first of the encoders, then of the denoiser;")
        print("phase two with one sample a graph:\n")
        columns = ("one, encoders", "one, denoiser", "two", "two, checkpointing")
        show(models, phases, "network", "tuning", *columns)
        print(f"\nMB of cache a pair and its prompt, computed in bfloat16, {TOKENS} tokens where")
        print("texts vary in length:\n")
        head = ("points kept (M)", "float32", "float16 or bfloat16", "the prompt's")
        show(models, cache, "network", "pixels", *head)


def show(models: list[Counted], rows: Callable[[Counted], Iterator[Row]], *head: str) -> None:
    """A table of some rows a model."""
    print(table(head, (row for of in models for row in rows(of))))


def load(folder: Path, **changes: Any) -> tuple[LatentModel, TrainConfig]:
    """A model's adapter and a resolved configuration."""
    config = TrainConfig(model=str(folder), dtype="bfloat16", **changes)
    adapter = load_adapter(config, META)
    return cast("LatentModel", adapter), resolve_config(config, adapter)


def pair_of(of: Published) -> Pair:
    """Two images of the model's own size under a prompt of `TOKENS` tokens."""
    size = (of.side, of.side)
    prompt = "x" * (LETTERS * TOKENS)
    return Pair("pair", prompt, "chosen", "rejected", "row", sizes=(size, size), bucket=size)


def count(of: Published, folder: Path) -> Counted:
    """A model under both tunings."""
    of.write(folder)
    tunings = {name: load(folder, tuning=name) for name in ("lora", "full")}
    needs = {name: require(*loaded, [pair_of(of)], 1) for name, loaded in tunings.items()}
    return Counted(of, folder, needs)


def parameters(model: Counted) -> Iterator[Row]:
    """Millions, of everything in the pipeline."""
    need = model.by_tuning["lora"]
    denoiser, *texts, image = need.parameters.values()
    counts = (denoiser, need.lora_parameters, image, sum(texts))
    yield (model.of.name, *(f"{count / 1e6:,.1f}" for count in counts))


def work(model: Counted) -> Iterator[Row]:
    """TFLOPs a sample."""
    lora, full = model.by_tuning["lora"], model.by_tuning["full"]
    counts = (lora.forward_flops, lora.step_flops, full.step_flops)
    yield (model.of.name, str(model.of.side), *(f"{count / 1e12:.2f}" for count in counts))


def state(model: Counted) -> Iterator[Row]:
    """GB of weights, gradients and each optimiser's state."""
    adapter, config = model.load()
    denoiser = adapter.empty_denoiser()
    moving = {"lora": [*lora_tensors(denoiser, config)], "full": [*denoiser.parameters()]}
    for tuning, need in model.by_tuning.items():
        held = need.fixed_bytes[tuning]
        sizes = [held["weights"], held["gradients"]]
        sizes += [state_bytes(name, moving[tuning]) for name in OPTIMISERS]
        yield (model.of.name, tuning, *(f"{size / GB:.3f}" for size in sizes))


def graph(model: Counted) -> Iterator[Row]:
    """GB a sample."""
    for tuning, need in model.by_tuning.items():
        sizes = (need.graph_bytes, need.checkpointed_bytes)
        texts = (f"{size / GB:.2f}" for size in sizes)
        yield (model.of.name, str(model.of.side), tuning, *texts)


def phases(model: Counted) -> Iterator[Row]:
    """GB of both phases."""
    for tuning, need in model.by_tuning.items():
        stays = sum(need.fixed_bytes[tuning].values())
        sizes = [sum(stage.values()) for stage in need.phase_one]
        sizes += [stays + kept for kept in (need.graph_bytes, need.checkpointed_bytes)]
        yield (model.of.name, tuning, *(f"{size / GB:.1f}" for size in sizes))


def cache(model: Counted) -> Iterator[Row]:
    """MB for some M and precisions, with fresh noise, the default."""
    for points in (80, 20, 8, 4):
        sizes = []
        for dtype in ("float32", "bfloat16"):
            options = {"num_inversion_steps": 80, "cache_points": points, "cache_dtype": dtype}
            adapter, config = model.load(**options)
            sizes.append(
                count_pair(adapter, config, pair_of(model.of), adapter.prompt_shapes(TOKENS))
            )
        texts = (f"{size / 1e6:.2f}" for size in (sizes[0][0], sizes[1][0], sizes[0][1]))
        yield (model.of.name, str(model.of.side), str(points), *texts)


if __name__ == "__main__":
    main()
