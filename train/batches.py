"""Which noisy latents one step looks at, and what the network should have said about them.

Shapes: B pairs, S sides (winner, loser), K points, C x H x W the latent, T training timesteps.
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
from invdpo.train.cache.trajectories import Cache, trajectory_id
from invdpo.train.data import Pair
from invdpo.train.data.buckets import Size
from invdpo.train.inversion import endpoint_noise
from invdpo.train.models import Conditioning
from invdpo.train.objective import OBJECTIVES
from invdpo.train.schedule import stratified, weights


@dataclass(frozen=True)
class Batch:
    """Everything a step needs beside the network."""

    x: Tensor
    """(B, S, K, C, H, W) noisy latents."""
    target: Tensor
    """(B, S, K, C, H, W) noise that the errors are measured against."""
    timesteps: Tensor
    """(B, K) int64, shared by both sides."""
    weight: Tensor
    """(B, K) ω."""
    reference_error: Tensor
    """(B, S, K) E_0; zeros where the objective has none or takes it live."""
    conditioning: Conditioning
    """Each (B, ...)."""
    about: Conditioning = field(default_factory=dict)
    """What the network is told of each picture: each (B, S, ...)."""
    places: tuple[int, ...] = ()
    """Where its pairs stand among those of the step, or of the split; B of them."""

    @property
    def width(self) -> int:
        """Samples a pair: S * K."""
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


class BatchSampler:
    """Draws batches for the configured objective from a filled cache."""

    def __init__(self, cache: Cache, config: TrainConfig, alpha_bar: Tensor) -> None:
        self.cache, self.residual = cache, config.residual
        self.objective = OBJECTIVES[config.objective]
        levels = cache.grid.alpha_bar[1:] if self.objective.inverts else alpha_bar
        self.levels = levels.float()
        self.weights = weights(config.weighting, levels)
        self.places = cache.kept if self.objective.inverts else len(levels)
        """What points are drawn from: those a trajectory keeps, or all timesteps."""
        self.points = config.num_points or cache.grid.steps
        if self.objective.inverts:
            self.points = min(self.points, cache.kept)

    @property
    def width(self) -> int:
        """UNet samples of a pair."""
        return self.objective.sides * self.points

    def batches(
        self, pairs: Sequence[Pair], places: Sequence[int], *key: object, points: int = 0
    ) -> Iterator[Batch]:
        """Batches that together hold those of the pairs at `places`, on the CPU.

        There is one for each size of pictures. What is drawn for a pair depends on `key` and its
        place alone, however pairs are spread over batches and processes. `points`: K, as
        configured if 0.
        """
        sizes = defaultdict[Size, list[int]](list)
        for place in places:
            sizes[pairs[place].bucket].append(place)
        for some in sizes.values():
            draws = [generator_of(*key, place) for place in some]
            batch = self._batch([pairs[place] for place in some], draws, points)
            yield replace(batch, places=tuple(some))

    def _batch(self, pairs: Sequence[Pair], draws: Sequence[Generator], points: int) -> Batch:
        count = min(points or self.points, self.places)
        place = torch.cat([stratified(self.places, 1, count, draw) for draw in draws])
        index = place
        if self.objective.inverts:
            index = self.cache.points([trajectory_id(p.pictures[0], p.prompt) for p in pairs])
            index = index.gather(1, place)
            x, target, error = self._along_trajectories(pairs, index, place)
        else:
            x, target, error = self._freshly_noised(pairs, index, draws)
        timesteps = self.cache.grid.timesteps[1:][index] if self.objective.inverts else index
        told = self.cache.conditioning([pair.prompt for pair in pairs])
        shape = (len(pairs), self.objective.sides)
        about = {n: fold(v, shape) for n, v in self.cache.about(self._pictures(pairs)).items()}
        weight = self.weights[index]
        return Batch(x, target, timesteps, weight, error, told, about)

    def _along_trajectories(
        self, pairs: Sequence[Pair], index: Tensor, place: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Points `index` (B, K) of the grid, which lie at `place` (B, K) in the cache."""
        store, shape = self.cache.trajectories, (len(pairs), self.objective.sides)
        if store is None:
            raise RuntimeError("The cache was opened without trajectories.")
        ids = [trajectory_id(image, pair.prompt) for pair in pairs for image in pair.pictures]
        index, place = (i.repeat_interleave(self.objective.sides, 0) for i in (index, place))
        x = store.get("x", ids, place).float()
        if self.cache.targets is not None:
            target = self.cache.targets.get("target", ids, place).float()
        else:
            level = self.levels[index][..., None, None, None]
            target = endpoint_noise(x, self._latents(pairs).flatten(0, 1)[:, None], level)
        if self.residual == "reference":
            error = torch.zeros(index.shape)
        else:
            error = store.get(f"error_{self.residual}", ids, place)
        return fold(x, shape), fold(target, shape), fold(error, shape)

    def _freshly_noised(
        self, pairs: Sequence[Pair], index: Tensor, draws: Sequence[Generator]
    ) -> tuple[Tensor, Tensor, Tensor]:
        latent = self._latents(pairs)[:, :, None]
        b, s, _, *shape = latent.shape
        # one noise for both sides, as the published Diffusion-DPO draws it
        each = (1, index.shape[1], *shape)
        noise = torch.stack([torch.randn(each, generator=draw) for draw in draws])
        level = self.levels[index][:, None, :, None, None, None]
        x = level.sqrt() * latent + (1 - level).sqrt() * noise
        return x, noise.expand_as(x), torch.zeros(b, s, index.shape[1])

    def _latents(self, pairs: Sequence[Pair]) -> Tensor:
        """(B, S, C, H, W)."""
        latent = self.cache.latents.get("latent", self._pictures(pairs))
        return fold(latent, (len(pairs), self.objective.sides))

    def _pictures(self, pairs: Sequence[Pair]) -> list[str]:
        return [i for pair in pairs for i in pair.pictures[: self.objective.sides]]


def step_pairs(pairs: Sequence[Pair], count: int, step: int, seed: int) -> list[Pair]:
    """The `count` pairs of optimiser step 0, 1, ...; each epoch's order follows from the seed."""
    chosen: list[Pair] = []
    for position in range(step * count, (step + 1) * count):
        epoch, place = divmod(position, len(pairs))
        if place == 0 or not chosen:
            generator = generator_of(seed, "epoch", epoch)
            order = torch.randperm(len(pairs), generator=generator).tolist()
        chosen.append(pairs[order[place]])
    return chosen


def fold(flat: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B*S, ...) as (B, S, ...)."""
    return flat.view(*shape, *flat.shape[1:])


def generator_of(*parts: object) -> Generator:
    """A CPU generator that depends on `parts` alone."""
    return Generator().manual_seed(derived_seed(*parts))
