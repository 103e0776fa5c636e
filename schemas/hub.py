"""What the Hub's client may raise when something can't be had of it."""

from __future__ import annotations


def hub_failures() -> tuple[type[Exception], ...]:
    """The bases of its own errors: OSError, and those of the HTTP library below, whichever it is.

    A name that the Hub doesn't allow is a ValueError, which each caller takes or leaves.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__
