"""What `invdpo env` tells of this machine, and what it keeps to itself."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.cli.env import environment_text
from invdpo.environment import EXTRAS, Device, Environment, _devices, _memory, _size, _version

ROOT = Path(__file__).parents[2]
SD15 = "models--stable-diffusion-v1-5--stable-diffusion-v1-5/snapshots/abc/unet"


def test_every_extra_is_told() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*project["optional-dependencies"]} - {"dev"} == {*EXTRAS}


def test_names_of_variables_are_told_and_their_values_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INVDPO_VLM_KEY", "top-secret-key")
    monkeypatch.setenv("HF_TOKEN", "hf_topsecrettoken")
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    weights = tmp_path / SD15 / "diffusion_pytorch_model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"12345")
    (weights.parent / "config.json").write_text("{}")
    reference = tmp_path / SD15.split("/")[0] / "refs" / "main"
    reference.parent.mkdir()
    reference.write_text("abc")
    result = CliRunner().invoke(app, ["env", "--json"])
    assert result.exit_code == 0, result.output
    assert "secret" not in result.output
    data = json.loads(result.stdout)
    assert {"INVDPO_VLM_KEY", "HF_TOKEN"} <= {*data["variables"]}
    assert "SOMETHING_ELSE" not in data["variables"]
    assert data["caches"]["Hub"] == {"folder": str(tmp_path), "bytes": 10}
    assert data["devices"][0]["name"] == "cpu"
    assert data["versions"]["torch"]
    assert data["presets"]["compositional-11k-embedded"] == []
    here = {model["name"]: model["bytes"] for model in data["presets"]["sd15"]}
    assert here.pop("stable-diffusion-v1-5/stable-diffusion-v1-5") == 7
    assert len(here) == 5
    assert set(here.values()) == {None}


def test_links_count_nothing(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"123")
    (tmp_path / "link").symlink_to(tmp_path / "blob")
    assert _size(tmp_path) == 3
    assert _size(tmp_path / "absent") == 0


def test_the_text_of_a_machine_with_an_accelerator_and_without_variables() -> None:
    device = Device("cuda:0", "NVIDIA X", 8_000_000_000, None, ("float32", "float16"))
    text = environment_text(
        Environment("3.12.0", "Linux x86_64", {"peft": None}, (device,), {"ray": False}, {}, {}, ())
    )
    assert "  peft    not installed\n" in text
    assert "  cuda:0  NVIDIA X; 8.0 GB; fast in float32, float16\n" in text
    assert text.endswith("Variables that are set\n  none")


def test_accelerators_with_what_they_are_fast_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that another process holds does not say what is free."""
    import torch

    known = [("new", 9, 80), ("old", 7, 16)]

    def properties(number: int) -> SimpleNamespace:
        name, major, memory = known[number]
        return SimpleNamespace(name=name, major=major, total_memory=memory)

    def free(number: int) -> tuple[int, int]:
        if number:
            raise RuntimeError("exclusive process")
        return 30, 80

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", free)
    assert list(_devices())[1:] == [
        Device("cuda:0", "new", 80, 30, ("float32", "float16", "bfloat16")),
        Device("cuda:1", "old", 16, None, ("float32", "float16")),
    ]


def test_what_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _version("no-such-package-anywhere") is None
    monkeypatch.delattr(os, "sysconf")
    assert _memory() == (None, None)
