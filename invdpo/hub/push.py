"""Pushing a data set: see what is there, send what is not, and look again.

MERGED: One change of a branch, however many files it is of.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo import __version__
from invdpo.hub.errors import HubError, hub_errors
from invdpo.hub.files import verify
from invdpo.hub.plan import Plan, UploadFile, by_name, compare, pieces
from invdpo.hub.remote import Remote, card_to_push, check_same, look
from invdpo.hub.repository import Repository
from invdpo.hub.source import Source, find_source
from invdpo.schemas import ConfigError
from invdpo.schemas.io.logs import quiet_hub
from invdpo.schemas.io.text import format_bytes

BRANCH = re.compile(r"(?!.*(\.\.|//|@\{))[\w-][\w./@+-]*(?<![./])", re.ASCII)

COMMIT = re.compile(r"[0-9a-f]{40}")


Note = Callable[[str], None]


@dataclass(frozen=True)
class PushOptions:
    """How to push."""

    private: bool = False
    revision: str | None = None
    create_pr: bool = False
    force: bool = False
    """Replace another data set that is there."""
    dry_run: bool = False
    candidates: bool = False
    """With the pictures of all candidates, not only those in pairs."""


@dataclass(frozen=True)
class PushResult:
    """What a push came to, or on a dry run would come to."""

    url: str
    plan: Plan
    pairs: int
    workspace: bool
    commit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        told = {"url": self.url, "pairs": self.pairs, "workspace": self.workspace}
        return told | self.plan.to_dict() | {"commit": self.commit}


def push_set(path: Path, repo_id: str, options: PushOptions, note: Note) -> PushResult:
    """Push the data set at `path`, with the tables of its workspace when `path` is one.

    Large files that the Hub has, from this push or one that was cut, are not sent again. All
    changes appear on the branch at once, and with them go the files of an older push that are none
    of this one. Then what the Hub lists is held against the files here.

    Raises:
        ConfigError: A name of repository or branch that the Hub does not allow.
        DataError: No data set there, or one that is not whole.
        HubError: No login or no right, another data set there, someone else's change meanwhile,
            or the Hub can't be reached, refuses, or holds other bytes than were sent.
    """
    repo = Repository(repo_id, "dataset")
    _check_branch(options.revision)
    source = find_source(path)
    lock = source.workspace.lock() if source.workspace and not options.dry_run else nullcontext()
    with lock, _place(source, options.dry_run) as place:
        repo.check_rights(own=not options.create_pr)
        repo.check_visibility(options.private)
        there = look(repo, options.revision)
        check_same(repo_id, source, there, options.force)
        card = source.card if options.force else card_to_push(repo, source.card, there)
        if card != source.card:
            note("The card was edited on the Hub: what people wrote there stays.")
        repo.check_card(card)
        wanted = pieces(source, card, place, candidates=options.candidates)
        plan = compare(wanted, there.listed, there.manifest)
        done = PushResult(
            repo.page(options.revision), plan, source.pairs, source.workspace is not None
        )
        if options.dry_run:
            return done
        return _send(repo, wanted, there, options, done, note)


def _check_branch(name: str | None) -> None:
    if name is not None and (not BRANCH.fullmatch(name) or COMMIT.fullmatch(name)):
        raise ConfigError(
            f"--revision: found {name!r}; expected the name of a branch, of letters, digits, '-', "
            "'_', '.' and '/'."
        )


@contextmanager
def _place(source: Source, dry_run: bool) -> Iterator[Path]:
    """A folder for packed tables: in the workspace, on whose disk there should be room."""
    from invdpo.curate.storage.errors import storage_errors

    if source.workspace is None or dry_run:
        with tempfile.TemporaryDirectory(prefix="invdpo-push-") as place:
            yield Path(place)
        return
    inside = source.workspace.root / ".push.tmp"
    with storage_errors(inside):
        shutil.rmtree(inside, ignore_errors=True)  # of a push that was killed
        inside.mkdir()
    try:
        yield inside
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def _send(
    repo: Repository,
    wanted: list[UploadFile],
    there: Remote,
    options: PushOptions,
    done: PushResult,
    note: Note,
) -> PushResult:
    plan = done.plan
    if there.commit is None or options.revision:
        repo.make(options.private, options.revision)
    if not plan.send and not plan.remove:
        note("Nothing has changed since the last push.")
        return _proved(repo, wanted, done, there.commit or "main")
    total = sum(p.size for p in plan.send)
    note(f"Sending {len(plan.send)} files, {format_bytes(total)}, to {done.url}")
    commit, url = commit_at_once(repo, plan, there.commit, options.revision, options.create_pr)
    return _proved(
        repo, wanted, PushResult(url or done.url, plan, done.pairs, done.workspace), commit
    )


def _proved(
    repo: Repository, wanted: list[UploadFile], done: PushResult, commit: str
) -> PushResult:
    """The same with its commit, once what the Hub lists there is what lies here."""
    listed = repo.listed(commit)
    verify(repo.id, by_name(wanted), listed, {p.name: p.sha256 for p in wanted})
    left = sorted({entry.path for entry in listed} & set(done.plan.remove))
    if left:
        raise HubError(f"{repo.id}: {left[0]} of an older push is still there. Push again.")
    return PushResult(done.url, done.plan, done.pairs, done.workspace, commit)


AT_ONCE = 99
"""Changes of one commit: the Hub asks for fewer than a hundred."""


def commit_at_once(
    repo: Repository, plan: Plan, parent: str | None, revision: str | None, create_pr: bool
) -> tuple[str, str | None]:
    """The commit, and the address of a pull request that stays open.

    Large files go first. More changes than fit a commit go to a pull request, which is then
    merged, so that nobody ever sees half of them. Raises `HubError`, also when the branch is no
    longer at `parent`.
    """
    from huggingface_hub import CommitOperationDelete

    changes = [*(p.operation for p in plan.send), *map(CommitOperationDelete, plan.remove)]
    groups = [changes[n : n + AT_ONCE] for n in range(0, len(changes), AT_ONCE)]
    note = f"Data set pushed with invdpo {__version__}"
    with hub_errors(repo.id), quiet_hub():
        if len(groups) == 1:
            done = repo.api.create_commit(
                repo.id,
                changes,
                repo_type=repo.kind,
                revision=revision,
                commit_message=note,
                parent_commit=parent,
                create_pr=create_pr,
            )
            return done.oid, done.pr_url
        repo.api.preupload_lfs_files(
            repo.id,
            [p.operation for p in plan.send],
            repo_type=repo.kind,
            revision=revision,
            create_pr=True,
            free_memory=False,
        )
        return _by_request(repo, groups, parent, revision, create_pr, note)


def _by_request(
    repo: Repository,
    groups: list[list[Any]],
    parent: str | None,
    revision: str | None,
    stays: bool,
    note: str,
) -> tuple[str, str | None]:
    """The same for groups of changes, each a commit of one pull request."""
    opened = done = repo.api.create_commit(
        repo.id,
        groups[0],
        repo_type=repo.kind,
        revision=revision,
        commit_message=note,
        parent_commit=parent,
        create_pr=True,
    )
    for group in groups[1:]:
        done = repo.api.create_commit(
            repo.id, group, repo_type=repo.kind, revision=opened.pr_revision, commit_message=note
        )
    if stays:
        return done.oid, opened.pr_url
    repo.api.merge_pull_request(repo.id, opened.pr_num, repo_type=repo.kind)
    return repo.api.repo_info(repo.id, repo_type=repo.kind, revision=revision).sha, None
