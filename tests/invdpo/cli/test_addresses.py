"""Addresses on the command line: what knows this machine only, and keys that are not shown."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from invdpo.cli import app


def invoke(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.output


@pytest.mark.parametrize(
    "words",
    [
        ("train", "s3://bucket/run/dataset", "--output", "tuned"),
        ("curate", "push", "s3://bucket/run", "--repo", "a/b"),
        ("curate", "export", "gs://bucket/run", "--to", "pickapic", "--output", "out"),
        ("curate", "import", "s3://bucket/x", "--from", "pickapic", "--output", "out"),
        ("train", "w/dataset", "--output=s3://bucket/run"),
        ("train", "w/dataset", "--output=out", "--cache-dir=gs://bucket/c"),
        ("train", "file:///w/dataset", "--output=out"),
        ("eval", "tuned", "--output=file:///tmp/out"),
        ("report", "w", "--output=s3://bucket/report"),
        ("demo", "--workspace=s3://bucket/demo"),
        ("curate", "pull", "a/b", "s3://bucket/run"),
        ("curate", "review", "w", "--reviews=s3://bucket/r.parquet"),
        ("curate", "prompts", "w", "--config=s3://bucket/c.yaml"),
    ],
)
def test_what_knows_this_machine_only_says_so(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, text = invoke(*words)
    assert status == 1
    assert "Copy the data here first" in text
    assert list(tmp_path.iterdir()) == []


def test_a_cache_of_answers_is_on_this_machine() -> None:
    status, text = invoke("curate", "prompts", "w", "--vlm-cache=s3://bucket/answers")
    assert status == 1
    assert "prompts.vlm_cache: found 's3://bucket/answers'" in text
    assert "a folder on this machine, not a URL" in text


@pytest.mark.parametrize("step", ["prompts", "generate", "annotate", "score", "pair", "run"])
def test_workspaces_with_keys_in_their_address_are_refused(step: str) -> None:
    status, text = invoke("curate", step, "s3://KEY:SECRET@bucket/run?token=SECRET")
    assert status == 1
    assert "put keys into environment variables" in text
    assert "SECRET" not in text


def test_a_step_in_a_store_names_the_next_command() -> None:
    work = f"memory://{uuid.uuid4().hex}/run"
    status, text = invoke("curate", "prompts", work, "--num-prompts", "3")
    assert status == 0, text
    assert f"Next: invdpo curate generate {work}" in text
    status, text = invoke("curate", "score", work)
    assert status == 1
    assert f"First run: invdpo curate generate {work}" in text


def test_keys_of_unforeseen_errors_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("GET https://me:SECRET@host/x?sig=SECRET failed, hf_SECRETSECRET")

    monkeypatch.setattr("invdpo.curate.steps.make_prompts", fail)
    status, text = invoke("curate", "prompts", "work")
    assert status == 1
    assert "This is unexpected" in text
    assert "SECRET" not in text
