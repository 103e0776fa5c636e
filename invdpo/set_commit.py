"""One change of a branch, however many files it is of."""

from __future__ import annotations

from typing import Any

from invdpo import __version__
from invdpo.hub_errors import explained
from invdpo.hub_repository import Repository, calm
from invdpo.set_files import Plan

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
    with explained(repo.id), calm():
        if len(groups) == 1:
            done = repo.api.create_commit(
                repo.id, changes, repo_type=repo.kind, revision=revision, commit_message=note,
                parent_commit=parent, create_pr=create_pr,
            )  # fmt: skip
            return done.oid, done.pr_url
        repo.api.preupload_lfs_files(
            repo.id, [p.operation for p in plan.send], repo_type=repo.kind, revision=revision,
            create_pr=True, free_memory=False,
        )  # fmt: skip
        return _by_request(repo, groups, parent, revision, create_pr, note)


def _by_request(
    repo: Repository, groups: list[list[Any]], parent: str | None, revision: str | None,
    stays: bool, note: str,
) -> tuple[str, str | None]:  # fmt: skip
    """The same for groups of changes, each a commit of one pull request."""
    opened = done = repo.api.create_commit(
        repo.id, groups[0], repo_type=repo.kind, revision=revision, commit_message=note,
        parent_commit=parent, create_pr=True,
    )  # fmt: skip
    for group in groups[1:]:
        done = repo.api.create_commit(
            repo.id, group, repo_type=repo.kind, revision=opened.pr_revision, commit_message=note
        )
    if stays:
        return done.oid, opened.pr_url
    repo.api.merge_pull_request(repo.id, opened.pr_num, repo_type=repo.kind)
    return repo.api.repo_info(repo.id, repo_type=repo.kind, revision=revision).sha, None
