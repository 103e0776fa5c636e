"""What the Hub refuses to one who publishes, in plain lines and without any token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from invdpo.schemas import InvdpoError
from invdpo.schemas.io.files import os_reason
from invdpo.schemas.io.hub import hub_failure, hub_failures, hub_words, root_cause

LOGIN = "Run `hf auth login`, or set HF_TOKEN to a token with write access."
ROOM = ("quota", "storage", "exceed", "too large", "payment")
"""Words of a refusal for want of room rather than of right."""


class HubError(InvdpoError):
    """The Hub can't be reached, or refuses; the text says what was asked of it and what to do."""


Act = Literal["write", "read"]
"""What was wanted of the Hub."""


@contextmanager
def hub_errors(repo_id: str, act: Act = "write") -> Iterator[None]:
    """Turn what the Hub's client raises into `HubError`.

    The chain of causes is dropped: those of the client may hold requests with their headers.
    """
    try:
        yield
    except hub_failures(ValueError, RuntimeError) as error:
        refusal = _push_refusal(root_cause(error), repo_id) if act == "write" else None
        raise HubError(refusal or hub_failure(error, repo_id, local=False)) from None


def _push_refusal(error: BaseException, repo_id: str) -> str | None:
    """The meaning of an error that only a push meets; none for others."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: can't be read: {os_reason(error)}."
    status, words = getattr(getattr(error, "response", None), "status_code", 0), hub_words(error)
    owner = repo_id.split("/")[0]
    if status in (402, 413, 507) or (status and any(word in words.lower() for word in ROOM)):
        text = f"its storage quota is exceeded ({status}: {words}). Free storage of {owner}."
        return f"{repo_id}: {text}"
    changed = "changed by someone else in the meantime. Run the same command again."
    meanings = {
        400: f"the Hub rejected the request ({words}).",
        401: f"the Hub refused the token (401). {LOGIN}",
        403: f"no write access ({words}). Use a token with write access to {owner}.",
        409: changed,
        412: changed,
    }
    return f"{repo_id}: {meanings[status]}" if status in meanings else None
