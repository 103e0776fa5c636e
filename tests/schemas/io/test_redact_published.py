"""What may not leave this machine: tokens and folders, in texts and in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invdpo.schemas.io.redact import redact, redact_paths, to_publish, without_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/alice/models/sd15", "sd15"),
        ("/srv/my models/sd 15", "sd 15"),
        ("/tmp/set/data.parquet: row 3", "data.parquet: row 3"),
        ("read '/tmp/a/b.png' and /tmp/c/d.", "read 'b.png' and d."),
        (r"C:\Users\alice\sd15", "sd15"),
        ("org/name", "org/name"),
        ("work/dataset", "work/dataset"),
        ("rewards/margins 3/4", "rewards/margins 3/4"),
        ("https://huggingface.co/org/name/tree/main", "https://huggingface.co/org/name/tree/main"),
        ("s3://bucket/folder/file", "s3://bucket/folder/file"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_folders(text: str, expected: str) -> None:
    assert redact_paths(text) == expected


def test_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "an-old-token-of-another-form")
    told = "Bearer an-old-token-of-another-form, hf_AbCdEf0123456789; hf_hub stays"
    assert without_tokens(told) == "Bearer hf_…, hf_…; hf_hub stays"


def test_a_token_too_short_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a")
    assert without_tokens("a word") == "a word"


def test_everything_in_json() -> None:
    told = {"a": ["/x/y/z", 1, None, True], "b": {"c": "hf_abcdefghij"}, "d": 0.5}
    assert redact(told) == {"a": ["z", 1, None, True], "b": {"c": "hf_…"}, "d": 0.5}


def test_files(tmp_path: Path) -> None:
    told, quiet = tmp_path / "training.json", tmp_path / "model_index.json"
    told.write_text(json.dumps({"model": str(tmp_path / "base"), "steps": 3}))
    quiet.write_text('{"unet":  ["diffusers", "X"]}')
    assert json.loads(to_publish(told) or b"") == {"model": "base", "steps": 3}
    assert to_publish(quiet) is None
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text(json.dumps({"/usr/bin/env": 1}))
    assert to_publish(vocabulary) is None
    (tmp_path / "config.json").write_bytes(b"no json")
    assert to_publish(tmp_path / "config.json") is None
