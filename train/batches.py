"""The noisy latents of one step, and what the network should predict for them.

Shapes: B pairs, S sides (winner, loser), K points, C x H x W the latent, T levels of training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Generator, Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.ids import derived_seed
from invdpo.train.cache.trajectories import Cache
from invdpo.train.data import Pair
from invdpo.train.data.buckets import Size
from invdpo.train.data.regions import position_weights
from invdpo.train.inversion import endpoint_target
from invdpo.train.models import Conditioning
from invdpo.train.objective import (
    has_live_reference,
    make_objective,
    margin_strength,
    region_mean,
)
from invdpo.train.schedule import Grid, NoiseProcess, Shape, stratified


@dataclass(frozen=True)
class Batch:
    """Everything that a step needs beside the network."""

    x: Tensor
    """(B, S, K, C, H, W) noisy latents."""
    target: Tensor
    """(B, S, K, C, H, W) prediction that the errors are measured against."""
    timesteps: Tensor
    """(B, K) what the network is called with, shared by both sides."""
    weight: Tensor
    """(B, K) ω."""
    reference_error: Tensor
    """(B, S, K) E_0; zeros where the objective has none or computes it live."""
    conditioning: Conditioning
    """Of the prompts, each (B, ...)."""
    size_conditioning: Conditioning = field(default_factory=dict)
    """Of the images' sizes and crops, each (B, S, ...)."""
    indices: tuple[int, ...] = ()
    """Indices of its B pairs among those of the step, or of the split."""
    strength: Tensor | None = None
    """(B,) f of each pair; None for 1."""
    quartile: Tensor | None = None
    """(B, K) int64 which quarter of the noise levels a point is in, 0 the cleanest."""
    region: Tensor | None = None
    """(B, S, H, W) weight of each position, of mean 1; None for 1."""

    def strength_of(self, pairs: slice) -> Tensor:
        """F of some pairs."""
        ones = self.weight.new_ones(len(self.x))
        return (ones if self.strength is None else self.strength)[pairs]

    @property
    def samples_per_pair(self) -> int:
        """S * K."""
        return self.x.shape[1] * self.x.shape[2]

    def to(self, device: torch.device) -> Self:
        """A copy on `device`."""
        moved: dict[str, Any] = {}
        for name, value in ((f.name, getattr(self, f.name)) for f in fields(self)):
            if isinstance(value, Tensor):
                moved[name] = value.to(device)
            elif isinstance(value, dict):
                moved[name] = {key: tensor.to(device) for key, tensor in value.items()}
        return replace(self, **moved)


@dataclass(frozen=True)
class Levels:
    """The points that latents of one shape have: as many as a grid has steps, or all T."""

    process: NoiseProcess
    timesteps: Tensor
    """What the network is called with."""
    level: Tensor
    """Noise levels, float32."""
    weight: Tensor
    """ω."""


