"""Pushing a dataset: see what is there, send what is not, and check that it arrived.

However many files change, they appear on the branch together.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invdpo import __version__
from invdpo.hub.errors import HubError, hub_errors
from invdpo.hub.files import verify
from invdpo.hub.plan import Plan, UploadFile, compare, contents_by_name, upload_files
from invdpo.hub.remote import Remote, card_to_push, check_same_dataset, read_remote
from invdpo.hub.repository import Repository
from invdpo.hub.source import LocalDataset, find_dataset
from invdpo.schemas import ConfigError
from invdpo.schemas.io.logs import quiet_hub
from invdpo.schemas.io.text import count_noun, format_bytes

BRANCH = re.compile(r"(?!.*(\.\.|//|@\{))[\w-][\w./@+-]*(?<![./])", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
CHANGES_A_COMMIT = 99
"""The Hub asks for fewer than a hundred."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class PushOptions:
    """How to push."""

    private: bool = False
    revision: str | None = None
    create_pr: bool = False
    force: bool = False
    """Replace another dataset in the repository."""
    dry_run: bool = False
    candidates: bool = False
    """With the images of all candidates, not only those in pairs."""


@dataclass(frozen=True)
class PushResult:
    """What a push did, or on a dry run would do."""

    url: str
    plan: Plan
    pairs: int
    workspace: bool
    commit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        facts = {"url": self.url, "pairs": self.pairs, "workspace": self.workspace}
        return facts | self.plan.to_dict() | {"commit": self.commit}


def push_set(path: Path, repo_id: str, options: PushOptions, note: Note) -> PushResult:
    """Push the dataset at `path`, with the tables of its workspace when `path` is one.

    Large files that the Hub has, from this push or an interrupted one, are not sent again. Files of
    an older push that are not in this one are removed. Then the Hub's list of files is compared
    with the files here.

    Raises:
        ConfigError: A name of repository or branch that the Hub does not allow.
        DataError: No dataset there, or an incomplete one.
        HubError: No login or no right, another dataset there, a change by someone else just then,
            or the Hub can't be reached, refuses, or holds other bytes than were sent.
    """
    repo = Repository(repo_id, "dataset")
    _check_branch(options.revision)
    dataset = find_dataset(path)
    lock = dataset.workspace.lock() if dataset.workspace and not options.dry_run else nullcontext()
    with lock, _packing_folder(dataset, options.dry_run) as folder:
        repo.check_rights(own=not options.create_pr)
        repo.check_visibility(options.private)
        remote = read_remote(repo, options.revision)
        check_same_dataset(repo_id, dataset, remote, options.force)
        card = dataset.card if options.force else card_to_push(repo, dataset.card, remote)
        if card != dataset.card:
            note("The card was edited on the Hub. The text that people wrote there is kept.")
        repo.check_card(card)
        wanted = upload_files(dataset, card, folder, candidates=options.candidates)
        plan = compare(wanted, remote.entries, remote.manifest)
        url, has_workspace = repo.page(options.revision), dataset.workspace is not None
        result = PushResult(url, plan, dataset.pairs, has_workspace)
        if options.dry_run:
            return result
        sent = _send(repo, wanted, remote, options, result, note)
        _note_push(dataset, repo_id)
        return sent


def _note_push(dataset: LocalDataset, repo_id: str) -> None:
    """Have a named set of pairs know that others use it."""
    from invdpo.curate.dataset.folder import DatasetFolder

    ws = dataset.workspace or DatasetFolder(dataset.folder).enclosing_workspace
    if ws and ws.name:
        ws.note_push(repo_id)


def _check_branch(name: str | None) -> None:
    if name is not None and (not BRANCH.fullmatch(name) or COMMIT.fullmatch(name)):
        raise ConfigError(
            f"--revision: found {name!r}; expected the name of a branch with letters, digits, "
            "'-', '_', '.' and '/'."
        )


