"""The commands' functions, one after another in one workspace."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invdpo.curate import steps
from invdpo.curate.generators.pipeline import ImageGenerator, ImageRequest, Picture
from invdpo.curate.runner import RunOptions, StepResult
from invdpo.curate.shapes import world
from invdpo.curate.shapes.layout import layout
from invdpo.curate.shapes.render import render
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError, DataError, PluginError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from tests.curate.tiny import tiny_config

OPTIONS = RunOptions(part_size=3, progress=False)
DRY = replace(OPTIONS, dry_run=True)
OVERWRITE = replace(OPTIONS, overwrite=True)
LENIENT = {"weights": {"composition": 1.0}, "min_margin": 0.0}
ALL = (steps.make_prompts, steps.generate, steps.annotate, steps.score, steps.pair)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Path:
    return tiny_model


def run(step: Any, ws: Workspace, config: Config, options: RunOptions = OPTIONS) -> StepResult:
    result: Any = step(ws, config, options)
    only: StepResult = result[0] if isinstance(result, list) else result
    return only


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Prompts, candidates, annotations and scores; read only."""
    ws = Workspace(tmp_path_factory.mktemp("steps") / "work")
    for step in ALL[:4]:
        result = run(step, ws, tiny_config(model))
        assert result.made == (12 if step is steps.make_prompts else 24)
        assert not result.notes
    return ws


def test_all_again_is_resumed(made: Workspace, model: Path) -> None:
    for step in ALL[:4]:
        result = run(step, made, tiny_config(model))
        assert (result.made, result.resumed) == (0, 12 if step is steps.make_prompts else 24)


def test_parts_mirror_each_other(made: Workspace) -> None:
    tables = [made.candidates_dir, made.annotations_dir("shapes"), made.scores_dir("composition")]
    ids = [made.read_table(table, ["candidate_id"]).column(0).to_pylist() for table in tables]
    names = [[part.name for part in made.iter_parts(table)] for table in tables]
    assert ids[0] == ids[1] == ids[2]
    assert names[0] == names[1] == names[2] == [f"part-0000{n}.parquet" for n in range(4)]


def test_configuration_is_kept(made: Workspace, model: Path) -> None:
    assert load_config(made.config_path) == tiny_config(model)


def test_part_size_of_the_workspace_is_kept(made: Workspace, model: Path) -> None:
    assert run(steps.generate, made, tiny_config(model), RunOptions(progress=False)).resumed == 24
    with pytest.raises(WorkspaceError, match=r"layout\.part_size: 3 in the workspace, 4 asked for"):
        run(steps.generate, made, tiny_config(model), replace(OPTIONS, part_size=4))


def test_other_configuration_is_refused_and_leaves_no_trace(made: Workspace, model: Path) -> None:
    kept = made.config_path.read_text()
    with pytest.raises(
        WorkspaceError, match=r"generate\.guidance_scale: 4.0 in the workspace, 2.0"
    ):
        run(steps.generate, made, tiny_config(model, generate={"guidance_scale": 2.0}))
    with pytest.raises(WorkspaceError, match=r"prompts\.seed: 0 in the workspace, 1 asked for"):
        run(steps.make_prompts, made, tiny_config(model, prompts={"seed": 1}))
    assert made.config_path.read_text() == kept
    how = tiny_config(model, generate={"batch_size": 2, "device": "cpu"})
    assert run(steps.generate, made, how, DRY).resumed == 24


def test_missing_upstream_names_the_command(tmp_path: Path, model: Path) -> None:
    ws = Workspace(tmp_path / "work")
    with pytest.raises(WorkspaceError, match="First run: invdpo curate prompts"):
        run(steps.generate, ws, tiny_config(model))
    assert not ws.root.exists()
    run(steps.make_prompts, ws, tiny_config(model))
    for step in (steps.annotate, steps.score):
        with pytest.raises(WorkspaceError, match="First run: invdpo curate generate"):
            run(step, ws, tiny_config(model))


