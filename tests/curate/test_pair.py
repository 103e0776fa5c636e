"""The pair step on a workspace that was made by hand: reviews, tables that disagree, versions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.pair import pair_workspace
from invdpo.curate.runner import RunOptions, StepResult
from invdpo.curate.storage.parts import VERSION, write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from invdpo.schemas.tables import ANNOTATIONS, CANDIDATES, PROMPTS, REVIEWS, SCORES
from tests.curate.dataset_files import png

COUNT, EACH = 6, 3
PAIR: dict[str, Any] = {"pair": {"validation_fraction": 0.5}}
UP: dict[str, Any] = {"prompts": {"source": "hand"}}
MADE = UP | {"generate": {}, "layout": {"part_size": COUNT}}
PART = "part-00000.parquet"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """Six prompts of three candidates each, the third of which both scorers like best."""
    made = Workspace(tmp_path / "work")
    rows = [
        {"prompt_id": f"p{n}", "prompt": f"prompt {n}", "split_group": f"g{n}", "status": "ok"}
        for n in range(COUNT)
    ]
    write_part(made.prompts_path, pa.Table.from_pylist(rows, PROMPTS), UP)
    found: list[dict[str, Any]] = [
        {
            "candidate_id": f"c{n}{k}",
            "prompt_id": f"p{n}",
            "seed": k,
            "model": "m",
            "status": "ok",
            "image": {"bytes": png(n * EACH + k), "path": None},
        }
        for n in range(COUNT)
        for k in range(EACH)
    ]
    write_part(made.candidates_dir / PART, pa.Table.from_pylist(found, CANDIDATES), MADE)
    for name in ("composition", "clip"):
        write_scores(made, name, {row["candidate_id"]: float(row["seed"]) for row in found})
    return made


def write_scores(ws: Workspace, name: str, values: Mapping[str, float], **more: Any) -> None:
    rows = [
        {"candidate_id": key, "score": value, "components": [], "scorer": name, "status": "ok"}
        for key, value in values.items()
    ]
    made = MADE | {"score": {"scorer": name, "revision": "1"}} | more
    write_part(ws.scores_dir(name) / PART, pa.Table.from_pylist(rows, SCORES), made)


def annotate(ws: Workspace, revision: str) -> dict[str, Any]:
    """Graphs for all candidates; what the tables made from them say of it."""
    rows = [{"candidate_id": key, "graph": "{}"} for key in candidate_ids()]
    own = {"annotate": {"annotator": "shapes", "revision": revision}}
    table = pa.Table.from_pylist(rows, ANNOTATIONS)
    write_part(ws.annotations_dir("shapes") / PART, table, MADE | own)
    return own


def candidate_ids() -> list[str]:
    return [f"c{n}{k}" for n in range(COUNT) for k in range(EACH)]


def write_reviews(ws: Workspace, **decisions: str) -> None:
    rows = [{"pair_id": key, "decision": value} for key, value in decisions.items()]
    pq.write_table(pa.Table.from_pylist(rows, REVIEWS), ws.reviews_path)


def pair(
    ws: Workspace,
    *,
    overwrite: bool = False,
    repair: bool = False,
    retry_rejected: bool = False,
    **options: Any,
) -> StepResult:
    config = Config.model_validate({"pair": PAIR["pair"] | options})
    how = RunOptions(
        overwrite=overwrite, repair=repair, retry_rejected=retry_rejected, progress=False
    )
    return pair_workspace(ws, config, how)


def ends(ws: Workspace) -> dict[str, tuple[str, str]]:
    rows = ws.read_table(ws.pairs_path).to_pylist()
    return {row["pair_id"]: (row["chosen_id"], row["rejected_id"]) for row in rows}


def test_reviews_are_applied_and_decide_the_pairs(ws: Workspace) -> None:
    assert pair(ws).made == COUNT
    first = ends(ws)
    drop, flip, keep, *_ = first
    with pytest.raises(
        DataError, match=r"reviews\.parquet: no such file, so there are no decisions"
    ):
        pair(ws, reviews=True, overwrite=True)
    write_reviews(ws, **{drop: "drop", flip: "flip", keep: "keep"})
    with pytest.raises(WorkspaceError, match=r"reviews\.content: nothing in the workspace"):
        pair(ws, reviews=True)
    assert pair(ws, reviews=True, overwrite=True).made == COUNT - 1
    after = ends(ws)
    assert drop not in after
    assert flip not in after
    assert first[flip][::-1] in after.values()
    sides = pq.read_table(ws.dataset_dir / "data", columns=["pair_id", "chosen"]).to_pylist()
    assert {row["pair_id"] for row in sides} == set(after)
    assert pair(ws, reviews=True).resumed == COUNT - 1
    report = json.loads(ws.report_path.read_text())
    assert report["reviews"]["agreement"]["scorers"] == {"composition": 0.5, "clip": 0.5}
    write_reviews(ws, **{drop: "drop"})
    with pytest.raises(WorkspaceError, match=r"reviews\.content: .* asked for"):
        pair(ws, reviews=True)


def test_malformed_reviews_are_refused_before_anything_is_written(ws: Workspace) -> None:
    write_reviews(ws, x="perhaps")
    with pytest.raises(DataError, match="row 1: decision: found 'perhaps'; allowed: keep, flip"):
        pair(ws, reviews=True)
    assert not ws.report_path.exists()


def test_scores_that_do_not_fit_the_candidates_are_refused(ws: Workspace) -> None:
    write_scores(ws, "clip", {f"c{n}{k}": 1.0 for n in range(1, COUNT) for k in range(EACH)})
    with pytest.raises(DataError, match=r"scores of clip lack 3 candidates \(c00, c01, c02\)"):
        pair(ws)
    write_scores(ws, "clip", {f"c{n}{k}": 1.0 for n in range(COUNT + 1) for k in range(EACH)})
    with pytest.raises(DataError, match="scores of clip have 3 rows of no candidate"):
        pair(ws)
    wrong = ws.read_table(ws.scores_dir("clip")).append_column("stars", [[5] * (COUNT + 1) * EACH])
    made = MADE | {"score": {"scorer": "clip"}}
    write_part(ws.scores_dir("clip") / PART, wrong, made)
    with pytest.raises(DataError, match="scores of clip: columns unknown: stars"):
        pair(ws)


@pytest.mark.parametrize(
    ("path", "column", "remade"),
    [
        (f"candidates/{PART}", "seed", "generate"),
        (f"candidates/{PART}", "image", "generate"),
        ("prompts.parquet", "split_group", "prompts"),
        ("prompts.parquet", "graph", "prompts"),
        (f"scores/clip/{PART}", "components", "score"),
    ],
)
def test_a_table_without_one_of_its_columns_is_named(
    ws: Workspace, path: str, column: str, remade: str
) -> None:
    table = pq.read_table(ws.root / path)
    names = ["renamed" if name == column else name for name in table.column_names]
    metadata = table.schema.metadata
    renamed = table.rename_columns(names).replace_schema_metadata(metadata)
    pq.write_table(renamed, ws.root / path)
    with pytest.raises(WorkspaceError) as error:
        pair(ws)
    assert f"{path}: damaged, or not a table of invdpo (no column {column})" in str(error.value)
    assert f"Remake it: invdpo curate {remade} {ws.root} --repair" in str(error.value)
    assert not ws.pairs_path.exists()


def test_another_licence_changes_the_card_alone(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless a person set one on the card, which is told."""
    card = ws.dataset_dir / "README.md"
    for licence, made in (("cc-by-4.0", COUNT), ("mit", 0), ("mit", 0), (None, 0), ("mit", 0)):
        shards = {path: path.stat().st_ino for path in (ws.dataset_dir / "data").glob("*")}
        config = Config.model_validate(PAIR | {"dataset": {"license": licence}})
        assert pair_workspace(ws, config, RunOptions(progress=False)).made == made
        assert f"\nlicense: {licence or 'other'}\n" in card.read_text()
        assert load_config(ws.config_path).dataset.license == licence
        assert made or shards == {path: path.stat().st_ino for path in shards}
    assert not caplog.records
    card.write_text(card.read_text().replace("\nlicense: mit\n", "\nlicense: cc0-1.0\n"))
    config = Config.model_validate(PAIR | {"dataset": {"license": "openrail"}})
    pair_workspace(ws, config, RunOptions(progress=False))
    assert "README.md: keeps the licence 'cc0-1.0', set there by hand" in caplog.text


