"""What may not be shown or published: keys, tokens and folders, in texts and in files."""

from __future__ import annotations

import huggingface_hub  # noqa: F401 - only a process that has its client has read a token
import pytest

from invdpo.schemas.io.redact import (
    holds_secrets,
    redact,
    redact_paths,
    without_secrets,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ftp://me:pass@host/a.txt: not found", "ftp://host/a.txt: not found"),
        ("open 'https://u:p@h:8/x?sig=KEY&a=b#f'", "open 'https://h:8/x?…'"),
        ("s3://bucket/run/part-0.parquet", "s3://bucket/run/part-0.parquet"),
        ("https://host/a#token=KEY", "https://host/a"),
        ("two: http://a:b@c and https://d?e=f", "two: http://c and https://d?…"),
        ("hf_abcdefghijkl was refused", "hf_… was refused"),
        ("a red circle @ 5 o'clock? yes", "a red circle @ 5 o'clock? yes"),
    ],
)
def test_keys_go_and_the_rest_stays(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_where_keys_stand() -> None:
    assert not holds_secrets("s3://bucket/run")
    assert holds_secrets("s3://key:secret@bucket/run")
    assert holds_secrets("https://host/x?X-Amz-Signature=1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/alice/models/sd15", "sd15"),
        ("/srv/my models/sd 15", "sd 15"),
        ("/tmp/set/data.parquet: row 3", "data.parquet: row 3"),
        ("read '/tmp/a/b.png' and /tmp/c/d.", "read 'b.png' and d."),
        (r"C:\Users\alice\sd15", "sd15"),
        ("file /srv/jane doe/sets/x.txt: bad", "file x.txt: bad"),
        (r"read C:\Users\jane van doe\x.txt", "read x.txt"),
        ("file:///srv/jane/x.txt", "x.txt"),
        ("see file:///srv/jane doe/x.txt", "see x.txt"),
        (r"\\server\share\jane\x", "x"),
        ("copied /tmp/a/b.png to work/b and /tmp/c/d: done", "copied b.png to work/b and d: done"),
        ("a cat w/ a hat / a dog, 50/50", "a cat w/ a hat / a dog, 50/50"),
        ("org/name", "org/name"),
        ("work/dataset", "work/dataset"),
        ("rewards/margins 3/4", "rewards/margins 3/4"),
        ("https://huggingface.co/org/name/tree/main", "https://huggingface.co/org/name/tree/main"),
        ("s3://bucket/folder/file", "s3://bucket/folder/file"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_folders(text: str, expected: str) -> None:
    assert redact_paths(text) == expected


def test_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "an-old-token-of-another-form")
    told = "Bearer an-old-token-of-another-form, hf_AbCdEf0123456789; hf_hub stays"
    assert without_secrets(told) == "Bearer hf_…, hf_…; hf_hub stays"


def test_a_token_too_short_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a")
    assert without_secrets("a word") == "a word"


def test_everything_in_json() -> None:
    told = {"a": ["/x/y/z", 1, None, True], "b": {"c": "hf_abcdefghij"}, "d": 0.5}
    assert redact(told) == {"a": ["z", 1, None, True], "b": {"c": "hf_…"}, "d": 0.5}
