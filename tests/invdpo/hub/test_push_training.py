"""`invdpo train --push-to-hub`: told early what can't work, pushed late, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from invdpo.cli import app
from tests.hub_http import READER, TOKEN
from tests.hub_server import Fault, HubServer, connected
from tests.train.tiny import build_pipeline, row, write_pairs

SMALL = """
train: {num_inversion_steps: 3, num_points: 2, batch_size: 4, max_steps: 2, validate_every: 1,
  lora_rank: 2, device: cpu}
"""
PUSHED = {
    "README.md",
    "curves.png",
    "metrics.jsonl",
    "pytorch_lora_weights.safetensors",
    "training.json",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_pipeline(tmp_path_factory.mktemp("models") / "tiny sd")
    (folder / "README.md").write_text("---\nlicense: openrail\n---\n")
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workspace(tmp_path, monkeypatch)


def workspace(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset in `place`, which becomes the folder in which commands run."""
    write_pairs(place / "work/dataset", "train", [row(n) for n in range(4)])
    write_pairs(place / "work/dataset", "validation", [row(n) for n in range(4, 6)])
    (place / "work/invdpo.yaml").write_text(SMALL)
    monkeypatch.chdir(place)
    return place / "work"


@dataclass(frozen=True)
class Pushed:
    """A training that was pushed, once for all tests that only look at it."""

    hub: HubServer
    place: Path
    result: Any


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Iterator[Pushed]:
    place = tmp_path_factory.mktemp("pushed")
    with pytest.MonkeyPatch.context() as patches, connected(patches, place) as server:
        workspace(place, patches)
        result = train(base, "--push-to-hub", "lab/tuned", "--private", "--json")
        patches.undo()
        yield Pushed(server, place, result)


def train(base: Path, *words: object) -> Any:
    """The command in the test's folder; no token of ours may be in what it says."""
    given = ["train", "work/dataset", "--output", "tuned", "--model", base, *words]
    result = CliRunner().invoke(app, [str(word) for word in given])
    assert TOKEN not in result.output
    return result


def test_a_tuned_model_on_the_hub(pushed: Pushed, base: Path) -> None:
    assert pushed.result.exit_code == 0, pushed.result.output
    assert json.loads(pushed.result.stdout)["hub"] == f"{pushed.hub.url}/lab/tuned"
    repo, tuned = pushed.hub.model("lab/tuned"), pushed.place / "tuned"
    assert repo.private
    assert set(repo.files()) == PUSHED
    assert (tuned / "tensorboard").is_dir()
    for name in PUSHED - {"training.json"}:
        assert repo.files()[name] == (tuned / name).read_bytes()
    for name, content in repo.files().items():
        for secret in (TOKEN, str(pushed.place), str(base.parent)):
            assert secret.encode() not in content, f"{secret} in {name}"
    assert json.loads(repo.files()["training.json"])["config"]["model"] == "tiny sd"


def test_its_card(pushed: Pushed) -> None:
    card = pushed.hub.model("lab/tuned").files()["README.md"].decode()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["pipeline_tag"]) == ("openrail", "text-to-image")
    assert "base_model" not in head  # a folder is nothing that the Hub could link
    assert "invdpo train work/dataset --output tuned --model 'tiny sd'" in card
    assert 'pipeline.load_lora_weights("lab/tuned")' in card
    assert "![Loss" in card


LOAD = """
import sys
from diffusers import DiffusionPipeline
pipeline = DiffusionPipeline.from_pretrained(sys.argv[1])
pipeline.load_lora_weights("lab/tuned")
print(len([n for n, _ in pipeline.unet.named_parameters() if "lora_B" in n]))
"""


def test_others_load_it_from_there(pushed: Pushed, base: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(base)],
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | pushed.hub.environment(home=tmp_path),
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0
    assert pushed.hub.leaks == []


def test_a_whole_pipeline(hub: HubServer, work: Path, base: Path) -> None:
    result = train(base, "--push-to-hub", "lab/tuned", "--tuning", "full")
    assert result.exit_code == 0, result.output
    files, tuned = hub.model("lab/tuned").files(), work.parent / "tuned"
    parts = {name.split("/")[0] for name in files if "/" in name}
    assert parts == {"scheduler", "text_encoder", "tokenizer", "unet", "vae"}
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert files[weights] == (tuned / weights).read_bytes()
    assert str(base.parent).encode() not in b"".join(files.values())


