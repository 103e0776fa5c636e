"""A data set of the Hub as a folder of this machine."""

from __future__ import annotations

from pathlib import Path

from invdpo.schemas.errors import DataError
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
IGNORED_PATTERNS = ["workspace/*.parquet"]
"""Tables of the workspace, which a data set of ours may have beside it."""


def download(repo_id: str, revision: str | None = None) -> Path:
    """The folder in the Hub's cache; what is there already is not fetched again.

    Raises `DataError` that says what to do.
    """
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
