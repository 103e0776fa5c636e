"""What phase one keeps, and under which name.

Shapes: B pairs, N inversion steps, M points of them that are kept, C x H x W the latent. Stores:
prompts' conditioning; clean latents of fitted pictures; the trajectory of each (picture, prompt)
with the reference's errors E_0, which all residuals share; and the targets of the residual that
needs some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.ids import content_id, derived_seed
from invdpo.train.cache.store import Store
from invdpo.train.models import Conditioning, ModelAdapter
from invdpo.train.objective import OBJECTIVES
from invdpo.train.schedule import Grid, make_grid, stratified

FORMAT = 3
"""Raised when rows change their meaning, so that old caches are left alone."""


@dataclass
class Cache:
    """The frozen quantities of a data set under one model, grid and guidance."""

    root: Path
    grid: Grid
    kept: int
    """M, the points a trajectory keeps; N when it keeps all."""
    prompts: Store
    latents: Store
    trajectories: Store | None
    """`x` (M, C, H, W), `error_implied` and `error_endpoint` (M,), `points` (M,) on the grid.

    With fresh noise in it there is no `error_implied`: x lies on no path."""
    targets: Store | None
    """`target` (M, C, H, W), when the residual has one that x and the latent don't give."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Image id to why it can't be decoded."""
    forwards: int = 0
    """UNet sample-forwards it took to fill what was missing."""

    def conditioning(self, prompts: Sequence[str | None]) -> Conditioning:
        """The stored conditioning of each prompt, None the one that guidance leads away from."""
        ids = [content_id(prompt) for prompt in prompts]
        return {name: self.prompts.get(name, ids) for name in self.prompts.names()}

    def about(self, pictures: Sequence[str]) -> Conditioning:
        """What the network is told of each fitted picture itself, stacked; often nothing."""
        names = [name for name in self.latents.names() if name != "latent"]
        return {name: self.latents.get(name, pictures) for name in names}

    def points(self, trajectories: Sequence[str]) -> Tensor:
        """Where the kept points lie: indices 0 .. N-1 of τ_1 .. τ_N, (B, M) int64."""
        if self.trajectories is None:
            raise RuntimeError("This cache was opened without trajectories.")
        return self.trajectories.get("points", trajectories).long()

    def stores(self) -> list[Store]:
        """All that are in use."""
        return [s for s in (self.prompts, self.latents, self.trajectories, self.targets) if s]

    def damaged(self) -> int:
        """Shards that were damaged and have been made again."""
        return sum(len(store.damaged) for store in self.stores())


def open_cache(root: Path, adapter: ModelAdapter, config: TrainConfig) -> Cache:
    """The cache of this model and configuration as it lies in `root`, filled or not."""
    grid = make_grid(adapter.alpha_bar, config.num_inversion_steps)
    kept = min(config.cache_points or grid.steps, grid.steps)
    frozen = {"format": FORMAT, "model": adapter.fingerprint, "dtype": adapter.precision}
    walk = {
        **frozen,
        "grid": grid.timesteps.tolist(),
        "guidance": config.inversion_guidance_scale,
        "points": kept,
        "cache_dtype": config.cache_dtype,
    }
    if config.fresh_noise:
        walk["fresh_noise"] = config.fresh_noise
    inverts = OBJECTIVES[config.objective].inverts
    target = {"kind": f"targets-{config.residual}", **walk}
    return Cache(
        root,
        grid,
        kept,
        prompts=Store(root, {"kind": "prompts", **frozen}),
        latents=Store(root, {"kind": "latents", **frozen}),
        trajectories=Store(root, {"kind": "trajectories", **walk}) if inverts else None,
        targets=Store(root, target) if inverts and config.residual != "endpoint" else None,
    )


def trajectory_id(picture: str, prompt: str) -> str:
    """A trajectory's name in the cache: the fitted picture inverted under this prompt."""
    return content_id(picture, prompt)


def kept_points(prompt: str, steps: int, kept: int) -> Tensor:
    """The M of N points that trajectories under this prompt keep: (M,) int64, ascending.

    Stratified, and drawn from the prompt alone: winner and loser keep the same points, and so do
    all runs that share the cache.
    """
    generator = torch.Generator().manual_seed(derived_seed("points", prompt, steps, kept))
    return stratified(steps, 1, kept, generator)[0]
