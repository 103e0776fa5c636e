"""Filling a cache: everything that depends on frozen weights is computed once.

Shapes: B images, N inversion steps, M points kept, C x H x W the latent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.progress import progress_bar
from invdpo.train.cache.finite import finite_rows, not_finite
from invdpo.train.cache.sizes import (
    PROMPTS,
    images_per_call,
    trajectories_per_call,
)
from invdpo.train.cache.store import Store
from invdpo.train.cache.trajectories import Cache, kept_points
from invdpo.train.chunks import chunks
from invdpo.train.data import DataSet, Pair, Pairs, decode
from invdpo.train.data.buckets import Fitted, Size, fit
from invdpo.train.data.pairs import Walk
from invdpo.train.distributed import ProcessGroup
from invdpo.train.inversion import (
    Point,
    along_noise,
    endpoint_target,
    fresh_noise,
    invert,
    mix_fresh_noise,
    own_noise,
)
from invdpo.train.models import ModelAdapter
from invdpo.train.models.reference import Reference
from invdpo.train.objective import error_map, noise_error


class CacheBuilder:
    """Fills a cache with the rows that a dataset needs and the cache lacks."""

    def __init__(
        self,
        adapter: ModelAdapter,
        config: TrainConfig,
        cache: Cache,
        *,
        group: ProcessGroup | None = None,
        show_progress: bool = False,
    ) -> None:
        self.adapter, self.config, self.cache = adapter, config, cache
        self.group, self.show_progress = group or ProcessGroup(adapter.device), show_progress
        self.samples = config.unet_batch_size

    def fill(
        self, dataset: DataSet, splits: dict[str, list[Pair]], prompts: Iterable[str] = ()
    ) -> Cache:
        """Encode and invert what is missing; an interruption keeps the shards that are done.

        `prompts` are encoded beside those of the pairs. Raises `DataError` for more than
        `max_unreadable` pairs whose images can't be decoded, `ModelError` for a part of the model
        whose values are not finite.
        """
        self.encode(dataset, splits, prompts)
        self.adapter.drop_encoders()  # they would stand beside the denoiser's weights
        every_pair = (pair for split in splits.values() for pair in split)
        pairs = self.cache.readable(every_pair, Pairs(), self.config.max_unreadable)
        self._invert({walk.id: walk for pair in pairs for walk in pair.walks})
        return self.cache

    def encode(
        self, dataset: DataSet, splits: dict[str, list[Pair]], prompts: Iterable[str] = ()
    ) -> None:
        """Prompts and images alone."""
        self._encode_prompts({*prompts, *(p.prompt for pairs in splits.values() for p in pairs)})
        for split, pairs in splits.items():
            self._encode_images(dataset, split, pairs)

    def reference(self, pictures: Sequence[str], prompts: Sequence[str]) -> Reference:
        """The frozen denoiser on encoded images and prompts, guided as configured."""
        scale, cache = self.config.inversion_guidance_scale, self.cache
        sizes = cache.size_conditioning(pictures)
        empty = cache.conditioning([None] * len(prompts)) | sizes if scale != 1 else None
        conditioning = cache.conditioning(prompts) | sizes
        return Reference(self.adapter, conditioning, empty, scale, self.samples)

    def _encode_prompts(self, prompts: set[str]) -> None:
        by_id = {content_id(prompt): prompt for prompt in self._in_order(prompts)}
        store = self.cache.prompts
        for ids in chunks(self._share(by_id, store), PROMPTS):
            rows = self.adapter.encode_prompts([by_id[i] for i in ids])
            if not finite_rows(rows).all():
                raise not_finite("text encoder", self.adapter.dtype, self.config)
            store.add(ids, rows)
        self._wait(store)

    def _in_order(self, prompts: set[str]) -> list[str | None]:
        """Those of similar length are together where padding costs space."""
        if not self.adapter.lengths_vary:
            return [None, *sorted(prompts)]
        return sorted([None, *prompts], key=lambda prompt: (len(prompt or ""), prompt or ""))

    def _encode_images(self, dataset: DataSet, split: str, pairs: list[Pair]) -> None:
        store = self.cache.latents
        sources = {
            picture: (image, pair.bucket)
            for pair in pairs
            for picture, image in zip(pair.pictures, pair.images, strict=True)
        }
        wanted = defaultdict[str, list[tuple[str, Size]]](list)
        for picture in self._share(sources, store):
            image, bucket = sources[picture]
            wanted[image].append((picture, bucket))
        with progress_bar(
            f"encoding {split}", len(wanted), unit="image", show=self.show_progress
        ) as bar:
            images = dataset.images(split, set(wanted))
            for batch in self._fitted(images, wanted):
                rows = self.adapter.encode_images([fitted for _, fitted in batch])
                self._add_latents([picture for picture, _ in batch], rows, sources)
                bar.update(len(batch))
        self._wait(store)
        for picture in store.lacks(sources):
            reason = "another process could not read it"
            self.cache.unreadable.setdefault(sources[picture][0], reason)

    def _add_latents(
        self,
        pictures: Sequence[str],
        rows: dict[str, Tensor],
        sources: dict[str, tuple[str, Size]],
    ) -> None:
        """Keep the finite rows; where there is none at all, it is no fault of the images."""
        store, finite = self.cache.latents, finite_rows({"latent": rows["latent"]})
        if not finite.any() and not store.names():
            raise not_finite("VAE", self.adapter.vae_dtype, self.config)
        kept = [pictures[row] for row in finite.nonzero().flatten()]
        for picture in {*pictures} - {*kept}:
            self.cache.unreadable[sources[picture][0]] = "its latent is not finite"
        if kept:
            store.add(kept, {name: value[finite.to(value.device)] for name, value in rows.items()})

    def _fitted(
        self, images: Iterator[tuple[str, bytes]], wanted: dict[str, list[tuple[str, Size]]]
    ) -> Iterator[list[tuple[str, Fitted]]]:
        """Batches of images of one size, as large as the VAE takes them."""
        waiting = defaultdict[Size, list[tuple[str, Fitted]]](list)
        for name, content in images:
            try:
                image = decode(content)
            except DataError as error:
                self.cache.unreadable[name] = str(error)
                continue
            for picture, bucket in wanted[name]:
                waiting[bucket].append((picture, fit(image, bucket)))
                if len(waiting[bucket]) == images_per_call(self.config):
                    yield waiting.pop(bucket)
        yield from waiting.values()

    def _invert(self, wanted: Mapping[str, Walk]) -> None:
        stores = self.cache.walked_stores()
        missing = self._share(wanted, *stores)
        with progress_bar("inverting", len(missing), unit="image", show=self.show_progress) as bar:
            for ids in self._batches(missing, wanted):
                rows = self._trajectories([wanted[i] for i in ids])
                if not finite_rows(rows).all():
                    raise not_finite("denoiser", self.adapter.dtype, self.config)
                for store in stores:
                    self._add(store, ids, rows)
                bar.update(len(ids))
        self._wait(*stores)

    def _batches(self, missing: Sequence[str], wanted: Mapping[str, Walk]) -> Iterator[list[str]]:
        """Trajectories to walk together: latents of one shape, as many as fit call and shard."""
        alike = defaultdict(list)
        for i in missing:
            shape = self.cache.latents.shape("latent", wanted[i].picture)
            alike[shape, wanted[i].seed is None].append(i)
        for (shape, _), ids in sorted(alike.items()):
            yield from chunks(ids, trajectories_per_call(self.config, self.cache.kept, shape))

    def _trajectories(self, walks: Sequence[Walk]) -> dict[str, Tensor]:
        """Rows of trajectories: the kept points alone, on the CPU."""
        pictures, prompts = [w.picture for w in walks], [w.prompt for w in walks]
        cache, straight = self.cache, self._is_straight(walks[0])
        kept = torch.stack([kept_points(p, cache.steps, cache.kept) for p in prompts])
        latent = cache.latents.get("latent", pictures).to(self.adapter.device)
        grid, process = cache.grid(latent.shape[1:]), cache.process
        reference = self.reference(pictures, prompts)
        rows = {"points": kept.int()}
        if straight:
            points = along_noise(process, latent, self._noise(walks, latent), grid)
        else:
            points = invert(reference, process, latent, grid, self.config.inversion_corrections)
        for i, point in enumerate(points):
            row, slot = (kept == i).nonzero(as_tuple=True)
            if len(row):
                level = grid.levels[i + 1].to(latent)
                if straight or self.config.fresh_noise:
                    fresh = fresh_noise([prompts[r] for r in row.tolist()], i, latent)
                    timestep = grid.timesteps[i + 1].item()
                    values = self._with_fresh_noise(
                        point.x, latent, level, fresh, timestep, row, reference
                    )
                else:
                    values = {n: v[row] for n, v in self._stored(point, latent, level).items()}
                for name, value in values.items():
                    if name not in rows:
                        rows[name] = torch.empty(*kept.shape, *value.shape[1:], dtype=value.dtype)
                    rows[name][row, slot] = value.cpu()
        cache.forwards += reference.forwards
        return rows

    def _is_straight(self, walk: Walk) -> bool:
        """Whether its points are on the straight line from the image to one noise."""
        return self.config.noise == "fresh" or walk.seed is not None

    def _noise(self, walks: Sequence[Walk], latent: Tensor) -> Tensor:
        """Where the straight lines of these walks lead; with fresh noise none is used."""
        seeds = [walk.seed for walk in walks if walk.seed is not None]
        return own_noise(seeds, latent) if seeds else torch.zeros_like(latent)

    @torch.no_grad()
    def _with_fresh_noise(
        self,
        x: Tensor,
        latent: Tensor,
        level: Tensor,
        fresh: Tensor,
        timestep: float,
        row: Tensor,
        reference: Reference,
    ) -> dict[str, Tensor]:
        """What is kept of a point with fresh noise (R, C, H, W): of the trajectories `row` (R,)."""
        process, on_device = self.cache.process, row.to(latent.device)
        clean = latent[on_device]
        share = 1.0 if self.config.noise == "fresh" else self.config.fresh_noise or 0.0
        mixed = mix_fresh_noise(process, x[on_device], clean, level, fresh, share)
        mixed = mixed.to(getattr(torch, self.config.cache_dtype))
        prediction = reference.unguided(mixed.float(), timestep, row)
        target = endpoint_target(process, mixed.float(), clean, level)
        values = {"x": mixed, "error_endpoint": noise_error(prediction, target).float()}
        return values | self._error_map(prediction, target)

    def _stored(self, point: Point, latent: Tensor, level: Tensor) -> dict[str, Tensor]:
        """What is kept of a point: E_0 in float32, the rest in `cache_dtype`."""
        dtype = getattr(torch, self.config.cache_dtype)
        x = point.x.to(dtype)
        # the target follows from x as it is stored, so that E_0 belongs to that x
        endpoint = endpoint_target(self.cache.process, x.float(), latent, level)
        values = {
            "x": x,
            "error_implied": noise_error(point.reference, point.implied).float(),
            "error_endpoint": noise_error(point.reference, endpoint).float(),
        }
        if self.cache.targets:
            target = point.implied if self.config.residual == "implied" else point.reference
            values["target"] = target.to(dtype)
        compared = point.implied if self.config.residual == "implied" else endpoint
        return values | self._error_map(point.reference, compared)

    def _error_map(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        if self.cache.error_maps is None:
            return {}
        return {"error_map": error_map(prediction, target).float()}

    def _add(self, store: Store, ids: Sequence[str], rows: dict[str, Tensor]) -> None:
        """Add to a store those of these rows that it lacks."""
        lacking = set(store.lacks(ids))
        new = [n for n, i in enumerate(ids) if i in lacking]
        if new:
            apart = {"target": self.cache.targets, "error_map": self.cache.error_maps}
            names = [n for n in rows if apart.get(n, self.cache.trajectories) is store]
            store.add([ids[n] for n in new], {name: rows[name][new] for name in names})

    def _share(self, ids: Iterable[str], *stores: Store) -> list[str]:
        """The rows that this process has to make; the main one removes damaged shards before."""
        ids, group = list(ids), self.group
        if group.world > 1:
            if group.is_main:
                for store in stores:
                    store.missing(ids)
            self._wait(*stores)
        missing = dict.fromkeys(i for store in stores for i in store.missing(ids))
        # a process that still looks would leave out what another one already writes
        group.wait()
        return list(missing)[group.rank :: group.world]

    def _wait(self, *stores: Store) -> None:
        """Wait until all processes are done, and open what they have written."""
        self.group.wait()
        if self.group.world > 1:
            for store in stores:
                store.refresh()
