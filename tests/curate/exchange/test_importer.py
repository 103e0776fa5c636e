"""Foreign data is not trusted: what is no pair is counted, and nothing outside is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate.exchange import ExchangeResult, import_dataset
from invdpo.schemas import DataError, PluginError
from invdpo.schemas.config.dataset import DatasetConfig
from tests.curate.dataset_files import png
from tests.hub_repos import card_errors

KEEP = DatasetConfig()


def parquet(folder: Path, rows: list[dict[str, Any]], name: str = "train.parquet") -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder


def preference(**changes: Any) -> dict[str, Any]:
    return {"prompt": "a circle", "chosen": png(1), "rejected": png(2)} | changes


def pickapic(label: float | None, **changes: Any) -> dict[str, Any]:
    row = {"caption": "a circle", "jpg_0": png(1), "jpg_1": png(2), "label_0": label}
    return (
        row | {"image_0_uid": "u0", "image_1_uid": "u1", "model_0": "m0", "model_1": "m1"} | changes
    )


def bring(source: Path, layout: str = "preference") -> ExchangeResult:
    return import_dataset(source, layout, source.parent / "ours", KEEP)


def rows(done: ExchangeResult) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = pq.read_table(done.folder / "data").to_pylist()
    return records


def test_labels_say_which_side_won_and_ids_follow(tmp_path: Path) -> None:
    given = [pickapic(1.0), pickapic(0.0, caption="other"), pickapic(0.5), pickapic(None)]
    done = bring(parquet(tmp_path / "theirs", given), "pickapic")
    first, second = rows(done)
    assert (first["chosen"]["bytes"], first["chosen_id"], first["model"]) == (png(1), "u0", "m0")
    assert (second["chosen"]["bytes"], second["chosen_id"]) == (png(2), "u1")
    assert (second["rejected_id"], second["rejected_model"]) == ("u0", "m0")
    assert first["graph"] is first["margin"] is None
    assert done.skipped == {"tie": 2}
    assert done.first == {"tie": "train.parquet row 2"}


def test_every_row_that_is_no_pair_is_counted(tmp_path: Path) -> None:
    given = [
        preference(),
        preference(),
        preference(prompt=" "),
        preference(prompt=None),
        preference(chosen=None),
        preference(rejected=png(1)),
        preference(rejected=b"no image"),
        preference(rejected=b""),
    ]
    done = bring(parquet(tmp_path / "theirs", given))
    assert done.pairs == {"train": 1, "validation": 0}
    assert done.skipped == {
        "pair occurs twice": 1,
        "prompt missing": 2,
        "image missing": 1,
        "chosen equals rejected": 1,
        "image unreadable": 2,
    }


def test_pictures_may_be_files_of_the_folder(tmp_path: Path) -> None:
    source = parquet(tmp_path / "theirs", [preference(chosen="a.png", rejected="b/b.png")])
    (source / "a.png").write_bytes(png(5))
    (source / "b").mkdir()
    (source / "b" / "b.png").write_bytes(png(6))
    row = rows(bring(source))[0]
    assert (row["chosen"]["bytes"], row["rejected"]["bytes"]) == (png(5), png(6))
    assert row["chosen"]["path"].endswith(".png")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../out.png", "is outside the dataset"),
        ("/etc/passwd", "is outside the dataset"),
        ("l.png", "is outside the dataset"),
        ("../theirs/in.png", "is outside the dataset"),
        ("{here}/in.png", "is outside the dataset"),
        ("https://example.com/a.png", "is a URL"),
    ],
)
def test_paths_that_lead_out_are_refused(path: str, problem: str, tmp_path: Path) -> None:
    """Absolute paths, and those that climb, are refused even where they come back in."""
    (tmp_path / "out.png").write_bytes(png(1))
    row = preference(chosen=path.format(here=tmp_path / "theirs"), rejected="b.png")
    source = parquet(tmp_path / "theirs", [row])
    (source / "in.png").write_bytes(png(1))
    (source / "l.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(DataError, match=rf"train\.parquet row 0: .*{problem}"):
        bring(source)
    assert not (tmp_path / "ours").exists()


def folders(home: Path) -> Path:
    for side, shade in (("win", 1), ("lose", 2)):
        (home / side).mkdir(parents=True)
        (home / side / "a.png").write_bytes(png(shade))
    (home / "win" / "a.txt").write_text("a circle\n", encoding="utf-8")
    return home


def test_folders_with_gaps(tmp_path: Path) -> None:
    home = folders(tmp_path / "theirs")
    (home / "win" / "b.png").write_bytes(png(3))
    (home / "lose" / "c.png").write_bytes(png(3))
    for side in ("win", "lose"):
        (home / side / "d.png").write_bytes(png(3))
        (home / side / "d.txt").write_bytes(b"\xff\xfe\x00")
        (home / side / "e.png").write_bytes(png(3 if side == "win" else 4))
    done = bring(home, "folders")
    assert [row["prompt"] for row in rows(done)] == ["a circle"]
    assert done.skipped == {
        "no loser of that name": 1,
        "no winner of that name": 1,
        "caption is not UTF-8": 1,
        "prompt missing": 1,
    }


def test_a_link_out_of_the_folders_is_refused(tmp_path: Path) -> None:
    home = folders(tmp_path / "theirs")
    (tmp_path / "secret.png").write_bytes(png(9))
    (home / "lose" / "a.png").unlink()
    (home / "lose" / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="is outside the dataset"):
        bring(home, "folders")


def test_splits_go_by_their_names(tmp_path: Path) -> None:
    source = parquet(tmp_path / "theirs", [preference()])
    parquet(source, [preference(prompt="v")], "validation_unique-0.parquet")
    parquet(source, [preference(prompt="not read")], "validation-0.parquet")
    parquet(source, [preference(prompt="not read")], "test.parquet")
    done = bring(source)
    assert done.pairs == {"train": 1, "validation": 1}
    assert {row["prompt"] for row in rows(done)} == {"a circle", "v"}


def test_one_file_is_for_training(tmp_path: Path) -> None:
    source = parquet(tmp_path / "theirs", [preference()], "test.parquet") / "test.parquet"
    done = import_dataset(source, "preference", tmp_path / "ours", KEEP)
    assert done.pairs["train"] == 1


def test_the_card_claims_no_more_than_is_known(tmp_path: Path) -> None:
    folder = bring(parquet(tmp_path / "theirs", [preference()])).folder
    card = (folder / "README.md").read_text()
    assert "Imported by invdpo from theirs, pairs in the layout preference." in card
    assert "\nlicense: other\n" in card
    assert card_errors(card, "dataset") == []


@pytest.mark.parametrize(
    ("layout", "match"),
    [
        (
            "preference",
            "Found train.parquet with a.\n  preference: column prompt, chosen, rejected missing",
        ),
        ("folders", "expected folders chosen and rejected"),
    ],
)
def test_another_layout_is_told(layout: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=match):
        bring(parquet(tmp_path / "theirs", [{"a": 1}]), layout)


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a circle"}]
    with pytest.raises(DataError, match=r"column prompt is list.*, expected text"):
        bring(parquet(tmp_path / "theirs", [preference(prompt=messages)]))
    assert not (tmp_path / "ours").exists()


def test_ids_may_be_numbers_and_are_stored_as_text(tmp_path: Path) -> None:
    ids = {"pair_id": 7, "image_0_uid": 1, "image_1_uid": 2, "model_1": 0.5}
    row = rows(bring(parquet(tmp_path / "theirs", [pickapic(1.0, **ids)]), "pickapic"))[0]
    assert (row["pair_id"], row["chosen_id"], row["rejected_id"]) == ("7", "1", "2")
    assert (row["model"], row["rejected_model"]) == ("m0", None)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="Known: folders, pickapic, preference"):
        bring(tmp_path / "theirs", "webdataset")
    with pytest.raises(DataError, match="not found"):
        bring(tmp_path / "theirs")
    source = parquet(tmp_path / "theirs", [preference(prompt="")])
    with pytest.raises(DataError, match=r"no pair in it \(prompt missing: 1\)"):
        bring(source)
    (source / "train.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(DataError, match="not readable as Parquet"):
        bring(source)
    assert not (tmp_path / "ours").exists()


def test_the_commands_count_and_tell(tmp_path: Path) -> None:
    source = parquet(tmp_path / "theirs", [preference(), preference(prompt="")])
    words = ["curate", "import", str(source), "--from", "preference"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "ours"), "--license", "mit"])
    assert done.exit_code == 0, done.output
    assert "1 pair: 1 for train" in done.stdout
    assert "1 row left out: prompt missing (first: train.parquet row 1)" in done.stderr
    assert "\nlicense: mit\n" in (tmp_path / "ours" / "README.md").read_text()
    out = str(tmp_path / "out")
    words = ["curate", "export", str(tmp_path / "ours"), "--to", "folders", "-o", out, "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert '"train": 1' in done.stdout
