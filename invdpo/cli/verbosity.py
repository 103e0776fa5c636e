"""`--quiet`, `--verbose` and `--log-file`: what all commands say, and where."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from invdpo import __version__
from invdpo.cli.arguments import optional
from invdpo.cli.output import print_note
from invdpo.schemas import ConfigError
from invdpo.schemas.io.logs import LIBRARIES, LogSettings, log_to_file, settings
from invdpo.schemas.io.processes import is_main_process
from invdpo.schemas.io.redact import without_secrets
from invdpo.schemas.io.text import format_seconds, printable

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


class Terminal(logging.Handler):
    """Shows records on stderr."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Warnings, and remarks of the loggers that this command follows."""
        level = logging.ERROR if settings.quiet else logging.WARNING
        followed = record.name in settings.shown and not settings.quiet
        return settings.verbose or followed or record.levelno >= level

    def emit(self, record: logging.LogRecord) -> None:
        """Work goes on when nobody can read it."""
        print_note(self.format(record))


class FileHandler(logging.Handler):
    """Appends records to a file, one write each, so that a process that is killed loses none.

    Of several processes the first writes everything, the others warnings and errors, and each line
    has its rank. Raises `ConfigError` for a file that can't be written.
    """

    def __init__(self, path: Path, first_line: str) -> None:
        super().__init__(logging.INFO if is_main_process() else logging.WARNING)
        several = os.environ.get("WORLD_SIZE", "1") != "1"
        rank = f" rank {os.environ.get('RANK', '0')}" if several else ""
        line = f"%(asctime)s{rank} %(levelname)s %(name)s: %(message)s"
        self.setFormatter(logging.Formatter(line, "%Y-%m-%d %H:%M:%S"))
        self._path, self._last = path, logging.makeLogRecord({})
        first = logging.makeLogRecord(
            {"name": "invdpo", "levelname": "INFO", "msg": first_line, "levelno": logging.INFO}
        )
        try:
            self._file = path.open("ab", buffering=0)
            if first.levelno >= self.level:
                self._write(first)
        except OSError as error:
            raise ConfigError(f"--log-file: {path}: {_reason(error, path)}") from None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record once, by whichever loggers it comes; work goes on if that fails."""
        if record is self._last or self._file.closed:
            return
        self._last = record
        try:
            self._write(record)
        except OSError as error:
            self._file.close()
            print_note(f"{self._path} takes no more ({error.strerror}); the work goes on.")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _write(self, record: logging.LogRecord) -> None:
        """The text without secrets, lines after the first one indented."""
        text = printable(without_secrets(self.format(record).strip())).replace("\n", "\n  ")
        self._file.write(f"{text}\n".encode(errors="backslashreplace"))


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"no such folder: {path.parent}. Make it, or name another file."
    return f"{error.strerror or error}. Name a file that can be written."


@contextmanager
def reporting(
    words: str, *, quiet: bool, verbose: bool, log_file: Path | None
) -> Iterator[LogSettings]:
    """Say as much as was asked for until the command ends.

    Raises `ConfigError` when the log file can't be written, and for flags that exclude each other.
    """
    if quiet and verbose:
        raise ConfigError("--quiet and --verbose: found both; give one of them.")
    before, start = vars(settings).copy(), time.monotonic()
    settings.__dict__.update(vars(LogSettings(quiet, verbose)))
    if log_file:
        settings.file = FileHandler(log_file, f"invdpo {__version__}: {words}")
    try:
        with _handlers():
            yield settings
    finally:
        log_to_file(f"ended after {format_seconds(time.monotonic() - start)}", "invdpo")
        if settings.file:
            settings.file.close()
        settings.__dict__.update(before)


@contextmanager
def _handlers() -> Iterator[None]:
    """Lead the loggers to the terminal and to the log file."""
    terminal, ours = Terminal(), logging.getLogger("invdpo")
    stamp = "%(asctime)s %(name)s: %(message)s" if settings.verbose else "%(message)s"
    terminal.setFormatter(logging.Formatter(stamp, "%H:%M:%S"))
    file = [settings.file] if settings.file else []
    added = [(name, handler) for name in LIBRARIES for handler in file]
    added += [(name, handler) for name in ("", "py.warnings") for handler in (terminal, *file)]
    for name, handler in added:
        logging.getLogger(name).addHandler(handler)
    level, disabled = ours.level, logging.root.manager.disable
    ours.setLevel(logging.INFO)
    if settings.quiet and not file:
        logging.disable(logging.WARNING)
    logging.captureWarnings(settings.quiet or settings.verbose or bool(file))
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.disable(disabled)
        ours.setLevel(level)
        for name, handler in added:
            logging.getLogger(name).removeHandler(handler)
