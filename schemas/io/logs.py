"""The libraries that load models, kept from talking over our own output."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries(*, errors: bool = True) -> Iterator[None]:
    """Keep the libraries' own loading bars, and remarks on what is no fault, off the terminal.

    Without `errors` theirs too, for callers who tell of them in their own words.
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
