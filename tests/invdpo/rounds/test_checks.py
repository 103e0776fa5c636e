"""What is refused before a round begins, and what may change."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from invdpo.curate.scorers.composition import CompositionScorer
from invdpo.curate.shapes import bundle
from invdpo.curate.steps import make_prompts
from invdpo.rounds.checks import open_record, require_comparable, revision_of
from invdpo.rounds.record import NAME, Record, RoundResult
from invdpo.rounds.round_plan import RoundPlan
from invdpo.schemas import ConfigError, DataError, PluginError, WorkspaceError
from tests.invdpo.rounds.recorded import results
from tests.invdpo.rounds.small import OPTIONS, run_rounds, small_config


def test_another_configuration_is_refused_with_what_differs(copied: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"train\.learning_rate: 0\.0001 so far"):
        run_rounds(copied, small_config(train={"learning_rate": 5e-5}))


def test_a_model_that_is_gone_or_changed_is_refused(copied: Path) -> None:
    tuned = copied / "round-001" / "tuned"
    config = tuned / "unet" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(WorkspaceError, match="not the one that was evaluated"):
        run_rounds(copied, small_config())
    shutil.rmtree(tuned)
    with pytest.raises(WorkspaceError, match="the model of round 1 is missing"):
        run_rounds(copied, small_config())


def test_a_base_model_that_has_changed_is_refused(copied: Path) -> None:
    content = json.loads((copied / NAME).read_text())
    content["rounds"][0]["revision"] = "another"
    (copied / NAME).write_text(json.dumps(content))
    with pytest.raises(WorkspaceError, match="embedded: the base model is not the one that was"):
        run_rounds(copied, small_config(improve={"rounds": 3}))


def test_seeds_of_the_evaluation_and_images_of_the_pairs_are_decisive(copied: Path) -> None:
    """Both change what the next round comes to."""
    with pytest.raises(WorkspaceError, match=r"eval\.seed: 1 so far, 8 asked for"):
        run_rounds(copied, small_config(eval={"seed": 8}))
    with pytest.raises(WorkspaceError, match=r"dataset\.image_format: nothing so far"):
        run_rounds(copied, small_config(dataset={"image_format": "jpeg"}))


def test_a_record_without_the_seed_of_the_evaluation_goes_on(copied: Path) -> None:
    """As earlier versions wrote it."""
    content = json.loads((copied / NAME).read_text())
    del content["config"]["eval"], content["changes"]
    (copied / NAME).write_text(json.dumps(content))
    assert len(run_rounds(copied, small_config()).results) == 3
    assert json.loads((copied / NAME).read_text())["config"]["eval"] == {"seed": 1}


def test_what_would_stop_a_later_step_stops_the_first(tmp_path: Path) -> None:
    """A scorer that chooses pairs and gives no score, one that there is not, and toys as judges."""
    work = tmp_path / "work"
    with pytest.raises(WorkspaceError, match="Pairs are chosen by clip, too"):
        run_rounds(work, small_config(score={"scorers": ["composition"]}))
    scorer = "invdpo.curate.scorers.composition:CompositionScorer"
    with pytest.raises(WorkspaceError, match="CompositionScorer=1") as misspelt:
        run_rounds(
            work, small_config(score={"scorers": ["clip", scorer]}, pair={"weights": {"compo": 1}})
        )
    assert "Pairs are chosen by compo, too" in str(misspelt.value)
    assert "Add it" not in str(misspelt.value)
    with pytest.raises(PluginError, match="nope"):
        run_rounds(work, small_config(score={"scorers": ["clip", "nope"]}))
    model = shutil.copytree(bundle.model_path(), tmp_path / "model")
    with pytest.raises(ConfigError, match="The images are those of") as refused:
        run_rounds(work, small_config(generate={"model": str(model)}))
    assert f"\n  invdpo improve {work} --model {model} --source scenes" in str(refused.value)
    assert not (work / "validation").exists()


def test_how_pairs_are_chosen_may_change_while_there_are_none(tmp_path: Path) -> None:
    """Nothing depends on it yet: the first round goes on with the images that there are."""
    high = small_config(pair={"min_margin": 50}, improve={"rounds": 1})
    with pytest.raises(DataError, match="with --min-margin 0 there would be"):
        run_rounds(tmp_path, high)
    part = next((tmp_path / "round-001" / "candidates").iterdir())
    before = part.stat().st_mtime_ns
    done = run_rounds(tmp_path, small_config(improve={"rounds": 1}))
    assert [result.number for result in done.results] == [0, 1]
    assert part.stat().st_mtime_ns == before
    with pytest.raises(WorkspaceError, match=r"pair\.min_margin"):
        run_rounds(tmp_path, high)


def test_other_weights_before_there_are_pairs_choose_the_base_models_scale_again(
    tmp_path: Path,
) -> None:
    """The scorer that weighs most decides at which guidance it counts; its images are there."""
    plan = RoundPlan(tmp_path, small_config(pair={"weights": {"clip": 1}}))
    record = open_record(plan)
    base = RoundResult(0, "embedded", revision_of(plan, 0), {})
    replace(record, results=(base,)).write(tmp_path)
    assert open_record(plan).results == (base,)
    other = RoundPlan(tmp_path, small_config(pair={"weights": {"composition": 1}}))
    assert open_record(other).results == ()


def test_a_branch_that_moved_is_left_for_the_commit_that_was_read(tmp_path: Path) -> None:
    """Which is another option for the same prompts."""
    prompts = {"source": "hub", "path": "lab/prompts"}
    plan = RoundPlan(tmp_path, small_config(prompts=prompts))
    record = open_record(plan)
    base = RoundResult(0, "embedded", revision_of(plan, 0), {})
    replace(record, results=(base,)).write(tmp_path)
    pinned = small_config(prompts=prompts | {"hub_revision": "a" * 40})
    assert open_record(RoundPlan(tmp_path, pinned)).results == (base,)
    other = small_config(prompts=prompts | {"path": "lab/others"})
    with pytest.raises(WorkspaceError, match=r"prompts\.path"):
        open_record(RoundPlan(tmp_path, other))


def test_a_lora_that_no_round_could_continue_from_is_refused(tmp_path: Path) -> None:
    """Before an image is made; it failed in the second round, when all of its images were."""
    config = small_config(train={"tuning": "lora", "lora_format": "kohya"})
    with pytest.raises(ConfigError, match=r"train\.lora_format: found kohya"):
        run_rounds(tmp_path / "work", config)
    assert not (tmp_path / "work" / "validation").exists()


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("prompts", "skip_prompts", 3),  # rounds had prompts of the validation
        ("prompts", "split", "heldout"),
        ("dataset", "round", 7),
        ("train", "start_from", "earlier"),  # each round began with it again
        ("train", "model", "another"),
        ("train", "revision", "main"),
    ],
)
def test_what_the_rounds_set_themselves_is_refused_in_a_file(
    tmp_path: Path, section: str, option: str, value: object
) -> None:
    """No flag gives it, and it was lost without a word, or had half of its effect."""
    config = small_config(**{section: {option: value}})
    with pytest.raises(ConfigError, match=rf"{section}\.{option}: found {value}; the rounds set"):
        open_record(RoundPlan(tmp_path, config))


def test_options_of_a_file_that_say_what_the_rounds_do_are_no_error(tmp_path: Path) -> None:
    config = small_config(
        prompts={"shuffle": True},
        generate={"model": "lab/base", "revision": "v1"},
        train={"model": "lab/base@v1"},
    )
    assert open_record(RoundPlan(tmp_path, config)).results == ()


def test_a_judge_that_changed_is_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same name; the next model's figures would not be those of the ones before."""
    monkeypatch.setattr(CompositionScorer, "revision", "another")
    with pytest.raises(WorkspaceError, match=r'score\.revision: "1" in the workspace, "another"'):
        run_rounds(copied, small_config(improve={"rounds": 3}))


