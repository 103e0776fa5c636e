"""Fresh noise in the trajectories: in closed form, in the cache, and in a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from invdpo.schemas.config import Config
from invdpo.schemas.config.load import check
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train import train
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.trajectories import Cache, open_cache
from invdpo.train.data import Pair, open_dataset
from invdpo.train.data.pairs import Walk
from invdpo.train.inversion import fresh_noise, mix_fresh_noise
from invdpo.train.models import load_adapter
from invdpo.train.models.diffusion import Diffusion
from invdpo.train.models.rectified_flow import RectifiedFlow
from invdpo.train.objective import noise_error
from invdpo.train.schedule import NoiseProcess
from invdpo.train.splits import resolve_config
from tests.train.tiny import pairs_of

CPU = torch.device("cpu")
X, LATENT, FRESH = torch.randn(3, 2, 4, 3, 3, generator=torch.Generator().manual_seed(0)).double()
LEVEL = torch.tensor(0.3, dtype=torch.float64)
DIFFUSION = Diffusion(torch.linspace(0.99, 0.01, 10, dtype=torch.float64))
FLOW = RectifiedFlow(lambda steps, shape: torch.linspace(1, 0, steps + 1, dtype=torch.float64))
PROCESSES = pytest.mark.parametrize("process", [DIFFUSION, FLOW], ids=["diffusion", "flow"])


@PROCESSES
def test_without_a_share_nothing_changes(process: NoiseProcess) -> None:
    torch.testing.assert_close(mix_fresh_noise(process, X, LATENT, LEVEL, FRESH, 0.0), X)


def test_with_the_whole_share_the_latent_is_freshly_noised() -> None:
    expected = LEVEL.sqrt() * LATENT + (1 - LEVEL).sqrt() * FRESH
    torch.testing.assert_close(mix_fresh_noise(DIFFUSION, X, LATENT, LEVEL, FRESH, 1.0), expected)
    expected = (1 - LEVEL) * LATENT + LEVEL * FRESH
    torch.testing.assert_close(mix_fresh_noise(FLOW, X, LATENT, LEVEL, FRESH, 1.0), expected)


@PROCESSES
def test_the_target_is_the_mixed_noise_of_the_same_spread(process: NoiseProcess) -> None:
    """With η = .6 and an own noise e, the noise is .8 e + .6 z, whose squares add up to one."""
    own = process.noise_in(X, LATENT, LEVEL)
    mixed = mix_fresh_noise(process, X, LATENT, LEVEL, FRESH, 0.6)
    noise = process.noise_in(mixed, LATENT, LEVEL)
    torch.testing.assert_close(noise, 0.8 * own + 0.6 * FRESH)


def test_fresh_noise_is_standard_and_differs_by_prompt_and_point() -> None:
    like = torch.zeros(40, 4, 8, 8)
    drawn = torch.stack([fresh_noise([f"p{n}" for n in range(40)], i, like) for i in range(5)])
    assert abs(drawn.mean().item()) < 0.02
    assert abs(drawn.std().item() - 1) < 0.02
    flat = drawn.flatten(0, 1).flatten(1)
    correlation = (flat @ flat.T / flat.shape[1]).fill_diagonal_(0)
    assert correlation.abs().max() < 0.4
    again = fresh_noise(["p7"], 2, like[:1])
    assert torch.equal(again[0], drawn[2, 7])


def filled(config: TrainConfig, root: Path, dataset: Path) -> tuple[Cache, list[Pair]]:
    adapter, pairs = load_adapter(config, CPU), pairs_of(dataset)[:2]
    cache = open_cache(root, adapter, config)
    return CacheBuilder(adapter, config, cache).fill(open_dataset(dataset), {"train": pairs}), pairs


@pytest.mark.parametrize("kept", [None, 2])
def test_the_cache_holds_what_the_reference_says_there(
    config: TrainConfig, dataset: Path, tmp_path: Path, kept: int | None
) -> None:
    plain = config.model_copy(update={"fresh_noise": 0.0, "cache_points": kept})
    own, _ = filled(plain, tmp_path, dataset)
    mixed = plain.model_copy(update={"fresh_noise": 0.6, "inversion_guidance_scale": 1.0})
    cache, (pair, _) = filled(mixed, tmp_path, dataset)
    points = kept or 4
    assert (own.forwards, cache.forwards) == (4 * 5, 4 * (5 + points))
    assert cache.trajectories is not None
    assert own.trajectories is not None
    assert cache.trajectories.names() == ["error_endpoint", "points", "x"]
    rows = [Walk(picture, pair.prompt).id for picture in pair.pictures]
    point = cache.points(rows)
    grid = cache.grid(cache.latents.shape("latent", pair.pictures[0]))
    level = grid.levels[1:][point].float()[..., None, None, None]
    latent = cache.latents.get("latent", pair.pictures)[:, None]
    x, before = (c.trajectories.get("x", rows) for c in (cache, own) if c.trajectories)
    target, path = (cache.process.noise_in(noisy, latent, level) for noisy in (x, before))
    fresh = (target - 0.8 * path) / 0.6
    torch.testing.assert_close(fresh[0], fresh[1], atol=1e-4, rtol=1e-4)
    adapter = load_adapter(config, CPU)
    encoded = cache.conditioning([pair.prompt])
    conditioning = {k: v.expand(points, -1, -1) for k, v in encoded.items()}
    for side in range(2):
        steps = grid.timesteps[1:][point[side]]
        with torch.no_grad():
            noise = adapter.predict(adapter.denoiser, x[side], steps, conditioning)
        error = cache.trajectories.get("error_endpoint", rows)[side]
        torch.testing.assert_close(error, noise_error(noise, target[side]), atol=1e-5, rtol=1e-4)


def test_trajectories_without_fresh_noise_are_left_alone(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    plain = config.model_copy(update={"fresh_noise": 0.0})
    own, _ = filled(plain, tmp_path, dataset)
    filled(config.model_copy(update={"fresh_noise": 0.5}), tmp_path, dataset)
    again, _ = filled(plain, tmp_path, dataset)
    assert again.forwards == 0
    assert again.trajectories is not None
    assert own.trajectories is not None
    assert again.trajectories.folder == own.trajectories.folder


def test_the_first_loss_is_ln_2_so_that_e_0_belongs_to_its_points(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    config = config.model_copy(update={"fresh_noise": 0.8, "max_steps": 1, "beta": 5000.0})
    metrics: list[Any] = []
    train(dataset, tmp_path / "out", config, progress=False, on_step=metrics.append)
    assert metrics[0]["loss"] == pytest.approx(0.693147, abs=2e-3)
    assert metrics[0]["grad_norm"] > 0


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 0.8),
        ({"residual": "implied"}, 0.0),
        ({"noise": "own"}, 0.0),
        ({"objective": "diffusion-dpo"}, 0.0),
        ({"fresh_noise": 0.0}, 0.0),
        ({"fresh_noise": 0.3}, 0.3),
    ],
)
def test_the_default_share_is_that_of_the_study_where_it_was_studied(
    config: TrainConfig, changes: dict[str, Any], share: float
) -> None:
    changed = config.model_copy(update={"residual": "endpoint", "fresh_noise": None, **changes})
    assert resolve_config(changed, load_adapter(config, CPU)).fresh_noise == share


def test_other_residuals_have_no_target_with_fresh_noise() -> None:
    with pytest.raises(ConfigError, match=r"train\.fresh_noise.*endpoint"):
        check(Config, {"train": {"residual": "implied", "fresh_noise": 0.5}}, where="options")
