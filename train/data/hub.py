"""A data set of the Hub as a folder of this machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.hub import hub_failures
from invdpo.schemas.layouts.names import SUFFIXES

NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
"""`OWNER/NAME`."""
PATTERNS = ["*.parquet", "*.txt", *(f"*{suffix}" for suffix in sorted(SUFFIXES))]
"""All that a layout reads; the patterns reach into every folder."""
UNREAD = ["workspace/*.parquet"]
"""What lies beside a set of ours: the tables that it was cut from."""
LOGIN = "run `hf auth login`, or set HF_TOKEN"


def is_hub_id(where: str) -> bool:
    """Whether it looks like `OWNER/NAME`, not like a path that isn't there."""
    return bool(NAME.fullmatch(where)) and not where.startswith(".") and ".parquet" not in where


def download(repo_id: str, revision: str | None = None) -> Path:
    """The folder in the Hub's cache; what is there already is not fetched again.

    Raises `DataError` that says what to do. No text of the Hub goes into it, so that nothing
    secret does.
    """
    from huggingface_hub import snapshot_download

    try:
        with _bars_for_people():
            return Path(
                snapshot_download(
                    repo_id,
                    repo_type="dataset",
                    revision=revision,
                    allow_patterns=PATTERNS,
                    ignore_patterns=UNREAD,
                )
            )
    except hub_failures(ValueError) as error:
        raise DataError(f"{repo_id}: {_meaning(error, repo_id, revision)}") from None


@contextmanager
def _bars_for_people() -> Iterator[None]:
    """The client's bars off where stderr is no terminal."""
    from huggingface_hub import utils

    client: Any = utils  # partly untyped
    if sys.stderr.isatty() or client.are_progress_bars_disabled():
        yield
        return
    client.disable_progress_bars()
    try:
        yield
    finally:
        client.enable_progress_bars()


def _meaning(error: Exception, repo_id: str, revision: str | None) -> str:
    from huggingface_hub import constants, errors

    unreachable = (
        "no such folder here, and the Hub can't be reached. Check the network, HF_ENDPOINT and "
        "HF_HUB_OFFLINE, or give a folder."
    )
    status = getattr(getattr(error, "response", None), "status_code", "no answer")
    meanings: dict[type[Exception], str] = {
        errors.GatedRepoError: "its owner asks you to accept terms first. Do so at "
        f"{constants.ENDPOINT}/datasets/{repo_id}, then {LOGIN}.",
        errors.RevisionNotFoundError: f"has no revision {revision!r} on the Hub. Give another.",
        errors.RepositoryNotFoundError: "no such folder here, and no such data set on the Hub, or "
        f"none that you may see. Check the name; if it is private, {LOGIN}.",
        errors.LocalEntryNotFoundError: unreachable,
        errors.OfflineModeIsEnabled: unreachable,
        errors.HFValidationError: "no such folder here, and no name that the Hub allows.",
        errors.HfHubHTTPError: f"the Hub refused or failed ({status}). To get access, {LOGIN}; "
        "or try again later.",
    }
    told = next((text for kind, text in meanings.items() if isinstance(error, kind)), None)
    if told is None and isinstance(error, OSError) and error.errno and error.strerror:
        told = f"could not be stored here: {error.strerror}."
    return told or unreachable
