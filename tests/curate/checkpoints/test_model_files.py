"""Which files a model is loaded from, and how many bytes of them would be fetched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.hub import Source
from invdpo.curate.checkpoints.model_files import (
    ModelFiles,
    StoredModel,
    checkpoint_files,
    clip_files,
    look_up,
    pipeline_files,
    processor_files,
    transformers_files,
)
from invdpo.curate.checkpoints.weights import Weights, hash_checkpoint

COMMIT = "c" * 40
REPOSITORY = {
    "model_index.json": 1,
    "sd.safetensors": 1000,
    "unet/config.json": 2,
    "unet/diffusion_pytorch_model.safetensors": 10,
    "unet/diffusion_pytorch_model.fp16.safetensors": 100,
    "unet/diffusion_pytorch_model.bin": 200,
    "tokenizer/tokenizer_config.json": 4,
    "tokenizer/vocab.json": 8,
    "text_encoders/clip_l.safetensors": 400,
}
PIPELINE = pipeline_files(Source("lab/sd", "lab/sd", COMMIT))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """Sizes that the Hub states, to be changed by a test; it can't be reached when empty."""
    sizes: dict[str, int] = {}

    def model_info(_: Any, name: str, **options: Any) -> Any:
        if not sizes:
            raise OSError("no network")
        assert (name.split("/")[0], options["files_metadata"]) == ("lab", True)
        files = [SimpleNamespace(rfilename=file, size=size) for file, size in sizes.items()]
        return SimpleNamespace(siblings=files)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return sizes


def keep(cache: Path, name: str, size: int) -> None:
    path = cache / "models--lab--sd" / "snapshots" / COMMIT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


@pytest.mark.parametrize(
    ("files", "names", "chosen"),
    [
        (PIPELINE, REPOSITORY, {n for n, size in REPOSITORY.items() if size in (1, 2, 4, 8, 10)}),
        (
            transformers_files(Weights("lab/owl", "lab/owl", COMMIT)),
            ["config.json", "model.safetensors", "model.fp16.safetensors", "onnx/m.safetensors"],
            {"config.json", "model.safetensors"},
        ),
        (
            processor_files(Weights("lab/owl", "lab/owl", COMMIT)),
            ["vocab.txt", "model.safetensors"],
            {"vocab.txt"},
        ),
        (
            clip_files(open_clip.Source("clip", "ViT", tag="x", repository="lab/clip")),
            ["open_clip_pytorch_model.bin", "open_clip_model.safetensors", "README.md"],
            {"open_clip_model.safetensors"},
        ),
        (checkpoint_files(None, "lab/hps", "b.pt"), ["a.pt", "b.pt"], {"b.pt"}),
    ],
)
def test_only_what_is_loaded_is_counted(files: ModelFiles, names: Any, chosen: set[str]) -> None:
    assert files.choose(names) == chosen


def test_what_is_here_is_not_fetched_again(hub: dict[str, int], tmp_path: Path) -> None:
    hub |= REPOSITORY
    assert look_up(PIPELINE) == StoredModel("lab/sd", 25, 25)
    keep(tmp_path, "unet/diffusion_pytorch_model.safetensors", 10)
    assert look_up(PIPELINE) == StoredModel("lab/sd", 25, 15)


def test_without_the_hub_sizes_are_those_of_the_cache_or_not_known(
    hub: dict[str, int], tmp_path: Path
) -> None:
    keep(tmp_path, "model_index.json", 1)
    assert look_up(PIPELINE) == StoredModel("lab/sd", None, None)
    keep(tmp_path, "unet/config.json", 2)
    keep(tmp_path, "unet/diffusion_pytorch_model.safetensors", 10)
    assert look_up(PIPELINE) == StoredModel("lab/sd", 13, 0)
    assert not hub


def test_a_folder_here_is_not_asked_for(hub: dict[str, int], tmp_path: Path) -> None:
    hub["x"] = 1
    (tmp_path / "head.pth").write_bytes(b"123")
    head = checkpoint_files(str(tmp_path / "head.pth"), "", "head.pth")
    assert look_up(head) == StoredModel("head.pth", 3, 0)


def test_a_checkpoint_is_known_by_its_hash_before_it_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fetch(*_: Any, **__: Any) -> None:
        raise AssertionError("a download")

    entry = SimpleNamespace(lfs=SimpleNamespace(sha256="abc"))
    monkeypatch.setattr(huggingface_hub.HfApi, "get_paths_info", lambda *_: [entry])
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert hash_checkpoint(None, "lab/no-such-repository", "a.pt", "score.x") == "abc"
