"""The dataset on disk: as `datasets` and pandas read it, whole or not there at all."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import invdpo.data_cards as data_cards
from invdpo.curate.dataset.rows import PairRows
from invdpo.curate.dataset.write import write_dataset
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.images import decode
from invdpo.schemas.tables import CANDIDATES, SCORES, pairs_schema
from tests.curate.dataset_files import GRAPH, PAIRS, candidate, pairs, png, table, workspace, write


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """30 prompts of 3 candidates, in 3 parts; two scorers."""
    return workspace(tmp_path / "work")


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
    assert row["prompt"] == "image 6"
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


def test_duckdb_reads_it(ws: Workspace) -> None:
    import duckdb

    files = write(ws) / "data" / "*.parquet"
    sql = f"""
        SELECT prompt, chosen.bytes, chosen_clip - rejected_clip FROM '{files}'
        WHERE pair_id = 'pair4'
    """
    prompt, picture, difference = duckdb.connect().execute(sql).fetchall()[0]
    assert (prompt, bytes(picture)) == ("image 4", png(14))
    assert difference == pytest.approx(2 / 90)


def test_polars_reads_it(ws: Workspace) -> None:
    import polars

    frame = (
        polars.scan_parquet(write(ws) / "data" / "*.parquet")
        .filter(polars.col("rejected_composition") > 0.9)
        .select("pair_id", polars.col("rejected").struct.field("bytes"))
        .collect()
    )
    assert sorted(frame["pair_id"].to_list()) == ["pair28", "pair29"]
    assert set(frame["bytes"].to_list()) == {png(84), png(87)}


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


def test_pictures_are_stored_as_they_are(ws: Workspace) -> None:
    """Bytes that a codec can't shrink are neither compressed nor put into a dictionary."""
    group = pq.read_metadata(next((write(ws) / "data").glob("train-*"))).row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert columns["chosen.bytes"].compression == "UNCOMPRESSED"
    assert columns["prompt"].compression == "SNAPPY"
    assert not {"RLE_DICTIONARY", "PLAIN_DICTIONARY"} & {*columns["chosen.bytes"].encodings}
    assert "RLE_DICTIONARY" in columns["model"].encodings


def test_pairs_may_straddle_parts(ws: Workspace) -> None:
    """A row comes when its later candidate has come, and the earlier one is used again then."""
    rows = pairs(4, held=0).to_pylist()
    rows[0]["rejected_id"] = "c89"
    rows[1] |= {"chosen_id": "c88", "rejected_id": rows[0]["chosen_id"]}
    rows[3]["rejected_id"] = "c40"
    given = table(rows, pairs_schema(["composition", "clip"]))
    written = pq.read_table(write(ws, given) / "data").to_pylist()
    assert [row["pair_id"] for row in written] == ["pair2", "pair3", "pair0", "pair1"]
    for row in written:
        for side in ("chosen", "rejected"):
            number = int(row[f"{side}_id"][1:])
            assert row[side] == {"bytes": png(number), "path": f"c{number}.png"}
            assert row[f"{side}_clip"] == pytest.approx(number / 90)


def test_a_row_names_what_it_was_made_of(ws: Workspace) -> None:
    row = pq.read_table(write(ws) / "data").filter(pc.field("pair_id") == "pair4").to_pylist()[0]
    ids = {name: row[name] for name in ("prompt_id", "chosen_id", "rejected_id")}
    assert ids == {"prompt_id": "p4", "chosen_id": "c14", "rejected_id": "c12"}
    assert {row["model"], row["rejected_model"]} == {"m"}


@pytest.mark.parametrize(("name", "magic"), [("webp", b"RIFF"), ("jpeg", b"\xff\xd8")])
def test_pictures_are_encoded_anew_only_when_asked(ws: Workspace, name: str, magic: bytes) -> None:
    settings = DatasetConfig.model_validate({"image_format": name, "quality": 80})
    rows = pq.read_table(write(ws, pairs(3), config=settings) / "data").to_pylist()
    for row in rows:
        picture = row["rejected"]
        assert picture["bytes"].startswith(magic)
        assert picture["path"] == f"{row['rejected_id']}.{name}"
        shade = decode(picture["bytes"]).getpixel((3, 3))
        assert isinstance(shade, tuple)
        assert shade[0] == pytest.approx(int(row["rejected_id"][1:]), abs=4)


def test_a_picture_that_cannot_be_encoded_anew_is_named(ws: Workspace) -> None:
    part = ws.candidates_dir / "part-00000.parquet"
    rows = pq.read_table(part).to_pylist()
    rows[0]["image"]["bytes"] = b"no image"
    write_part(part, table(rows, CANDIDATES), {})
    settings = DatasetConfig(image_format="png")
    with pytest.raises(DataError, match="pair pair0: image can't be decoded"):
        write(ws, config=settings)


def test_memory_holds_one_part(ws: Workspace) -> None:
    """24 MB of images in 24 parts pass with less than a third of that in buffers."""
    size, each = 125_000, 8
    for part in range(24):
        numbers = range(part * each, part * each + each)
        rows = [candidate(n) for n in numbers]
        for row in rows:
            row["image"]["bytes"] = bytes([row["seed"] % 251]) * size
        name = f"part-{part:05d}.parquet"
        write_part(ws.candidates_dir / name, table(rows, CANDIDATES), {})
        for scorer in ("composition", "clip"):
            scored = [{"candidate_id": f"c{n}", "score": 0.0} for n in numbers]
            write_part(ws.scores_dir(scorer) / name, table(scored, SCORES), {})
    chosen = [
        row | {"chosen_id": f"c{2 * n}", "rejected_id": f"c{2 * n + 1}", "pair_id": f"x{n}"}
        for n, row in enumerate(pairs(1).to_pylist() * 96)
    ]
    given = table(chosen, pairs_schema(["composition", "clip"]))
    before = pa.total_allocated_bytes()
    most = 0
    for _, batch in PairRows(ws, given, None).tables():
        most = max(most, pa.total_allocated_bytes() - before)
        assert (
            batch["chosen"][0]["bytes"].as_py()
            == bytes([batch["chosen_seed"][0].as_py() % 251]) * size
        )
    assert most < 24_000_000 / 3


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
    with pytest.raises(DataError, match="1 of 2 pairs refer to candidates"):
        write(ws, table(rows, pairs_schema(["composition", "clip"])))
    assert not ws.dataset_dir.exists()


def test_without_annotator_graphs_are_null(ws: Workspace) -> None:
    folder = write_dataset(ws, pairs(3, held=0), {}, annotator=None)
    assert pq.read_table(folder / "data")["chosen_graph"].null_count == 3


def test_the_same_pairs_give_the_same_files(ws: Workspace) -> None:
    """Parts are read ahead by several threads, and rows still stand in the order of the pairs."""
    first, second = (
        {path.name: path.read_bytes() for path in (write(ws) / "data").iterdir()} for _ in "ab"
    )
    assert first == second
    ids = pq.read_table(ws.dataset_dir / "data")["pair_id"].to_pylist()
    assert ids == [f"pair{n}" for n in [*range(6, 30), *range(6)]]
