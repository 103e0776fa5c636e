"""A data set of the Hub as a folder of this machine."""

from __future__ import annotations

from pathlib import Path

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.logs import quiet_hub
from invdpo.schemas.layouts.names import IMAGE_SUFFIXES

READ_PATTERNS = ["*.parquet", "*.txt", *(f"*{suffix}" for suffix in sorted(IMAGE_SUFFIXES))]
"""All that a layout reads; the patterns reach into every folder."""
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
