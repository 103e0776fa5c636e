"""A content-keyed, append-only store of tensors in memory-mapped safetensors shards.

A folder stands for everything frozen that its rows depend on (its `key`); a row is named by the
content it was made from. What is missing is made, what is there is shared between runs, and a
damaged shard is removed, so that its rows are missing again: resuming and repairing are one thing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from invdpo.schemas.ids import canonical_json, content_id
from invdpo.train.files import write_atomically

_verified: set[tuple[str, int, int]] = set()
"""(path, bytes, mtime in ns) of shards whose checksum this process has found right."""


class Store:
    """Rows of named tensors, found by id.

    Attributes:
        damaged: Names of the shards that were unreadable and have been removed.
    """

    def __init__(self, root: Path, key: dict[str, Any]) -> None:
        self.folder = root / f"{key['kind']}-{content_id(key)}"
        self.key = key
        self.damaged: list[str] = []
        self._rows: dict[str, tuple[dict[str, Tensor], int]] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            self._open(path)

    def missing(self, ids: Iterable[str]) -> list[str]:
        """The ids that have no row yet, each once, in the order given."""
        return [i for i in dict.fromkeys(ids) if i not in self._rows]

    def add(self, ids: Sequence[str], tensors: dict[str, Tensor]) -> None:
        """Write one shard; every tensor's first dimension runs over `ids`."""
        tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        labels = {"ids": json.dumps(list(ids)), "sha256": _checksum(tensors)}
        if not self._rows:
            write_atomically(self.folder / "key.json", canonical_json(self.key).encode())
        path = self.folder / f"{content_id(*ids)}.safetensors"
        write_atomically(path, save(tensors, labels))
        self._open(path)

    def get(self, name: str, ids: Sequence[str], index: Tensor | None = None) -> Tensor:
        """Rows of one tensor, stacked: (len(ids), ...).

        With `index` (len(ids), K) int64 only those entries of the second dimension are read.
        """
        found = [self._rows[i] for i in ids]
        if index is None:
            return torch.stack([tensors[name][row] for tensors, row in found])
        picks = zip(found, index, strict=True)
        return torch.stack([tensors[name][row][pick] for (tensors, row), pick in picks])

    def names(self) -> list[str]:
        """Names of the tensors a row has; empty while there is no row."""
        return sorted(next(iter(self._rows.values()))[0]) if self._rows else []

    def _open(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                labels = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            ids = json.loads(labels["ids"])
            if not _is_sound(path, tensors, labels["sha256"]):
                raise ValueError("checksum")
        except (SafetensorError, OSError, KeyError, ValueError):
            self.damaged.append(path.name)
            path.unlink(missing_ok=True)
            return
        self._rows.update({name: (tensors, row) for row, name in enumerate(ids)})


def _is_sound(path: Path, tensors: dict[str, Tensor], expected: str) -> bool:
    stat = path.stat()
    mark = (str(path), stat.st_size, stat.st_mtime_ns)
    if mark not in _verified and _checksum(tensors) == expected:
        _verified.add(mark)
    return mark in _verified


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1)
        digest.update(f"{name}{tuple(tensors[name].shape)}{flat.dtype}".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
