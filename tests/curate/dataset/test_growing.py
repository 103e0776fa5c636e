"""Files are hashed while they are written, and not read once more at the end."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from invdpo.curate.dataset import folder, growing
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.dataset.growing import FLUSHED, GrowingFiles
from invdpo.data_cards.head import split_head
from invdpo.data_cards.metadata import stored_content_hash
from tests.curate.dataset_files import workspace, write


def test_hashes_are_those_of_the_finished_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(growing, "flush", flushed.append)
    paths = [tmp_path / "a", tmp_path / "b"]
    with GrowingFiles() as files:
        for text in (b"first", b"", b"second" * 100_000):
            for path in paths:
                with path.open("ab") as file:
                    file.write(text + path.name.encode())
                files.grown(path, len(text))
        files.grown(paths[0], FLUSHED)
        hashes = files.hashes()
    assert hashes == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert flushed == paths[:1]


def test_errors_of_the_threads_are_raised(tmp_path: Path) -> None:
    with GrowingFiles() as files:
        files.grown(tmp_path / "gone")
        with pytest.raises(FileNotFoundError):
            files.hashes()


def test_shards_are_not_read_again_for_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(folder, "hash_file")
        dataset = DatasetFolder(write(workspace(tmp_path / "work")))
    head, _ = split_head(dataset.read_card() or "", "card")
    assert stored_content_hash(head) == dataset.content_hash()
