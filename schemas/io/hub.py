"""The Hugging Face Hub: names that it allows, what its client raises, and what that means.

The texts say what to do and hold no token. What only publishers meet is in `invdpo.hub`.
"""

from __future__ import annotations

from typing import Any, Literal

from invdpo.schemas.errors import ModelError, OfflineError
from invdpo.schemas.io.files import FULL, READ_ONLY, os_reason
from invdpo.schemas.io.redact import without_secrets
from invdpo.schemas.io.text import describe_error

Kind = Literal["model", "dataset"]
Failures = tuple[type[Exception], ...]

LOGIN = "run `hf auth login`, or set HF_TOKEN"
NOUNS = {"model": "model", "dataset": "dataset", None: "repository"}
LONGEST = 300
"""Letters of the Hub's own words that are shown."""


def is_hub_id(name: str) -> bool:
    """Whether it is `OWNER/NAME` by the Hub's rules, as no path such as `./x` or `a/b/c` is."""
    from huggingface_hub import utils
    from huggingface_hub.errors import HFValidationError

    client: Any = utils  # partly untyped
    # older clients let other alphabets and a line's end pass
    if name.count("/") != 1 or not name.isascii() or name != name.strip():
        return False
    try:
        client.validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def hub_failures(*more: type[Exception]) -> Failures:
    """For `except`: all that the client raises when the Hub can't be reached, refuses or fails.

    These are the bases of its own errors: OSError, and those of the HTTP library below, whichever
    it is. Those in `more` are added; a name that the Hub doesn't allow, say, is a ValueError.
    """
    from huggingface_hub.errors import HfHubHTTPError

    bases: Failures = HfHubHTTPError.__bases__
    return (*bases, *more)


def hub_failure(
    error: BaseException,
    repo_id: str,
    kind: Kind | None = None,
    revision: str | None = None,
    *,
    local: bool = True,
) -> str:
    """Why the Hub did not give what was asked of it, and what to do: `OWNER/NAME: …`.

    Args:
        error: What the client raised.
        repo_id: As the user gave it.
        kind: Of the repository, where that is known.
        revision: Branch, tag or commit that was asked for.
        local: Whether a folder of this machine might have been meant, too.
    """
    from huggingface_hub import errors

    here = "no such file or folder here, and " if local else ""
    if is_unreachable(error):
        return f"{repo_id}: {here}{_unreachable(root_cause(error), local)}"
    error = root_cause(error)
    if isinstance(error, errors.GatedRepoError):
        text = f"its owner asks you to accept terms first. Do so at {_page(repo_id, kind)}, then "
        text += f"{LOGIN}."
    elif isinstance(error, errors.RevisionNotFoundError):
        text = f"has no revision {revision!r} on the Hub. Give another."
    elif isinstance(error, errors.RepositoryNotFoundError):
        text = here + not_found(kind)
    elif isinstance(error, errors.LocalTokenNotFoundError):
        text = f"not logged in to the Hub: {LOGIN}."
    elif isinstance(error, errors.HFValidationError) and local:
        text = f"{here}not a name that the Hub allows."
    elif isinstance(error, errors.HfHubHTTPError):
        text = _refusal(error)
    elif isinstance(error, OSError) and (error.filename or error.errno in FULL + READ_ONLY):
        text = f"could not be stored here: {os_reason(error)}."
    else:
        text = f"refused: {_one_line(str(error))}."
    return f"{repo_id}: {text}"


def is_unreachable(error: BaseException) -> bool:
    """Whether the Hub gave no answer at all, as without a network."""
    from huggingface_hub import errors

    error = root_cause(error)
    stored = isinstance(error, OSError) and (error.filename or error.errno in FULL + READ_ONLY)
    answers = errors.HfHubHTTPError | errors.LocalTokenNotFoundError | ValueError
    return not (stored or isinstance(error, answers))


def model_error(
    error: BaseException,
    repo_id: str,
    revision: str | None = None,
    *,
    local: bool = True,
    hint: str = "",
) -> ModelError:
    """What `hub_failure` says of a model, with a hint; an `OfflineError` without the Hub."""
    text = hub_failure(error, repo_id, "model", revision, local=local) + hint
    return OfflineError(text, repo_id) if is_unreachable(error) else ModelError(text)


def not_found(kind: Kind | None, revision: str | None = None) -> str:
    """Words for a repository that is not there, or is somebody's private one."""
    at = f" with a revision {revision!r}" if revision else ""
    return (
        f"no such {NOUNS[kind]} on the Hub{at}, or no access to it. Check the name; if it is "
        f"private, {LOGIN}."
    )


def root_cause(error: BaseException) -> BaseException:
    """What an upload's thread or a download failed of: the outer error only says that it did."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while error.__cause__ is not None and (
        isinstance(error, RuntimeError | LocalEntryNotFoundError) or type(error) is OSError
    ):
        error = error.__cause__
    return error


def hub_words(error: BaseException) -> str:
    """What the Hub or its client said, on one line."""
    words = getattr(error, "server_message", None) or str(error).strip().partition("\n")[0]
    return _one_line(str(words))


def _one_line(text: str) -> str:
    return " ".join(without_secrets(text).split())[:LONGEST].rstrip(".") or "no reason given"


def _page(repo_id: str, kind: Kind | None) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"


def _refusal(error: BaseException) -> str:
    """The meaning of an HTTP status that is no success."""
    status, words = getattr(getattr(error, "response", None), "status_code", 0), hub_words(error)
    meanings = {
        401: f"the Hub refused the token (401): {LOGIN}.",
        403: f"no read access ({words}). Use a token with read access.",
        404: "not on the Hub, or this token has no access to it.",
        429: "the Hub's rate limit is reached (429). Wait some minutes and try again.",
    }
    return meanings.get(status, f"the Hub failed ({status}: {words}). Try again later.")


def _unreachable(error: BaseException, local: bool) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    folder = ", or give a folder" if local else ""
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so the Hub can't be used. Unset it{folder}."
    endpoint = without_secrets(constants.ENDPOINT)
    return (
        f"the Hub can't be reached at {endpoint} ({describe_error(error)}).\nCheck the network, "
        f"and HF_ENDPOINT if it is set{folder}."
    )
