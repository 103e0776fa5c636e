"""What an older version left on disk is gone on with; `stored/README.md` says what it is.

Commands and files alone: nothing here knows how the product is built.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

from invdpo.cli import app

STORED = Path(__file__).parent / "stored"
WEIGHTS = "pytorch_lora_weights.safetensors"
TRAINED = (
    "--num-inversion-steps=4",
    "--num-points=2",
    "--lora-rank=1",
    "--lora-targets=to_q,to_v",
    "--ema-decay=0.5",
    "--learning-rate=1e-3",
    "--warmup-steps=0",
    "--batch-size=2",
    "--max-steps=5",
    "--validate-every=2",
    "--checkpoint-every=2",
    "--keep=last",
    "--trackers=none",
    "--device=cpu",
)
"""How the stored training was begun, but for the place of the model."""
TOLERANCE = 1e-3
"""Of the way from the stored weights to the last ones, by which another processor may end beside
them. Kernels without vectors, and those of another generation, were 1e-5 apart."""


@pytest.fixture
def half(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED / "half", tmp_path / "half"))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED / "whole", tmp_path / "whole"))


def invdpo(*words: object) -> Any:
    """What a command says as JSON; it must succeed."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def counts(*words: object) -> dict[str, tuple[int, int]]:
    """Step -> rows made, rows found done."""
    steps = invdpo("curate", *words)["steps"]
    return {step["step"]: (step["made"], step["resumed"]) for step in steps}


