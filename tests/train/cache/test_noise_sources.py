"""Where the noise of a point comes from: inversion, the image's own seed, or fresh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from invdpo.curate.shapes.bundle import model_path
from invdpo.schemas.config.train import TrainConfig
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.data.pairs import NO_SEED, Pair
from invdpo.train.inversion import own_noise
from invdpo.train.models import load_adapter


def test_own_noise_is_what_the_pipeline_starts_from_bit_for_bit() -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(model_path())
    pipeline.set_progress_bar_config(disable=True)
    started: list[Tensor] = []
    prepare = pipeline.prepare_latents

    def keep(*given: Any, **named: Any) -> Tensor:
        latents: Tensor = prepare(*given, **named)
        started.append(latents.clone())
        return latents

    pipeline.prepare_latents = keep
    seeds = [3, 2**62 + 1]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    pipeline(["a red circle", "a blue square"], generator=generators, num_inference_steps=1)
    assert torch.equal(started[0], own_noise(seeds, started[0]))


def _pair(**changes: Any) -> Pair:
    pair = Pair("id", "a red circle", "a", "b", "row 0", ((64, 64), (64, 64)), bucket=(64, 64))
    return replace(pair, **changes)


@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_points_along_own_noise_need_one_call_each(tmp_path: Path, eta: float) -> None:
    """x = √ᾱ·x_0 + √(1−ᾱ)·(√(1−η²)·e + η·z), E_0 measured there against the noise in it."""
    config = TrainConfig(
        model=str(model_path()), noise="own", fresh_noise=eta, num_inversion_steps=4, cache_points=2
    )
    config = config.model_copy(update={"unet_batch_size": 8})
    adapter = load_adapter(config, torch.device("cpu"))
    cache = open_cache(tmp_path, adapter, config)
    builder = CacheBuilder(adapter, config, cache)
    pair = _pair(seeds=(5, 6), inverted=("", ""))
    latent = torch.randn(2, *adapter.latent_shape((64, 64)))
    cache.latents.add(list(pair.pictures), {"latent": latent})
    builder._encode_prompts({pair.prompt})
    builder._invert({walk.id: walk for walk in pair.walks})
    assert cache.forwards == 2 * 2
    assert cache.trajectories is not None
    ids = [walk.id for walk in pair.walks]
    x, error = (cache.trajectories.get(name, ids) for name in ("x", "error_endpoint"))
    points = cache.points(ids)
    assert torch.equal(points[0], points[1])
    grid = cache.grid(latent.shape[1:])
    level = grid.levels[1:][points][..., None, None, None].float()
    noise = cache.process.noise_in(x, latent[:, None], level)
    own = own_noise([5, 6], latent)[:, None]
    if not eta:
        torch.testing.assert_close(noise, own.expand_as(noise), rtol=1e-4, atol=1e-4)
    fresh = (noise - (1 - eta**2) ** 0.5 * own) / (eta or 1)
    torch.testing.assert_close(fresh[0], fresh[1], rtol=1e-3, atol=1e-3)
    steps = grid.timesteps[1:][points].flatten()
    conditioning = {
        n: v.expand(4, *v.shape[1:]) for n, v in cache.conditioning([pair.prompt]).items()
    }
    with torch.no_grad():
        predicted = adapter.predict(adapter.denoiser, x.flatten(0, 1), steps, conditioning)
    expected = (predicted.view_as(x) - noise).pow(2).mean((-3, -2, -1))
    torch.testing.assert_close(error, expected, rtol=1e-3, atol=1e-5)


def test_sides_without_a_known_noise_are_inverted(tmp_path: Path) -> None:
    """One walk a side: the loser has no seed, so N + 1 calls for it, and M for the winner."""
    config = TrainConfig(
        model=str(model_path()),
        noise="own",
        num_inversion_steps=4,
        cache_points=2,
        unet_batch_size=8,
    )
    adapter = load_adapter(config, torch.device("cpu"))
    cache = open_cache(tmp_path, adapter, config)
    builder = CacheBuilder(adapter, config, cache)
    pair = _pair(seeds=(5, None), inverted=("", NO_SEED))
    latent = torch.randn(2, *adapter.latent_shape((64, 64)))
    cache.latents.add(list(pair.pictures), {"latent": latent})
    builder._encode_prompts({pair.prompt})
    builder._invert({walk.id: walk for walk in pair.walks})
    assert cache.forwards == 2 + 5
