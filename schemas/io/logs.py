"""How much is said and where: libraries that don't talk over our own output, and a log file.

The command line decides by its flags, which it writes into `settings`. What is kept off the
terminal still goes to the log file, if there is one.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

LIBRARIES = ("diffusers", "transformers", "huggingface_hub")
"""Loggers that hand nothing on to the root logger."""


@dataclass
class LogSettings:
    """What the command line was asked for; a Python program has what stands here."""

    quiet: bool = False
    """Results and errors only."""
    verbose: bool = False
    """Nothing is kept back."""
    file: logging.Handler | None = None
    """Takes all records of its level, whatever the terminal shows."""
    shown: set[str] = field(default_factory=set)
    """Loggers of ours whose remarks the terminal shows at any rate."""


settings = LogSettings()


def log_to_file(text: str, name: str, level: int = logging.INFO) -> None:
    """Write to the log file alone; nothing where there is none."""
    file = settings.file
    if file and level >= file.level:
        file.handle(logging.LogRecord(name, level, "", 0, text, None, None))


@contextmanager
def quiet_libraries(*, errors: bool = True) -> Iterator[None]:
    """Keep the loading bars and remarks of diffusers and transformers off the terminal.

    Without `errors` their error messages too, for callers who report them in their own words.
    """
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = [diffusers_logging, transformers_logging]
    shown = [library.is_progress_bar_enabled() for library in libraries]
    for library in libraries:
        library.disable_progress_bar()
    level = logging.ERROR if errors else logging.CRITICAL
    try:
        with _shown_from(level, "diffusers"), _shown_from(level, "transformers"):
            yield
    finally:
        for library, was_shown in zip(libraries, shown, strict=True):
            if was_shown:
                library.enable_progress_bar()


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Keep the remarks of the Hub's client off, and its bars where stderr is no terminal."""
    from huggingface_hub import utils

    client: Any = utils  # partly untyped
    shown = not client.are_progress_bars_disabled()
    if shown and (settings.quiet or not sys.stderr.isatty()):
        client.disable_progress_bars()
    try:
        with _shown_from(logging.ERROR, "huggingface_hub"), _quiet_warnings():
            yield
    finally:
        if shown:
            client.enable_progress_bars()


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Keep warnings back that go through Python's root logger, as open_clip's do."""
    with _shown_from(logging.ERROR):
        yield


@contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Keep Python's warnings back; the command line logs them where a log file wants them."""
    with warnings.catch_warnings(), _shown_from(logging.ERROR, "py.warnings"):
        if not settings.verbose and not settings.file:
            warnings.simplefilter("ignore")
        yield


@contextmanager
def _shown_from(level: int, name: str | None = None) -> Iterator[None]:
    """Show no record of a logger below this level, but let the log file have it."""
    logger = logging.getLogger(name)
    limits: list[Any] = [logger]
    if settings.file:
        limits = [handler for handler in logger.handlers if handler is not settings.file]
    before = [limit.level for limit in limits]
    for limit in limits:
        limit.setLevel(limit.level if settings.verbose else level)
    try:
        yield
    finally:
        for limit, earlier in zip(limits, before, strict=True):
            limit.setLevel(earlier)
