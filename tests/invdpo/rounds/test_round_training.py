"""The training of a round: its pairs, its options, and the command of several processes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from invdpo.curate.exchange import merge
from invdpo.curate.exchange.base import ExchangeResult
from invdpo.rounds.round_plan import RoundPlan
from invdpo.rounds.round_training import train_round, training_config, training_set
from invdpo.schemas import ModelError
from invdpo.schemas.config.load import load_config
from tests.invdpo.rounds.small import ignore


def plan(root: Path, **sections: Any) -> RoundPlan:
    return RoundPlan(root, load_config(None, {"generate": {"model": "lab/base"}} | sections))


def test_pairs_of_earlier_rounds_are_joined_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two rounds before, the fourth is trained on 4, 2 and 3; its own pairs come first."""
    joined: list[list[str]] = []

    def merge_datasets(folders: list[Path], output: Path, _: Any) -> ExchangeResult:
        joined.append([str(folder.relative_to(tmp_path)) for folder in folders])
        output.mkdir(parents=True)
        result = ExchangeResult(output)
        result.skip("pair is in an earlier dataset, too", "round-003/dataset: a1")
        return result

    monkeypatch.setattr(merge, "merge_datasets", merge_datasets)
    notes: list[str] = []
    chosen = plan(tmp_path, improve={"replay_rounds": 2})
    for _ in range(2):
        assert training_set(chosen, 4, notes.append) == tmp_path / "round-004" / "training"
    assert joined == [[f"round-00{n}/dataset" for n in (4, 2, 3)]]
    left_out = "1 row left out: pair is in an earlier dataset, too (first: round-003/dataset: a1)"
    assert notes == [f"Round 4: {left_out}"]
    assert training_set(chosen, 1, ignore) == tmp_path / "round-001" / "dataset"
    assert training_set(plan(tmp_path), 4, ignore) == tmp_path / "round-004" / "dataset"


@pytest.mark.parametrize(
    ("tuning", "reference", "model", "starts", "tied"),
    [
        ("lora", "previous", "lab/base", True, "start"),
        ("lora", "base", "lab/base", True, "base"),
        ("full", "base", "lab/base", True, "base"),
        ("full", "previous", "round-001/tuned", False, None),
    ],
)
def test_what_the_second_round_begins_with(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tuning: str,
    reference: str,
    model: str,
    starts: bool,
    tied: str | None,
) -> None:
    """In full, although the folder of the rounds is named from here."""
    chosen = plan(tmp_path, train={"tuning": tuning}, improve={"reference": reference})
    (tmp_path / "round-001" / "tuned").mkdir(parents=True)
    monkeypatch.chdir(tmp_path.parent)
    chosen = replace(chosen, root=Path(tmp_path.name))
    second, earlier = training_config(chosen, 2), str(tmp_path / "round-001" / "tuned")
    assert second.model == (earlier if model.endswith("tuned") else model)
    assert second.start_from == (earlier if starts else None)
    assert tied is None or second.reference == tied
    assert training_config(chosen, 1).start_from is None


def test_several_processes_are_started_by_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    status = 0

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(subprocess, "run", run)
    chosen = plan(tmp_path, train={"max_steps": 7}, improve={"train_processes": 8})
    tuned = tmp_path / "round-002" / "tuned"
    tuned.mkdir(parents=True)
    (tuned / "training.json").write_text(json.dumps({"result": {"pairs": 3}}))
    assert train_round(chosen, 2, ignore) == {"pairs": 3}
    options = tmp_path / "round-002" / "training.yaml"
    (command,) = commands
    assert command[1:] == [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "8"),
        *("-m", "invdpo", "train", str(tmp_path / "round-002" / "dataset")),
        *("--output", str(tuned), "--cache-dir", str(tmp_path / "round-002" / "trajectories")),
        *("--config", str(options)),
    ]
    written = load_config(options).train
    assert (written.max_steps, written.start_from) == (7, str(tmp_path / "round-001" / "tuned"))
    status = 9
    with pytest.raises(
        ModelError, match="Round 2: the training by 8 processes ended with status 9"
    ):
        train_round(chosen, 2, ignore)
