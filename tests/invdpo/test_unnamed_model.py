"""A training that names no model on the images of another one than the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from invdpo.unnamed_model import require_model
from tests.workspaces import build


def test_images_of_another_model_want_a_model_by_name(tmp_path: Path) -> None:
    """Told by the configuration of the workspace, or else by the dataset's own columns."""
    dataset = str(build(tmp_path / "work", model="sd15").dataset_dir)
    drawn = load_config(None, {"generate": {"models": ["a/b+lora=0.5"]}})
    for curated, model in ((Config(), "sd15"), (drawn, "a/b")):
        with pytest.raises(ConfigError) as error:
            require_model(dataset, curated, Path("out"))
        lines = str(error.value).splitlines()[1:]
        command = f"  invdpo train {dataset} --output out --model"
        assert lines == [f"{command} {model}", f"{command} embedded"]
    named = load_config(None, {"train": {"model": "embedded"}})
    assert require_model(dataset, named, Path("out")) is None
    own = load_config(None, {"generate": {"model": "embedded"}})
    assert require_model(dataset, own, Path("out")) is None
    assert "embedded model is tuned" in str(require_model("a/b", Config(), Path("out")))
