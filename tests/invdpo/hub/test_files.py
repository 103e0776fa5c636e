"""Files of a model that tell where they came from go without that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invdpo.hub.files import redact_file


def test_notes_go_without_folders_and_other_files_as_they_are(tmp_path: Path) -> None:
    told, quiet = tmp_path / "training.json", tmp_path / "model_index.json"
    told.write_text(json.dumps({"model": str(tmp_path / "base"), "steps": 3}))
    quiet.write_text('{"unet":  ["diffusers", "X"]}')
    assert json.loads(redact_file(told) or b"") == {"model": "base", "steps": 3}
    assert redact_file(quiet) is None
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text(json.dumps({"/usr/bin/env": 1}))
    assert redact_file(vocabulary) is None
    (tmp_path / "config.json").write_bytes(b"no json")
    assert redact_file(tmp_path / "config.json") is None


@pytest.mark.parametrize("around", ["%s", "[" * 20_000 + '"%s"' + "]" * 20_000])
def test_what_is_no_json_keeps_no_secrets_either(tmp_path: Path, around: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(around % "hf_abcdefghij of /srv/people/secret")
    content = redact_file(path) or b""
    assert b"abcdefghij" not in content
    assert b"/srv/people" not in content
