"""Filling a cache: by several processes, through kills, and with images of several shapes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.store import Store
from invdpo.train.cache.trajectories import Cache, open_cache
from invdpo.train.data import Pair, open_dataset
from invdpo.train.data.buckets import fit
from invdpo.train.data.pairs import Walk
from invdpo.train.distributed import ProcessGroup
from invdpo.train.models import ModelAdapter, load_adapter
from invdpo.train.models.stable_diffusion import StableDiffusion
from invdpo.train.splits import read_splits
from tests.train.tiny import SIZE, pairs_of, png, row, write_pairs

HALTING = """
import sys, time
from itertools import count
from pathlib import Path
import torch
from invdpo.schemas.config import TrainConfig
from invdpo.train.models import load_adapter
from invdpo.train.models.stable_diffusion import StableDiffusion
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.data import open_dataset
from tests.train.tiny import pairs_of

predict, calls = StableDiffusion.predict, count(1)
def halting(*given):
    if next(calls) == 18:  # in the middle of the fourth trajectory of five calls
        print("half-way", flush=True)
        time.sleep(600)
    return predict(*given)
StableDiffusion.predict = halting

config = TrainConfig.model_validate_json(sys.argv[1])
adapter = load_adapter(config, torch.device("cpu"))
dataset, root = Path(sys.argv[2]), Path(sys.argv[3])
cache = open_cache(root, adapter, config)
CacheBuilder(adapter, config, cache).fill(open_dataset(dataset), {"train": pairs_of(dataset)})
"""


def group_of_two(rank: int, barrier: threading.Barrier) -> ProcessGroup:
    """One of two threads in place of processes."""
    state = SimpleNamespace(wait_for_everyone=lambda: barrier.wait(240))
    return ProcessGroup(torch.device("cpu"), rank, world=2, state=state)


def adapter_of(config: TrainConfig) -> ModelAdapter:
    return load_adapter(config, torch.device("cpu"))


def fill(config: TrainConfig, root: Path, dataset: Path) -> Cache:
    adapter, pairs = adapter_of(config), pairs_of(dataset)
    builder = CacheBuilder(adapter, config, open_cache(root, adapter, config))
    return builder.fill(open_dataset(dataset), {"train": pairs})


def walks(cache: Cache) -> Store:
    assert cache.trajectories is not None
    return cache.trajectories


def same(first: Cache, second: Cache, pairs: list[Pair]) -> bool:
    rows = [Walk(i, p.prompt).id for p in pairs for i in p.pictures]
    ours, theirs = (walks(cache).get("x", rows) for cache in (first, second))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    return walks(first).missing(rows) == []


def test_no_encoder_is_there_while_trajectories_are_walked(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they stay, the same comes out."""
    predict, there = StableDiffusion.predict, list[set[str]]()

    def watched(self: StableDiffusion, *given: Any) -> torch.Tensor:
        there.append({"vae", "text_encoder"} & self.__dict__.keys())
        return predict(self, *given)

    monkeypatch.setattr(StableDiffusion, "predict", watched)
    freed = fill(config, tmp_path / "freed", dataset)
    assert there
    assert not set.union(*there)
    monkeypatch.setattr(StableDiffusion, "drop_encoders", lambda _: None)
    kept = fill(config, tmp_path / "kept", dataset)
    assert there[-1] == {"vae", "text_encoder"}
    assert same(freed, kept, pairs_of(dataset))


def test_killed_processes_leave_what_they_finished(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    """Two processes fill one cache at once; both are killed by SIGKILL half-way."""
    config = config.model_copy(update={"unet_batch_size": 1})
    root = tmp_path / "killed"
    arguments = [config.model_dump_json(), str(dataset), str(root)]
    command = [sys.executable, "-c", HALTING, *arguments]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(command, env=one_thread, stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    try:
        for process in both:
            assert process.stdout
            assert process.stdout.readline() == "half-way\n"
    finally:
        for process in both:
            process.kill()
            process.communicate()
    adapter, pairs = adapter_of(config), pairs_of(dataset)
    left = walks(open_cache(root, adapter, config)).lacks(
        Walk(i, p.prompt).id for p in pairs for i in p.pictures
    )
    assert 0 < len(left) < 12
    resumed = fill(config, root, dataset)
    assert resumed.forwards == 5 * len(left)
    assert resumed.damaged() == 0
    assert same(resumed, fill(config, tmp_path / "whole", dataset), pairs)
    assert fill(config, root, dataset).forwards == 0


def _late(refresh: Callable[[], None]) -> None:
    time.sleep(0.7)
    refresh()


@pytest.mark.parametrize("slow", [False, True])
def test_processes_share_the_work(
    config: TrainConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    """Also where one of them reads the cache late: the other must not have begun to write."""
    pairs, barrier = pairs_of(dataset), threading.Barrier(2)

    adapters = [adapter_of(config) for _ in range(2)]
    for adapter in adapters:  # transformers can't load in two threads at once
        adapter.encode_prompts([""])
        adapter.encode_images([fit(Image.new("RGB", SIZE), SIZE)])
        _ = adapter.denoiser

    def work(rank: int) -> Cache:
        adapter = adapters[rank]
        cache = open_cache(tmp_path, adapter, config)
        for store in (cache.prompts, cache.latents, cache.trajectories):
            if slow and rank and store:
                monkeypatch.setattr(store, "refresh", partial(_late, store.refresh))
        builder = CacheBuilder(adapter, config, cache, group=group_of_two(rank, barrier))
        return builder.fill(open_dataset(dataset), {"train": pairs})

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, range(2))
    assert first.forwards == second.forwards == 6 * 5
    whole = fill(config, tmp_path / "whole", dataset)
    assert same(first, whole, pairs)
    assert same(second, whole, pairs)


def test_pictures_of_several_shapes_are_walked_apart(config: TrainConfig, tmp_path: Path) -> None:
    sizes = [(16, 16), (32, 16), (32, 16), (16, 16)]
    images = [(png(2 * n, size), png(2 * n + 1, size)) for n, size in enumerate(sizes)]
    write_pairs(tmp_path, "train", [row(n, *both) for n, both in enumerate(images)])
    adapter = adapter_of(config)
    larger = config.model_copy(update={"resolution": 24})
    pairs = read_splits(open_dataset(tmp_path), adapter, larger)["train"]
    assert [pair.bucket for pair in pairs.pairs] == [(24, 24), (32, 16), (32, 16), (24, 24)]
    cache = open_cache(tmp_path, adapter, config)
    CacheBuilder(adapter, config, cache).fill(open_dataset(tmp_path), {"train": pairs.pairs})
    assert cache.forwards == 8 * 5
    for pair in pairs.pairs:
        shape = (pair.bucket[1] // 4, pair.bucket[0] // 4)
        for picture in pair.pictures:
            assert walks(cache).shape("x", Walk(picture, pair.prompt).id) == (4, 4, *shape)


@pytest.mark.parametrize("damage", ["truncate", "flip", "header"])
@pytest.mark.parametrize("kind", ["prompts", "latents", "trajectories"])
def test_damaged_shards_are_made_again(
    config: TrainConfig, dataset: Path, tmp_path: Path, damage: str, kind: str
) -> None:
    fill(config, tmp_path, dataset)
    path = next(tmp_path.glob(f"{kind}-*/*.safetensors"))
    content = bytearray(path.read_bytes())
    sound = bytes(content)
    if damage == "truncate":
        del content[-1:]
    else:
        content[-1 if damage == "flip" else 20] ^= 255
    path.write_bytes(content)
    again = fill(config, tmp_path, dataset)
    assert again.damaged() == 1
    assert path.read_bytes() == sound
