"""Options of a pipeline's own: checked, recorded, and part of what makes a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.generate import Generate, remake
from invdpo.curate.generators.call_options import check_options
from invdpo.curate.report.provenance import read_provenance
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.options import flags, overrides
from invdpo.schemas import ConfigError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config
from invdpo.schemas.tables import CANDIDATES
from tests.curate.tiny import tiny_config

NOISY = {"eta": 1.0}
"""New noise at each step of the scheduler."""
OPTIONS = RunOptions(part_size=4, progress=False)


def with_options(model: Path, options: dict[str, Any]) -> Config:
    return tiny_config(model, generate={"pipeline_options": options, "num_inference_steps": 3})


class Pipeline:
    """One argument of each kind."""

    def __call__(
        self,
        prompt: str | list[str] | None = None,
        height: int | None = None,
        true_cfg_scale: float = 1.0,
        max_sequence_length: int = 512,
        use_binning: bool = True,
        style: str | None = None,
        sigmas: list[float] | None = None,
        eta: float = 0.5,
        extra: int = 3,
        untold: Any = None,
        **others: Any,
    ) -> None: ...


for name in ("eta", "untold"):
    del Pipeline.__call__.__annotations__[name]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"true_cfg_scale": 4, "max_sequence_length": 256, "use_binning": False, "style": "4"},
        {"true_cfg_scale": 4.5, "eta": 1.0, "extra": 4, "untold": "x"},
        {"eta": 1, "untold": 0.5},
    ],
)
def test_what_the_call_takes(options: dict[str, Any]) -> None:
    check_options(Pipeline(), options, "guidance_scale")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (
            "true_cfg",
            4,
            "Pipeline does not have this option. Allowed: true_cfg_scale, use_binning.",
        ),
        (
            "zzz",
            4,
            "Pipeline does not have this option. Allowed: true_cfg_scale, max_sequence_length, "
            "use_binning, style, eta, extra, untold.",
        ),
        ("self", 4, "Pipeline does not have this option"),
        ("others", 4, "Pipeline does not have this option"),
        ("true_cfg_scale", "x", "found 'x'; Pipeline expects a number."),
        ("true_cfg_scale", True, "found True; Pipeline expects a number."),
        ("max_sequence_length", 4.5, "found 4.5; Pipeline expects an integer."),
        ("use_binning", 1, "found 1; Pipeline expects true or false."),
        ("style", 1, "found 1; Pipeline expects a text."),
        ("eta", "x", "found 'x'; Pipeline expects a number."),
        ("extra", 0.5, "found 0.5; Pipeline expects an integer."),
        ("sigmas", 1, "needs a value for it that is not a single number or text. Leave it out."),
        ("height", 64, "invdpo sets it. Use --resolution instead."),
        ("negative_prompt", "x", "invdpo sets it. Use --negative-prompt instead."),
        ("negative_prompt_2", "x", "invdpo sets it. Use --negative-prompt instead."),
        ("prompt", "x", "invdpo sets it. Leave it out."),
        ("callback_on_step_end", "x", "invdpo sets it. Leave it out."),
        ("latents", 1, "invdpo sets it. Use --seed instead."),
        ("num_images_per_prompt", 2, "invdpo sets it. Use --num-candidates instead."),
    ],
)
def test_what_is_refused(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_options(Pipeline(), {option: value}, "guidance_scale")
    assert str(error.value).startswith(f"generate.pipeline_options.{option}: ")
    assert said in str(error.value)


def test_what_our_guidance_is_passed_as_is_ours_too() -> None:
    with pytest.raises(ConfigError, match="Use --guidance-scale instead"):
        check_options(Pipeline(), {"true_cfg_scale": 4}, "true_cfg_scale")


def test_flags_are_read_as_json_or_as_texts() -> None:
    given = ["a=4", "b=0.5", "c=true", "d=word", 'e="4"', "f=x=y, z", "g=", "h=01"]
    known = flags(["generate"])
    values = overrides(known, {"pipeline_options": given})
    found = load_config(None, values).generate.pipeline_options
    assert found == {
        "a": 4,
        "b": 0.5,
        "c": True,
        "d": "word",
        "e": "4",
        "f": "x=y, z",
        "g": "",
        "h": "01",
    }
    assert [type(found[key]) for key in "abc"] == [int, float, bool]
    assert overrides(known, {"pipeline_options": ["none"]}) == {
        "generate": {"pipeline_options": {}}
    }


@pytest.mark.parametrize("text", ["a", "a=[1]", "a=null", 'a={"b": 1}', "a=NaN", "a=1e999"])
def test_flags_that_are_no_single_value(text: str) -> None:
    values = overrides(flags(["generate"]), {"pipeline_options": [text]})
    with pytest.raises(ConfigError, match=r"pipeline_options.a: found .*expected NAME=VALUE with"):
        load_config(None, values)


def test_a_file_keeps_the_kinds(tmp_path: Path) -> None:
    options = {"a": True, "b": "4", "c": 4, "d": 4.0, "e": "~/x"}
    config = Config.model_validate({"generate": {"pipeline_options": options}})
    (tmp_path / "c.yaml").write_text(dump_config(config))
    found = load_config(tmp_path / "c.yaml").generate.pipeline_options
    assert found == options
    assert [*map(type, found.values())] == [bool, str, int, float, str]


def test_without_options_all_is_as_it_was(tiny_model: Path) -> None:
    stage = Generate(with_options(tiny_model, {}).generate)
    assert stage.schema == CANDIDATES
    assert "pipeline_options" not in stage.fingerprint()
    used = Generate(with_options(tiny_model, NOISY).generate).fingerprint()
    assert used.pop("pipeline_options") == NOISY
    assert used == stage.fingerprint()


def test_rows_record_them_and_the_step_resumes_with_the_same_alone(
    tiny_model: Path, tmp_path: Path
) -> None:
    ws, config = Workspace(tmp_path / "work"), with_options(tiny_model, NOISY)
    steps.make_prompts(ws, config, OPTIONS)
    assert steps.generate(ws, config, OPTIONS).made == 24
    rows = ws.read_table(ws.candidates_dir).to_pylist()
    assert {row["pipeline_options"] for row in rows} == {'{"eta":1.0}'}
    next(ws.candidates_dir.glob("*1.parquet")).unlink()
    again = steps.generate(ws, config, OPTIONS)
    assert (again.made, again.resumed) == (8, 16)
    assert ws.read_table(ws.candidates_dir).to_pylist() == rows
    pictures = [row for row in read_provenance(ws) if row.step == "images"]
    assert 'options {"eta":1.0}' in pictures[0].detail
    for other in ({}, {"eta": 0.5}, {"guidance_rescale": 0.5}):
        with pytest.raises(WorkspaceError, match=r"generate\.pipeline_options\.eta"):
            steps.generate(ws, with_options(tiny_model, other), OPTIONS)


def test_pictures_and_ids_follow_them(tiny_model: Path) -> None:
    prompts = [{"prompt_id": "p", "prompt": "a red circle", "status": "ok"}]
    config = with_options(tiny_model, NOISY).generate
    plain = list(Generate(with_options(tiny_model, {}).generate)(prompts))
    changed = list(Generate(config)(prompts))
    assert "pipeline_options" not in plain[0]
    assert changed[0]["image"]["bytes"] != plain[0]["image"]["bytes"]
    assert changed[0]["candidate_id"] != plain[0]["candidate_id"]
    assert changed[0]["seed"] == plain[0]["seed"]
    assert remake(changed[1], "a red circle", config) == changed[1]["image"]["bytes"]
