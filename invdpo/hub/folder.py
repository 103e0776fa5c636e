"""Pushing a folder to the Hub: check the rights, send the files, verify that they arrived."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invdpo import __version__
from invdpo.hub.files import collect_files, verify
from invdpo.hub.repository import Repository
from invdpo.schemas.io.hub import Kind


def check_push(
    repo_id: str, kind: Kind = "model", *, private: bool = False, card: str | None = None
) -> str:
    """Check that `push_folder` may push there, before any work is done; the address of the page.

    Raises `ConfigError` for a name that the Hub does not allow, and `HubError` for a login that is
    missing, wrong or may not write, for a repository of another owner, for one that is public
    although it shall be private, and for a card whose metadata the Hub refuses.
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
    """Push the files of a folder that match `patterns`; their address.

    Repository and branch are made if missing; files that the Hub has are not sent again. Then the
    hashes that the Hub lists are compared with the files here. Absolute paths in `training.json`
    and the like are shortened to their last part on the way.

    Args:
        folder: What to push; hidden files, and links that lead out of it, stay here.
        repo_id: `OWNER/NAME`.
        kind: `model` or `dataset`.
        patterns: As of `Path.glob`: `*.json` in the folder itself, `unet/**/*` below another.
        private: Make it private; an existing public one is refused.
        revision: Branch to push to; the main one when not given.
        create_pr: Open a pull request on the main branch instead; `revision` must not be given.
        note: Message of the commits.

    Raises:
        ConfigError: A name that the Hub does not allow.
        DataError: No file matches.
        HubError: The Hub can't be reached, refuses, or holds other bytes than were sent.
    """
    repo = Repository(repo_id, kind)
    sent = collect_files(folder, patterns)
    repo.create(private, revision)
    repo.check_visibility(private)
    commit = repo.commit(sent, revision, create_pr, note)
    verify(repo_id, sent, repo.list_files(commit.oid))
    return commit.pr_url or repo.page(revision)
