"""Arguments and options that several commands share, and the check that a data set lies here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from invdpo.schemas import DataError
from invdpo.schemas.io.redact import without_secrets

ADDRESS = re.compile(r"(?!file:)[A-Za-z][\w+.-]+:/{1,2}[^/]")
"""An address, or what `Path` makes of it, which has only one slash."""

Work = Annotated[str, typer.Argument(help="Workspace: a folder, or s3://…", metavar="WORK")]
Dataset = Annotated[
    Path, typer.Argument(help="Workspace, or the folder of a data set.", metavar="DATASET")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Check everything and show what would be done; do nothing."),
]
Private = Annotated[bool, typer.Option("--private", help="Make the repository on the Hub private.")]


def output_option(help_text: str) -> Any:
    """`--output FOLDER`, which every command explains in its own words."""
    return typer.Option("--output", "-o", help=help_text, metavar="FOLDER", show_default=False)


def optional(*names: str, metavar: str, help_text: str) -> Any:
    """An option without a default that could be shown."""
    return typer.Option(*names, help=help_text, metavar=metavar, show_default=False)


def require_local(dataset: str | Path) -> None:
    """Raises `DataError` for an address: a data set is read as a whole, several times."""
    if ADDRESS.match(str(dataset)):
        raise DataError(
            f"{without_secrets(str(dataset))}: must be a folder on this machine, or OWNER/NAME on "
            "the Hub. Copy it here first (for s3: aws s3 cp --recursive)."
        )
