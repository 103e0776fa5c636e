"""The files of a dataset as they go to the Hub, and how they compare with what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.hub.files import Content, collect_files, same_as_listed
from invdpo.hub.manifest import MANIFEST, Manifest, ancestry, digest
from invdpo.hub.source import OWN_FILES, LocalDataset
from invdpo.schemas.io.redact import redact

if TYPE_CHECKING:
    from invdpo.curate.dataset.archive import PackedImages
    from invdpo.curate.workspace import Workspace

MANAGED = ("data/*.parquet", "workspace/*", MANIFEST)
"""Patterns of what a push may remove, besides the files of an older push."""


@dataclass(frozen=True)
class UploadFile:
    """One file that the repository shall hold after the push."""

    name: str
    content: Content
    operation: Any
    """Of the Hub's client, which reads the bytes once to know their hash."""

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return str(self.operation.upload_info.sha256.hex())

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.operation.upload_info.size)


@dataclass(frozen=True)
class Plan:
    """What a push sends, keeps and removes."""

    send: list[UploadFile]
    keep: list[UploadFile]
    remove: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Files and bytes."""
        counts = {
            key: {"files": len(files), "bytes": sum(file.size for file in files)}
            for key, files in (("sent", self.send), ("kept", self.keep))
        }
        return counts | {"removed": {"files": len(self.remove)}}


def upload_file(name: str, content: Content) -> UploadFile:
    """A file by its name in the repository."""
    from huggingface_hub import CommitOperationAdd

    return UploadFile(name, content, CommitOperationAdd(name, content))


def upload_files(
    dataset: LocalDataset, card: str, folder: Path, *, candidates: bool
) -> list[UploadFile]:
    """All files of a push, with this card; tables are packed in `folder`.

    With `candidates` the images of all candidates are included, not only those in pairs.
    """
    contents = collect_files(dataset.folder, OWN_FILES)
    contents["README.md"] = card.encode()
    if dataset.workspace is not None:
        contents |= _packed_tables(dataset.workspace, dataset, folder, candidates)
    files = [upload_file(name, content) for name, content in contents.items()]
    hashes = {f.name: {"sha256": f.sha256, "bytes": f.size} for f in files if f.name != "README.md"}
    manifest = Manifest(
        ancestry(dataset.fingerprint),
        hashes,
        dataset.pairs,
        digest(dataset.card.encode()),
        workspace=dataset.workspace is not None,
        candidates=candidates,
    )
    return [*files, upload_file(MANIFEST, manifest.to_bytes())]


def _packed_tables(
    ws: Workspace, dataset: LocalDataset, folder: Path, candidates: bool
) -> dict[str, Content]:
    """The packed workspace by names in the repository; the images of pairs are in `data/`."""
    from invdpo.curate.dataset.archive import pack_workspace

    encoding = dataset.fingerprint.get("dataset", {}).get("image_format", "keep")
    images: PackedImages = "none" if not candidates else "others" if encoding == "keep" else "all"
    (folder / "workspace").mkdir()
    packed = pack_workspace(ws, folder / "workspace", images, redact)
    return {path.relative_to(folder).as_posix(): path for path in packed}


def compare(wanted: Sequence[UploadFile], entries: Iterable[Any], old: Manifest | None) -> Plan:
    """What to send, what the Hub has, and what of older pushes to remove.

    Args:
        wanted: All files that the repository shall hold.
        entries: What it holds, as the client lists it.
        old: The manifest of the last push, if any.
    """
    listed = {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}
    keep = [f for f in wanted if same_as_listed(f.content, listed.get(f.name), f.sha256)]
    managed = set(old.files if old else ()) & listed.keys()
    managed |= {name for name in listed if any(fnmatch(name, pattern) for pattern in MANAGED)}
    send = [file for file in wanted if file not in keep]
    return Plan(send, keep, sorted(managed - {file.name for file in wanted}))


def contents_by_name(files: Iterable[UploadFile]) -> Mapping[str, Content]:
    """Name -> content, as `verify` takes them."""
    return {file.name: file.content for file in files}