def files(folder: Path, pattern: str) -> dict[str, tuple[int, bytes]]:
    """Name -> time and content, by which a file that was written again is told."""
    found = [path for path in folder.rglob(pattern) if path.is_file()]
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in found}


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file or of a folder of parts, images as columns of their own."""
    parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    table = pa.concat_tables(pq.ParquetFile(part).read() for part in parts)
    found: list[dict[str, Any]] = table.replace_schema_metadata().flatten().to_pylist()
    return found


def roughly(row: dict[str, Any]) -> dict[str, Any]:
    """A row that equals another one up to the rounding of its numbers."""
    return {
        name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        for name, value in row.items()
    }


def pixels(picture: bytes) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=np.float64)


def weights(folder: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """All weights of a LoRA one behind the other."""
    tensors = load_file(folder / WEIGHTS)
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


def test_a_half_done_workspace_goes_on(half: Path) -> None:
    before = files(half, "*.parquet")
    assert counts("generate", half) == {"generate": (6, 12)}
    assert counts("annotate", half) == {"annotate shapes": (6, 12)}
    scored = counts("score", half, "--scorers", "composition,clip")
    assert scored == {"score composition": (18, 0), "score clip": (6, 12)}
    after = files(half, "*.parquet")
    assert {name: after[name] for name in before} == before
    tables = ("candidates", "annotations/shapes", "scores/clip", "scores/composition")
    assert after.keys() - before.keys() == {
        *(f"{table}/part-00002.parquet" for table in tables),
        *(f"scores/composition/part-0000{n}.parquet" for n in range(2)),
    }


def test_new_candidates_are_those_an_older_version_drew(half: Path, whole: Path) -> None:
    """Both workspaces have the same prompts and seeds, so ids are equal and images nearly so."""
    invdpo("curate", "generate", half)
    drawn = rows(half / "candidates" / "part-00002.parquet")
    stored = {row["candidate_id"]: row for row in rows(whole / "candidates")}
    assert len(drawn) == 6
    for row in drawn:
        old = stored[row["candidate_id"]]
        assert (row["prompt_id"], row["seed"]) == (old["prompt_id"], old["seed"])
        apart = np.abs(pixels(row["image.bytes"]) - pixels(old["image.bytes"]))
        assert apart.mean() < 0.5  # of 255; other images are 15 away and more


def test_stored_scores_are_paired_by(half: Path) -> None:
    """On the prompts that were scored before, the best and the worst by the stored scores."""
    score = {row["candidate_id"]: row["score"] for row in rows(half / "scores" / "clip")}
    prompts: dict[str, list[str]] = {}
    for row in rows(half / "candidates"):
        prompts.setdefault(row["prompt_id"], []).append(row["candidate_id"])
    expected = {
        p: (max(ids, key=score.__getitem__), min(ids, key=score.__getitem__))
        for p, ids in prompts.items()
    }
    invdpo("curate", "generate", half)
    invdpo("curate", "score", half, "--scorers", "clip")
    made, before = counts("pair", half, "--weight", "clip=1", "--min-margin", "0.1")["pair"]
    pairs = {
        row["prompt_id"]: (row["chosen_id"], row["rejected_id"])
        for row in rows(half / "pairs.parquet")
    }
    assert (made, before) == (len(pairs), 0)
    assert len(expected) == 4
    assert expected.items() <= pairs.items()


def test_a_finished_workspace_has_nothing_left_to_do(whole: Path) -> None:
    before = files(whole, "*.parquet") | files(whole, "*.json") | files(whole / "dataset", "*")
    assert counts("run", whole) == {
        "prompts": (0, 6),
        "generate": (0, 24),
        "annotate shapes": (0, 24),
        "score composition": (0, 24),
        "score clip": (0, 24),
        "pair": (0, 6),
    }
    after = files(whole, "*.parquet") | files(whole, "*.json") | files(whole / "dataset", "*")
    assert after == before


def test_pairs_cut_again_are_the_stored_ones(whole: Path) -> None:
    (whole / "pairs.parquet").unlink()
    shutil.rmtree(whole / "dataset")
    assert counts("pair", whole) == {"pair": (6, 0)}
    for name in ("pairs.parquet", "dataset/data"):
        again, stored = rows(whole / name), rows(STORED / "whole" / name)
        assert [*map(list, again)] == [*map(list, stored)]  # the columns and their order
        assert again == [roughly(row) for row in stored]


def test_a_data_set_trains_with_the_stored_trajectories(whole: Path, tmp_path: Path) -> None:
    """Nothing is encoded or inverted: no call of the network, no shard that is new or other."""
    before = files(whole / "trajectories", "*.safetensors")
    folder, cache = tmp_path / "anew", whole / "trajectories"
    words = [whole / "dataset", "--output", folder, "--cache-dir", cache, *TRAINED, "--max-steps=1"]
    result = invdpo("train", *words)
    assert (result["cache_forwards"], result["steps"], result["pairs"]) == (0, 1, 4)
    assert not [note for note in result["notes"] if "damaged" in note or "skipped" in note]
    assert files(whole / "trajectories", "*.safetensors") == before
    assert {path.name for path in cache.iterdir()} == {Path(name).parent.name for name in before}


def test_a_half_done_training_goes_on(whole: Path) -> None:
    tuned, cache = whole / "tuned", files(whole / "trajectories", "*.safetensors")
    old, begun = (tuned / "metrics.jsonl").read_text(), weights(tuned)
    result = invdpo("train", whole / "dataset", "--output", tuned, *TRAINED)
    assert "Resuming after step 2 of 5." in result["notes"]
    assert (result["steps"], result["cache_forwards"]) == (5, 0)
    told = (tuned / "metrics.jsonl").read_text()
    assert told.startswith(old)
    assert [json.loads(line)["step"] for line in told.splitlines()] == [1, 2, 3, 4, 5]
    assert files(whole / "trajectories", "*.safetensors") == cache
    assert [path.name for path in (tuned / "state").iterdir()] == ["step-000005"]
    end = weights(STORED / "uninterrupted")
    way = float(np.linalg.norm(end - begun))
    assert np.linalg.norm(weights(tuned) - end) < TOLERANCE * way


def test_a_data_set_is_exported(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "folders"
    done = invdpo("curate", "export", whole / "dataset", "--to", "folders", "--output", out)
    assert done["pairs"] == {"train": 4, "validation": 2}
    written = {path.read_bytes() for path in out.rglob("*.png")}
    pairs = rows(whole / "dataset" / "data")
    assert written == {row[f"{side}.bytes"] for row in pairs for side in ("chosen", "rejected")}


def test_a_card_is_renewed_and_what_a_person_wrote_stays(whole: Path) -> None:
    card = whole / "dataset" / "README.md"
    card.write_text(f"{card.read_text(encoding='utf-8')}\nA line of mine.\n", encoding="utf-8")
    invdpo("curate", "card", whole, "--license", "cc-by-4.0")
    text = card.read_text(encoding="utf-8")
    assert "license: cc-by-4.0" in text
    assert "| pairs | 4 to train on, 2 for validation |" in text
    assert "\nA line of mine.\n" in text


def test_a_workspace_is_pushed_and_comes_back(hub: object, whole: Path, tmp_path: Path) -> None:
    sent = invdpo("curate", "push", whole, "--repo", "alice/stored", "--with-candidates")
    assert (sent["pairs"], sent["workspace"]) == (6, True)
    back = tmp_path / "back"
    invdpo("curate", "pull", "alice/stored", back)
    for name in ("prompts.parquet", "candidates", "scores/clip", "pairs.parquet", "dataset/data"):
        assert rows(back / name) == rows(whole / name)
    assert counts("run", back)["pair"] == (0, 6)
