"""Pushing a folder to the Hub: first the right to do so, then the files, then the proof."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invdpo import __version__
from invdpo.hub.files import contents, verify
from invdpo.hub.repository import Repository
from invdpo.schemas.io.hub import Kind


def check_push(
    repo_id: str, kind: Kind = "model", *, private: bool = False, card: str | None = None
) -> str:
    """See that `push_folder` may push there, before any work is done; the address of the page.

    Raises `ConfigError` for a name that the Hub does not allow, and `HubError` for a login that is
    missing, wrong or may not write, for a name under someone else's, for a repository that
    is public when it shall be private, and for a card whose metadata the Hub refuses.
    """
    repo = Repository(repo_id, kind)
    repo.check_rights()
    repo.check_visibility(private)
    if card:
        repo.check_card(card)
    return repo.page()


def push_folder(
    folder: Path,
    repo_id: str,
    kind: Kind = "model",
    *,
    patterns: Sequence[str],
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    note: str = f"Upload with invdpo {__version__}",
) -> str:
    """Push the files of a folder that match `patterns`; the address where they are then.

    Repository and branch are made if missing; what is there already is not sent again. Then the
    hashes that the Hub lists are held against the files here. Absolute paths in `training.json`
    and its like are cut to their last part on the way.

    Args:
        folder: What to push; hidden files, and links that lead out of it, stay here.
        repo_id: `OWNER/NAME`.
        kind: `model` or `dataset`.
        patterns: As of `Path.glob`: `*.json` is the folder itself, `unet/**/*` all below another.
        private: Make it private; one that is there and public is refused.
        revision: Branch to push to; the main one when not given.
        create_pr: Open a pull request on the main branch instead; `revision` must not be given.
        note: Message of the commits.

    Raises:
        ConfigError: A name that the Hub does not allow.
        DataError: No file matches.
        HubError: The Hub can't be reached, refuses, or holds other bytes than were sent.
    """
    repo = Repository(repo_id, kind)
    sent = contents(folder, patterns)
    repo.make(private, revision)
    repo.check_visibility(private)
    done = repo.commit(sent, revision, create_pr, note)
    verify(repo_id, sent, repo.listed(done.oid))
    return done.pr_url or repo.page(revision)
