"""Plug-ins of other packages: found, checked, named, given options; ways to get it wrong."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.candidate import Candidate
from invdpo.curate.diagnostics.estimate import estimate
from invdpo.curate.prompts import PROMPT_SOURCES
from invdpo.curate.runner import RunOptions
from invdpo.curate.score import Score
from invdpo.curate.scorers import SCORERS
from invdpo.schemas import ConfigError, PluginError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config, named_fields, resolve_config
from invdpo.schemas.config.make_plugin import make_plugin
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.config.trust import confirm, portable
from invdpo.schemas.entry_points import group_points
from tests.workspaces import build, png, prompt

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"

MODULE = """
import os
from invdpo.curate.annotators import Annotator
from invdpo.curate.scorers import Judged, Scorer
from invdpo.schemas.config.section import RUNTIME, Section
from pydantic import Field

class Length(Scorer):
    needs = ("prompt",)
    revision = "1"
    higher_is_better = False

    class Options(Section):
        scale: float = Field(1.0, gt=0)
        words: tuple[str, ...] = ()
        patience: float = Field(1.0, json_schema_extra=RUNTIME)

    def __init__(self, config, options):
        self.options = options

    def __call__(self, candidates):
        process = {"process": os.getpid()}
        return [Judged(len(c.prompt) * self.options.scale, process) for c in candidates]

class Draw(Length):
    def __call__(self, candidates):
        return [Judged(int(c.candidate_id[:4], 16)) for c in candidates]

class Idle(Annotator):
    needs = ()
    revision = "1"
    def __init__(self, config): ...

def function(): ...
"""
PATH = "lengths_of_tests:Length"
POINTS = f"length = {PATH}\nbroken = lengths_of_tests.gone:Length"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package as pip installs it, on the path."""
    (tmp_path / "lengths_of_tests.py").write_text(MODULE, encoding="utf-8")
    install(tmp_path, "lengths-of-tests", POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    group_points.cache_clear()
    sys.modules.pop("lengths_of_tests", None)


def install(folder: Path, name: str, points: str) -> None:
    about = folder / f"{name}-2.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
    (about / "entry_points.txt").write_text(f"[invdpo.scorers]\n{points}\n")
    group_points.cache_clear()


def scoring(*names: str, **plugins: Any) -> ScoreConfig:
    return resolve_config([], {"score": {"scorers": names, "plugins": plugins}}).score


def rows(stage: Score) -> list[Any]:
    return [row["score"] for row in stage([Candidate({"candidate_id": "a", "prompt": "four"})])]


def test_an_entry_point_is_used_by_its_name(package: Path) -> None:
    stage = Score("length", scoring("length", length={"scale": 2, "patience": 9}))
    assert rows(stage) == [8.0]
    assert stage.made_by == {
        "revision": "1",
        "plugin": PATH,
        "distribution": "lengths-of-tests 2.5",
        "options": {"scale": 2.0, "words": []},
        "lower_is_better": True,
    }


def test_a_path_has_the_name_of_its_class_or_one_that_is_given(package: Path) -> None:
    config = scoring(PATH, f"long={PATH}", long={"scale": 3})
    assert config.scorers == ("Length", "long")
    assert [rows(Score(name, config)) for name in config.scorers] == [[4.0], [12.0]]
    assert config == load_config(None, {"score": config.model_dump()}).score
    flat = resolve_config([], {"score": {"scorers": [PATH], "plugins": {"Length.scale": 5}}})
    assert rows(Score("Length", flat.score)) == [20.0]


def test_several_remote_scorers_stand_side_by_side() -> None:
    servers = {
        name: {
            "use": "remote",
            "remote_url": f"http://127.0.0.1:{port}",
            "remote_needs": ["prompt"],
        }
        for name, port in (("one", 1), ("two", 2))
    }
    config = scoring("one", "two", **servers)
    made: list[Any] = [make_plugin(SCORERS, name, config) for name in config.scorers]
    assert [(scorer.name, scorer._url) for scorer in made] == [
        ("one", "http://127.0.0.1:1"),
        ("two", "http://127.0.0.1:2"),
    ]
    assert made[0].origin == {"plugin": "remote"}


@pytest.mark.parametrize(
    ("name", "plugins", "text"),
    [
        ("length", {"length": {"sale": 2}}, r"'length': one error.*\n  sale: unknown key; allowed"),
        ("length", {"length": {"scale": 0}}, r"scale: found 0; input should be greater than 0"),
        ("one", {"one": {"use": "remote", "url": "x"}}, r"url: unknown key; allowed: scorers"),
    ],
)
def test_wrong_options_are_told(package: Path, name: str, plugins: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Score(name, scoring(name, **plugins))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lenght", r"Unknown scorer 'lenght'. Known: aesthetic, .*, imagereward, length, nsfw"),
        ("broken", r"'broken', lengths_of_tests.gone:Length of lengths-of-tests 2.5: can't be imp"),
        ("no_such:Thing", r"can't be imported \(ModuleNotFoundError: No module named 'no_such'\)"),
        ("lengths_of_tests:function", "2.5: found a function, expected a class derived from"),
        ("lengths_of_tests:Idle", "lacks __call__; expected a class derived from .*Scorer"),
        ("a b:C", "expected PACKAGE.MODULE:CLASS, or the name of one"),
        (f"clip={PATH}", "'clip': this is the name of a built-in scorer"),
    ],
)
def test_what_is_no_scorer_is_refused(package: Path, name: str, text: str) -> None:
    config = scoring(name)
    with pytest.raises(PluginError, match=text):
        Score(config.scorers[0], config)


