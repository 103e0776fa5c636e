"""A data set of the Hub as a folder of this machine."""

from __future__ import annotations

import re
from pathlib import Path

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.files import hash_file, hash_git_blob
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.images import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from invdpo.schemas.io.logs import quiet_hub


def _any_case(text: str) -> str:
    """As a pattern: the Hub's client tells `.PNG` from `.png`."""
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in text)


READ_PATTERNS = [
    "*.parquet",
    "*.txt",
    *(f"*.{_any_case(suffix[1:])}" for suffix in sorted(IMAGE_SUFFIXES | UNREAD_SUFFIXES)),
]
"""All that a layout reads or counts; the patterns reach into every folder."""
SHA256, SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
IGNORED_PATTERNS = ["workspace/*.parquet"]
"""Tables of the workspace, which a data set of ours may have beside it."""


def download(repo_id: str, revision: str | None = None) -> Path:
    """The folder in the Hub's cache; what is there already is not fetched again, unless damaged.

    Raises `DataError` that says what to do.
    """
    folder = _fetch(repo_id, revision)
    if _remove_damaged(folder):
        folder = _fetch(repo_id, revision)
        if damaged := _remove_damaged(folder):
            raise DataError(
                f"{repo_id}: {damaged[0]} arrived damaged twice; its bytes have another hash than "
                "the Hub says. Nothing of it is kept. Look at the network and the disk, try again."
            )
    return folder


def _fetch(repo_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        with quiet_hub():
            return Path(
                snapshot_download(
                    repo_id,
                    repo_type="dataset",
                    revision=revision,
                    allow_patterns=READ_PATTERNS,
                    ignore_patterns=IGNORED_PATTERNS,
                )
            )
    except hub_failures(ValueError) as error:
        raise DataError(hub_failure(error, repo_id, "dataset", revision)) from None


def _remove_damaged(folder: Path) -> list[str]:
    """Remove files that aren't what the Hub sent, and say which.

    The cache names a file's bytes by the hash that the Hub gave: SHA-256 of large ones, git's of
    small ones. Where a system has no links there are no such names, and nothing is checked.
    """
    damaged = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and path.is_file() and not _is_intact(path.resolve()):
            path.resolve().unlink()
            path.unlink()
            damaged.append(path.relative_to(folder).as_posix())
    return damaged


def _is_intact(blob: Path) -> bool:
    if SHA256.fullmatch(blob.name):
        return hash_file(blob) == blob.name
    return hash_git_blob(blob) == blob.name if SHA1.fullmatch(blob.name) else True
