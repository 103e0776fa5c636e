"""Texts for people hold no keys."""

import pytest

from invdpo.schemas.io.redact import holds_secrets, without_secrets


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
