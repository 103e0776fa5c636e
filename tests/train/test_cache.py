from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file

from invdpo.schemas.config import TrainConfig
from invdpo.train.adapters import load_adapter
from invdpo.train.cache import Cache, Filler, trajectory_id
from invdpo.train.data import Pair, read_pairs
from invdpo.train.inversion import ddim_step, endpoint_noise
from invdpo.train.objective import noise_error


def fill(
    config: TrainConfig, root: Path, dataset: Path, count: int = 6
) -> tuple[Cache, list[Pair]]:
    adapter = load_adapter(config.model, None, torch.device("cpu"), torch.float32)
    pairs = read_pairs(dataset, "train").pairs[:count]
    filler = Filler(adapter, config, root, inverts=True, shown=False)
    return filler.fill(dataset, {"train": pairs}), pairs


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_rows_hold_what_the_reference_says(
    config: TrainConfig, cache_dir: Path, dataset: Path, scale: float
) -> None:
    config = config.model_copy(update={"inversion_guidance_scale": scale})
    cache, pairs = fill(config, cache_dir, dataset, 2)
    pair, store = pairs[0], cache.trajectories
    assert store is not None
    row = [trajectory_id(pair.chosen, pair.prompt)]
    x, implied, reference = (store.get(n, row)[0] for n in ("x", "implied", "reference"))
    latent = cache.latents.get("latent", [pair.chosen])
    adapter = load_adapter(config.model, None, torch.device("cpu"), torch.float32)
    told = {k: v.expand(4, -1, -1) for k, v in cache.conditioning([pair.prompt]).items()}
    with torch.no_grad():
        again = adapter.predict(adapter.unet, x, cache.grid.timesteps[1:], told)
    torch.testing.assert_close(reference, again, atol=1e-4, rtol=1e-4)
    levels = cache.grid.alpha_bar.tolist()
    back = ddim_step(x[:1], implied[:1], levels[1], levels[0])
    torch.testing.assert_close(back, latent, atol=1e-4, rtol=1e-4)
    error = store.get("error_implied", row)[0]
    torch.testing.assert_close(error, noise_error(reference, implied))
    target = endpoint_noise(x, latent, cache.grid.alpha_bar[1:].float().view(-1, 1, 1, 1))
    torch.testing.assert_close(store.get("error_endpoint", row)[0], noise_error(reference, target))


def test_only_what_is_missing_is_computed(
    config: TrainConfig, tmp_path: Path, dataset: Path
) -> None:
    some, _ = fill(config, tmp_path, dataset, 2)
    assert some.forwards == 2 * 2 * 5
    more, _ = fill(config, tmp_path, dataset, 3)
    assert more.forwards == 2 * 5
    again, _ = fill(config, tmp_path, dataset, 3)
    assert again.forwards == 0


def test_a_damaged_shard_is_made_again_alike(
    config: TrainConfig, tmp_path: Path, dataset: Path
) -> None:
    cache, _ = fill(config, tmp_path, dataset, 2)
    assert cache.trajectories is not None
    path = next(cache.trajectories.folder.glob("*.safetensors"))
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
        ({"beta": 1.0, "residual": "implied", "seed": 5, "num_points": 1}, 0),
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