def test_dry_run_writes_nothing(tmp_path: Path, model: Path) -> None:
    ws = Workspace(tmp_path / "work")
    assert run(steps.make_prompts, ws, tiny_config(model), DRY).planned == 12
    assert not ws.root.exists()
    run(steps.make_prompts, ws, tiny_config(model))
    assert run(steps.generate, ws, tiny_config(model), DRY).planned == 24
    assert not ws.candidates_dir.exists()


def test_stale_candidates_are_named_and_remade(tmp_path: Path, model: Path) -> None:
    ws, config = Workspace(tmp_path / "work"), tiny_config(model)
    for step in ALL[:4]:
        run(step, ws, config)
    other = tiny_config(model, prompts={"seed": 1, "num_prompts": 6})
    run(steps.make_prompts, ws, other, OVERWRITE)
    with pytest.raises(WorkspaceError, match=r"prompts\.seed: 0.*\n.*generate .*--overwrite"):
        run(steps.annotate, ws, other)
    assert run(steps.generate, ws, other, OVERWRITE).made == 12
    with pytest.raises(WorkspaceError, match=r"annotate .*--overwrite"):
        run(steps.score, ws, other)
    for step in ALL[2:4]:
        assert run(step, ws, other, OVERWRITE).made == 12
    assert len(ws.iter_parts(ws.scores_dir("composition"))) == 2


def test_unfinished_candidates_are_told(tmp_path: Path, model: Path) -> None:
    ws, config = Workspace(tmp_path / "work"), tiny_config(model)
    run(steps.make_prompts, ws, config)
    run(steps.generate, ws, config)
    ws.iter_parts(ws.candidates_dir)[-1].unlink()
    result = run(steps.annotate, ws, config)
    assert result.made == 18
    assert result.notes == ("parts of candidates still to be generated: 1",)


def test_the_only_part_of_candidates_is_repaired(tmp_path: Path, model: Path) -> None:
    ws, config = Workspace(tmp_path / "work"), tiny_config(model)
    options = replace(OPTIONS, part_size=None)
    run(steps.make_prompts, ws, config)
    made = run(steps.generate, ws, config, options).made
    (part,) = ws.iter_parts(ws.candidates_dir)
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(WorkspaceError, match=r"invdpo curate generate .*work --repair"):
        run(steps.annotate, ws, config)
    assert run(steps.generate, ws, config, replace(options, repair=True)).made == made


def test_truncated_candidates_are_remade_the_same(tmp_path: Path, model: Path) -> None:
    ws, config = Workspace(tmp_path / "work"), tiny_config(model)
    run(steps.make_prompts, ws, config)
    run(steps.generate, ws, config)
    whole = ws.read_table(ws.candidates_dir)
    part = ws.iter_parts(ws.candidates_dir)[2]
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(WorkspaceError, match=r"part-00002\.parquet: damaged.*--repair"):
        run(steps.generate, ws, config)
    assert run(steps.generate, ws, config, replace(OPTIONS, repair=True)).made == 6
    assert ws.read_table(ws.candidates_dir).equals(whole)


def draw(_: ImageGenerator, shots: list[ImageRequest]) -> list[Picture]:
    """The scene asked for where the seed is even, an empty one otherwise."""
    pictures = []
    for shot in shots:
        prompt, seed = shot.prompt, shot.seed
        graph, rng = world.parse(prompt), np.random.default_rng(seed)
        assert graph is not None
        scene = layout(graph, rng) if seed % 2 == 0 else ()
        picture = np.float32(1 / 255) * render(scene, rng).astype(np.float32)
        picture[0, 0] = 0  # an image of one colour would be rejected
        pictures.append(picture)
    return pictures


