from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.store import Store
from invdpo.train.cache.trajectories import Cache, kept_points, open_cache
from invdpo.train.data import Pair, open_dataset
from invdpo.train.data.pairs import Walk
from invdpo.train.models import load_adapter
from invdpo.train.objective import noise_error
from tests.train.tiny import pairs_of


def fill(
    config: TrainConfig, root: Path, dataset: Path, count: int = 6
) -> tuple[Cache, list[Pair]]:
    adapter = load_adapter(config, torch.device("cpu"))
    pairs = pairs_of(dataset)[:count]
    builder = CacheBuilder(adapter, config, open_cache(root, adapter, config))
    return builder.fill(open_dataset(dataset), {"train": pairs}), pairs


def targets(cache: Cache) -> Store:
    assert cache.targets is not None
    return cache.targets


def trajectories(cache: Cache) -> Store:
    assert cache.trajectories is not None
    return cache.trajectories


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_rows_hold_what_the_reference_says(
    config: TrainConfig, cache_dir: Path, dataset: Path, scale: float
) -> None:
    config = config.model_copy(update={"inversion_guidance_scale": scale})
    implied_cache, reference_cache = (
        fill(config.model_copy(update={"residual": name}), cache_dir, dataset, 2)[0]
        for name in ("implied", "reference")
    )
    cache, pairs = fill(config, cache_dir, dataset, 2)
    pair, store = pairs[0], trajectories(cache)
    row = [Walk(pair.pictures[0], pair.prompt).id]
    x = store.get("x", row)[0]
    implied, reference = (
        targets(c).get("target", row)[0] for c in (implied_cache, reference_cache)
    )
    latent = cache.latents.get("latent", pair.pictures[:1])
    adapter = load_adapter(config, torch.device("cpu"))
    encoded = cache.conditioning([pair.prompt])
    conditioning = {k: v.expand(4, -1, -1) for k, v in encoded.items()}
    grid, process = cache.grid(latent.shape[1:]), cache.process
    with torch.no_grad():
        again = adapter.predict(adapter.denoiser, x, grid.timesteps[1:], conditioning)
    torch.testing.assert_close(reference, again, atol=1e-4, rtol=1e-4)
    levels = grid.levels.tolist()
    back = process.step(x[:1], implied[:1], levels[1], levels[0])
    torch.testing.assert_close(back, latent, atol=1e-4, rtol=1e-4)
    error = store.get("error_implied", row)[0]
    torch.testing.assert_close(error, noise_error(reference, implied))
    target = process.noise_in(x, latent, grid.levels[1:].float().view(-1, 1, 1, 1))
    torch.testing.assert_close(store.get("error_endpoint", row)[0], noise_error(reference, target))


def test_a_family_of_a_plug_in_has_a_cache_of_its_own(config: TrainConfig, tmp_path: Path) -> None:
    family = "invdpo.train.models.stable_diffusion:StableDiffusion"
    configs = [config, config.model_copy(update={"family": family})]
    caches = [open_cache(tmp_path, load_adapter(c, torch.device("cpu")), c) for c in configs]
    for ours, theirs in zip(*(cache.stores() for cache in caches), strict=True):
        assert ours.folder != theirs.folder
        assert "family" not in ours.key
        assert theirs.key["family"].startswith(family)


def test_residuals_share_what_they_have_in_common(
    config: TrainConfig, tmp_path: Path, dataset: Path
) -> None:
    implied = config.model_copy(update={"residual": "implied"})
    first, _ = fill(implied, tmp_path, dataset, 2)
    size = trajectories(first).size()
    after, _ = fill(config, tmp_path, dataset, 2)
    assert (after.forwards, trajectories(after).size(), after.targets) == (0, size, None)


def test_only_the_targets_are_added_for_another_residual(
    config: TrainConfig, tmp_path: Path, dataset: Path
) -> None:
    first, _ = fill(config, tmp_path, dataset, 2)
    assert trajectories(first).names() == ["error_endpoint", "error_implied", "points", "x"]
    shards = set(trajectories(first).folder.iterdir())
    after, _ = fill(config.model_copy(update={"residual": "implied"}), tmp_path, dataset, 2)
    assert after.forwards == 2 * 2 * 5
    assert set(trajectories(after).folder.iterdir()) == shards
    assert targets(after).names() == ["target"]


def test_kept_points_are_those_of_the_whole_trajectory(
    config: TrainConfig, cache_dir: Path, dataset: Path
) -> None:
    whole, pairs = fill(config, cache_dir, dataset, 2)
    few, _ = fill(config.model_copy(update={"cache_points": 2}), cache_dir, dataset, 2)
    for pair in pairs:
        rows = [Walk(picture, pair.prompt).id for picture in pair.pictures]
        points = few.points(rows)
        assert torch.equal(points[0], points[1])
        assert torch.equal(points[0], kept_points(pair.prompt, 4, 2))
        for name in ("x", "error_endpoint", "error_implied"):
            expected = trajectories(whole).get(name, rows, points)
            torch.testing.assert_close(trajectories(few).get(name, rows), expected)