@pytest.mark.parametrize(
    ("words", "token", "expected"),
    [
        (["--push-to-hub", "tuned"], TOKEN, "expected OWNER/NAME"),
        (["--push-to-hub", "alice/x"], "", "not logged in to the Hub"),
        (["--push-to-hub", "alice/x"], "hf_wrongwrongwrong", "the Hub refused the token (401)"),
        (["--push-to-hub", "alice/x"], READER, "has only read access"),
        (["--push-to-hub", "bob/x"], TOKEN, "alice has write access to alice or lab, not to bob"),
        (["--push-to-hub", "lab/public", "--private"], TOKEN, "already exists and is public"),
    ],
)
def test_what_can_not_be_pushed_is_not_trained(
    hub: HubServer, work: Path, base: Path, monkeypatch: Any, words: Any, token: str, expected: str
) -> None:
    hub.add("models", "lab/public")
    monkeypatch.setenv("HF_TOKEN", token)
    result = train(base, *words)
    assert result.exit_code == 1
    assert expected in result.stderr
    assert not token or token not in result.output
    assert not (work.parent / "tuned").exists()
    assert not (work.parent / "trajectories").exists()


def test_a_card_that_the_hub_refuses_is_told_before(
    hub: HubServer, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/README.md").write_text("---\nlicense: my own\n---\n")
    result = train(tmp_path / "base", "--push-to-hub", "lab/tuned")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: lab/tuned: refused: ")
    assert '"license' in result.stderr
    assert hub.repos == {}


def test_a_push_that_fails_loses_nothing(hub: HubServer, work: Path, base: Path) -> None:
    hub.faults = [Fault("lfs-put", status=403, text=f"denied to {TOKEN}")]
    result = train(base, "--push-to-hub", "lab/tuned")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no write access (denied to hf_…)" in result.stderr
    assert (
        "The tuned weights are in tuned. Run the same command again to push them" in result.stderr
    )
    assert {path.name for path in (work.parent / "tuned").iterdir()} >= PUSHED
    assert hub.model("lab/tuned").files() == {}
    again = train(base, "--push-to-hub", "lab/tuned")
    assert again.exit_code == 0, again.output
    assert set(hub.model("lab/tuned").files()) == PUSHED


def test_a_traceback_for_debugging_tells_no_token(
    hub: HubServer, work: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("INVDPO_DEBUG", "1")
    hub.faults = [Fault("whoami", status=403, text=f"denied to {TOKEN}")]
    result = train(base, "--push-to-hub", "lab/tuned")
    assert "Traceback" in result.stderr
    assert TOKEN not in result.stderr + "".join(capfd.readouterr())


def test_a_dry_run_checks_the_login_too(hub: HubServer, work: Path, base: Path) -> None:
    result = train(base, "--push-to-hub", "lab/tuned", "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"Will be pushed to {hub.url}/lab/tuned" in result.stderr
    assert hub.repos == {}
    assert train(base, "--push-to-hub", "bob/tuned", "--dry-run").exit_code == 1


PROMPTS = "pictures/prompts.txt"


def test_prompts_of_a_file_that_the_command_does_not_name_stay_here(
    hub: HubServer, work: Path, base: Path
) -> None:
    """The images go; so does the list once the file is named on the command line."""
    (work.parent / "own.txt").write_text("the password is swordfish\n")
    drawn = ["--pictures-every", "1", "--max-steps", "1"]
    assert train(base, *drawn, "--picture-prompts", "own.txt").exit_code == 0
    kept = train(base, *drawn, "--push-to-hub", "lab/tuned")
    assert kept.exit_code == 0, kept.output
    assert f"tuned/{PROMPTS} is not pushed" in kept.stderr
    files = hub.model("lab/tuned").files()
    assert "pictures/step-000001.png" in files
    assert not [name for name, content in files.items() if b"swordfish" in content]
    named = train(base, *drawn, "--picture-prompts", "own.txt", "--push-to-hub", "lab/tuned")
    assert named.exit_code == 0, named.output
    assert hub.model("lab/tuned").files()[PROMPTS] == b"the password is swordfish"


def test_prompts_of_the_data_set_go_with_its_images(hub: HubServer, work: Path, base: Path) -> None:
    words = ["--pictures-every", "1", "--max-steps", "1", "--push-to-hub", "lab/tuned"]
    result = train(base, *words)
    assert result.exit_code == 0, result.output
    prompts = (work.parent / "tuned" / PROMPTS).read_bytes()
    assert hub.model("lab/tuned").files()[PROMPTS] == prompts


def test_private_needs_a_place(work: Path, base: Path) -> None:
    result = train(base, "--private")
    assert result.exit_code == 2
    assert re.search("--private: only with --push-to-hub", result.stderr)