def test_pairs_and_data_set(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageGenerator, "__call__", draw)
    ws, config = Workspace(tmp_path / "work"), tiny_config(model, pair=LENIENT)
    for step in ALL[:4]:
        run(step, ws, config)
    planned = run(steps.pair, ws, config, DRY).planned
    assert not ws.pairs_path.exists()
    result = run(steps.pair, ws, config)
    pairs = ws.read_table(ws.pairs_path).to_pylist()
    assert 0 < result.made == planned == len(pairs)
    assert result.made + result.rejected == 12
    candidates = ws.read_table(ws.candidates_dir, ["candidate_id", "seed"]).to_pylist()
    seed = {row["candidate_id"]: row["seed"] for row in candidates}
    assert all(seed[p["chosen_id"]] % 2 == 0 == 1 - seed[p["rejected_id"]] % 2 for p in pairs)
    assert json.loads(ws.report_path.read_text())["pairs"]["total"] == result.made
    assert (ws.dataset_dir / "README.md").exists()
    assert run(steps.pair, ws, config).resumed == result.made
    changed = tiny_config(model, pair=LENIENT | {"min_margin": 0.5})
    with pytest.raises(WorkspaceError, match=r"pair\.min_margin"):
        run(steps.pair, ws, changed)
    assert run(steps.pair, ws, changed, OVERWRITE).made == result.made


def test_too_few_pairs(made: Workspace, model: Path) -> None:
    config = tiny_config(model, pair=LENIENT | {"target_pairs": 500})
    with pytest.raises(DataError, match=r"(?s)500 pairs were requested.*invdpo report"):
        run(steps.pair, made, config, OVERWRITE)
    assert made.report_path.exists()
    planned = run(steps.pair, made, config, RunOptions(overwrite=True, dry_run=True))
    assert planned.notes[0].startswith("500 pairs were requested")


def test_pairs_need_scores(made: Workspace, model: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"curate score .* composition,clip\n") as error:
        run(steps.pair, made, tiny_config(model, pair={"weights": {"clip": 1.0}}))
    assert str(error.value).endswith("Or choose pairs by others: --weight composition=1")


def test_prompt_file_with_bad_lines(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text(f"a red circle\n{'x' * 100_000}\na red circle\n")
    config = tiny_config(model, prompts={"source": "file", "path": str(path)})
    ws = Workspace(tmp_path / "work")
    for _ in range(2):
        result = run(steps.make_prompts, ws, config)
        assert result.rejections == {"longer than 10,000 characters": 1}
        assert result.notes[0] == "1 duplicate prompt dropped"
        assert result.notes[1] == "2 distinct prompts found, 12 asked for"
    assert result.made == 0
    assert run(steps.make_prompts, ws, config, replace(OPTIONS, retry_rejected=True)).made == 2
    result = run(steps.generate, ws, config)
    assert (result.made, result.rejected) == (4, 2)
    path.write_text("x" * 100_000)
    with pytest.raises(DataError, match="none of 1 prompts can be used"):
        run(steps.make_prompts, Workspace(tmp_path / "other"), config)


def test_what_cannot_be_read_is_told_where_few_objects_are_left_out(
    tmp_path: Path, model: Path
) -> None:
    """It has no graph, and was dropped as if it asked for nothing."""
    path = tmp_path / "p.jsonl"
    path.write_text('"a red circle to the left of a blue square"\n{broken\n"a green star"\n')
    source = {"source": "file", "path": str(path), "min_objects": 2}
    result = run(
        steps.make_prompts, Workspace(tmp_path / "work"), tiny_config(model, prompts=source)
    )
    assert result.rejections == {"not JSON": 1}
    few = "2 distinct prompts found, 12 asked for; 1 left out with fewer objects than --min-objects"
    assert f"{few} asks for" in result.notes


def test_unknown_names_stop_before_any_work(made: Workspace, model: Path) -> None:
    with pytest.raises(PluginError, match="Unknown annotator 'x'"):
        run(steps.annotate, made, tiny_config(model, annotate={"annotators": ("shapes", "x")}))
    with pytest.raises(PluginError, match="Unknown scorer 'x'"):
        run(steps.score, made, tiny_config(model, score={"scorers": ("composition", "x")}))
    with pytest.raises(PluginError, match="Unknown prompt source 'x'"):
        run(steps.make_prompts, made, tiny_config(model, prompts={"source": "x"}))
    with pytest.raises(ConfigError, match=r"prompts\.path"):
        run(steps.make_prompts, made, tiny_config(model, prompts={"path": "x"}))


def test_steps_import_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, invdpo.curate.steps; print([m for m in sys.modules if m in {HEAVY}])"
    code = code.replace("{HEAVY}", repr({"torch", "diffusers", "transformers", "open_clip"}))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
