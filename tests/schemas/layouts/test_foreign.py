"""Forms that are not read: the refusal names the form, and its way out works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from invdpo.schemas.errors import DataError
from invdpo.schemas.layouts.foreign import may_be_read, way_out
from invdpo.train.data import open_dataset
from tests.train.data.dataset_folders import EXPECTED, PAIRS, contents, structs, write_table


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as error:
        open_dataset(folder)
    return str(error.value)


@pytest.mark.parametrize("whole", [True, False])
def test_what_save_to_disk_wrote_is_converted_by_the_line_that_is_told(
    whole: bool, tmp_path: Path
) -> None:
    import datasets

    rows = [{"prompt": p, "chosen": c, "rejected": r} for p, c, r in PAIRS]
    part = datasets.Dataset(pa.Table.from_pylist(rows))
    (datasets.DatasetDict({"train": part}) if whole else part).save_to_disk(
        tmp_path / "saved $HOME"
    )
    text = refusal(tmp_path / "saved $HOME")
    assert "Found a folder of `save_to_disk`." in text
    code = re.search(r'mkdir pairs && python -c "(.*)" (.*)$', text)
    assert code
    assert code[2] == shlex.quote(str(tmp_path / "saved $HOME"))
    (tmp_path / "pairs").mkdir()
    command = [sys.executable, "-c", code[1], *shlex.split(code[2])]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert contents(open_dataset(tmp_path / "pairs").pairs("train")) == EXPECTED


def test_parquet_files_in_folders_inside(tmp_path: Path) -> None:
    structs(tmp_path / "set")
    (tmp_path / "default" / "train").mkdir(parents=True)
    (tmp_path / "set" / "train.parquet").rename(tmp_path / "default" / "train" / "0000.parquet")
    text = refusal(tmp_path)
    assert "The Parquet files are in subfolders (default/train, set)." not in text
    assert f"Give one of these folders: {tmp_path.as_posix()}/default/train" in text
    assert contents(open_dataset(tmp_path / "default" / "train").pairs("train")) == EXPECTED


def test_other_files_and_none() -> None:
    text = way_out(["train.jsonl", "README.md"], "alice/pairs", on_hub=True, revision="v 1")
    assert "Found files in .jsonl." in text
    assert "import load_dataset as load" in text
    assert "load(sys.argv[1], revision=sys.argv[2]).items()]\" alice/pairs 'v 1'" in text
    assert way_out(["README.md", "a.png"], "x") == ""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train.parquet"], True),
        (["data/x.PARQUET", "README.md"], True),
        (["en/train.parquet"], False),
        (["chosen/a.png", "rejected/a.png"], True),
        (["train/win/a.png", "train/lose/a.png"], True),
        (["chosen/a.png"], False),
        ([], False),
    ],
)
def test_where_layouts_look(names: list[str], expected: bool) -> None:
    assert may_be_read(names) is expected


def test_a_table_that_names_no_split_is_counted_where_others_do(tmp_path: Path) -> None:
    structs(tmp_path)
    shutil.copy(tmp_path / "train.parquet", tmp_path / "more.parquet")
    pairs = open_dataset(tmp_path).pairs("train")
    assert contents(pairs) == EXPECTED
    assert pairs.skipped == {"file names no split, others do": 1}
    assert pairs.examples == {"file names no split, others do": "more.parquet"}
    write_table(tmp_path / "en" / "more" / "0000.parquet", [{"prompt": "x"}])
    write_table(tmp_path / "workspace" / "prompts.parquet", [{"prompt": "x"}])
    assert open_dataset(tmp_path).pairs("train").skipped == {
        "file names no split, others do": 1,
        "folder inside is not searched": 1,
    }
    shutil.rmtree(tmp_path / "en")
    (tmp_path / "train.parquet").rename(tmp_path / "test.parquet")
    pairs = open_dataset(tmp_path).pairs("train")
    assert (pairs.pairs, pairs.skipped) == ([], {"file names no split, others do": 1})


@pytest.mark.parametrize("form", ["\u00e9", "e\u0301"])
def test_paths_in_rows_in_either_unicode_form(form: str, tmp_path: Path) -> None:
    other = "e\u0301" if form == "\u00e9" else "\u00e9"
    rows = []
    for number, (prompt, chosen, rejected) in enumerate(PAIRS):
        for side, content in (("w", chosen), ("l", rejected)):
            path = tmp_path / f"imag{other}s" / f"{number}{side}{other}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        names = {
            "chosen": f"imag{form}s/{number}w{form}.png",
            "rejected": f"imag{form}s/{number}l{form}.png",
        }
        rows.append({"prompt": prompt} | names)
    write_table(tmp_path / "pairs.parquet", rows)
    assert contents(open_dataset(tmp_path).pairs("train")) == EXPECTED
