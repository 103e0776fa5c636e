from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from invdpo.schemas.config.train import TrainConfig
from invdpo.train import TrainResult, train
from tests.train.tiny import build_pipeline, row, write_pairs


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pipeline(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def xl_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pipeline(tmp_path_factory.mktemp("model") / "xl", xl=True)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_pairs(folder, "train", [row(n) for n in range(6)])
    write_pairs(folder, "validation", [row(n) for n in range(6, 8)])
    return folder


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config(pipeline: Path) -> TrainConfig:
    return TrainConfig(
        model=str(pipeline),
        weighting="min_snr",
        lora_targets=("to_q", "to_k", "to_v", "to_out.0"),
        num_inversion_steps=4,
        num_points=2,
        batch_size=2,
        max_steps=3,
        lora_rank=2,
        warmup_steps=0,
        learning_rate=1e-2,
        device="cpu",
        unet_batch_size=128,
    )


@pytest.fixture
def run(config: TrainConfig, dataset: Path, cache_dir: Path, tmp_path: Path) -> Any:
    """A training of these options, changed, in a folder of this name."""

    def go(
        name: str = "out", data: Path = dataset, restart: bool = False, **changes: Any
    ) -> TrainResult:
        return train(
            data,
            tmp_path / name,
            config.model_copy(update=changes),
            cache_dir=cache_dir,
            progress=False,
            restart=restart,
        )

    return go


@pytest.fixture(scope="module")
def bare(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline's configurations alone."""
    folder = tmp_path_factory.mktemp("model") / "bare"
    unwanted = shutil.ignore_patterns("*.safetensors", "tokenizer*")
    return shutil.copytree(pipeline, folder, ignore=unwanted)
