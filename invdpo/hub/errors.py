"""What a failed talk with the Hub means to a user, in plain lines and without any token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from invdpo.schemas import InvdpoError
from invdpo.schemas.io.hub import hub_failures
from invdpo.schemas.io.redact import without_tokens

LOGIN = "Run `hf auth login`, or set HF_TOKEN to a token that may write."
ROOM = ("quota", "storage", "exceed", "too large", "payment")
"""Words of a refusal for want of room rather than of right."""


class HubError(InvdpoError):
    """The Hub can't be reached, or refuses; the text says what was asked of it and what to do."""


Act = Literal["write", "read"]
"""What was wanted of the Hub."""


@contextmanager
def hub_errors(repo_id: str, act: Act = "write") -> Iterator[None]:
    """Turn what the Hub's client raises into `HubError`.

    The chain of causes is cut: those of the client may hold requests with their headers.
    """
    try:
        yield
    except hub_failures(ValueError, RuntimeError) as error:
        text = _meaning(_cause(error), repo_id, act)
        raise HubError(without_tokens(text)) from None


def _cause(error: BaseException) -> BaseException:
    """What an upload's thread, or a download, failed of: the client only tells that it did."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    hiding = (RuntimeError, LocalEntryNotFoundError)
    while isinstance(error, hiding) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _meaning(error: BaseException, repo_id: str, act: Act) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, LocalTokenNotFoundError):
        return f"Not logged in to the Hub. {LOGIN}"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub can't be asked. Unset it."
    if isinstance(error, HfHubHTTPError):
        return _answer(error.response.status_code, _words(error), repo_id, act)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: can't be read: {error.strerror}."
    first = " ".join(str(error).split()).rstrip(".") or "no reason given"
    if isinstance(error, ValueError):
        return f"{repo_id}: refused: {first[:300]}."
    return (
        f"The Hub can't be reached at {constants.ENDPOINT} ({type(error).__name__}: {first}).\n"
        "Check the network, and HF_ENDPOINT if you set it."
    )


def _words(error: BaseException) -> str:
    """What the Hub said, in one line."""
    said = getattr(error, "server_message", None) or str(error).strip().split("\n")[0]
    return " ".join(str(said).split()).rstrip(".")[:300]


def _answer(status: int, said: str, repo_id: str, act: Act) -> str:
    """The meaning of an HTTP status that is no success."""
    owner = repo_id.split("/")[0]
    of = f"to {owner}" if act == "write" else "it"
    if status in (402, 413, 507) or any(word in said.lower() for word in ROOM):
        return f"{repo_id}: the Hub has no room for it ({status}: {said}). Free storage of {owner}."
    meanings = {
        400: f"{repo_id}: the Hub refused what was sent ({said}).",
        401: f"The Hub refused the token (401). {LOGIN.replace('write', act)}",
        403: f"{repo_id}: no right to {act} there ({said}). Use a token that may {act} {of}.",
        404: f"{repo_id}: not on the Hub, or not to be seen with this token.",
        409: f"{repo_id}: changed by someone else meanwhile. Run the same command again.",
        412: f"{repo_id}: changed by someone else meanwhile. Run the same command again.",
        429: "The Hub takes no more requests for now (429). Wait some minutes and try again.",
    }
    other = f"The Hub failed ({status}: {said}). Try again later."
    return meanings.get(status, other)
