"""One repository on the Hub: its name, who may write to it, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from invdpo import __version__
from invdpo.hub.errors import LOGIN, Act, HubError, hub_errors
from invdpo.hub.files import Content
from invdpo.schemas import ConfigError
from invdpo.schemas.io.documents import read_file
from invdpo.schemas.io.hub import Kind, is_hub_id
from invdpo.schemas.io.logs import quiet_hub

FILES_A_COMMIT = 50
"""The Hub asks for fewer than a hundred."""


@dataclass(frozen=True)
class Repository:
    """A repository that may not exist yet; its methods raise `HubError`."""

    id: str
    kind: Kind

    def __post_init__(self) -> None:
        """Raises `ConfigError` for a name that the Hub does not allow."""
        if not is_hub_id(self.id):
            raise ConfigError(
                f"Name on the Hub: found {self.id!r}; expected OWNER/NAME with letters, digits, "
                "'-', '_' and '.', at most 96 characters."
            )

    @property
    def api(self) -> Any:
        """The client, as the environment sets it up."""
        from huggingface_hub import HfApi

        return HfApi(library_name="invdpo", library_version=__version__)

    def page(self, revision: str | None = None) -> str:
        """Address of its page."""
        prefix = "datasets/" if self.kind == "dataset" else ""
        branch = f"/tree/{revision}" if revision else ""
        return f"{self.api.endpoint}/{prefix}{self.id}{branch}"

    def check_rights(self, *, own: bool = True) -> None:
        """Log in; refuse a token that may only read, or with `own` may not write to this owner."""
        with hub_errors(self.id):
            user = self.api.whoami()
        access = (user.get("auth") or {}).get("accessToken") or {}
        role = access.get("role")
        name, owner = user["name"], self.id.split("/")[0]
        if role == "read":
            raise HubError(f"{self.id}: the token of {name} has only read access. {LOGIN}")
        owners = [name, *(org["name"] for org in user.get("orgs", []))]
        # a fine-grained token need not list its organisations
        if own and owner not in owners and role != "fineGrained":
            known = " or ".join(owners)
            raise HubError(
                f"{self.id}: {name} has write access to {known}, not to {owner}. Choose one of "
                "these owners."
            )

    def check_visibility(self, private: bool) -> None:
        """Refuse to push what shall be private to a repository that is public."""
        if not private:
            return
        info = self.info(None)
        if info is not None and not info.private:
            raise HubError(
                f"{self.id} already exists and is public; --private does not change that. "
                "Make it private in its settings, or choose another name."
            )

    def check_card(self, card: str) -> None:
        """Let the Hub check the metadata of a card."""
        from huggingface_hub import RepoCard

        with hub_errors(self.id), quiet_hub():
            RepoCard(card).validate(repo_type=self.kind)

    def create(self, private: bool, revision: str | None) -> None:
        """Create the repository and the branch if they are missing."""
        with hub_errors(self.id), quiet_hub():
            self.api.create_repo(
                self.id, repo_type=self.kind, private=private or None, exist_ok=True
            )
            if revision and not revision.startswith("refs/"):
                self.api.create_branch(self.id, branch=revision, repo_type=self.kind, exist_ok=True)

    def commit(
        self, sent: Mapping[str, Content], revision: str | None, create_pr: bool, note: str
    ) -> Any:
        """Send the files, a batch per commit; the last commit, with the pull request's address."""
        from huggingface_hub import CommitOperationAdd

        names, url = list(sent), None
        with hub_errors(self.id), quiet_hub():
            for start in range(0, len(names), FILES_A_COMMIT):
                adds = [CommitOperationAdd(n, sent[n]) for n in names[start:][:FILES_A_COMMIT]]
                commit = self.api.create_commit(
                    self.id,
                    adds,
                    commit_message=note,
                    repo_type=self.kind,
                    revision=revision,
                    create_pr=create_pr and not url,
                )
                url, revision = url or commit.pr_url, commit.pr_revision or revision
        commit.pr_url = url
        return commit

    def info(self, revision: str | None, act: Act = "write") -> Any:
        """What the Hub says of a branch; None if the branch or the repository does not exist."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        with hub_errors(self.id, act):
            try:
                return self.api.repo_info(self.id, repo_type=self.kind, revision=revision)
            except (RepositoryNotFoundError, RevisionNotFoundError):
                return None

    def read(self, name: str, commit: str) -> bytes:
        """The bytes of one small file."""
        with (
            hub_errors(self.id, "read"),
            quiet_hub(),
            TemporaryDirectory(prefix="invdpo-") as folder,
        ):
            path = self.api.hf_hub_download(
                self.id, name, repo_type=self.kind, revision=commit, local_dir=folder
            )
            return read_file(Path(path))

    def list_files(self, commit: str, act: Act = "write") -> list[Any]:
        """Every file of a commit."""
        with hub_errors(self.id, act):
            tree = self.api.list_repo_tree(
                self.id, repo_type=self.kind, revision=commit, recursive=True
            )
            return list(tree)
