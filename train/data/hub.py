"""A dataset of the Hub as a folder of this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.files import git_hasher, hash_file
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.images import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from invdpo.schemas.io.logs import quiet_hub
from invdpo.schemas.layouts.folders import METADATA
from invdpo.schemas.layouts.foreign import may_be_read, way_out


def _any_case(text: str) -> str:
    """As a pattern: the Hub's client distinguishes `.PNG` from `.png`."""
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in text)


READ_PATTERNS = [
    f"*.{_any_case('parquet')}",
    f"*.{_any_case('txt')}",
    METADATA,
    f"*/{METADATA}",
    *(f"*.{_any_case(suffix[1:])}" for suffix in sorted(IMAGE_SUFFIXES | UNREAD_SUFFIXES)),
]
"""All that a layout reads or counts; the patterns reach into every folder."""
SHA256, SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
IGNORED_PATTERNS = ["workspace/*.parquet"]
"""Tables of the workspace, which a dataset of ours may have beside it."""


def download(repo_id: str, revision: str | None = None) -> Path:
    """The folder in the Hub's cache; what is there already is not fetched again, unless damaged.

    Raises `DataError` that says what to do.
    """
    _check_names(repo_id, revision)
    folder = _fetch(repo_id, revision)
    if not _damaged(folder):
        return folder
    # processes of one training share the cache: none may remove what another downloaded again
    with FileLock(folder.parents[1] / ".invdpo.lock"):
        _remove(_damaged(folder))
        folder = _fetch(repo_id, revision)
        if damaged := _damaged(folder):
            _remove(damaged)
            raise DataError(
                f"{repo_id}: {damaged[0].relative_to(folder).as_posix()} was damaged in two "
                "downloads: its hash differs from the Hub's. The file was removed. Check the "
                "network and the disk, and try again."
            )
    return folder


def _check_names(repo_id: str, revision: str | None) -> None:
    """Raise `DataError` for files in a form that is not read, before they are fetched."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(repo_id, revision=revision, timeout=20)
    except hub_failures(ValueError):
        return  # the download says why, or finds a copy
    names = [file.rfilename for file in info.siblings or ()]
    if not may_be_read(names):
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") or "nothing"
        remedy = way_out(names, repo_id, on_hub=True, revision=revision)
        raise DataError(
            f"{repo_id}: no dataset in a known layout, found {shown}. Nothing was downloaded. "
            f"See docs/data-in.md for the layouts.\n{remedy}".rstrip()
        )


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


def _damaged(folder: Path) -> list[Path]:
    """The files that aren't what the Hub sent.

    The cache names a file's bytes by the hash that the Hub gave: SHA-256 of large ones, git's of
    small ones. Where a system has no links there are no such names, and nothing is checked.
    """
    return [p for p in sorted(folder.rglob("*")) if p.is_symlink() and not _is_intact(p.resolve())]


def _is_intact(blob: Path) -> bool:
    try:
        if SHA256.fullmatch(blob.name):
            return hash_file(blob) == blob.name
        if SHA1.fullmatch(blob.name):
            return hash_file(blob, git_hasher(blob.stat().st_size)) == blob.name
    except FileNotFoundError:  # another process is about to fetch it
        return False
    return True


def _remove(links: Sequence[Path]) -> None:
    for link in links:
        link.resolve().unlink(missing_ok=True)
        link.unlink(missing_ok=True)
