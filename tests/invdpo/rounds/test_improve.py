"""Rounds from end to end in the embedded world, each as small as it can be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest

from invdpo.curate import steps
from invdpo.curate.evaluation import judgement
from invdpo.curate.evaluation.judgement import Judgement
from invdpo.curate.report import rounds as report
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.rounds import run
from invdpo.rounds.checks import require_prompts
from invdpo.rounds.page import read_improvement, write_report
from invdpo.rounds.record import Record, read_record
from invdpo.rounds.round_plan import RoundPlan
from invdpo.rounds.run import Improvement, Note, improve
from invdpo.rounds.stopping import value
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.interrupts import Interrupted
from tests.invdpo.rounds.small import OPTIONS, run_rounds, small_config
from tests.workspaces import png


def test_every_round_and_judgement_draws_with_the_options_of_the_pipeline(tmp_path: Path) -> None:
    plan = RoundPlan(tmp_path, small_config(generate={"pipeline_options": {"eta": 1.0}}))
    for number in (1, 2):
        assert plan.curation(number, 0).generate.pipeline_options == {"eta": 1.0}
        assert plan.judging(number).generate.pipeline_options == {"eta": 1.0}


def test_each_model_is_judged_at_the_guidance_that_suits_it_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, stop, notes = [], Interrupted("after the base model", 2), list[str]()

    def judge(ws: Workspace, config: Config, _: RunOptions, note: Note) -> Judgement:
        scale = config.generate.guidance_scale
        asked.append((ws.root.relative_to(tmp_path).as_posix(), scale))
        note("score: 2 rejected: no face")
        figures = {"composition_all_right": {"p": {1.0: 0.25, 1.5: 0.75, 3.0: 0.5}[scale]}}
        return Judgement(figures if scale != 3 else {}, {}, None, {}, 2, 0)

    monkeypatch.setattr(judgement, "judge_model", judge)
    monkeypatch.setattr(run, "_round", Mock(side_effect=stop))
    config = small_config(improve={"rounds": 1, "validation_guidance_scales": [3, 1, 1.5, 1]})
    with pytest.raises(Interrupted):
        improve(tmp_path, config, OPTIONS, notes.append)
    assert "Base model at guidance 1.5: score: 2 rejected: no face" in notes
    base = "validation/base/guidance-"
    assert asked == [(f"{base}1", 1.0), (f"{base}1.5", 1.5), (f"{base}3", 3.0)]
    record = read_record(tmp_path)
    assert record
    (result,) = record.results
    assert (result.guidance_scale, value(result, "composition_all_right").value) == (1.5, 0.75)
    assert RoundPlan(tmp_path, config).curation(1, 0).generate.guidance_scale == 1


def test_a_model_that_can_be_judged_at_no_guidance_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Judgement({}, {}, None, {}, 2, 0)
    monkeypatch.setattr(judgement, "judge_model", lambda *_: nothing)
    for scales in ([], [1, 2]):
        config = small_config(improve={"rounds": 1, "validation_guidance_scales": scales})
        with pytest.raises(DataError, match="has no value for the base model"):
            run_rounds(tmp_path / str(len(scales)), config)


def _prompts(path: Path) -> set[str]:
    return set(pq.read_table(path, columns=["prompt"])["prompt"].to_pylist())


def test_no_prompt_stands_in_two_rounds_or_in_the_validation(done: Improvement) -> None:
    root = done.plan.root
    groups = [
        _prompts(root / "round-001" / "prompts.parquet"),
        _prompts(root / "round-002" / "prompts.parquet"),
        _prompts(root / "validation" / "base" / "prompts.parquet"),
    ]
    assert [len(group) for group in groups] == [4, 4, 2]
    assert len(set().union(*groups)) == 10
    for name in ("round-001", "round-002"):
        assert _prompts(root / "validation" / name / "prompts.parquet") == groups[2]


def test_each_round_draws_with_the_model_of_the_round_before(done: Improvement) -> None:
    root = done.plan.root
    drawn = {
        path.parts[-3]: set(pq.read_table(path, columns=["revision"])["revision"].to_pylist())
        for path in root.glob("round-*/candidates/*.parquet")
    }
    base, first, second = done.results
    assert drawn == {"round-001": {base.revision}, "round-002": {first.revision}}
    assert len({base.revision, first.revision, second.revision}) == 3
    trained = json.loads((root / "round-002" / "tuned" / "training.json").read_text())
    assert trained["config"]["model"] == str(root / "round-001" / "tuned")


def test_pairs_tell_their_round(done: Improvement) -> None:
    for number in (1, 2):
        dataset = done.plan.workspace(number).dataset_dir
        shards = sorted((dataset / "data").glob("*.parquet"))
        assert {n for s in shards for n in pq.read_table(s)["round"].to_pylist()} == {number}
        assert "`round`: the round" in (dataset / "README.md").read_text()


def test_the_page_shows_what_the_rounds_left(
    done: Improvement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two prompts, each with an image by the base model and by two rounds, all of them judged."""
    monkeypatch.setattr(report, "draw_curve", lambda *_: (png(1), png(2)))
    html = write_report(done, tmp_path / "page").read_text(encoding="utf-8")
    shown = re.findall(r'alt="(base|round \d): (?:not )?right"', html)
    assert shown == ["base", "round 1", "round 2"] * 2


