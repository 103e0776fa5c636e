"""A model that is no folder and no Hub id: all commands answer alike, and show no key."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import save_file
from typer.testing import CliRunner

from invdpo.cli import app


def error_of(*words: str) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1, done.output
    return done.stderr.partition("Error: ")[2]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(HfApi, "model_info", asked)
    (tmp_path / "file.safetensors").write_bytes(b"")
    (tmp_path / "old.ckpt").write_bytes(b"")
    (tmp_path / "notes").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "sd15.safetensors").write_bytes(b"")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "pytorch_lora_weights.safetensors").write_bytes(b"")
    work = str(tmp_path / "work")
    done = CliRunner().invoke(app, ["curate", "prompts", work, "--num-prompts", "2"])
    assert done.exit_code == 0
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{}/file.safetensors", r"file.safetensors: a checkpoint in one file. Give a diffusers"),
        ("{}/not-there.safetensors", r"there.safetensors: a checkpoint in one file. Give a"),
        ("someone/model.safetensors", r"model.safetensors: a checkpoint in one file. Give a"),
        ("{}/old.ckpt", "old.ckpt: a pickle, which can run code, is refused. Give a diffusers"),
        ("{}/notes", "notes: a file. Give a diffusers"),
        (
            "{}/folder",
            "folder: no model_index.json, so this is not a diffusers folder; found: sd15.safe",
        ),
        ("{}/lora", "lora: a LoRA, no whole model (no model_index.json). Give the model that it"),
        (
            "{}/nowhere",
            "nowhere'. Allowed: `embedded`, `embedded-flow`, an existing diffusers",
        ),
        ("https://u:SECRET@h/x?token=SECRET", "Unknown model 'https://h/x?…'. Allowed: `emb"),
        ("https://u:SECRET@h/x", "Unknown model 'https://h/x'. Allowed: `embedded`"),
        ("https://u:SE,CRET+SECRET@h/x", "Unknown model 'https://h/x'. Allowed: `embedded`"),
        ("https:/u:SECRET@h/x", "Unknown model 'https:/h/x'. Allowed: `embedded`"),
        ("u:SECRET@h/x", "Unknown model 'h/x'. Allowed: `embedded`"),
    ],
)
def test_all_commands_answer_alike(work: Path, name: str, said: str) -> None:
    model = name.format(work)
    tuned = work / "tuned" / "pytorch_lora_weights.safetensors"
    tuned.parent.mkdir()
    save_file({"unet.a.lora.down.weight": torch.zeros(1, 1)}, tuned)
    commands = [
        ("curate", "generate", f"{work}/work", "--model", model),
        ("curate", "run", f"{work}/run", "--model", model, "--num-prompts", "2"),
        ("train", f"{work}/work", "--output", f"{work}/out", "--model", model),
        ("eval", f"{work}/tuned", "--model", model, "--num-prompts", "2"),
    ]
    errors = [error_of(*words) for words in commands]
    assert said in errors[0]
    assert "SECRET" not in "".join(errors)
    assert errors == errors[:1] * len(errors)


@pytest.mark.parametrize(
    "lora",
    [
        "https://u:SECRET@h/x?token=SECRET",
        "https://u:SECRET@h/x=0.5",
        "https://u:SE,CRET=SECRET@h/x",
        "u:SECRET@h/x",
    ],
)
def test_addresses_of_loras_show_no_key(work: Path, lora: str) -> None:
    for more in ((), ("--model", "embedded")):
        text = error_of("curate", "generate", f"{work}/work", "--lora", lora, *more)
        assert "no such LoRA. Give a folder" in text
        assert "SECRET" not in text
        assert "CRET" not in text
    text = error_of("curate", "generate", f"{work}/work", "--model", f"embedded+{lora}")
    assert "CRET" not in text