class BatchSampler:
    """Draws batches for the configured objective from a filled cache."""

    def __init__(self, cache: Cache, config: TrainConfig) -> None:
        self.cache, self.residual, self.weighting = cache, config.residual, config.weighting
        self.live_reference, self.box_weight = has_live_reference(config), config.box_weight
        self.objective, self.by_margin = make_objective(config), config.margin_weights
        self._batch_size, self._unet_batch_size = config.batch_size, config.unet_batch_size
        self._levels: dict[Shape, Levels] = {}
        self.available_points = cache.kept if self.objective.inverts else cache.process.levels
        """How many points K are drawn from: those a trajectory keeps, or all T levels."""
        self.points = config.num_points or cache.steps
        """K."""
        if self.objective.inverts:
            self.points = min(self.points, cache.kept)

    @property
    def samples_per_pair(self) -> int:
        """S * K, the UNet samples of a pair."""
        return self.objective.sides * self.points

    @property
    def samples_per_graph(self) -> int:
        """The largest number of UNet samples in one graph."""
        return min(self._unet_batch_size, self._batch_size * self.samples_per_pair)

    def levels(self, pairs: Sequence[Pair]) -> Levels:
        """Where the points of these pairs are stored, whose latents have one shape."""
        shape = self.cache.latents.shape("latent", pairs[0].pictures[0])
        if shape not in self._levels:
            process = self.cache.process
            if self.objective.inverts:
                grid = self.cache.grid(shape)
                grid = Grid(grid.timesteps[1:], grid.levels[1:])
            else:
                grid = process.training_levels(shape)
            weight = process.weights(self.weighting, grid.levels)
            self._levels[shape] = Levels(process, grid.timesteps, grid.levels.float(), weight)
        return self._levels[shape]

    def batches(
        self, pairs: Sequence[Pair], indices: Sequence[int], *key: object, points: int = 0
    ) -> Iterator[Batch]:
        """Batches that together hold the pairs at `indices`, on the CPU; one for each image size.

        What is drawn for a pair depends on `key` and its index alone, however pairs are spread over
        batches and processes. `points`: K, as configured if 0.
        """
        by_size = defaultdict[Size, list[int]](list)
        for index in indices:
            by_size[pairs[index].bucket].append(index)
        for same_size in by_size.values():
            generators = [seeded_generator(*key, index) for index in same_size]
            batch = self._batch([pairs[index] for index in same_size], generators, points)
            yield replace(batch, indices=tuple(same_size))

    def _batch(self, pairs: Sequence[Pair], generators: Sequence[Generator], points: int) -> Batch:
        count = min(points or self.points, self.available_points)
        drawn = [stratified(self.available_points, 1, count, g) for g in generators]
        slot, region = torch.cat(drawn), self._region(pairs)
        if self.objective.inverts:
            kept = self.cache.points([pair.walks[0].id for pair in pairs])
            point = kept.gather(1, slot)
            x, target, error = self._along_trajectories(pairs, point, slot, region)
        else:
            point = slot
            x, target, error = self._freshly_noised(pairs, point, generators)
        levels = self.levels(pairs)
        sizes = self.cache.size_conditioning(self._pictures(pairs))
        return Batch(
            x,
            target,
            levels.timesteps[point],
            levels.weight[point],
            error,
            conditioning=self.cache.conditioning([pair.prompt for pair in pairs]),
            size_conditioning={name: self._by_pair(value) for name, value in sizes.items()},
            quartile=4 * point // len(levels.level),
            strength=margin_strength([p.margin for p in pairs]) if self.by_margin else None,
            region=region,
        )

    def _along_trajectories(
        self, pairs: Sequence[Pair], point: Tensor, slot: Tensor, region: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x, target and E_0 at points (B, K) of the grid, in slots (B, K) of the cached rows."""
        store = self.cache.trajectories
        if store is None:
            raise RuntimeError("The cache was opened without trajectories.")
        ids = [walk.id for pair in pairs for walk in pair.walks]
        point, slot = (i.repeat_interleave(self.objective.sides, 0) for i in (point, slot))
        x = store.get("x", ids, slot).float()
        if self.cache.targets is not None:
            target = self.cache.targets.get("target", ids, slot).float()
        else:
            levels = self.levels(pairs)
            level = levels.level[point][..., None, None, None]
            latent = self._latents(pairs).flatten(0, 1)[:, None]
            target = endpoint_target(levels.process, x, latent, level)
        if self.residual == "reference":
            error = torch.zeros(point.shape)
        elif region is not None and self.cache.error_maps is not None:
            error_map = self.cache.error_maps.get("error_map", ids, slot)
            error = region_mean(error_map, region.flatten(0, 1)[:, None])
        else:
            error = store.get(f"error_{self.residual}", ids, slot)
        return self._by_pair(x), self._by_pair(target), self._by_pair(error)

    def _freshly_noised(
        self, pairs: Sequence[Pair], point: Tensor, generators: Sequence[Generator]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x, target and zeros in place of E_0 at the levels `point` (B, K)."""
        levels = self.levels(pairs)
        latent = self._latents(pairs)[:, :, None]
        b, s, _, *shape = latent.shape
        # one noise for both sides, as the published Diffusion-DPO draws it
        each = (1, point.shape[1], *shape)
        noise = torch.stack([torch.randn(each, generator=g) for g in generators])
        level = levels.level[point][:, None, :, None, None, None]
        x = levels.process.noised(latent, noise, level)
        target = levels.process.prediction(latent, noise).expand_as(x)
        return x, target, torch.zeros(b, s, point.shape[1])

    def _region(self, pairs: Sequence[Pair]) -> Tensor | None:
        """(B, S, H, W), None where boxes count no more than the rest."""
        if self.box_weight == 1:
            return None
        _, *shape = self.cache.latents.shape("latent", pairs[0].pictures[0])
        regions = [
            position_weights(boxes, shape, self.box_weight)
            for pair in pairs
            for boxes in pair.fitted_boxes[: self.objective.sides]
        ]
        return self._by_pair(torch.stack(regions).float())

    def _latents(self, pairs: Sequence[Pair]) -> Tensor:
        """(B, S, C, H, W)."""
        return self._by_pair(self.cache.latents.get("latent", self._pictures(pairs)))

    def _pictures(self, pairs: Sequence[Pair]) -> list[str]:
        return [i for pair in pairs for i in pair.pictures[: self.objective.sides]]

    def _by_pair(self, flat: Tensor) -> Tensor:
        """(B*S, ...) as (B, S, ...)."""
        return flat.view(-1, self.objective.sides, *flat.shape[1:])


def step_pairs(pairs: Sequence[Pair], count: int, step: int, seed: int) -> list[Pair]:
    """The `count` pairs of optimiser step 0, 1, ...; each epoch's order follows from the seed."""
    chosen: list[Pair] = []
    for position in range(step * count, (step + 1) * count):
        epoch, index = divmod(position, len(pairs))
        if index == 0 or not chosen:
            generator = seeded_generator(seed, "epoch", epoch)
            order = torch.randperm(len(pairs), generator=generator).tolist()
        chosen.append(pairs[order[index]])
    return chosen


def seeded_generator(*parts: object) -> Generator:
    """A CPU generator that depends on `parts` alone."""
    return Generator().manual_seed(derived_seed(*parts))
