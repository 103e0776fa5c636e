"""`invdpo improve` and `invdpo report` of rounds: what they pass on and print. Nothing is drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.cli.improve import summary
from invdpo.curate.report import rounds
from invdpo.rounds import estimate, run
from invdpo.rounds.estimate import RoundsEstimate
from invdpo.rounds.estimate_text import estimate_text
from invdpo.rounds.run import Improvement
from invdpo.schemas.config.load import dump_config, load_config
from tests.invdpo.rounds.recorded import CONFIG, draw, guided_results, improvement, results
from tests.workspaces import png

EXPECTED = RoundsEstimate(2, 90, 572, 192, 574.0, 89_344, 10**9)


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the rounds were called with; they are done at once."""
    calls: list[Any] = []

    def improve(
        root: Path, config: Any, options: Any, note: Any, *, change_options: bool, command: str
    ) -> Improvement:
        calls.append((config, options, change_options))
        assert command.startswith("invdpo improve ")
        note("Base model: judge it")
        root.mkdir(exist_ok=True)
        return improvement(root)

    monkeypatch.setattr(run, "improve", improve)
    return calls


def test_a_line_for_each_model_and_the_next_command(tmp_path: Path, called: list[Any]) -> None:
    work = tmp_path / "my work"
    result = invdpo("improve", work, "--rounds", 2, "--repair", "--part-size", 4)
    assert result.exit_code == 0, result.output
    header, base, first, second, *_, last = result.stdout.splitlines()
    assert cells(header) == [
        *("round", "composition_all_right", "clip", "diversity", "pairs"),
        *("prompts with a pair", "minutes"),
    ]
    clip = "0.250 [0.250, 0.250]"
    assert cells(base) == ["base", "0.250 [0.000, 0.740]", clip, "0.400", "–", "–", "1.5"]
    assert cells(first)[3:] == ["0.375", "1,500", "1500 of 2000", "3.5"]
    assert cells(second)[3] == "–"
    tuned = work / "round-001" / "tuned"
    gain = "composition_all_right +0.375 [-0.094, +0.844]: no clear gain over the base model"
    assert last == f"Best on the validation prompts: 1 ({tuned}), {gain}"
    assert result.stderr == f"Base model: judge it\nNext: invdpo eval '{tuned}'\n"
    config, options, change_options = called[0]
    assert not change_options
    assert (config.improve.rounds, options.repair, options.part_size) == (2, True, 4)


def test_the_guidance_that_suits_each_model_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guided = improvement(tmp_path, models=guided_results())
    monkeypatch.setattr(run, "improve", lambda *_, **__: guided)
    result = invdpo("improve", tmp_path / "work")
    assert result.exit_code == 0, result.output
    lines = [cells(line)[:2] for line in result.stdout.splitlines()[:4]]
    assert lines == [["round", "guidance"], ["base", "3"], ["1", "1.5"], ["2", "1"]]
    assert result.stderr.endswith("round-001/tuned --guidance-scale 1.5 --base-guidance-scale 3\n")


@pytest.mark.parametrize(("words", "kept"), [([], "last"), (["--keep", "best"], "best")])
def test_rounds_keep_the_last_weights_unless_told(
    tmp_path: Path, called: list[Any], words: list[str], kept: str
) -> None:
    assert invdpo("improve", tmp_path / "work", *words).exit_code == 0
    assert called[0][0].train.keep == kept


def test_rounds_go_on_with_the_weights_that_their_record_names(
    tmp_path: Path, called: list[Any]
) -> None:
    """`best` is the default of a training, which a record of all options holds, too."""
    record = tmp_path / "work" / "invdpo.yaml"
    record.parent.mkdir()
    record.write_text(dump_config(load_config(None, {"train": {"keep": "best"}})))
    assert invdpo("improve", record.parent).exit_code == 0
    assert called[0][0].train.keep == "best"


@pytest.mark.usefixtures("called")
def test_improve_as_json(tmp_path: Path) -> None:
    data = json.loads(invdpo("improve", tmp_path / "work", "--json").stdout)
    assert (data["best_round"], data["stopped"]) == (1, None)
    assert [row["round"] for row in data["rounds"]] == [0, 1, 2]
    assert data["rounds"][1]["seconds"] == 210.0
    assert [row["gain"] and row["gain"]["value"] for row in data["rounds"]] == [None, 0.375, 0.125]


def test_why_rounds_stopped_and_a_base_model_that_stays_the_best(tmp_path: Path) -> None:
    plan = improvement(tmp_path).plan
    base, _, last = results()
    judged = base.judgement["figures"]["composition_all_right"]
    judged.update(dict.fromkeys(judged, 1.0))
    changed = {2: ["prompts.num_prompts: 4 → 6"]}
    text = summary(Improvement(plan, (base, last), "2 rounds in a row were no better.", changed))
    assert "\nFrom round 2 on: prompts.num_prompts: 4 → 6\n" in text
    assert "\n\nStopped: 2 rounds in a row were no better.\n\n" in text
    assert text.endswith("Best on the validation prompts: base (the base model itself)")


def test_a_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "estimate", lambda *_, **__: EXPECTED)
    work = tmp_path / "work"
    result = invdpo("improve", work, "--dry-run")
    assert result.stdout == estimate_text(EXPECTED) + "\n"
    assert result.stderr == "Nothing was written.\n"
    data = json.loads(invdpo("improve", work, "--dry-run", "--json").stdout)
    assert data == EXPECTED.to_dict()
    assert not work.exists()


def test_report_makes_the_page_of_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "draw_curve", lambda *_: (png(1), png(2)))
    draw(tmp_path)
    expected = summary(improvement(tmp_path))
    (tmp_path / "invdpo.yaml").write_text(dump_config(CONFIG), encoding="utf-8")
    result = invdpo("report", tmp_path)
    assert result.exit_code == 0, result.output
    page = tmp_path / "report" / "index.html"
    assert result.stdout == f"{expected}\n\npage    {page}\n"
    other = tmp_path / "other"
    data = json.loads(invdpo("report", tmp_path, "--output", other, "--json").stdout)
    assert (data["page"], data["best_round"]) == (str(other / "index.html"), 1)
    assert (other / "rounds.json").exists()
    for option in (["--name", "a"], ["--compare"]):
        refused = invdpo("report", tmp_path, *option)
        assert refused.exit_code == 2
        assert f"{option[0]}: a folder of rounds has no sets" in " ".join(refused.stderr.split())
    assert invdpo("report", tmp_path, "--name", "a", "--compare").exit_code == 2
