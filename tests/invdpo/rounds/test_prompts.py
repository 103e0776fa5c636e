"""The prompts of the rounds: none twice, none of the validation, and how many are left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.storage.parts import read_header, read_part
from invdpo.rounds.checks import require_prompts
from invdpo.rounds.record import Record, RoundResult
from invdpo.rounds.round_plan import RoundPlan
from invdpo.schemas import DataError, SceneGraph
from tests.invdpo.rounds.small import OPTIONS, small_config


def record_of(*rounds: tuple[int, int | None]) -> Record:
    """Of the base model and rounds with so many prompts, and so many read."""
    base = RoundResult(0, "embedded", "", {})
    done = [RoundResult(0, "", "", {}, prompts=taken, prompts_read=read) for taken, read in rounds]
    return Record({}, (base, *done))


def compositions(plan: RoundPlan, rounds: int) -> list[set[str]]:
    """Of the prompts of the validation and of each round, made one after the other."""
    found, record = [], record_of()
    for number in range(rounds + 1):
        ws = plan.workspace(number) if number else plan.validation(0)
        config = plan.curation(number, record.used_prompts) if number else plan.judging(0)
        steps.make_prompts(ws, config, OPTIONS)
        table = read_part(ws.prompts_path, ["split_group"])
        found.append(set(table["split_group"].to_pylist()))
        if number:
            read = read_header(ws.prompts_path).notes["read"]
            done = [(result.prompts, result.prompts_read) for result in record.results[1:]]
            record = record_of(*done, (table.num_rows, read))
    return found


@pytest.mark.parametrize("source", ["shapes", "file"])
def test_no_round_has_a_prompt_of_an_earlier_one(tmp_path: Path, source: str) -> None:
    """A round passes over what says the same as earlier prompts, and the next one begins behind it.

    It began too early by as many prompts as were passed over: of 400 the fourth repeated 51.
    """
    lines = [f"{text} number {n}\n" for n in range(900) for text in ("a cat", "A  cat")]
    (tmp_path / "prompts.txt").write_text("".join(lines))
    path = str(tmp_path / "prompts.txt") if source == "file" else None
    prompts = {"source": source, "num_prompts": 200, "path": path}
    sections: dict[str, Any] = {"prompts": prompts, "improve": {"validation_prompts": 30}}
    plan = RoundPlan(tmp_path, small_config(**sections))
    validation, *rounds = compositions(plan, 4)
    for number, own in enumerate(rounds):
        assert len(own) > 100
        assert not own & validation
        assert not any(own & earlier for earlier in rounds[:number])


def test_rounds_have_other_combinations_than_the_validation_whatever_split_is_named(
    tmp_path: Path,
) -> None:
    """With the split `validation` they had exactly its prompts."""
    sections: dict[str, Any] = {"prompts": {"num_prompts": 50, "split": "validation"}}
    plan = RoundPlan(tmp_path, small_config(**sections, improve={"validation_prompts": 50}))
    validation, first = compositions(plan, 1)
    assert len(first) > 20
    assert not validation & first


def test_prompts_of_many_objects_are_those_of_the_rounds_alone(tmp_path: Path) -> None:
    """Models are compared on the same prompts, whatever a round is trained on."""
    sections: dict[str, Any] = {"improve": {"validation_prompts": 30}}
    plain = RoundPlan(tmp_path, small_config(prompts={"num_prompts": 40}, **sections))
    many = {"num_prompts": 40, "min_objects": 3}
    plan = RoundPlan(tmp_path, small_config(prompts=many, **sections))
    assert plan.judging(0).prompts == plain.judging(0).prompts
    validation, *rounds = compositions(plan, 2)
    assert min(map(len, (validation, *rounds))) > 20
    assert not rounds[0] & rounds[1]
    for number in (1, 2):
        graphs = read_part(plan.workspace(number).prompts_path, ["graph"])["graph"].to_pylist()
        assert {len(SceneGraph.from_json(graph).items) for graph in graphs} == {3}


def test_prompts_that_were_passed_over_are_not_left(tmp_path: Path) -> None:
    """30 in the file, 4 for the validation: the first round read 16 of them to take 10."""
    (tmp_path / "p.txt").write_text("".join(f"a cat number {n}\n" for n in range(30)))
    prompts = {"source": "file", "num_prompts": 10, "path": str(tmp_path / "p.txt")}
    sections: dict[str, Any] = {"improve": {"validation_prompts": 4, "rounds": 2}}
    plan = RoundPlan(tmp_path, small_config(prompts=prompts, **sections))
    require_prompts(plan, record_of((10, 16)))
    with pytest.raises(DataError, match=r"9 left, in addition to the 4 .* the 17 used"):
        require_prompts(plan, record_of((10, 17)))
    with pytest.raises(DataError, match="0 left"):
        require_prompts(plan, record_of((10, 26)))
    require_prompts(plan, record_of((10, None)))
