"""Files are hashed while they are written, and not read once more at the end."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from invdpo.curate.dataset import folder, hashed_files, rows
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.dataset.hashed_files import FLUSHED, HashedFiles
from invdpo.data_cards.head import split_head
from invdpo.data_cards.metadata import stored_content_hash
from invdpo.schemas.io.files import drop_cached
from tests.curate.dataset_files import workspace, write


def test_hashes_are_those_of_the_finished_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(hashed_files, "flush", flushed.append)
    paths = [tmp_path / "a", tmp_path / "b"]
    with HashedFiles() as files:
        opened = [files.open(path) for path in paths]
        for text in (b"first", b"", b"second" * 100_000):
            for file in opened:
                assert file.write(text + file.path.name.encode()) == len(text) + 1
        opened[0].write(bytes(FLUSHED))
        for file in opened:
            file.close()
        hashes = {file.path: file.hexdigest() for file in opened}
    assert hashes == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert [path.stat().st_size for path in paths] == [600_008 + FLUSHED, 600_008]
    assert flushed == paths[:1]


class Full:
    """A file on a disk that takes one byte in each call, then none."""

    def __init__(self, room: int) -> None:
        self.room, self.content = room, b""

    def write(self, data: memoryview) -> int:
        if len(self.content) == self.room:
            raise OSError(errno.ENOSPC, "no space")
        self.content += bytes(data[:1])
        return 1

    def close(self) -> None:
        """Nothing to do."""


def test_writes_that_take_less_go_on_and_their_errors_are_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashed_files, "AHEAD", 4)
    with HashedFiles() as files:
        file, disk = files.open(tmp_path / "file"), Full(5)
        monkeypatch.setattr(file, "_file", disk)
        file.write(b"abc")
        file.write(b"defg")
        with pytest.raises(OSError, match="no space"):
            file.write(b"hi")
        file.close()
        file.close()  # a second time is nothing
    assert disk.content == b"abcde"


def test_errors_of_early_flushes_are_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EIO, f"{path.name} is not on the disk")

    monkeypatch.setattr(hashed_files, "flush", refuse)
    monkeypatch.setattr(hashed_files, "FLUSHED", 1)
    with HashedFiles() as files:
        file = files.open(tmp_path / "file")
        file.write(b"a")
        file.close()
        with pytest.raises(OSError, match="file is not on the disk"):
            file.hexdigest()


@pytest.mark.parametrize("many", [False, True])
def test_files_of_a_large_set_are_dropped_from_memory(
    many: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = workspace(tmp_path / "work")
    small = write(ws)
    expected = {path.name: path.read_bytes() for path in (small / "data").iterdir()}
    dropped: list[str] = []
    for module in (rows, hashed_files):
        monkeypatch.setattr(module, "drop_cached", lambda path: dropped.append(path.parent.name))
    monkeypatch.setattr(hashed_files, "FLUSHED", 1)
    monkeypatch.setattr(rows, "MANY_BYTES", 0 if many else 1 << 30)
    again = write(ws)
    assert {path.name: path.read_bytes() for path in (again / "data").iterdir()} == expected
    assert set(dropped) == ({"candidates", "data"} if many else set())


def test_dropping_a_file_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    drop_cached(path)
    assert path.read_bytes() == b"content"


def test_shards_are_not_read_again_for_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(folder, "hash_file")
        dataset = DatasetFolder(write(workspace(tmp_path / "work")))
    head, _ = split_head(dataset.read_card() or "", "card")
    assert stored_content_hash(head) == dataset.content_hash()
