"""Names that the Hub allows, and what its client's errors mean: in plain words, without a token."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants, errors

from invdpo.schemas.io.hub import hub_failure, is_hub_id, not_found

TOKEN = "hf_abcdefghijklmnop"


@pytest.mark.parametrize("name", ["owner/name", "O/n", "a_b/c.d-e", "1/2", "_a/b", "a/" + "b" * 96])
def test_names_that_the_hub_allows(name: str) -> None:
    assert is_hub_id(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "name",
        "a/b/c",
        "./x",
        "../x",
        "/a/b",
        "a/",
        "/a",
        "-a/b",
        "a/b-",
        "a/.b",
        "a/b..c",
        "a/b--c",
        "a b/c",
        "ä/b",
        "a/b.git",
        "a/b\n",
        " a/b",
        "a/" + "b" * 97,
        "C:\\a/b",
        "s3://a",
    ],
)
def test_names_that_it_does_not(name: str) -> None:
    assert not is_hub_id(name)


def refused(kind: type[errors.HfHubHTTPError], status: int) -> Exception:
    """What the client raises; its text holds what a server may have echoed."""
    response: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind(f"Bearer {TOKEN}\nand more", response=response)


FAILURES: list[tuple[Exception, str]] = [
    (refused(errors.GatedRepoError, 403), "its owner asks you to accept terms first. Do so at "),
    (refused(errors.RevisionNotFoundError, 404), "has no revision 'v1' on the Hub. Give another."),
    (refused(errors.RepositoryNotFoundError, 404), "HERE no such dataset on the Hub, or no access"),
    (refused(errors.HfHubHTTPError, 401), "the Hub refused the token (401): run `hf auth login`"),
    (refused(errors.HfHubHTTPError, 403), "no read access (Bearer hf_…). Use a token"),
    (refused(errors.HfHubHTTPError, 429), "the Hub's rate limit is reached (429)."),
    (refused(errors.HfHubHTTPError, 503), "the Hub failed (503: Bearer hf_…). Try again later."),
    (errors.LocalTokenNotFoundError(TOKEN), "not logged in to the Hub: run `hf auth login`"),
    (errors.OfflineModeIsEnabled(TOKEN), "HERE HF_HUB_OFFLINE is set, so the Hub can't be used."),
    (ConnectionError(TOKEN), "HERE the Hub can't be reached at https://hub.test (ConnectionError:"),
    (errors.LocalEntryNotFoundError(TOKEN), "HERE the Hub can't be reached at https://hub.test"),
    (OSError(errno.ENOSPC, "No space left"), "could not be stored here: No space left."),
    (ValueError(f"bad\n{TOKEN}"), "refused: bad hf_…."),
]


@pytest.mark.parametrize(("error", "text"), FAILURES)
@pytest.mark.parametrize("local", [True, False])
def test_failures_say_what_to_do_and_no_token(
    error: Exception, text: str, local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.test")
    found = hub_failure(error, "a/b", "dataset", "v1", local=local)
    here = "no such file or folder here, and " if local else ""
    assert found.startswith(f"a/b: {text.replace('HERE ', here)}")
    assert TOKEN not in found
    assert len(found.splitlines()) <= 2


def test_the_page_of_the_terms_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.test")
    error = refused(errors.GatedRepoError, 403)
    assert "https://hub.test/datasets/a/b," in hub_failure(error, "a/b", "dataset")
    assert "https://hub.test/a/b," in hub_failure(error, "a/b", "model")


@pytest.mark.parametrize("outer", [RuntimeError("thread"), errors.LocalEntryNotFoundError("cache")])
def test_the_cause_is_what_is_told(outer: Exception) -> None:
    outer.__cause__ = errors.OfflineModeIsEnabled("x")
    assert hub_failure(outer, "a/b", local=False).startswith("a/b: HF_HUB_OFFLINE is set")


def test_words_for_what_is_not_there() -> None:
    assert not_found("model").startswith("no such model on the Hub, or no access to it.")
    assert "repository on the Hub with a revision 'v2'" in not_found(None, "v2")
