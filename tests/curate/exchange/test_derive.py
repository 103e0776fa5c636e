"""Subsets, other splits, sets without doubles and corrected ones: which rows stay, and as what."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.dataset.card import write_dataset_card
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.dataset.write import write_splits
from invdpo.curate.exchange.derive import Operation, derive_dataset
from invdpo.curate.exchange.operations import KnownPairs, correct, dedupe, split, subset
from invdpo.curate.images import encode
from invdpo.schemas import ConfigError, DataError, Item, SceneGraph
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.ids import content_id, prompt_key
from invdpo.schemas.tables import REVIEWS, dataset_schema

ROWS = 40
SCHEMA = dataset_schema(["clip"]).append(pa.field("category", pa.string()))


def _image(shade: int) -> dict[str, Any]:
    return {"bytes": encode(np.full((4, 4, 3), shade, np.uint8)), "path": f"{shade}.png"}


def _row(n: int) -> dict[str, Any]:
    """Two rows a prompt; every fourth has no category."""
    items = (Item(item_id=0, label=f"thing {n // 2}"),)
    return {
        "pair_id": content_id("pair", f"c{n}", f"r{n}"),
        "prompt": f"thing {n // 2}",
        "graph": SceneGraph(items=items).to_json(),
        "chosen": _image(n),
        "rejected": _image(100 + n),
        "margin": n / 10,
        "chosen_clip": 1.0,
        "rejected_clip": 0.5,
        "chosen_seed": n,
        "rejected_seed": 1000 + n,
        "model": "good",
        "rejected_model": "bad",
        "chosen_id": f"c{n}",
        "rejected_id": f"r{n}",
        "category": ("animal", "food", "tool", None)[n % 4],
    }


def _dataset(folder: Path, rows: list[dict[str, Any]]) -> DatasetFolder:
    (folder / "data").mkdir(parents=True)
    tables = [
        ("train" if n < len(rows) * 3 // 4 else "validation", pa.Table.from_pylist([row], SCHEMA))
        for n, row in enumerate(rows)
    ]
    write_splits(folder / "data", tables, SCHEMA)
    write_dataset_card(folder, "source", DatasetConfig(license="mit"))
    return DatasetFolder(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return _dataset(tmp_path_factory.mktemp("set") / "source", [_row(n) for n in range(ROWS)])


def derive(source: DatasetFolder, operation: Operation, output: Path) -> dict[str, list[Any]]:
    derive_dataset(source, operation, output, DatasetConfig())
    folder = DatasetFolder(output)
    return {
        split: [row for path in folder.shards(split) for row in pq.read_table(path).to_pylist()]
        for split in ("train", "validation")
    }


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["chosen_seed"]) for row in rows]


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        (["category=animal"], [n for n in range(ROWS) if n % 4 == 0]),
        (["category!=animal"], [n for n in range(ROWS) if n % 4 in (1, 2)]),
        (["margin >= 3.9"], [39]),
        (["margin<0.3", "category=food"], [1]),
        (["split=validation", "chosen_seed<32"], [30, 31]),
        (["objects==1", "relation=none", "chosen_seed>37"], [38, 39]),
    ],
)
def test_a_subset_by_columns_strata_and_split(
    source: DatasetFolder, tmp_path: Path, where: list[str], wanted: list[int]
) -> None:
    found = derive(source, subset(where, None, 0), tmp_path / "out")
    assert numbers(found["train"] + found["validation"]) == wanted
    originals = {n: _row(n) for n in wanted}
    assert all(row == originals[row["chosen_seed"]] | _nulls(row) for row in found["train"])


def _nulls(row: dict[str, Any]) -> dict[str, None]:
    return {name: None for name, value in row.items() if value is None}


def test_a_larger_number_keeps_the_pairs_of_a_smaller_one(
    source: DatasetFolder, tmp_path: Path
) -> None:
    drawn = []
    for count, seed in ((5, 0), (12, 0), (5, 1)):
        found = derive(source, subset([], count, seed), tmp_path / f"{count}-{seed}")
        drawn.append(set(numbers(found["train"] + found["validation"])))
        assert len(drawn[-1]) == count
    assert drawn[0] < drawn[1]
    assert drawn[0] != drawn[2]


@pytest.mark.parametrize(
    ("where", "kind", "text"),
    [
        ("colour=red", DataError, "no column 'colour'; there are: pair_id, .*category.*objects"),
        ("margin>=big", DataError, "column margin is double, and 'big' is not of that type"),
        ("chosen=1", DataError, "column chosen is struct<.*can be compared"),
        ("margin", ConfigError, "--where: found 'margin'; expected COLUMN, one of ="),
        ("margin>99", DataError, r"none of 40 pairs is left \(not margin > 99: 40\)"),
    ],
)
def test_what_can_not_be_compared_or_leaves_nothing(
    source: DatasetFolder, tmp_path: Path, where: str, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        derive(source, subset([where], None, 0), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_than_there_are_can_not_be_drawn(source: DatasetFolder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="41 pairs requested, but there are only 40"):
        derive(source, subset([], 41, 0), tmp_path / "out")


def test_another_split_keeps_prompts_together(source: DatasetFolder, tmp_path: Path) -> None:
    config = PairConfig(split_by="graph", validation_fraction=0.3, seed=3)
    found = derive(source, split(config), tmp_path / "out")
    train, validation = ({row["prompt"] for row in found[name]} for name in found)
    assert not train & validation
    assert (len(found["train"]), len(found["validation"])) == (28, 12)


def test_no_prompt_and_no_pair_of_others_stays(source: DatasetFolder, tmp_path: Path) -> None:
    first = _row(0)["pair_id"]
    known = KnownPairs({prompt_key(" THING  0 ")}, {first}, ("other",))
    found = derive(source, dedupe(known, "prompt"), tmp_path / "by-prompt")
    assert numbers(found["train"])[0] == 2
    found = derive(source, dedupe(known, "pair"), tmp_path / "by-pair")
    assert numbers(found["train"])[0] == 1


def test_doubled_ids_are_refused_and_can_be_cleared(tmp_path: Path) -> None:
    doubled = _dataset(tmp_path / "doubled", [_row(n) for n in (0, 1, 1, 2)])
    with pytest.raises(DataError, match=r"1 ids occur in several rows, .* in 2.*curate dedupe"):
        derive(doubled, subset([], None, 0), tmp_path / "out")
    found = derive(doubled, dedupe(KnownPairs(()), "prompt"), tmp_path / "once")
    assert numbers(found["train"] + found["validation"]) == [0, 1, 2]


def _reviews(**decisions: str) -> pa.Table:
    rows = [{"pair_id": key, "decision": value} for key, value in decisions.items()]
    return pa.Table.from_pylist(rows, REVIEWS)


def test_decisions_flip_and_leave_out_pairs(source: DatasetFolder, tmp_path: Path) -> None:
    ids = [_row(n)["pair_id"] for n in range(4)]
    twin = content_id("pair", "r2", "c2")
    reviews = _reviews(
        **{ids[0]: "flip", ids[1]: "drop", ids[2]: "flip", twin: "flip", ids[3]: "equal"}
    )
    found = derive(source, correct(reviews), tmp_path / "out")
    rows = {row["pair_id"]: row for row in found["train"]}
    assert not {ids[1], ids[3]} & set(rows)
    assert ids[2] in rows  # its twin was flipped last, so the pair is as it was
    original, row = _row(0), rows[content_id("pair", "r0", "c0")]
    assert (row["chosen"], row["rejected"]) == (original["rejected"], original["chosen"])
    assert (row["chosen_clip"], row["chosen_seed"], row["chosen_id"]) == (0.5, 1000, "r0")
    assert (row["model"], row["rejected_model"], row["margin"]) == ("bad", "good", 0)
    with pytest.raises(DataError, match="none of 1 decisions is about a pair of this dataset"):
        derive(source, correct(_reviews(other="drop")), tmp_path / "none")


def test_the_card_says_what_was_done(source: DatasetFolder, tmp_path: Path) -> None:
    derive(source, subset(["margin>=1"], 3, 0), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "from the dataset source: rows with margin \\>= 1, 3 selected with seed 0." in card
    assert "license: mit" in card


def test_a_card_that_cannot_be_read_is_told(
    source: DatasetFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its licence was lost without a word."""
    spoilt = DatasetFolder(Path(shutil.copytree(source.path, tmp_path / "spoilt")))
    (spoilt.path / "README.md").write_text("---\nlicense: [mit\n---\n")
    derive(spoilt, subset([], 3, 0), tmp_path / "out")
    assert "Its licence is not known: the new one has `other`." in caplog.text
