"""Files of prompts as people have them: endings, encodings, ends of lines, tables."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.schemas import DataError
from invdpo.schemas.io.records import find_column, read_entries, read_prompts
from invdpo.schemas.io.text_files import decode_text, text_lines

PARTI = (
    "Prompt\tCategory\tNote\n"
    "a red circle\tAbstract\t\n"
    '"G I G G L E" painted on a wall\tWriting\tquotes, and a comma\n'
    'The words "Fly" are there\tWriting\n'
    '"a sign ""Stop"""\tWriting\tas pandas writes it\n'
)
PROMPTS = ["a red circle", '"G I G G L E" painted on a wall', 'The words "Fly" are there']


def prompts(folder: Path, name: str, content: str | bytes) -> list[str]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_prompts(path)


def refused(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(DataError) as error:
        prompts(folder, name, content)
    return str(error.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_end_of_line(tmp_path: Path, end: str) -> None:
    lines = ["a cat \u2028 that \x0bnaps", "", "a dog\x85"]
    assert prompts(tmp_path, "p.txt", end.join(lines)) == ["a cat \u2028 that \x0bnaps", "a dog"]
    table = PARTI.replace("\n", end)
    assert prompts(tmp_path, "p.tsv", table) == [*PROMPTS, 'a sign "Stop"']
    assert prompts(tmp_path, "p.csv", f"id,prompt{end}1,a cat{end}2,a dog") == ["a cat", "a dog"]
    assert prompts(tmp_path, "p.ndjson", f'{{"prompt": "a cat"}}{end}"a dog"') == ["a cat", "a dog"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
)  # the last two write a mark
def test_encodings_that_say_what_they_are(tmp_path: Path, encoding: str) -> None:
    assert prompts(tmp_path, "p.txt", "a café\na dog".encode(encoding)) == ["a café", "a dog"]
    assert prompts(tmp_path, "p.json", '["a café"]'.encode(encoding)) == ["a café"]


def test_marks_of_files_that_were_put_together_are_no_text(tmp_path: Path) -> None:
    both = "a cat\n".encode("utf-8-sig") + "a dog".encode("utf-8-sig")
    assert prompts(tmp_path, "p.txt", both) == ["a cat", "a dog"]
    assert prompts(tmp_path, "p.csv", b"id,prompt\n1,\xef\xbb\xbfa cat\n") == ["a cat"]
    both = "a cat\n".encode("utf-16") + "a dog".encode("utf-16")
    assert prompts(tmp_path, "p.txt", both) == ["a cat", "a dog"]


def test_what_is_no_text_is_told_apart(tmp_path: Path) -> None:
    for module in (bz2, gzip, lzma):
        assert "unpack it first" in refused(tmp_path, "p.txt", module.compress(b"a cat"))
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 67671\n"
    for name in ("p.txt", "p.json", "p.csv", "p.parquet"):
        assert "a pointer of Git LFS, not the file itself" in refused(tmp_path, name, pointer)
    assert "rename it to end in .parquet" in refused(tmp_path, "p.txt", b"PAR1...")
    assert "not UTF-8 at byte 3 (line 1)" in refused(tmp_path, "p.txt", "café".encode("cp1252"))
    assert "character 1 is zero" in refused(tmp_path, "p.txt", "a cat".encode("utf-16-le"))


@pytest.mark.parametrize("name", ["p.txt", "P.TXT", "p.prompts", "p.md", "p", ".hidden"])
def test_endings_of_plain_text(tmp_path: Path, name: str) -> None:
    assert prompts(tmp_path, name, "a cat\na dog") == ["a cat", "a dog"]


@pytest.mark.parametrize("name", ["p.yaml", "p.xlsx", "p.txt.gz", "p.jsonl.bak", "p.v2"])
def test_other_endings_are_refused_with_those_that_are_read(tmp_path: Path, name: str) -> None:
    text = refused(tmp_path, name, "a cat")
    assert f"the ending {Path(name).suffix} is not supported" in text
    assert "no ending, .txt, .prompts, .md, .jsonl, .ndjson, .json, .csv, .tsv, .parquet" in text


def test_lists_of_texts_and_of_records(tmp_path: Path) -> None:
    assert prompts(tmp_path, "p.json", '["a cat", {"prompt": " a dog "}]') == ["a cat", "a dog"]
    mapping = json.dumps({"a1": {"category": "animals", "prompt": "a cat"}})
    assert "expected a list of texts or of records, found dict" in refused(
        tmp_path, "p.json", mapping
    )
    lines = '{"prompt": "a cat"}\n{"prompt": "a dog"}'
    assert "If it has one record per line, rename it to .jsonl" in refused(
        tmp_path, "p.json", lines
    )


def test_fields_that_no_heading_names(tmp_path: Path) -> None:
    """A comma that nobody quoted does not cut a prompt; blank fields at the end do no harm."""
    assert "3 fields, the heading has 2" in refused(
        tmp_path, "p.csv", "id,prompt\n1,a cat, a dog\n"
    )
    assert prompts(tmp_path, "p.csv", "id,prompt\n1,a cat,,\n") == ["a cat"]
    assert "not CSV" in refused(tmp_path, "p.csv", 'prompt\n"G I G" painted\n')
    assert "not CSV" in refused(tmp_path, "p.csv", 'prompt\na cat\n"a dog\na bird\n')


def test_what_stands_twice_is_refused_where_it_counts(tmp_path: Path) -> None:
    table = "prompt,note,note,,,prompt\na cat,1,2,,,a dog\n"
    assert "p.csv: the column 'prompt' occurs twice" in refused(tmp_path, "p.csv", table)
    assert prompts(tmp_path, "p.csv", "prompt,note,note,,\na cat,1,2,,\n") == ["a cat"]
    line = '{"prompt": "a cat", "prompt": "a dog"}'
    reason = "the key 'prompt' is given twice"
    assert f"entry 2: {reason}" in refused(tmp_path, "p.jsonl", f'"a cat"\n{line}')
    assert reason in refused(tmp_path, "p.json", f"[{line}]")
    doubled = pa.Table.from_arrays([pa.array(["a cat"])] * 2, names=["prompt", "prompt"])
    pq.write_table(doubled, tmp_path / "p.parquet")
    assert "'prompt' occurs twice" in refused_path(tmp_path / "p.parquet")


def test_columns_whatever_their_case() -> None:
    assert find_column(["Category", "Prompt "], None, "x") == "Prompt "
    assert find_column(["PROMPT", "prompt"], None, "x") == "prompt"
    assert find_column(["Caf\u00e9"], "cafe\u0301", "x") == "Caf\u00e9"
    with pytest.raises(DataError, match=r"x: no column `text`; found: Prompt, id\. Name one by"):
        find_column(["id", "Prompt"], "text", "x")


def test_tables_without_text(tmp_path: Path) -> None:
    def no_column(names: Sequence[str]) -> Sequence[str]:
        return names

    with pytest.raises(DataError, match=r"the ending \.txt is not .*Allowed: \.jsonl"):
        list(read_entries(tmp_path / "p.txt", b"a cat", no_column, text=False))


def test_nothing_in_it(tmp_path: Path) -> None:
    assert "empty" in refused(tmp_path, "p.txt", b"\xef\xbb\xbf \r\n")
    assert "no prompts in it" in refused(tmp_path, "p.csv", "prompt\n")
    assert "can't be read (No such file" in refused_path(tmp_path / "none.txt")


def refused_path(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_prompts(path)
    return str(error.value)


def test_lines_are_numbered_as_an_editor_does() -> None:
    assert list(text_lines("a\r\n\r\nb\rc\n")) == [(1, "a"), (3, "b"), (4, "c")]
    assert decode_text(b"\xef\xbb\xbfa", "x") == "a"
