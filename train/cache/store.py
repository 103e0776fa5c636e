"""A content-keyed, append-only store of tensors in memory-mapped safetensors shards.

A folder belongs to one `key`: everything frozen that its rows depend on. A row's id is a hash of
the content it was made from. Missing rows are made, existing ones are shared between runs, and a
damaged shard is removed, so that its rows are missing again: resuming and repairing are the same.

Opening reads headers alone. A shard's name is the checksum of its bytes; it is verified when its
rows are first wanted, and the result is noted with size and time in `verified.txt`.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from invdpo.schemas.errors import WorkspaceError
from invdpo.schemas.ids import canonical_json, content_id
from invdpo.schemas.io.documents import MAX_LISTS, read_json
from invdpo.schemas.io.files import (
    append_line,
    disk_errors,
    hash_file,
    write_atomically,
)

OPEN_SHARDS = 4096
"""Shards of one store that stay mapped: Linux allows a process 65,530 maps, of all its files."""


@dataclass
class Shard:
    """One file and its rows' ids."""

    path: Path
    ids: list[str]
    shapes: dict[str, tuple[int, ...]]
    """Of each tensor; the first dimension runs over the rows."""

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, mapped from the file: only what is used comes into memory."""
        try:
            with safe_open(self.path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in self.shapes}
        except OSError:
            raise WorkspaceError(
                f"{self.path}: removed while in use. Run again; missing files are computed again."
            ) from None

    @property
    def mark(self) -> str:
        """The line in `verified.txt` for a sound shard: name, bytes and time."""
        stat = self.path.stat()
        return f"{self.path.stem} {stat.st_size} {stat.st_mtime_ns}"

    def is_sound(self) -> bool:
        """Whether the file's bytes have the checksum that is its name."""
        return hash_file(self.path)[:32] == self.path.stem


class Store:
    """Rows of named tensors, found by id.

    Attributes:
        damaged: Names of the shards that were damaged and have been removed.
    """

    def __init__(self, root: Path, key: dict[str, Any]) -> None:
        self.folder = root / f"{key['kind']}-{content_id(key)}"
        self.key = key
        self.damaged: list[str] = []
        self._rows: dict[str, tuple[Shard, int]] = {}
        self._mapped: OrderedDict[Path, dict[str, Tensor]] = OrderedDict()
        self._opened: set[Path] = set()
        self._broken: list[Path] = []
        self._marks: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Open shards that other processes have written."""
        marks = self.folder / "verified.txt"
        if marks.is_file():
            self._marks.update(marks.read_text(encoding="utf-8", errors="replace").splitlines())
        for path in sorted(set(self.folder.glob("*.safetensors")) - self._opened):
            self._open(path)

    def lacks(self, ids: Iterable[str]) -> list[str]:
        """The ids that have no row, each once, in the order given; nothing is verified."""
        return [i for i in dict.fromkeys(ids) if i not in self._rows]

    def missing(self, ids: Iterable[str]) -> list[str]:
        """The ids that have no sound row; damaged shards are removed on the way."""
        wanted = list(dict.fromkeys(ids))
        for path in self._broken:
            self._remove(path)
        self._broken.clear()
        shards = {id(s): s for s, _ in (self._rows[i] for i in wanted if i in self._rows)}
        for shard in shards.values():
            self._verify(shard)
        return self.lacks(wanted)

    def add(self, ids: Sequence[str], tensors: dict[str, Tensor]) -> None:
        """Write one shard; every tensor's first dimension runs over `ids`."""
        if not self._rows:
            write_atomically(self.folder / "key.json", canonical_json(self.key).encode())
        tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        content = save(tensors, {"ids": json.dumps(list(ids))})
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        write_atomically(path, content)
        self._remember(self._open(path))

    def get(self, name: str, ids: Sequence[str], index: Tensor | None = None) -> Tensor:
        """Rows of one tensor, stacked: (len(ids), ...), in the precision they are stored in.

        Rows whose first dimensions differ are padded with zeros. With `index` (len(ids), K) int64
        only those entries of the second dimension are read.
        """
        rows = [self._rows[i] for i in ids]
        indices = [...] * len(ids) if index is None else index
        pairs = zip(rows, indices, strict=True)
        values = pad_sequence(
            [self._tensors(shard)[name][row][entries] for (shard, row), entries in pairs],
            batch_first=True,
        )
        if not values.isfinite().all():
            raise WorkspaceError(
                f"{self.folder}: holds values that are not finite, which earlier versions "
                "stored. Remove this folder; missing values are computed again."
            )
        return values

    def shape(self, name: str, row: str) -> tuple[int, ...]:
        """Shape of one row's tensor, from the header alone."""
        return self._rows[row][0].shapes[name][1:]

    def names(self) -> list[str]:
        """Names of a row's tensors; empty while there is no row."""
        return sorted(next(iter(self._rows.values()))[0].shapes) if self._rows else []

    def size(self) -> int:
        """Bytes of all shards."""
        return sum(path.stat().st_size for path in self._opened)

    def _tensors(self, shard: Shard) -> dict[str, Tensor]:
        """Those of a shard; of many shards the ones that were used last stay mapped."""
        if shard.path not in self._mapped:
            self._mapped[shard.path] = shard.tensors()
        self._mapped.move_to_end(shard.path)
        while len(self._mapped) > OPEN_SHARDS:
            self._mapped.popitem(last=False)
        return self._mapped[shard.path]

    def _open(self, path: Path) -> Shard | None:
        self._opened.add(path)
        try:
            shard = read_header(path)
        except (OSError, LookupError, TypeError, ValueError):
            self._broken.append(path)
            return None
        self._rows.update({name: (shard, row) for row, name in enumerate(shard.ids)})
        return shard

    def _verify(self, shard: Shard) -> None:
        try:
            if shard.mark in self._marks:
                return
            sound = shard.is_sound()
        except OSError:  # gone, or on a failing disk
            sound = False
        if sound:
            self._remember(shard)
        else:
            self._remove(shard.path)
            self._rows = {i: entry for i, entry in self._rows.items() if entry[0] is not shard}

    def _remember(self, shard: Shard | None) -> None:
        if shard:
            self._marks.add(shard.mark)
            append_line(self.folder / "verified.txt", shard.mark)

    def _remove(self, path: Path) -> None:
        with disk_errors(path):
            path.unlink(missing_ok=True)
        self._opened.discard(path)
        self._mapped.pop(path, None)
        self.damaged.append(path.name)


def read_header(path: Path) -> Shard:
    """A shard from its header. Raises one of several errors when the file is no sound shard."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise ValueError("The header ends after the end of the file.")
        if length > MAX_LISTS:
            raise ValueError("The header is longer than that of any shard.")
        header = read_json(file.read(length), path, dict, max_bytes=MAX_LISTS)
    ids = read_json(header.pop("__metadata__")["ids"], path, list, max_bytes=MAX_LISTS)
    shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
    end = max(entry["data_offsets"][1] for entry in header.values())
    if size != 8 + length + end or any(s[0] != len(ids) for s in shapes.values()):
        raise ValueError("The file is not as long as its header says.")
    return Shard(path, ids, shapes)
