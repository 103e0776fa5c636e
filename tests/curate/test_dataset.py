"""The data set on disk: as `datasets` and pandas read it, whole or not there at all."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import invdpo.data_cards as data_cards
from invdpo.curate.dataset import write_dataset
from invdpo.curate.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.tables import ANNOTATIONS, CANDIDATES, PROMPTS, SCORES, pairs_schema

PAIRS = 30
GRAPH = '{"items":[{"item_id":0,"label":"circle"}]}'


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 6), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def candidate(n: int) -> dict[str, Any]:
    image = {"bytes": png(n), "path": f"c{n}.png"}
    origin = {"seed": 1000 + n, "model": "m", "revision": "r", "width": 6, "height": 6}
    row = {"candidate_id": f"c{n}", "prompt_id": f"p{n // 3}", "image": image, "status": "ok"}
    return row | origin


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """30 prompts of 3 candidates, in 3 parts; two scorers."""
    ws = Workspace(tmp_path / "work")
    prompts = [{"prompt_id": f"p{n}", "prompt": f"picture {n}", "graph": GRAPH} for n in range(30)]
    write_part(ws.prompts_path, table(prompts, PROMPTS), {})
    for part in range(3):
        numbers = range(part * 30, part * 30 + 30)
        name = f"part-{part:05d}.parquet"
        rows = [candidate(n) for n in numbers]
        write_part(ws.candidates_dir / name, table(rows, CANDIDATES), {})
        seen = [{"candidate_id": f"c{n}", "graph": GRAPH, "status": "ok"} for n in numbers]
        write_part(ws.annotations_dir("shapes") / name, table(seen, ANNOTATIONS), {})
        for scorer, parts in (("composition", [("all_right", 1.0)]), ("clip", None)):
            scored = [
                {"candidate_id": f"c{n}", "score": n / 90, "components": parts} for n in numbers
            ]
            write_part(ws.scores_dir(scorer) / name, table(scored, SCORES), {})
    return ws


def pairs(count: int = PAIRS, held: int = 6) -> pa.Table:
    rows = [
        {
            "pair_id": f"pair{n}",
            "prompt_id": f"p{n}",
            "chosen_id": f"c{3 * n + 2}",
            "rejected_id": f"c{3 * n}",
            "margin": 1.5,
            "delta_composition": 2 / 90,
            "delta_clip": 2 / 90,
            "split": "validation" if n < held else "train",
        }
        for n in range(count)
    ]
    return table(rows, pairs_schema(["composition", "clip"]))


def write(ws: Workspace, given: pa.Table | None = None, **options: Any) -> Path:
    chosen = pairs() if given is None else given
    return write_dataset(ws, chosen, {"a": {"b": 1}}, annotator="shapes", **options)


def test_datasets_reads_it(ws: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    folder = write(ws)
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == {"train": 24, "validation": 6}
    features = loaded["train"].features
    assert isinstance(features["chosen"], datasets.Image)
    assert isinstance(features["rejected"], datasets.Image)
    row = loaded["train"][0]
    assert row["prompt"] == "picture 6"
    assert row["chosen"].getpixel((0, 0)) == (20, 0, 0)
    assert row["rejected"].getpixel((0, 0)) == (18, 0, 0)


def test_metadata_is_what_datasets_writes(ws: Workspace) -> None:
    import datasets

    schema = pq.read_schema(next((write(ws) / "data").glob("train-*")))
    stored = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert datasets.Features.from_dict(stored).arrow_schema.remove_metadata() == pa.schema(
        [field.with_nullable(True) for field in schema.remove_metadata()]
    )
    assert b"invdpo.config_hash" in schema.metadata


def test_pandas_reads_flat_columns(ws: Workspace) -> None:
    import pandas as pd

    frame = pd.read_parquet(write(ws) / "data")
    assert len(frame) == PAIRS
    row = frame.set_index("pair_id").loc["pair4"]
    assert row["chosen_composition"] == pytest.approx(14 / 90)
    assert row["rejected_clip"] == pytest.approx(12 / 90)
    assert row["chosen_composition_all_right"] == 1.0
    assert (row["chosen_seed"], row["rejected_seed"]) == (1014, 1012)
    assert (row["chosen_graph"], row["graph"]) == (GRAPH, GRAPH)
    assert row["chosen"]["bytes"] == png(14)


def test_shards_are_cut_by_size_and_numbered(ws: Workspace) -> None:
    folder = write(ws, shard_bytes=1000) / "data"
    names = sorted(path.name for path in folder.glob("train-*"))
    assert len(names) > 3
    assert names[1] == f"train-00001-of-{len(names):05d}.parquet"
    rows = sum(pq.read_metadata(path).num_rows for path in folder.glob("train-*"))
    assert rows == 24
    assert max(path.stat().st_size for path in folder.iterdir()) < 40_000


def test_pages_have_an_index(ws: Workspace) -> None:
    metadata = pq.read_metadata(next((write(ws) / "data").glob("train-*")))
    assert metadata.row_group(0).column(0).has_offset_index
    assert metadata.row_group(0).num_rows <= 100


def test_pairs_may_straddle_parts(ws: Workspace) -> None:
    rows = pairs(2).to_pylist()
    rows[0]["rejected_id"] = "c89"
    given = table(rows, pairs_schema(["composition", "clip"]))
    assert (write(ws, given) / "data").is_dir()


def test_an_empty_validation_split_is_left_out(ws: Workspace) -> None:
    names = [path.name for path in (write(ws, pairs(held=0)) / "data").iterdir()]
    assert names == ["train-00000-of-00001.parquet"]


def test_a_failure_leaves_the_older_set(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(stats: dict[str, Any]) -> str:
        raise OSError(28, "No space left on device")

    before = sorted(path.name for path in (write(ws, pairs(3)) / "data").iterdir())
    monkeypatch.setattr(data_cards, "render_dataset_card", fail)
    with pytest.raises(WorkspaceError, match="the disk is full"):
        write(ws)
    assert sorted(path.name for path in (ws.dataset_dir / "data").iterdir()) == before
    assert pq.read_table(ws.dataset_dir / "data").num_rows == 3
    assert not (ws.root / ".dataset.tmp").exists()


def test_writing_again_replaces(ws: Workspace) -> None:
    write(ws, pairs(3))
    assert pq.read_table(write(ws) / "data").num_rows == PAIRS
    assert {path.name for path in ws.root.glob(".dataset*")} == set()


def test_no_pairs_and_lost_candidates(ws: Workspace) -> None:
    with pytest.raises(DataError, match="There is no pair to write"):
        write(ws, pairs(0))
    rows = pairs(2).to_pylist()
    rows[0]["chosen_id"] = "gone"
    with pytest.raises(DataError, match="1 of 2 pairs name candidates"):
        write(ws, table(rows, pairs_schema(["composition", "clip"])))
    assert not ws.dataset_dir.exists()


def test_without_annotator_graphs_are_null(ws: Workspace) -> None:
    folder = write_dataset(ws, pairs(3, held=0), {}, annotator=None)
    assert pq.read_table(folder / "data")["chosen_graph"].null_count == 3
