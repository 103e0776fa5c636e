"""`--quiet`, `--verbose` and `--log-file`: what all commands say, and where."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invdpo import __version__
from invdpo.console.handlers import FileHandler, Terminal
from invdpo.schemas import ConfigError
from invdpo.schemas.io.logs import LIBRARIES, LogSettings, log_to_file, settings
from invdpo.schemas.io.text import format_seconds


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
    with warnings.catch_warnings():
        if not (settings.verbose or file):  # what programmers are told, and nobody here can mend
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
        logging.captureWarnings(settings.quiet or settings.verbose or bool(file))
        try:
            yield
        finally:
            logging.captureWarnings(False)
            logging.disable(disabled)
            ours.setLevel(level)
            for name, handler in added:
                logging.getLogger(name).removeHandler(handler)