def test_a_name_belongs_to_one_package(package: Path) -> None:
    install(package, "more-lengths", f"length = {PATH}\nclip = {PATH}")
    with pytest.raises(PluginError, match=r"lengths-of-tests 2.5 and more-lengths 2.5 both reg"):
        SCORERS["length"]
    with pytest.raises(PluginError, match=r"more-lengths 2.5 registers scorer 'clip', which is"):
        SCORERS["clip"]


def test_other_kinds_go_the_same_way(package: Path) -> None:
    given: dict[str, dict[str, Any]] = {
        "annotate": {"annotators": ["lengths_of_tests:Idle"]},
        "prompts": {"source": "lengths_of_tests:Length"},
    }
    config = resolve_config([], given)
    assert config.annotate.plugins == {"Idle": {"use": "lengths_of_tests:Idle"}}
    with pytest.raises(PluginError, match=r"annotator .* lacks __call__"):
        make_plugin(ANNOTATORS, "Idle", config.annotate)
    with pytest.raises(PluginError, match=r"prompt source .* lacks fingerprint"):
        make_plugin(PROMPT_SOURCES, config.prompts.source, config.prompts)


def test_a_table_is_scored_and_paired_by_its_direction(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairing goes by the table: the plug-in need not be there any more."""
    ws, options = build(tmp_path / "work", prompts=4), RunOptions(overwrite=True, progress=False)
    pair = {"weights": {"draw": 1.0}, "min_margin": 0.0}
    given: dict[str, dict[str, Any]] = {
        "score": {"scorers": ["draw=lengths_of_tests:Draw"]},
        "pair": pair,
    }
    config = resolve_config([], given)
    assert steps.score(ws, config, options)[0].made == 12
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part != str(package)])
    sys.modules.pop("lengths_of_tests")
    group_points.cache_clear()
    assert steps.pair(ws, config, options).made > 0
    assert max(ws.read_table(ws.pairs_path)["delta_draw"].to_pylist()) < 0


def test_processes_of_several_devices_have_the_plug_ins_with_their_options(
    package: Path, tmp_path: Path
) -> None:
    ws, options = build(tmp_path / "work", prompts=4), RunOptions(progress=False)
    section = {
        "scorers": ["length", f"long={PATH}"],
        "plugins": {"length": {"scale": 2}, "long": {"scale": 3}},
        "device": "cpu,cpu",
    }
    config = resolve_config([], {"score": section})
    planned = steps.score(ws, config, RunOptions(dry_run=True))
    foreseen = estimate(ws, config, ["score"], planned).steps
    assert [(step.step, step.images, step.note) for step in foreseen] == [
        ("score length", 12, ""),
        ("score long", 12, ""),
    ]
    assert [result.made for result in steps.score(ws, config, options)] == [12, 12]
    short, long = (ws.read_table(ws.scores_dir(name)) for name in ("length", "long"))
    lengths = [len(prompt(n)["prompt"]) for n in range(4) for _ in range(3)]
    assert short["score"].to_pylist() == [2.0 * length for length in lengths]
    assert long["score"].to_pylist() == [3.0 * length for length in lengths]
    processes = {dict(row)["process"] for row in short["components"].to_pylist()}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_the_scorer_of_the_page_is_one(package: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    project, module = (text.split(f"```{kind}\n")[1].split("```")[0] for kind in ("toml", "python"))
    (package / "sharpness.py").write_text(module, encoding="utf-8")
    points = tomllib.loads(project)["project"]["entry-points"]["invdpo.scorers"]
    install(package, "sharpness", "\n".join(f"{name} = {path}" for name, path in points.items()))
    assert list(points) == ["sharpness"]
    config = scoring("sharpness", sharpness={"radius": 3})
    picture = {"candidate_id": "a", "image": {"bytes": png(1), "path": None}}
    (row,) = Score("sharpness", config)([Candidate(picture)])
    assert (row["status"], row["error"]) == ("ok", None)
    assert 0 < row["score"] < 1
    sys.modules.pop("sharpness")


def test_what_a_file_says_of_plug_ins_needs_a_word_for_each_option(tmp_path: Path) -> None:
    file = tmp_path / "invdpo.yaml"
    theirs = scoring("judge", judge={"use": "remote", "remote_url": "http://127.0.0.1:9"})
    file.write_text(dump_config(Config(score=theirs)), encoding="utf-8")
    mine = {"score": {"scorers": ["judge"], "plugins": {"judge": {"remote_timeout": 5}}}}
    config = resolve_config([file], mine)
    used = {("score", "scorers"), ("score", "plugins")}
    with pytest.raises(ConfigError) as error:
        confirm(config, file, used, named_fields([], mine))
    assert str(error.value).splitlines()[1:3] == [
        "  score.plugins.judge.use: 'remote'",
        "  score.plugins.judge.remote_url: 'http://127.0.0.1:9'",
    ]
    confirm(config, file, used, named_fields([file], mine))
    assert portable(config)[0].score.plugins == {}
    assert "plugins" not in config.score.fingerprint()
