"""What can only be read from this machine's disk."""

from __future__ import annotations

import re
from pathlib import Path

from invdpo.schemas import DataError
from invdpo.schemas.io.redact import without_secrets

ADDRESS = re.compile(r"(?!file:)[A-Za-z][\w+.-]+:/{1,2}[^/]")
"""An address, or what a path makes of it, which has but one slash."""


def check_here(dataset: str | Path) -> None:
    """Raises `DataError` for an address: what reads a data set reads all of it, several times."""
    if ADDRESS.match(str(dataset)):
        raise DataError(
            f"{without_secrets(str(dataset))}: read from a folder of this machine, or from the "
            "Hub as OWNER/NAME. Copy it here first (for s3: aws s3 cp --recursive)."
        )
