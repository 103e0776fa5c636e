"""Small models of random weights, the settings that name them, and images."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.curate.clients.server import Answer, serving, yes_no_reply
from tests.curate.scorers import small_models, vlms

if TYPE_CHECKING:
    from torch import nn

Folders = pytest.TempPathFactory


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: Folders) -> Path:
    return small_models.clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def pickscore_folder(tmp_path_factory: Folders) -> Path:
    return small_models.pickscore(tmp_path_factory.mktemp("pickscore"))


@pytest.fixture(scope="session")
def hpsv2_file(tmp_path_factory: Folders) -> Path:
    return small_models.hpsv2(tmp_path_factory.mktemp("hpsv2"))


@pytest.fixture(scope="session")
def head(tmp_path_factory: Folders) -> tuple[Path, nn.Sequential]:
    return small_models.head(tmp_path_factory.mktemp("aesthetic"))


@pytest.fixture(scope="session")
def imagereward_folder(tmp_path_factory: Folders) -> Path:
    return small_models.imagereward(tmp_path_factory.mktemp("imagereward"))


@pytest.fixture(scope="session")
def vlm_folder(tmp_path_factory: Folders) -> Path:
    return vlms.save_model("llava", tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def address(clip_folder: Path) -> Iterator[str]:
    """Of a server that judges by the small CLIP."""
    from invdpo.curate.scorers import SCORERS
    from invdpo.schemas.config.score import ScoreConfig
    from tools.remote_scorer import serve

    config = ScoreConfig(clip_model=str(clip_folder), device="cpu")
    server = serve(SCORERS["clip"](config), 0)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def yes_no_server() -> Iterator[str]:
    """A model that says yes with a probability that hangs on image and question."""

    def behave(request: dict[str, Any], _number: int) -> Answer:
        digest = hashlib.sha256(json.dumps(request["messages"]).encode()).digest()
        yes = (digest[0] + 1) / 257
        return yes_no_reply(("Yes", yes / 2), (" yes", yes / 2), ("No", 1 - yes))

    with serving(behave) as server:
        yield server.url


@pytest.fixture(scope="session")
def settings(
    clip_folder: Path,
    pickscore_folder: Path,
    hpsv2_file: Path,
    head: tuple[Path, nn.Sequential],
    imagereward_folder: Path,
    vlm_folder: Path,
    address: str,
    yes_no_server: str,
    tmp_path_factory: Folders,
) -> dict[str, dict[str, Any]]:
    """Scorer -> the options that make it judge by a small model; one entry for every scorer."""
    folder = str(pickscore_folder)
    return {
        "aesthetic": {"aesthetic_head": str(head[0]), "aesthetic_clip": str(clip_folder)},
        "brisque": {},
        "clip": {"clip_model": str(clip_folder)},
        "composition": {},
        "hpsv2": {"hpsv2_checkpoint": str(hpsv2_file), "hpsv2_architecture": "tiny-hps"},
        "imagereward": {
            "imagereward_folder": str(imagereward_folder),
            "imagereward_tokenizer": str(imagereward_folder / "tokenizer"),
        },
        "nsfw": {},
        "pickscore": {"pickscore_model": folder, "pickscore_processor": folder},
        "remote": {"remote_url": address},
        "soft_tifa": {
            "vlm_url": yes_no_server,
            "vlm_model": "m",
            "vlm_cache": str(tmp_path_factory.mktemp("answers")),
        },
        "vqascore": {"vqascore_model": str(vlm_folder)},
    }


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """PNG files of noise."""
    return [_png(seed) for seed in range(32)]


def _png(seed: int, size: int = 40) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
