"""A tiny CLIP of random weights in a folder, and pictures."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "head_width": 16,
        "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
}


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip folder as `clip_model` takes it."""
    import torch
    from open_clip import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    network = CLIP(**CONFIG)
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3}
    text = json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(text)
    return folder


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """PNG files of noise."""
    return [_png(seed) for seed in range(32)]


def _png(seed: int, size: int = 40) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