def test_prompts_of_the_validation_that_changed_are_refused(tmp_path: Path) -> None:
    """The order is a shuffle by content, so what is appended to the file moves all of them."""
    file = tmp_path / "prompts.txt"
    file.write_text("".join(f"a red circle number {n}\n" for n in range(9)))
    config = small_config(prompts={"source": "file", "path": str(file)})
    plan, record = RoundPlan(tmp_path, config), Record({}, results())
    make_prompts(plan.validation(0), plan.judging(0), OPTIONS)
    require_comparable(plan, record)
    with file.open("a") as more:
        more.write("a blue circle\n")
    with pytest.raises(WorkspaceError, match="were compared on other prompts"):
        require_comparable(plan, record)


def test_prompts_that_run_out_are_told_before_anything_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("".join(f"a red circle number {n}\n" for n in range(9)))
    prompts = {"source": "file", "path": str(file)}
    with pytest.raises(
        DataError, match=r"7 in addition to the 2 for validation.*--rounds 1.*prompts 3\)"
    ):
        run_rounds(tmp_path / "work", small_config(prompts=prompts))
    assert not (tmp_path / "work" / NAME).exists()


def test_a_damaged_record_is_told(copied: Path) -> None:
    (copied / NAME).write_text('{"format": 1, "rounds": [')
    with pytest.raises(WorkspaceError, match="damaged"):
        run_rounds(copied, small_config())


def test_a_workspace_is_no_folder_of_rounds(tmp_path: Path) -> None:
    (tmp_path / "prompts.parquet").touch()
    with pytest.raises(WorkspaceError, match="a workspace of `invdpo curate`"):
        run_rounds(tmp_path, small_config())


def test_several_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rounds improve one model"):
        run_rounds(tmp_path / "work", small_config(generate={"model": ["a", "b"]}))
