"""Evaluation of two tiny random models through the real steps, and the image of it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from invdpo.curate import steps
from invdpo.curate.evaluation.compare import compare_models, evaluate_models, lock_evaluation
from invdpo.curate.evaluation.grid import write_grid
from invdpo.curate.evaluation.models import EvaluatedModel
from invdpo.curate.evaluation.preparation import TrainingPrompts
from invdpo.curate.evaluation.results import ALL_RIGHT
from invdpo.curate.runner import RunOptions, StepResult
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError, PluginError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.ids import prompt_key
from tests.curate.tiny import tiny_config
from tests.locks import held_elsewhere

OPTIONS = RunOptions(progress=False)


def test_a_model_against_itself_differs_in_nothing(tiny_model: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_model, eval={"num_prompts": 4, "seed": 3})
    model = EvaluatedModel(str(tiny_model))
    evaluation = evaluate_models(tmp_path / "eval", config, model, model, OPTIONS)
    assert len(evaluation.results) == 4
    accuracy = evaluation.comparisons[ALL_RIGHT]
    assert accuracy.difference == (0, 0, 0)
    assert accuracy.base.value == 0.0
    first = evaluation.results[0]
    assert first.base.image == first.tuned.image
    assert first.base.seed == first.tuned.seed
    assert first.base.wrong
    assert [row["figure"] for row in evaluation.rows()][:2] == [
        "composition_all_right",
        "composition",
    ]
    assert len({result.prompt for result in evaluation.results}) == 4
    again = evaluate_models(tmp_path / "eval", config, model, model, OPTIONS)
    assert again == evaluation
    write_grid(tmp_path / "grid.png", evaluation.results)
    with Image.open(tmp_path / "grid.png") as image:
        assert image.width > 1000


def test_the_pipeline_is_given_its_options_for_both_models(
    tiny_model: Path, tmp_path: Path
) -> None:
    """The models are the same, and draw as a plain evaluation does not."""
    model, pictures = EvaluatedModel(str(tiny_model)), []
    for name, options in (("plain", {}), ("noisy", {"eta": 1.0})):
        generate = {"pipeline_options": options, "num_inference_steps": 3}
        config = tiny_config(tiny_model, eval={"num_prompts": 2}, generate=generate)
        results = evaluate_models(tmp_path / name, config, model, model, OPTIONS).results
        assert [one.base.image for one in results] == [one.tuned.image for one in results]
        pictures.append(results[0].base.image)
    assert pictures[0] != pictures[1]


NATURAL = ("a red circle", "the sound of silence", "a blue square", "love, actually")
"""Two of four that the rules read."""


def file_of_prompts(folder: Path, *prompts: str) -> dict[str, str]:
    path = folder / "p.txt"
    path.write_text("\n".join(prompts))
    return {"source": "file", "path": str(path)}


def test_what_can_not_be_judged_is_not_wrong(tiny_model: Path, tmp_path: Path) -> None:
    """Each figure is over the prompts that it is known for; the rest is told with the reason."""
    config = tiny_config(
        tiny_model,
        prompts=file_of_prompts(tmp_path, *NATURAL),
        score={"scorers": ["composition", "clip"], "clip_model": "embedded"},
    )
    model = EvaluatedModel(str(tiny_model))
    evaluation = evaluate_models(tmp_path / "eval", config, model, model, OPTIONS)
    counts = {row["figure"]: row["prompts"] for row in evaluation.rows()}
    assert (counts[ALL_RIGHT], counts["composition"], counts["clip"]) == (2, 2, 4)
    assert evaluation.notes == (
        "prompts: 4 distinct prompts found, 128 asked for.",
        "prompts: 2 of 4 prompts have a scene graph; `composition` has no score for the others.",
        "composition scored 2 of 4 prompts in both images: 2 x no intended scene graph.",
    )
    assert [result.base.judged for result in evaluation.results] == [True, False, True, False]
    write_grid(tmp_path / "grid.png", evaluation.results)


def test_a_leak_is_told_with_the_number(tiny_model: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_model, prompts=file_of_prompts(tmp_path, "A Red  circle", "a star"))
    model = EvaluatedModel(str(tiny_model))
    seen = TrainingPrompts("work/dataset", {"train": {prompt_key("a red circle")}})
    found = evaluate_models(tmp_path / "eval", config, model, model, OPTIONS, seen)
    few, leak = found.notes
    assert few == "prompts: 2 distinct prompts found, 128 asked for."
    assert leak.startswith("Leak: 1 of 2 prompts are from the dataset that the model was tuned on")


def test_notes_on_one_model_alone_have_its_name(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = steps.score

    def score(ws: Workspace, config: Config, options: RunOptions) -> list[StepResult]:
        *others, last = real(ws, config, options)
        own = "2 answers from the cache" if ws.root.name == "base" else "2 questions"
        return [*others, replace(last, notes=("2 prompts were cut", own))]

    monkeypatch.setattr(steps, "score", score)
    config = tiny_config(
        tiny_model, eval={"num_prompts": 2}, score={"scorers": ["clip"], "clip_model": "embedded"}
    )
    other = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    base, tuned = (EvaluatedModel(str(model)) for model in (tiny_model, other))
    assert evaluate_models(tmp_path / "eval", config, base, tuned, OPTIONS).notes == (
        "score clip: 2 prompts were cut.",
        f"{other}: score clip: 2 questions.",
        f"{tiny_model}: score clip: 2 answers from the cache.",
    )


def test_what_is_missing_is_told_before_anything_is_drawn(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = tiny_config(tiny_model, score={"scorers": ["nsfw"]})
    model = EvaluatedModel(str(tiny_model))
    with pytest.raises(PluginError, match="quality"):
        evaluate_models(tmp_path / "eval", config, model, model, OPTIONS)
    assert not [*tmp_path.glob("eval/*/candidates")]


def test_default_judges_are_refused_for_another_model(tiny_model: Path, tmp_path: Path) -> None:
    config = Config.model_validate({"generate": {"model": str(tiny_model)}})
    base, tuned = EvaluatedModel(str(tiny_model)), EvaluatedModel(str(tiny_model), lora="my lora")
    with pytest.raises(
        ConfigError, match=r"invdpo eval 'my lora' --source scenes --scorers composition,clip"
    ):
        evaluate_models(tmp_path / "eval", config, base, tuned, OPTIONS)
    assert not [*tmp_path.iterdir()]


def test_a_second_evaluation_is_refused(tmp_path: Path) -> None:
    lock = lock_evaluation(tmp_path)
    refused = pytest.raises(WorkspaceError, match=f"process {os.getpid()} is evaluating there")
    with held_elsewhere(lock), refused:
        evaluate_models(tmp_path, Config(), EvaluatedModel("a"), EvaluatedModel("b"), OPTIONS)
    assert os.listdir(tmp_path) == []


def test_one_more_model_leaves_what_was_drawn(tiny_model: Path, tmp_path: Path) -> None:
    """Both models against one base, each with two images of two seeds a prompt."""
    folder, other = tmp_path / "eval", Path(shutil.copytree(tiny_model, tmp_path / "other"))
    sampling = {"num_prompts": 2, "seed": 3, "seeds": [3, 9], "num_images": 2}
    config = tiny_config(tiny_model, eval=sampling)
    base, first, second = (EvaluatedModel(str(m)) for m in (tiny_model, tiny_model, other))
    (alone,) = compare_models(folder, config, base, [first], OPTIONS)
    drawn = {path: path.stat().st_mtime_ns for path in folder.rglob("part-*.parquet")}
    both = compare_models(folder, config, base, [second, first], OPTIONS)
    assert both[1] == alone
    assert [one.workspace for one in both] == ["tuned-2", "tuned"]
    assert [one.tuned for one in both] == [str(other), str(tiny_model)]
    assert {path: path.stat().st_mtime_ns for path in drawn} == drawn
    workspaces = {f"{seed}{name}" for seed in ("", "seed-9/") for name in ("base", "tuned")}
    made = {str(path.parents[1].relative_to(folder)) for path in folder.rglob("candidates/part-*")}
    assert made == workspaces | {"tuned-2", "seed-9/tuned-2"}
    seeds = [result.base.seed for result in alone.results]
    assert len(set(seeds)) == len(seeds) == 8
    assert [result.number for result in alone.results] == [0, 1, 2, 3] * 2
    images = {result.tuned.image for result in alone.results}
    assert len(images) == 8
