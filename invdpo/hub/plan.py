"""The files of a data set as they go to the Hub, and how they compare with what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.hub.files import Content, contents, same_as_listed
from invdpo.hub.manifest import NAME, Manifest, ancestry, digest
from invdpo.hub.source import OWN_FILES, Source
from invdpo.schemas.io.redact import redact

if TYPE_CHECKING:
    from invdpo.curate.dataset.archive import PackedImages
    from invdpo.curate.workspace import Workspace

OURS = ("data/*.parquet", "workspace/*", NAME)
"""Patterns of what a push may remove, beside the files of an older push."""


@dataclass(frozen=True)
class UploadFile:
    """One file to be there after the push; reads its bytes once to know their hash."""

    name: str
    content: Content
    operation: Any
    """Of the Hub's client, with the hash in it."""

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
    """What a push comes to."""

    send: list[UploadFile]
    keep: list[UploadFile]
    remove: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Files and bytes."""
        told = {
            word: {"files": len(pieces), "bytes": sum(p.size for p in pieces)}
            for word, pieces in (("sent", self.send), ("kept", self.keep))
        }
        return told | {"removed": {"files": len(self.remove)}}


def piece(name: str, content: Content) -> UploadFile:
    """A file by its name in the repository."""
    from huggingface_hub import CommitOperationAdd

    return UploadFile(name, content, CommitOperationAdd(name, content))


def pieces(source: Source, card: str, place: Path, *, candidates: bool) -> list[UploadFile]:
    """All files of a push, with the card it shall have; tables are packed below `place`.

    With `candidates` the pictures of all candidates go along, not only those in pairs.
    """
    found = contents(source.dataset, OWN_FILES)
    found["README.md"] = card.encode()
    if source.workspace is not None:
        found |= _tables(source.workspace, source, place, candidates)
    made = [piece(name, content) for name, content in found.items()]
    facts = {p.name: {"sha256": p.sha256, "bytes": p.size} for p in made if p.name != "README.md"}
    manifest = Manifest(
        ancestry(source.fingerprint),
        facts,
        source.pairs,
        digest(source.card.encode()),
        workspace=source.workspace is not None,
        candidates=candidates,
    )
    return [*made, piece(NAME, manifest.to_bytes())]


def _tables(ws: Workspace, source: Source, place: Path, candidates: bool) -> dict[str, Content]:
    """The workspace packed, by names in the repository; pictures of pairs are in `data/`."""
    from invdpo.curate.dataset.archive import pack_workspace

    encoding = source.fingerprint.get("dataset", {}).get("image_format", "keep")
    images: PackedImages = "none" if not candidates else "others" if encoding == "keep" else "all"
    (place / "workspace").mkdir()
    packed = pack_workspace(ws, place / "workspace", images, redact)
    return {path.relative_to(place).as_posix(): path for path in packed}


def compare(wanted: Sequence[UploadFile], there: Iterable[Any], old: Manifest | None) -> Plan:
    """What to send, what is there already, and what of older pushes is to go."""
    listed = {entry.path: entry for entry in there if hasattr(entry, "blob_id")}
    kept = [p for p in wanted if same_as_listed(p.content, listed.get(p.name), p.sha256)]
    names = {p.name for p in wanted}
    managed = set(old.files if old else ()) & listed.keys()
    managed |= {name for name in listed if any(fnmatch(name, pattern) for pattern in OURS)}
    send = [p for p in wanted if p not in kept]
    return Plan(send, kept, sorted(managed - names))


def by_name(wanted: Iterable[UploadFile]) -> Mapping[str, Content]:
    """Names to contents, as `verify` takes them."""
    return {p.name: p.content for p in wanted}
