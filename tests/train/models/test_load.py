"""A model of the Hub, over the loopback: what is fetched is what lies in the folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from invdpo.schemas import PluginError
from invdpo.schemas.config.train import TrainConfig
from invdpo.train.models import load_adapter
from invdpo.train.models.load import family_origin
from tests.hub_server import running

LOAD = """
import torch
from invdpo.schemas.config import TrainConfig
from invdpo.train.models import load_adapter
found = load_adapter(TrainConfig(model="alice/tiny"), torch.device("cpu"))
print(found.fingerprint, found.encode_prompts(["a red circle"])["encoder_hidden_states"].shape)
"""


def test_a_model_comes_over_the_wire(pipeline: Path, tmp_path: Path) -> None:
    files = {
        path.relative_to(pipeline).as_posix(): path.read_bytes()
        for path in pipeline.rglob("*")
        if path.is_file()
    }
    files |= {"unet/diffusion_pytorch_model.bin": b"a pickle, which is not fetched"}
    with running() as hub:
        hub.objects.update({hashlib.sha256(data).hexdigest(): data for data in files.values()})
        hub.add("models", "alice/tiny", **files)
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            text=True,
            capture_output=True,
            check=False,
            timeout=200,
            env=os.environ | hub.environment(home=tmp_path / "hf"),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    mine = load_adapter(TrainConfig(model=str(pipeline)), torch.device("cpu"))
    assert done.stdout.split()[0] == mine.fingerprint
    assert not list((tmp_path / "hf").rglob("*.bin"))


def test_a_family_is_named_by_the_path_of_its_class(pipeline: Path) -> None:
    family = "invdpo.train.models.stable_diffusion:StableDiffusion"
    config = TrainConfig(model=str(pipeline), family=family)
    adapter = load_adapter(config, torch.device("cpu"))
    assert str(family_origin(adapter, config)).startswith(family)
    assert family_origin(adapter, TrainConfig(model=str(pipeline))) is None
    assert config.fingerprint()["family"] == family
    assert "family" not in TrainConfig().fingerprint()
    with pytest.raises(PluginError, match=r"'pathlib:Path': lacks .*encode_images.*, predict"):
        load_adapter(config.model_copy(update={"family": "pathlib:Path"}), torch.device("cpu"))