@pytest.mark.parametrize("licence", ["mit\nother: 1", "mit\x1b[2J", "mit\u202e", "\ud83d"])
def test_a_licence_is_one_line(licence: str) -> None:
    with pytest.raises(ValueError, match="expected one line of printable text"):
        Config.model_validate({"dataset": {"license": licence}})


@pytest.mark.parametrize("version", ["99.0", "0.1.0.1", "1"])
def test_a_workspace_of_a_newer_version_is_refused(ws: Workspace, version: str) -> None:
    path = ws.candidates_dir / PART
    table = pq.read_table(path)
    newer = {**table.schema.metadata, VERSION: version.encode()}
    pq.write_table(table.replace_schema_metadata(newer), path)
    with pytest.raises(WorkspaceError) as caught:
        pair(ws)
    assert f"made by invdpo {version}, which is newer than this one" in str(caught.value)
    assert "Update: pip install" in str(caught.value)


@pytest.mark.parametrize("version", ["0.0.9", "0.1.0", "0.1.0.dev3", "unknown", ""])
def test_other_versions_are_read(ws: Workspace, version: str) -> None:
    path = ws.candidates_dir / PART
    table = pq.read_table(path)
    other = {**table.schema.metadata, VERSION: version.encode()}
    pq.write_table(table.replace_schema_metadata(other), path)
    assert pair(ws).made == COUNT


