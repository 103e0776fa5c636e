"""Evaluation of two tiny random models through the real steps, and the picture of it."""

from pathlib import Path

from PIL import Image

from invdpo.curate.evaluation.compare import ALL_RIGHT, EvaluatedModel, evaluate_models
from invdpo.curate.evaluation.grid import write_grid
from invdpo.curate.runner import RunOptions
from tests.curate.tiny import tiny_config

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
