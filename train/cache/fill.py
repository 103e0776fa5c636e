"""Phase one: everything that depends on frozen things, computed once.

Shapes: B images, N inversion steps, M points kept, C x H x W the latent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.progress import progress_bar
from invdpo.train.cache.sizes import PROMPTS, ensure_space, images_at_once, lacking, walks_at_once
from invdpo.train.cache.store import Store
from invdpo.train.cache.trajectories import Cache, kept_points, trajectory_id
from invdpo.train.chunks import chunks
from invdpo.train.data import DataSet, Pair, Pairs, decode
from invdpo.train.data.buckets import Fitted, Size, fit
from invdpo.train.inversion import Point, endpoint_noise, fresh_noise, invert, refreshed
from invdpo.train.models import ModelAdapter
from invdpo.train.models.reference import Reference
from invdpo.train.objective import noise_error


class Ranks(Protocol):
    """The processes that fill one cache together."""

    rank: int
    world: int

    def wait(self) -> None:
        """Return when all processes have come here."""
        ...


@dataclass(frozen=True)
class Alone:
    """One process."""

    rank: int = 0
    world: int = 1

    def wait(self) -> None:
        """Nobody to wait for."""


class CacheBuilder:
    """Fills a cache with what a data set needs and it lacks."""

    def __init__(
        self,
        adapter: ModelAdapter,
        config: TrainConfig,
        cache: Cache,
        *,
        ranks: Ranks | None = None,
        shown: bool = False,
    ) -> None:
        self.adapter, self.config, self.cache, self.shown = adapter, config, cache, shown
        self.ranks = ranks or Alone()
        self.samples = config.unet_batch_size

    def fill(
        self, dataset: DataSet, splits: dict[str, list[Pair]], prompts: Iterable[str] = ()
    ) -> Cache:
        """Encode and invert what is missing; an interruption keeps the shards that are done.

        `prompts` are encoded beside those of the pairs.
        """
        ensure_space(lacking(self.cache, self.adapter, self.config, splits), self.cache)
        self.encode(dataset, splits, prompts)
        pairs = [pair for split in splits.values() for pair in split]
        readable = self._readable(pairs)
        walks = [(picture, p.prompt) for p in readable for picture in p.pictures]
        self._invert({trajectory_id(*walk): walk for walk in walks})
        return self.cache

    def encode(
        self, dataset: DataSet, splits: dict[str, list[Pair]], prompts: Iterable[str] = ()
    ) -> None:
        """Prompts and pictures alone."""
        self._encode_prompts({*prompts, *(p.prompt for some in splits.values() for p in some)})
        for split, some in splits.items():
            self._encode_images(dataset, split, some)

    def _readable(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs whose pictures could be decoded. Raises `DataError` beyond `max_unreadable`."""
        found = Pairs()
        for pair in pairs:
            if self.cache.unreadable.keys() & set(pair.images):
                found.skip_unreadable(pair.row, self.config.max_unreadable)
            else:
                found.pairs.append(pair)
        return found.pairs

    def reference(self, pictures: Sequence[str], prompts: Sequence[str]) -> Reference:
        """The frozen denoiser on encoded pictures and prompts, guided as configured."""
        scale, cache = self.config.inversion_guidance_scale, self.cache
        about = cache.about(pictures)
        blank = cache.conditioning([None] * len(prompts)) | about if scale != 1 else None
        told = cache.conditioning(prompts) | about
        return Reference(self.adapter, told, blank, scale, self.samples)

    def _encode_prompts(self, prompts: set[str]) -> None:
        by_id = {content_id(prompt): prompt for prompt in (None, *sorted(prompts))}
        store = self.cache.prompts
        for ids in chunks(self._share(by_id, store), PROMPTS):
            store.add(ids, self.adapter.encode_prompts([by_id[i] for i in ids]))
        self._meet(store)

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
        with progress_bar(f"encoding {split}", len(wanted), unit="image", show=self.shown) as bar:
            images = dataset.images(split, set(wanted))
            for some in self._fitted(images, wanted):
                rows = self.adapter.encode_images([fitted for _, fitted in some])
                store.add([picture for picture, _ in some], rows)
                bar.update(len(some))
        self._meet(store)
        for picture in store.lacks(sources):
            why = "another process could not read it"
            self.cache.unreadable.setdefault(sources[picture][0], why)

    def _fitted(
        self, images: Iterator[tuple[str, bytes]], wanted: dict[str, list[tuple[str, Size]]]
    ) -> Iterator[list[tuple[str, Fitted]]]:
        """Pictures of one size, as many as go through the VAE together."""
        waiting = defaultdict[Size, list[tuple[str, Fitted]]](list)
        for name, content in images:
            try:
                image = decode(content)
            except DataError as error:
                self.cache.unreadable[name] = str(error)
                continue
            for picture, bucket in wanted[name]:
                waiting[bucket].append((picture, fit(image, bucket)))
                if len(waiting[bucket]) == images_at_once(self.config):
                    yield waiting.pop(bucket)
        yield from waiting.values()

    def _invert(self, wanted: dict[str, tuple[str, str]]) -> None:
        stores = [s for s in (self.cache.trajectories, self.cache.targets) if s]
        missing = self._share(wanted, *stores)
        with progress_bar("inverting", len(missing), unit="image", show=self.shown) as bar:
            for ids in self._batches(missing, wanted):
                rows = self._walk([wanted[i] for i in ids])
                for store in stores:
                    self._add(store, ids, rows)
                bar.update(len(ids))
        self._meet(*stores)

    def _batches(
        self, missing: Sequence[str], wanted: dict[str, tuple[str, str]]
    ) -> Iterator[list[str]]:
        """Trajectories to walk together: latents of one shape, as many as fit call and shard."""
        shapes = defaultdict(list)
        for i in missing:
            shapes[self.cache.latents.shape("latent", wanted[i][0])].append(i)
        for shape, ids in sorted(shapes.items()):
            yield from chunks(ids, walks_at_once(self.config, self.cache.kept, shape))

    def _walk(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
        """Rows of the trajectories of (picture, prompt): the kept points alone, on the CPU."""
        pictures, prompts = zip(*pairs, strict=True)
        cache = self.cache
        index = torch.stack([kept_points(p, cache.grid.steps, cache.kept) for p in prompts])
        latent = cache.latents.get("latent", pictures).to(self.adapter.device)
        reference = self.reference(pictures, prompts)
        rows = {"points": index.int()}
        for i, point in enumerate(invert(reference, latent, cache.grid)):
            row, place = (index == i).nonzero(as_tuple=True)
            if len(row):
                if self.config.fresh_noise:
                    values = self._refreshed(point.x, latent, i, row, prompts, reference)
                else:
                    values = {n: v[row] for n, v in self._stored(point, latent, i).items()}
                for name, value in values.items():
                    if name not in rows:
                        rows[name] = torch.empty(*index.shape, *value.shape[1:], dtype=value.dtype)
                    rows[name][row, place] = value.cpu()
        cache.forwards += reference.forwards
        return rows

    @torch.no_grad()
    def _refreshed(
        self,
        x: Tensor,
        latent: Tensor,
        i: int,
        row: Tensor,
        prompts: Sequence[str],
        reference: Reference,
    ) -> dict[str, Tensor]:
        """What is kept of x_{τ_{i+1}} with fresh noise in it: of the trajectories in `row` (R,)."""
        grid, some = self.cache.grid, row.to(latent.device)
        clean, level = latent[some], grid.alpha_bar[i + 1].to(latent)
        fresh = fresh_noise([prompts[r] for r in row.tolist()], i, clean)
        mixed = refreshed(x[some], clean, level, fresh, self.config.fresh_noise)
        mixed = mixed.to(getattr(torch, self.config.cache_dtype))
        seen = reference.own(mixed.float(), int(grid.timesteps[i + 1]), row)
        target = endpoint_noise(mixed.float(), clean, level)
        return {"x": mixed, "error_endpoint": noise_error(seen, target).float()}

    def _stored(self, point: Point, latent: Tensor, i: int) -> dict[str, Tensor]:
        """What is kept of x_{τ_{i+1}}: E_0 in float32, the rest in `cache_dtype`."""
        dtype = getattr(torch, self.config.cache_dtype)
        x = point.x.to(dtype)
        # the target follows from x as it is stored, so that E_0 belongs to that x
        endpoint = endpoint_noise(x.float(), latent, self.cache.grid.alpha_bar[i + 1].to(latent))
        values = {
            "x": x,
            "error_implied": noise_error(point.reference, point.implied).float(),
            "error_endpoint": noise_error(point.reference, endpoint).float(),
        }
        if self.cache.targets:
            target = point.implied if self.config.residual == "implied" else point.reference
            values["target"] = target.to(dtype)
        return values

    def _add(self, store: Store, ids: Sequence[str], rows: dict[str, Tensor]) -> None:
        """Give a store those of these rows that it lacks."""
        lacking = set(store.lacks(ids))
        some = [n for n, i in enumerate(ids) if i in lacking]
        if some:
            names = {"target"} if store is self.cache.targets else rows.keys() - {"target"}
            store.add([ids[n] for n in some], {n: rows[n][some] for n in names})

    def _share(self, ids: Iterable[str], *stores: Store) -> list[str]:
        """What this process has to make; the first one has removed damaged shards before."""
        ids, ranks = list(ids), self.ranks
        if ranks.world > 1:
            if ranks.rank == 0:
                for store in stores:
                    store.missing(ids)
            self._meet(*stores)
        missing = dict.fromkeys(i for store in stores for i in store.missing(ids))
        ranks.wait()  # what one writes already, another that still looks would leave out
        return list(missing)[ranks.rank :: ranks.world]

    def _meet(self, *stores: Store) -> None:
        """Wait until all processes are done, and see what they have written."""
        self.ranks.wait()
        if self.ranks.world > 1:
            for store in stores:
                store.refresh()
