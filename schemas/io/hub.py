"""What the Hub's client may raise when something can't be had of it."""

from __future__ import annotations

Failures = tuple[type[Exception], ...]


def hub_failures(*more: type[Exception]) -> Failures:
    """The bases of its own errors: OSError, and those of the HTTP library below, whichever it is.

    And those in `more`; a name that the Hub doesn't allow, say, is a ValueError.
    """
    from huggingface_hub.errors import HfHubHTTPError

    bases: Failures = HfHubHTTPError.__bases__
    return (*bases, *more)
