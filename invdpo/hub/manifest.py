"""`invdpo.json` in a repository: which dataset it holds, and the hash of every file of it.

Two pushes are of the same dataset when they have the same ancestry: the prompts and what generated
the candidates. Scoring again and choosing other pairs makes a new version of it, not another set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from invdpo import __version__
from invdpo.hub.errors import HubError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.io.redact import redact

MANIFEST = "invdpo.json"
FORMAT = 1
NOT_ANCESTRY = {
    "annotate",
    "dataset",
    "export",
    "layout",
    "pair",
    "report",
    "reviews",
    "score",
    "scores",
}
"""Sections of a fingerprint that say how candidates were judged, not which ones they are."""


@dataclass(frozen=True)
class Manifest:
    """What a push says about itself."""

    ancestry: dict[str, Any]
    """Section -> key -> value: what made the candidates; empty when that is unknown."""
    files: dict[str, dict[str, Any]]
    """Name in the repository -> `sha256` and `bytes`, of all but the card, which people edit."""
    pairs: int
    card: str
    """SHA-256 of the card as it was here; if the Hub has another, somebody edited it there."""
    workspace: bool = False
    """Whether the tables of the workspace were pushed too."""
    candidates: bool = False
    """Whether the images of all candidates were pushed, not only those in pairs."""
    version: str = __version__
    format: int = FORMAT

    @property
    def dataset(self) -> str:
        """The identity of the dataset; without ancestry that of its files."""
        data = {n: f["sha256"] for n, f in self.files.items() if n.startswith("data/")}
        return content_id("dataset", self.ancestry or data)

    def to_bytes(self) -> bytes:
        """The file in the repository; the same for the same dataset."""
        content = {"dataset": self.dataset, **asdict(self)}
        return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def ancestry(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that say which candidates there are, without what is private.

    Nothing for imported datasets, of which only the layout is known.
    """
    if "generate" not in fingerprint:
        return {}
    sections = {name: part for name, part in fingerprint.items() if name not in NOT_ANCESTRY}
    public: dict[str, Any] = redact(sections)
    return public


def read_manifest(content: bytes, repo_id: str) -> Manifest:
    """Raises `HubError` for one of a newer version, or one that can't be read."""
    try:
        values = read_json(content, repo_id, dict)
        if int(values["format"]) > FORMAT:
            raise HubError(
                f"{repo_id}: pushed by invdpo {values['version']}, which is newer than this "
                f"version ({__version__}). Upgrade: pip install -U invdpo"
            )
        values.pop("dataset", None)
        manifest = TypeAdapter(Manifest).validate_python(values)
        for facts in manifest.files.values():
            str(facts["sha256"]), int(facts["bytes"])
        return manifest
    except (ValueError, LookupError, TypeError, ArithmeticError):
        text = f"{repo_id}: its {MANIFEST} can't be read."
        raise HubError(f"{text} Push the dataset again with --force.") from None
