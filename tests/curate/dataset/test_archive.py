"""A workspace packed, and unpacked beside its dataset: the same tables, the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from invdpo.curate.dataset.archive import PackedImages, pack_workspace, unpack_workspace
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.config import Config, ScoreConfig, TrainConfig
from invdpo.schemas.config.load import dump_config, load_config
from invdpo.schemas.tables import REVIEWS
from tests.curate.dataset_files import pairs, table, workspace, write

NOTE = "seen at home"


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    """90 candidates, 60 of which are in pairs; a report, a configuration and a review."""
    ws = workspace(tmp_path / "work")
    write_part(ws.pairs_path, pairs(), {"pair": {}})
    write(ws)
    ws.save_config(Config())
    ws.report_path.write_text('{"kept": 30}', encoding="utf-8")
    review = {"pair_id": "pair0", "decision": "keep", "note": NOTE}
    write_part(ws.reviews_path, table([review], REVIEWS), {})
    return ws


def redact(value: Any) -> Any:
    return value.replace("home", "…") if isinstance(value, str) else value


def tables(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Every part of a workspace, by its path."""
    paths = sorted(p for p in root.rglob("*.parquet") if "dataset" not in p.parts)
    return {path.relative_to(root).as_posix(): pq.read_table(path).to_pylist() for path in paths}


@pytest.mark.parametrize(("images", "packed"), [("none", 0), ("others", 30), ("all", 90)])
def test_what_is_packed_comes_back(
    work: Workspace, tmp_path: Path, images: PackedImages, packed: int
) -> None:
    """Without the images of no pair, those 30 candidates come back without one."""
    archive, back = tmp_path / "archive", tmp_path / "back"
    archive.mkdir()
    files = pack_workspace(work, archive, images, redact)
    assert sorted(files) == sorted(path for path in archive.rglob("*") if path.is_file())
    rows = pq.read_table(archive / "candidates-00000-of-00001.parquet")
    assert len(rows) - rows["image"].null_count == packed
    unpack_workspace(archive, DatasetFolder(work.dataset_dir), back)

    expected = tables(work.root)
    expected["reviews.parquet"][0]["note"] = redact(NOTE)
    if images == "none":
        for path in (name for name in expected if name.startswith("candidates/")):
            for row in expected[path]:
                if int(row["candidate_id"][1:]) % 3 == 1:
                    row["image"] = None
    assert tables(back) == expected
    assert (back / "pairs.report.json").read_text() == '{\n "kept": 30\n}'
    assert (back / "invdpo.yaml").is_file()


def test_a_data_set_of_others_restores_nothing(work: Workspace, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    pack_workspace(work, archive, "none", redact)
    shard = DatasetFolder(work.dataset_dir).shards()[0]
    pq.write_table(pq.read_table(shard).drop_columns(["pair_id"]), shard)
    with pytest.raises(DataError, match="not a dataset of invdpo: column pair_id missing"):
        unpack_workspace(archive, DatasetFolder(work.dataset_dir), tmp_path / "back")


def test_what_an_archive_says_of_machines_is_left_out(work: Workspace, tmp_path: Path) -> None:
    """Else a plain `curate score` of what was pulled sends keys and images to its author."""
    archive, back = tmp_path / "archive", Workspace(tmp_path / "back")
    archive.mkdir()
    pack_workspace(work, archive, "none", redact)
    evil = {"remote_url": "http://127.0.0.1:9/score", "remote_key_variable": "HF_TOKEN"}
    sections = {"score": ScoreConfig(**evil), "train": TrainConfig(picture_prompts="/etc/passwd")}
    text = dump_config(Config().model_copy(update=sections))
    (archive / "invdpo.yaml").write_text(text, encoding="utf-8")
    notes = unpack_workspace(archive, DatasetFolder(work.dataset_dir), back.root)
    assert notes == [
        "invdpo.yaml: left out score.remote_key_variable, score.remote_url, "
        "train.picture_prompts, which are not taken from another machine"
    ]
    assert load_config(back.config_path) == Config()


def test_a_configuration_that_cannot_be_used_is_left_out(work: Workspace, tmp_path: Path) -> None:
    archive, back = tmp_path / "archive", tmp_path / "back"
    archive.mkdir()
    pack_workspace(work, archive, "none", redact)
    (archive / "invdpo.yaml").write_text("score: {unknown: 1}", encoding="utf-8")
    (note,) = unpack_workspace(archive, DatasetFolder(work.dataset_dir), back)
    assert note.startswith("invdpo.yaml: left out, because it can't be used here:")
    assert not (back / "invdpo.yaml").exists()