@contextmanager
def _packing_folder(dataset: LocalDataset, dry_run: bool) -> Iterator[Path]:
    """A folder for packed tables: in the workspace, whose disk should have room for them."""
    from invdpo.curate.storage.errors import storage_errors

    if dataset.workspace is None or dry_run:
        with tempfile.TemporaryDirectory(prefix="invdpo-push-") as folder:
            yield Path(folder)
        return
    inside = dataset.workspace.root / ".push.tmp"
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
    remote: Remote,
    options: PushOptions,
    result: PushResult,
    note: Note,
) -> PushResult:
    plan = result.plan
    if remote.commit is None or options.revision:
        repo.create(options.private, options.revision)
    if not plan.send and not plan.remove:
        note("Nothing has changed since the last push.")
        return _verified(repo, wanted, result, remote.commit or "main")
    size = sum(file.size for file in plan.send)
    note(f"Sending {count_noun(len(plan.send), 'file')}, {format_bytes(size)}, to {result.url}")
    commit, url = commit_plan(repo, plan, remote.commit, options.revision, options.create_pr)
    return _verified(repo, wanted, replace(result, url=url or result.url), commit)


def _verified(
    repo: Repository, wanted: list[UploadFile], result: PushResult, commit: str
) -> PushResult:
    """The result with its commit, once the Hub lists there what is here."""
    entries = repo.list_files(commit)
    verify(repo.id, contents_by_name(wanted), entries, {f.name: f.sha256 for f in wanted})
    left = sorted({entry.path for entry in entries} & set(result.plan.remove))
    if left:
        raise HubError(f"{repo.id}: {left[0]} from an earlier push is still there. Push again.")
    return replace(result, commit=commit)


def commit_plan(
    repo: Repository, plan: Plan, parent: str | None, revision: str | None, create_pr: bool
) -> tuple[str, str | None]:
    """The commit, and the address of a pull request that stays open.

    Large files go first. More changes than fit a commit go to a pull request, which is then
    merged, so that nobody ever sees half of them. Raises `HubError`, also when the branch is no
    longer at `parent`.
    """
    from huggingface_hub import CommitOperationDelete

    adds = [file.operation for file in plan.send]
    changes = [*adds, *map(CommitOperationDelete, plan.remove)]
    groups = [changes[n:][:CHANGES_A_COMMIT] for n in range(0, len(changes), CHANGES_A_COMMIT)]
    message = f"Dataset pushed with invdpo {__version__}"
    where = {"repo_type": repo.kind, "revision": revision}
    with hub_errors(repo.id), quiet_hub():
        if len(groups) == 1:
            commit = repo.api.create_commit(
                repo.id,
                changes,
                **where,
                commit_message=message,
                parent_commit=parent,
                create_pr=create_pr,
            )
            return commit.oid, commit.pr_url
        repo.api.preupload_lfs_files(repo.id, adds, **where, create_pr=True, free_memory=False)
        return _commit_by_pull_request(repo, groups, parent, revision, create_pr, message)


def _commit_by_pull_request(
    repo: Repository,
    groups: list[list[Any]],
    parent: str | None,
    revision: str | None,
    stays_open: bool,
    message: str,
) -> tuple[str, str | None]:
    """As `commit_plan`, for groups of changes, each a commit of one pull request."""
    request = commit = repo.api.create_commit(
        repo.id,
        groups[0],
        repo_type=repo.kind,
        revision=revision,
        commit_message=message,
        parent_commit=parent,
        create_pr=True,
    )
    for group in groups[1:]:
        commit = repo.api.create_commit(
            repo.id,
            group,
            repo_type=repo.kind,
            revision=request.pr_revision,
            commit_message=message,
        )
    if stays_open:
        return commit.oid, request.pr_url
    repo.api.merge_pull_request(repo.id, request.pr_num, repo_type=repo.kind)
    return repo.api.repo_info(repo.id, repo_type=repo.kind, revision=revision).sha, None
