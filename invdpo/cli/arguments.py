"""Arguments and options that several commands share, and the check that a path is no address."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from invdpo.schemas import ConfigError
from invdpo.schemas.io.redact import without_secrets

ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/")
"""How an address begins, and what `Path` makes of it, which has only one slash."""

Work = Annotated[str, typer.Argument(help="Workspace: a folder, or s3://…", metavar="WORK")]
Dataset = Annotated[
    Path, typer.Argument(help="Workspace, or the folder of a dataset.", metavar="DATASET")
]
SetName = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="Named set of pairs of the workspace; the unnamed set if not given.",
        metavar="NAME",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check everything and show what would be done, without doing it."
    ),
]
Private = Annotated[bool, typer.Option("--private", help="Make the repository on the Hub private.")]


def output_option(help_text: str) -> Any:
    """`--output FOLDER`, which every command explains in its own words."""
    return typer.Option("--output", "-o", help=help_text, metavar="FOLDER", show_default=False)


def optional(*names: str, metavar: str, help_text: str) -> Any:
    """An option without a default that could be shown."""
    return typer.Option(*names, help=help_text, metavar=metavar, show_default=False)


def named_set(path: Path, name: str | None) -> Path:
    """The folder of a named set of pairs in the workspace at `path`; `path` itself without a name.

    Raises `WorkspaceError` that lists the names there are.
    """
    if name is None:
        return path
    from invdpo.curate.workspace import Workspace

    return Workspace(path, name).need_set().set_dir


def require_local(path: str | Path) -> None:
    """Raises `ConfigError` for an address, which would become a folder called `s3:` here."""
    if ADDRESS.match(str(path)):
        raise ConfigError(
            f"{without_secrets(str(path))}: found a URL, expected a path on this machine. Copy "
            "the data here first, or copy the result there later (for s3: aws s3 cp --recursive)."
        )


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show results and errors only.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Show time and module of each note, and libraries' warnings."
    ),
]
LogFile = Annotated[
    Path | None,
    optional(
        "--log-file",
        metavar="FILE",
        help_text="Append everything to this file, also what --quiet hides.",
    ),
]


def _flags(quiet: Quiet = False, verbose: Verbose = False, log_file: LogFile = None) -> None:
    """The parameters alone."""


@cache
def verbosity_flags() -> list[Any]:
    """The parameters for the command line: made once for all commands, so that help is quick."""
    app = typer.Typer(add_completion=False)
    app.command()(_flags)
    return list(get_command(app).params)


Tflops = Annotated[
    float | None,
    optional(
        metavar="NUMBER",
        help_text="With --dry-run: count work and memory from the configurations, without weights, "
        "and derive hours from this sustained matrix rate in TFLOP/s.",
    ),
]


def check_tflops(tflops: float | None, dry_run: bool) -> None:
    """Raise `BadParameter` for a rate that nothing is derived from, or that is none."""
    if tflops is not None and not dry_run:
        raise typer.BadParameter("only with --dry-run.", param_hint="--tflops")
    if tflops is not None and not 0 < tflops < math.inf:
        raise typer.BadParameter(f"found {tflops}; expected above 0.", param_hint="--tflops")