def test_kept_points_are_stratified_and_differ_between_prompts() -> None:
    drawn = torch.stack([kept_points(f"prompt {n}", 20, 5) for n in range(300)])
    assert torch.equal(drawn // 4, torch.arange(5).expand(300, 5))
    assert set(drawn.flatten().tolist()) == set(range(20))
    assert torch.equal(kept_points("any", 20, 20), torch.arange(20))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_cache_dtype_halves_what_is_large_and_keeps_errors(
    config: TrainConfig, cache_dir: Path, dataset: Path, dtype: str
) -> None:
    whole, pairs = fill(config, cache_dir, dataset, 2)
    half, _ = fill(config.model_copy(update={"cache_dtype": dtype}), cache_dir, dataset, 2)
    rows = [Walk(p.pictures[0], p.prompt).id for p in pairs]
    x, exact = trajectories(half).get("x", rows), trajectories(whole).get("x", rows)
    assert x.dtype == getattr(torch, dtype)
    torch.testing.assert_close(x.float(), exact, atol=1e-2, rtol=1e-2)
    errors = [trajectories(c).get("error_endpoint", rows) for c in (half, whole)]
    assert errors[0].dtype == torch.float32
    torch.testing.assert_close(*errors, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("limit", [128, 1])
def test_both_halves_of_guidance_share_a_call_when_they_fit(
    config: TrainConfig, tmp_path: Path, dataset: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from invdpo.train.models.stable_diffusion import StableDiffusion

    sizes: list[int] = []
    real = StableDiffusion.predict

    def counted(
        self: StableDiffusion, unet: Any, x: Tensor, t: Tensor, conditioning: Any
    ) -> Tensor:
        sizes.append(len(x))
        return real(self, unet, x, t, conditioning)

    monkeypatch.setattr(StableDiffusion, "predict", counted)
    changes = {"inversion_guidance_scale": 3.0, "unet_batch_size": limit}
    cache, _ = fill(config.model_copy(update=changes), tmp_path, dataset, 2)
    assert sizes == ([8] * 5 if limit == 128 else [1] * 40)
    assert cache.forwards == sum(sizes) == 40


def test_only_what_is_missing_is_computed(
    config: TrainConfig, tmp_path: Path, dataset: Path
) -> None:
    first, _ = fill(config, tmp_path, dataset, 2)
    assert first.forwards == 2 * 2 * 5
    more, _ = fill(config, tmp_path, dataset, 3)
    assert more.forwards == 2 * 5
    again, _ = fill(config, tmp_path, dataset, 3)
    assert again.forwards == 0


def test_a_damaged_shard_is_made_again_alike(
    config: TrainConfig, tmp_path: Path, dataset: Path
) -> None:
    cache, _ = fill(config, tmp_path, dataset, 2)
    path = next(trajectories(cache).folder.glob("*.safetensors"))
    content = path.read_bytes()
    before = load(content)
    path.write_bytes(content[:-4])
    again, _ = fill(config, tmp_path, dataset, 2)
    assert again.damaged() == 1
    after = load_file(path)  # the order of the header's labels is free
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_an_interrupted_inversion_goes_on(
    config: TrainConfig, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"unet_batch_size": 2})
    real, calls = Cache.conditioning, 0

    def interrupted(self: Cache, prompts: list[str]) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(self, prompts)

    with monkeypatch.context() as patch:
        patch.setattr(Cache, "conditioning", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fill(config, tmp_path, dataset, 3)
    cache, _ = fill(config, tmp_path, dataset, 3)
    assert cache.forwards == 2 * 5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"beta": 1.0, "learning_rate": 1.0, "seed": 5, "num_points": 1}, 0),
        ({"cache_points": 4}, 0),
        ({"cache_points": 3}, 20),
        ({"cache_dtype": "float16"}, 20),
        ({"num_inversion_steps": 3}, 16),
        ({"inversion_guidance_scale": 3.0}, 40),
        ({"dtype": "bfloat16"}, 20),
    ],
)
def test_the_key_holds_what_decides_the_content(
    config: TrainConfig, tmp_path: Path, dataset: Path, change: dict[str, object], expected: int
) -> None:
    fill(config, tmp_path, dataset, 2)
    cache, _ = fill(config.model_copy(update=change), tmp_path, dataset, 2)
    assert cache.forwards == expected
