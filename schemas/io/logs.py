"""Libraries kept from talking over our own output: their bars, their remarks, their warnings."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_libraries(*, errors: bool = True) -> Iterator[None]:
    """Keep the loading bars and remarks of diffusers and transformers off the terminal.

    Without `errors` their error messages too, for callers who report them in their own words.
    """
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = [diffusers_logging, transformers_logging]
    shown = [library.is_progress_bar_enabled() for library in libraries]
    verbosity = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.disable_progress_bar()
        library.set_verbosity(logging.ERROR if errors else logging.CRITICAL)
    try:
        yield
    finally:
        for library, level in zip(libraries, verbosity, strict=True):
            library.set_verbosity(level)
        for library, was_shown in zip(libraries, shown, strict=True):
            if was_shown:
                library.enable_progress_bar()


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Keep the remarks of the Hub's client off, and its bars where stderr is no terminal."""
    from huggingface_hub import utils

    client: Any = utils  # partly untyped
    verbosity, shown = client.logging.get_verbosity(), not client.are_progress_bars_disabled()
    client.logging.set_verbosity_error()
    if shown and not sys.stderr.isatty():
        client.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        client.logging.set_verbosity(verbosity)
        if shown:
            client.enable_progress_bars()


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Keep warnings back that go through Python's root logger, as open_clip's do."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