def test_a_finished_folder_is_not_done_again_and_can_be_lengthened(copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*.safetensors")}
    again = run_rounds(copied, small_config())
    assert [result.number for result in again.results] == [0, 1, 2]
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*.safetensors")} == before


def test_a_kill_before_the_record_is_written_costs_no_finished_step(copied: Path) -> None:
    record = read_record(copied)
    assert record is not None
    replace(record, results=record.results[:2]).write(copied)
    weights = copied / "round-002" / "tuned" / "unet"
    before = {path: path.read_bytes() for path in weights.iterdir()}
    again = run_rounds(copied, small_config())
    assert again.results[2].revision == record.results[2].revision
    assert again.results[2].judgement == record.results[2].judgement
    first, second = (result.cost for result in (record.results[2], again.results[2]))
    assert first.keys() == second.keys()
    assert all(second[n] == first[n] for n in first if n.endswith("_forwards"))
    assert all(second[n] >= first[n] for n in first if n.endswith("_seconds"))
    assert {path: path.read_bytes() for path in weights.iterdir()} == before


def test_some_rounds_alone_are_evaluated_and_the_last_one(tmp_path: Path) -> None:
    """The row of each has the pairs and the cost since the one before."""
    config = small_config(improve={"rounds": 3, "evaluate_every": 2})
    done = run_rounds(tmp_path, config)
    assert [result.number for result in done.results] == [0, 2, 3]
    assert sorted(path.name for path in (tmp_path / "validation").iterdir()) == [
        "base",
        "round-002",
        "round-003",
    ]
    reports = [
        json.loads((tmp_path / f"round-00{n}/pairs.report.json").read_text()) for n in (1, 2, 3)
    ]
    made = [report["pairs"]["total"] for report in reports]
    assert [row["pairs"] for row in done.rows()] == [0, made[0] + made[1], made[2]]
    assert [row["prompts"] for row in done.rows()] == [0, 8, 4]
    assert done.rows()[1]["forwards"] == 2 * done.rows()[2]["forwards"]
    page = write_report(done, tmp_path / "page").read_text(encoding="utf-8")
    assert "<dt>rounds</dt><dd>3</dd>" in page
    assert "all rounds since the row before" in page
    assert read_improvement(tmp_path, config).rows() == done.rows()
    longer = run_rounds(tmp_path, small_config(improve={"rounds": 4, "evaluate_every": 2}))
    assert [result.number for result in longer.results] == [0, 2, 3, 4]


def test_the_last_model_is_evaluated_when_the_rounds_end_early(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read_record(copied)
    assert record is not None
    *before, last = record.results
    replace(record, results=(*before, replace(last, judgement={}))).write(copied)
    monkeypatch.setattr(run, "no_pairs", lambda *_: "no pairs")
    monkeypatch.setattr(run, "_curate", Mock(side_effect=DataError("none")))
    done = run_rounds(copied, small_config(improve={"rounds": 5, "evaluate_every": 4}))
    assert done.stopped == "no pairs"
    assert [result.number for result in done.results] == [0, 1, 2]
    assert done.results[2].judgement == last.judgement


def test_a_later_round_without_a_pair_ends_the_rounds(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made before is shown, now and on the page."""
    config, pair = small_config(improve={"rounds": 4}), steps.pair

    def choose(ws: Workspace, config: Config, options: RunOptions) -> Any:
        high = config.pair.model_copy(update={"min_margin": 50.0})
        return pair(ws, config.model_copy(update={"pair": high}), options)

    monkeypatch.setattr(steps, "pair", choose)
    done = run_rounds(copied, config)
    assert [result.number for result in done.results] == [0, 1, 2]
    folder = copied / "round-003"
    report = json.loads((folder / "pairs.report.json").read_text())
    lost = sorted(report["prompts"]["dropped"].items(), key=lambda reason: -reason[1])
    assert sum(count for _, count in lost) == 4
    why = "; ".join(f"{count} x {reason}" for reason, count in lost)
    reason = f"none of the 4 prompts of round 3 gives a pair ({why}): see invdpo report {folder}"
    assert done.stopped == reason
    assert read_improvement(copied, config).stopped == reason
    assert not read_improvement(copied, small_config()).stopped


@pytest.mark.parametrize("source", ["shapes", "file"])
def test_prompts_may_repeat_but_not_those_of_the_validation(tmp_path: Path, source: str) -> None:
    """A file has 200 beside them, and each round takes all; samples differ from round to round."""
    file = tmp_path / "prompts.txt"
    file.write_text("".join(f"a red circle number {n}\n" for n in range(230)))
    plan = RoundPlan(
        tmp_path,
        small_config(
            prompts={
                "source": source,
                "num_prompts": 200,
                "path": str(file) if source == "file" else None,
            },
            improve={"repeat_prompts": True, "validation_prompts": 30, "rounds": 3},
        ),
    )
    require_prompts(plan, Record({}))
    texts = []
    for number in range(4):
        ws = plan.workspace(number) if number else plan.validation(0)
        config = plan.curation(number, 200 * (number - 1)) if number else plan.judging(0)
        steps.make_prompts(ws, config, OPTIONS)
        texts.append(_prompts(ws.prompts_path))
    assert [len(some) for some in texts] == [30, 200, 200, 200]
    assert not any(texts[0] & some for some in texts[1:])
    shared = len(texts[1] & texts[3])
    assert shared == 200 if source == "file" else 20 < shared < 100
    assert [plan.curation(n, 0).generate.seed for n in (1, 2, 3)] == [1, 2, 3]
