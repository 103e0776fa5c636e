"""What phase one computes once and keeps on disk, and under which keys.

Shapes: B pairs, N inversion steps, M points of them that are kept, C x H x W the latent. Stores:
prompts' conditioning; clean latents of fitted images; the trajectory of each (image, prompt)
with the reference's errors E_0, which all residuals share; the targets, for residuals that need
some; and E_0 of each position, for trainings that weigh positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.ids import content_id, derived_seed
from invdpo.train.cache.store import Store
from invdpo.train.data import Pair, Pairs
from invdpo.train.models import Conditioning, ModelAdapter
from invdpo.train.models.base import MASK, STATES
from invdpo.train.models.load import family_origin
from invdpo.train.models.start import reference_id
from invdpo.train.objective import OBJECTIVES
from invdpo.train.schedule import Grid, NoiseProcess, Shape, stratified

FORMAT = 3
"""Increased when rows change their meaning, so that older caches are not used."""


@dataclass
class Cache:
    """The frozen quantities of a dataset under one model, grid and guidance."""

    root: Path
    process: NoiseProcess
    steps: int
    """N."""
    kept: int
    """M, the number of points that a trajectory keeps; N when it keeps all."""
    prompts: Store
    latents: Store
    trajectories: Store | None
    """`x` (M, C, H, W), `error_implied` and `error_endpoint` (M,), `points` (M,) on the grid.

    With fresh noise in it there is no `error_implied`: x is on no path."""
    targets: Store | None
    """`target` (M, C, H, W), for residuals whose target does not follow from x and the latent."""
    error_maps: Store | None
    """`error_map` (M, H, W) float32: E_0 before the mean over positions, from which that of any
    region follows, whatever boxes and weight it is made of."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Image id to the reason why it can't be decoded."""
    forwards: int = 0
    """UNet sample-forwards spent on filling what was missing."""

    def grid(self, shape: Shape) -> Grid:
        """The inversion grid for latents of one shape."""
        return self.process.grid(self.steps, shape)

    def conditioning(self, prompts: Sequence[str | None]) -> Conditioning:
        """The stored conditioning on each prompt; guidance leads away from the one of None."""
        ids = [content_id(prompt) for prompt in prompts]
        stored = {name: self.prompts.get(name, ids) for name in self.prompts.names()}
        if MASK in stored:
            longest = int(stored[MASK].sum(1).max())
            trimmed = {name: stored[name][:, :longest] for name in (MASK, STATES)}
            stored |= trimmed
        return stored

    def size_conditioning(self, pictures: Sequence[str]) -> Conditioning:
        """The stored conditioning on each fitted image's size, stacked; empty for most models."""
        names = [name for name in self.latents.names() if name != "latent"]
        return {name: self.latents.get(name, pictures) for name in names}

    def readable(
        self, pairs: Iterable[Pair], skipped: Pairs, limit: int | None = None
    ) -> list[Pair]:
        """The pairs whose images could be decoded; the others are counted in `skipped`.

        Raises `DataError` for more than `limit` of them.
        """
        readable = []
        for pair in pairs:
            if self.unreadable.keys() & set(pair.images):
                skipped.skip_unreadable(pair.row, limit)
            else:
                readable.append(pair)
        return readable

    def points(self, trajectories: Sequence[str]) -> Tensor:
        """Which points are kept: indices 0 .. N-1 of τ_1 .. τ_N, (B, M) int64."""
        if self.trajectories is None:
            raise RuntimeError("This cache was opened without trajectories.")
        return self.trajectories.get("points", trajectories).long()

    def stores(self) -> list[Store]:
        """The stores in use."""
        return [self.prompts, self.latents, *self.walked_stores()]

    def walked_stores(self) -> list[Store]:
        """Those with a row for each trajectory, which are filled together."""
        return [s for s in (self.trajectories, self.targets, self.error_maps) if s]

    def damaged(self) -> int:
        """Number of shards that were damaged and have been made again."""
        return sum(len(store.damaged) for store in self.stores())


def open_cache(root: Path, adapter: ModelAdapter, config: TrainConfig) -> Cache:
    """The cache of this model and configuration in `root`, filled or not."""
    steps = config.num_inversion_steps
    grids = adapter.process.key(steps)
    kept = min(config.cache_points or steps, steps)
    frozen = {"format": FORMAT, "model": adapter.fingerprint, "dtype": adapter.precision}
    if family := family_origin(adapter, config):
        frozen["family"] = family
    texts = {"max_sequence_length": length} if (length := adapter.max_sequence_length) else {}
    key = {
        **frozen,
        **texts,
        "model": reference_id(adapter.fingerprint, config),
        "grid": grids,
        "guidance": config.inversion_guidance_scale,
        "points": kept,
        "cache_dtype": config.cache_dtype,
    }
    if config.embedded_guidance != 1:
        key["embedded_guidance"] = config.embedded_guidance
    if config.inversion_corrections:
        key["corrections"] = config.inversion_corrections
    if config.fresh_noise:
        key["fresh_noise"] = config.fresh_noise
    if config.noise != "inversion":
        key["noise"] = config.noise
    inverts = OBJECTIVES[config.objective].inverts
    return Cache(
        root,
        adapter.process,
        steps,
        kept,
        prompts=Store(root, {"kind": "prompts", **frozen, **texts}),
        latents=Store(root, {"kind": "latents", **frozen}),
        trajectories=Store(root, {"kind": "trajectories", **key}) if inverts else None,
        targets=Store(root, {"kind": f"targets-{config.residual}", **key})
        if inverts and config.residual != "endpoint"
        else None,
        error_maps=Store(root, {"kind": f"error-maps-{config.residual}", **key})
        if inverts and _weighs_cached_errors(config)
        else None,
    )


def _weighs_cached_errors(config: TrainConfig) -> bool:
    """Whether positions are weighed in an E_0 that is cached and not zero."""
    fixed = config.reference_decay is None
    return config.box_weight != 1 and fixed and config.residual != "reference"


def kept_points(prompt: str, steps: int, kept: int) -> Tensor:
    """The M of N points that trajectories under this prompt keep: (M,) int64, ascending.

    Stratified, and drawn from the prompt alone: winner and loser keep the same points, and so do
    all runs that share the cache.
    """
    generator = torch.Generator().manual_seed(derived_seed("points", prompt, steps, kept))
    return stratified(steps, 1, kept, generator)[0]
