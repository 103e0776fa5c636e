"""`invdpo.json` in a repository: what data set it holds, and the hash of every file of it.

Two pushes are of the same data set when they have one ancestry: the prompts and what drew the
candidates. Scoring again and cutting other pairs makes a new version of it, not another set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from invdpo import __version__
from invdpo.hub.errors import HubError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.redact import redact

NAME = "invdpo.json"
FORMAT = 1
JUDGED = {
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
"""Sections of a fingerprint that say how candidates were judged, not which they are."""


@dataclass(frozen=True)
class Manifest:
    """What a push says of itself."""

    ancestry: dict[str, Any]
    """Section -> key -> value: what made the candidates; empty when nobody knows."""
    files: dict[str, dict[str, Any]]
    """Name in the repository -> `sha256` and `bytes`, of all but the card, which people edit."""
    pairs: int
    card: str
    """SHA-256 of the card as it was here; if the Hub has another, people edited it there."""
    workspace: bool = False
    """Whether the tables that the pairs were cut from are there."""
    candidates: bool = False
    """Whether the pictures of all candidates are there, not only those of pairs."""
    version: str = __version__
    format: int = FORMAT

    @property
    def dataset(self) -> str:
        """The identity of the data set; without ancestry that of its very files."""
        data = {n: f["sha256"] for n, f in self.files.items() if n.startswith("data/")}
        return content_id("dataset", self.ancestry or data)

    def to_bytes(self) -> bytes:
        """As it stands in the repository; the same for the same set."""
        told = {"dataset": self.dataset, **asdict(self)}
        return (json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def ancestry(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that say which candidates there are, without what is private.

    Nothing for sets that were not made here: of imported ones only the layout is known.
    """
    if "generate" not in fingerprint:
        return {}
    found: dict[str, Any] = redact({k: v for k, v in fingerprint.items() if k not in JUDGED})
    return found


def read_manifest(content: bytes, repo_id: str) -> Manifest:
    """Raises `HubError` for one that a newer version wrote, or nobody."""
    try:
        told = json.loads(content)
        if int(told["format"]) > FORMAT:
            raise HubError(
                f"{repo_id}: pushed by invdpo {told['version']}, a newer version than this one "
                f"({__version__}). Upgrade: pip install -U invdpo"
            )
        told.pop("dataset", None)
        found = Manifest(**told)
        for facts in found.files.values():
            str(facts["sha256"]), int(facts["bytes"])
        return found
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"{repo_id}: its {NAME} can't be read."
        raise HubError(f"{text} Push the data set again with --force.") from None
