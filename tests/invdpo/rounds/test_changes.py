"""Options that change between rounds: which may, what is recorded, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.storage.parts import read_header
from invdpo.rounds.changes import changes_of
from invdpo.rounds.checks import open_record, require_prompts
from invdpo.rounds.estimate import estimate
from invdpo.rounds.page import read_improvement, write_report
from invdpo.rounds.record import Record, read_record
from invdpo.rounds.round_plan import RoundPlan
from invdpo.rounds.run import Improvement, improve
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.io.documents import read_file
from tests.invdpo.rounds.recorded import results
from tests.invdpo.rounds.small import OPTIONS, ignore, small_config

MORE: dict[str, dict[str, Any]] = {
    "prompts": {"num_prompts": 6},
    "train": {"max_steps": 2},
    "improve": {"rounds": 3},
}


def change(root: Path, config: Config) -> Improvement:
    return improve(root, config, OPTIONS, ignore, change_options=True)


def record_of(root: Path) -> Record:
    record = read_record(root)
    assert record
    return record


def test_a_round_with_more_prompts_follows_and_none_is_used_twice(copied: Path) -> None:
    config = small_config(**MORE)
    with pytest.raises(WorkspaceError, match="--change-options to go on with these"):
        improve(copied, config, OPTIONS, ignore)
    before = estimate(copied, config, change_options=True)
    assert (before.rounds, before.images) == (1, 6 * 3 + 2 * 2)
    assert not record_of(copied).changes
    done = change(copied, config)
    third = RoundPlan(copied, config).workspace(3)
    assert read_header(third.prompts_path).rows == 6
    texts = []
    for number in (1, 2, 3):
        ws = RoundPlan(copied, config).workspace(number)
        texts += ws.read_table(ws.prompts_path, ["prompt"])["prompt"].to_pylist()
    assert len({*texts}) == len(texts) == 4 + 4 + 6
    expected = ["prompts.num_prompts: 4 → 6", "train.max_steps: 1 → 2"]
    assert [row["changed"] for row in done.rows()] == [[], [], [], expected]
    again = improve(copied, config, OPTIONS, ignore)  # no flag: these are its options now
    assert again.rows() == done.rows()
    page = read_file(write_report(read_improvement(copied, config))).decode()
    assert "From round 3 on: prompts.num_prompts: 4 → 6; train.max_steps: 1 → 2." in page


def test_what_makes_models_comparable_does_not_change(copied: Path) -> None:
    for section, name, value in (
        ("generate", "num_inference_steps", 3),
        ("generate", "guidance_scale", 2),
        ("eval", "seed", 8),
        ("score", "scorers", ["composition"]),
        ("pair", "weights", {"composition": 1}),
        ("train", "tuning", "lora"),
        ("improve", "validation_prompts", 3),
    ):
        with pytest.raises(WorkspaceError, match=rf"All rounds share {section}\.{name}"):
            change(copied, small_config(**{section: {name: value}}))
    assert not record_of(copied).changes


def test_a_round_that_has_begun_keeps_its_options(copied: Path) -> None:
    """Those of its training may change until it is there."""
    begun = copied / "round-003"
    begun.mkdir()
    with pytest.raises(WorkspaceError, match="round 3 has begun with other options"):
        change(copied, small_config(**MORE))
    done = change(copied, small_config(train={"learning_rate": 1e-5}, improve={"rounds": 3}))
    assert done.rows()[3]["changed"] == ["train.learning_rate: 0.0001 → 1e-05"]


def test_the_number_of_processes_is_an_option_of_the_next_round(copied: Path) -> None:
    """Each takes a batch of its own, so eight of them train on eight times the pairs."""
    plan = RoundPlan(copied, small_config(improve={"rounds": 3, "train_processes": 8}))
    with pytest.raises(WorkspaceError, match=r"train_processes: nothing so far, 8 asked for"):
        open_record(plan)
    changes = changes_of(open_record(plan, change_options=True), 3)
    assert changes == ["improve.train_processes: default → 8"]


def test_a_change_taken_back_is_none(copied: Path) -> None:
    """The first one was stopped before its round began."""
    change(copied, small_config(prompts={"num_prompts": 6}))
    assert changes_of(record_of(copied), 3) == ["prompts.num_prompts: 4 → 6"]
    change(copied, small_config())
    assert not record_of(copied).changes


def test_prompts_that_are_left_are_counted(tmp_path: Path) -> None:
    """Of twelve: two for validation, and four of the first round."""
    file = tmp_path / "prompts.txt"
    file.write_text("".join(f"a red circle number {n}\n" for n in range(12)))
    prompts = {"source": "file", "path": str(file), "num_prompts": 5}
    plan = RoundPlan(tmp_path, small_config(prompts=prompts, improve={"rounds": 3}))
    base, first = results()[:2]
    record = Record({}, (base, replace(first, prompts=4)))
    with pytest.raises(DataError) as refused:
        require_prompts(plan, record)
    assert str(refused.value) == (
        "Too few prompts: 6 left, in addition to the 2 for validation and the 4 used so far, and 2 "
        "more rounds of 5 need 10. Give more prompts in another folder, or fewer rounds "
        "(--rounds 2), or fewer prompts per round (--num-prompts 3)."
    )
