"""Phase one: everything that depends on frozen things, computed once and kept.

Shapes: B images, N inversion steps, C x H x W the latent. Three stores: prompts' conditioning,
images' clean latents, and (image, prompt) trajectories, which serve all three residuals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from invdpo.schemas.config import TrainConfig
from invdpo.schemas.ids import content_id
from invdpo.train.adapters import Conditioning, ModelAdapter
from invdpo.train.chunks import chunks
from invdpo.train.data import Pair, decode, read_images
from invdpo.train.inversion import Predict, Trajectory, endpoint_noise, guided, invert
from invdpo.train.objective import noise_error
from invdpo.train.progress import bar
from invdpo.train.schedule import Grid, make_grid
from invdpo.train.store import Store

FORMAT = 1
"""Raised when rows change their meaning, so that old caches are left alone."""


@dataclass
class Cache:
    """The frozen quantities of a data set under one model, grid and guidance."""

    grid: Grid
    prompts: Store
    latents: Store
    trajectories: Store | None
    unreadable: dict[str, str] = field(default_factory=dict)
    """Image id to why it can't be decoded."""
    forwards: int = 0
    """UNet sample-forwards it took to fill what was missing."""

    def conditioning(self, prompts: Sequence[str]) -> Conditioning:
        """The stored conditioning of each prompt, stacked."""
        ids = [content_id(prompt) for prompt in prompts]
        return {name: self.prompts.get(name, ids) for name in self.prompts.names()}

    def damaged(self) -> int:
        """Shards that were unreadable and have been made again."""
        stores = (self.prompts, self.latents, self.trajectories)
        return sum(len(store.damaged) for store in stores if store)


class Filler:
    """Fills a cache with what a data set needs and it lacks."""

    def __init__(
        self, adapter: ModelAdapter, config: TrainConfig, root: Path, *, inverts: bool, shown: bool
    ) -> None:
        self.adapter, self.config, self.shown = adapter, config, shown
        self.samples = config.unet_batch_size
        frozen = {"format": FORMAT, "model": adapter.fingerprint, "dtype": config.dtype}
        grid = make_grid(adapter.alpha_bar, config.num_inversion_steps)
        path = {"grid": grid.timesteps.tolist(), "guidance": config.inversion_guidance_scale}
        key = {"kind": "trajectories", **frozen, **path}
        self.cache = Cache(
            grid,
            prompts=Store(root, {"kind": "prompts", **frozen}),
            latents=Store(root, {"kind": "latents", **frozen}),
            trajectories=Store(root, key) if inverts else None,
        )

    def fill(self, dataset: Path, splits: dict[str, list[Pair]]) -> Cache:
        """Encode and invert what is missing; an interruption keeps the shards that are done."""
        pairs = [pair for split in splits.values() for pair in split]
        self._encode_prompts({"", *(pair.prompt for pair in pairs)})
        for split, some in splits.items():
            self._encode_images(dataset, split, [i for pair in some for i in pair.images])
        self._invert({trajectory_id(i, p.prompt): (i, p.prompt) for p in pairs for i in p.images})
        return self.cache

    def _encode_prompts(self, prompts: set[str]) -> None:
        by_id = {content_id(prompt): prompt for prompt in sorted(prompts)}
        for ids in chunks(self.cache.prompts.missing(by_id), 256):
            self.cache.prompts.add(ids, self.adapter.encode_prompts([by_id[i] for i in ids]))

    def _encode_images(self, dataset: Path, split: str, images: list[str]) -> None:
        missing = set(self.cache.latents.missing(images))
        with bar(len(missing), f"encoding {split}", "image", self.shown) as shown:
            readable = self._decoded(read_images(dataset, split, missing))
            for some in chunks(readable, max(1, self.samples // 4)):
                latent = self.adapter.encode_images([image for _, image in some])
                self.cache.latents.add([name for name, _ in some], {"latent": latent})
                shown.update(len(some))

    def _decoded(self, images: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, Image.Image]]:
        for name, content in images:
            try:
                yield name, decode(content)
            except (OSError, ValueError) as error:
                self.cache.unreadable[name] = str(error)

    def _invert(self, wanted: dict[str, tuple[str, str]]) -> None:
        store = self.cache.trajectories
        if store is None:
            return
        missing = [i for i in store.missing(wanted) if wanted[i][0] not in self.cache.unreadable]
        with bar(len(missing), "inverting", "image", self.shown) as shown:
            for ids in chunks(missing, self.samples):
                images, prompts = zip(*(wanted[i] for i in ids), strict=True)
                latent = self.cache.latents.get("latent", images).to(self.adapter.device)
                walk = invert(self._predictor(prompts), latent, self.cache.grid)
                store.add(ids, _row_tensors(walk, latent, self.cache.grid))
                shown.update(len(ids))

    def _predictor(self, prompts: Sequence[str]) -> Predict:
        """The frozen reference on these prompts, guided when the configuration says so."""
        scale, adapter = self.config.inversion_guidance_scale, self.adapter
        told = {k: v.to(adapter.device) for k, v in self.cache.conditioning(prompts).items()}
        blank = self.cache.conditioning([""] * len(prompts)) if scale != 1 else {}

        def reference(x: Tensor, t: int, told: Conditioning) -> Tensor:
            self.cache.forwards += len(x)
            steps = torch.full((len(x),), t, device=x.device)
            return adapter.predict(adapter.unet, x, steps, told)

        def predict(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
            own = reference(x, t, told)
            if scale == 1:
                return own, own
            without = reference(x, t, {k: v.to(x.device) for k, v in blank.items()})
            return guided(own, without, scale), own

        return predict


def trajectory_id(image: str, prompt: str) -> str:
    """A trajectory's name in the cache: the picture inverted under this prompt."""
    return content_id(image, prompt)


def _row_tensors(walk: Trajectory, latent: Tensor, grid: Grid) -> dict[str, Tensor]:
    """A trajectory with the reference's errors E_0 (B, N) for the residuals that have one."""
    level = grid.alpha_bar[1:].to(latent).view(-1, 1, 1, 1)
    endpoint = endpoint_noise(walk.x, latent[:, None], level)
    return {
        "x": walk.x,
        "implied": walk.implied,
        "reference": walk.reference,
        "error_implied": noise_error(walk.reference, walk.implied),
        "error_endpoint": noise_error(walk.reference, endpoint),
    }