def test_a_validation_split_unlike_the_one_asked_for_is_told(ws: Workspace) -> None:
    item = '{"item_id":%d,"label":"%s"}'
    graph = f'{{"items":[{item % (0, "cat")},{item % (1, "dog")}],' + (
        '"relations":[{"item1":0,"relation":"on","item2":1}]}'
    )
    rows = ws.read_table(ws.prompts_path).to_pylist()
    same = pa.Table.from_pylist([row | {"graph": graph} for row in rows], PROMPTS)
    write_part(ws.prompts_path, same, UP)
    notes = pair(ws).notes
    told = "0.0% of the prompts are held out, 50.0% asked for; 100% of them are connected"
    assert any(told in note for note in notes)
    assert len(pair(ws, overwrite=True, split_by="prompt").notes) == 1


def test_too_large_a_target_leaves_a_report_that_says_what_costs_most(ws: Workspace) -> None:
    with pytest.raises(DataError, match=r"7 pairs were requested, 0 were found"):
        pair(ws, target_pairs=7, min_margin=9)
    report = json.loads(ws.report_path.read_text())
    assert report["costs"] == {"min_margin": COUNT}
    assert not ws.pairs_path.exists()


def test_scores_of_graphs_that_were_made_again_are_refused(ws: Workspace) -> None:
    values = {key: float(key[-1]) for key in candidate_ids()}
    write_scores(ws, "composition", values, **annotate(ws, "1"))
    assert pair(ws).made == COUNT
    assert pair(ws).resumed == COUNT
    annotate(ws, "2")
    with pytest.raises(WorkspaceError) as error:
        pair(ws, overwrite=True)
    assert "composition: made from an earlier version of a table" in str(error.value)
    assert f"Remake it: invdpo curate score {ws.root} --overwrite" in str(error.value)
    ws.annotations_dir("shapes").rename(ws.root / "elsewhere")  # as in a set that was pulled
    assert pair(ws).resumed == COUNT


def test_pairs_hold_graphs_that_no_scorer_read(ws: Workspace) -> None:
    annotate(ws, "1")
    assert pair(ws).made == COUNT
    assert pair(ws).resumed == COUNT
    annotate(ws, "2")
    with pytest.raises(
        WorkspaceError, match=r'annotate\.revision: "1" in the workspace, "2" asked'
    ):
        pair(ws)


def test_a_damaged_dataset_is_written_again(ws: Workspace) -> None:
    """Unasked where its files can't be opened or lack rows; else when it is asked for."""
    assert pair(ws).made == COUNT
    shard = next((ws.dataset_dir / "data").glob("train-*"))
    whole = shard.read_bytes()
    for damage in (whole[:-99], None):
        shard.write_bytes(damage) if damage else shard.unlink()
        assert pair(ws).made == COUNT
        assert shard.read_bytes() == whole
    for how in ("overwrite", "repair", "retry_rejected"):
        shard.write_bytes(whole[:50] + b"damage" + whole[56:])
        assert pair(ws).resumed == COUNT
        assert pair(ws, **{how: True}).made == COUNT
        assert shard.read_bytes() == whole


def test_what_is_no_table_of_scores_is_passed_over(ws: Workspace) -> None:
    ws.scores_dir("clip").with_name(".DS_Store").write_bytes(b"x")
    ws.scores_dir("clip").with_name(".cache").mkdir()
    assert pair(ws).made == COUNT
