"""A dataset in the Hub's cache whose bytes are not those that the Hub named."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from invdpo.schemas.errors import DataError
from invdpo.train.data import hub


def snapshot(root: Path, contents: dict[str, bytes]) -> Path:
    """A dataset in the Hub's cache: files are links to bytes that are named by their hash."""
    folder = root / "snapshots" / "a" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "blobs").mkdir(exist_ok=True)
    for name, content in contents.items():
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        large = name.endswith(".parquet")
        blob = root / "blobs" / (hashlib.sha256(content) if large else git).hexdigest()
        if not blob.exists():
            blob.write_bytes(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(blob)
    return folder.parent


@pytest.mark.parametrize("name", ["train.parquet", "0.txt"])
def test_damage_in_the_cache_is_fetched_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {"train.parquet": b"rows", "0.txt": b"a red circle", "1.txt": b"a star"}
    fetched = []

    def fetch(*_: Any, **__: Any) -> str:
        fetched.append(1)
        return str(snapshot(tmp_path, contents))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    folder = hub.download("alice/pairs")
    assert len(fetched) == 1
    (folder / "data" / name).resolve().write_bytes(b"other")
    hub.download("alice/pairs")
    assert len(fetched) == 3
    assert {path.name: path.read_bytes() for path in (folder / "data").iterdir()} == contents


def test_damage_that_comes_again_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: Any, **__: Any) -> str:
        folder = snapshot(tmp_path, {"train.parquet": b"rows"})
        (folder / "data" / "train.parquet").resolve().write_bytes(b"other")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(
        DataError, match=r"alice/pairs: data/train.parquet was damaged in two downloads"
    ):
        hub.download("alice/pairs")
    assert not list((tmp_path / "blobs").iterdir())


def test_what_another_process_fetched_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {"train.parquet": b"rows"}
    folder = snapshot(tmp_path, contents)
    blob = (folder / "data" / "train.parquet").resolve()
    blob.write_bytes(b"other")

    @contextmanager
    def waited_for(path: Path) -> Iterator[None]:
        assert path.parent == tmp_path
        blob.unlink()
        blob.write_bytes(b"rows")
        os.utime(blob, (0, 0))
        yield

    monkeypatch.setattr(hub, "FileLock", waited_for)
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *_, **__: str(snapshot(tmp_path, contents))
    )
    assert hub.download("alice/pairs") == folder
    assert blob.stat().st_mtime == 0
