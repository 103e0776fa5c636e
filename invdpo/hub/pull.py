"""Downloading a data set from the Hub, with the workspace that it came from.

All files go to a hidden folder beside the output. Only when each has the hash that the push noted
does the folder get its name, so that nobody ever finds a half-downloaded data set.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from invdpo.hub.errors import HubError, hub_errors
from invdpo.hub.manifest import MANIFEST, Manifest, read_manifest
from invdpo.hub.repository import Repository
from invdpo.schemas import DataError
from invdpo.schemas.io.files import flush_tree, hash_file
from invdpo.schemas.io.hub import not_found
from invdpo.schemas.io.logs import quiet_hub
from invdpo.schemas.io.text import format_bytes

CARD = "README.md"
SAFE = re.compile(r"(data|assets|workspace)(/[\w-][\w.-]*)+", re.ASCII)
"""Names that a pull writes; none of them leads out of the folder."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class PullResult:
    """What was downloaded, and where it is."""

    output: str
    pairs: int
    files: int
    bytes: int
    commit: str
    workspace: bool
    candidates: bool
    """Whether all candidates have their images, not only those in pairs."""

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def pull_set(repo_id: str, output: Path, revision: str | None, note: Note) -> PullResult:
    """Download a data set that `push_set` pushed, with its workspace if that was pushed too.

    An interrupted pull continues with the missing files. Raises `ConfigError` for a name that the
    Hub does not allow, `DataError` when the output exists, `HubError` when there is no such data
    set or its files are not those that were pushed.
    """
    repo = Repository(repo_id, "dataset")
    _check_output(output)
    commit, manifest, listed = _read_commit(repo, revision)
    wanted = {CARD: None, **{name: facts["sha256"] for name, facts in manifest.files.items()}}
    _check_names(repo_id, wanted, listed)
    total = sum(int(facts["bytes"]) for facts in manifest.files.values())
    with _staging_folder(output, commit) as folder:
        note(f"Downloading {len(wanted)} files, {format_bytes(total)}, from {repo.page(revision)}")
        _download(repo, wanted, commit, folder / "files")
        whole = folder / "whole"
        for text in _assemble(folder / "files", manifest, whole):
            note(text)
        flush_tree(whole)
        if output.is_dir():
            output.rmdir()
        whole.rename(output)
    return PullResult(
        str(output),
        manifest.pairs,
        len(wanted),
        total,
        commit,
        manifest.workspace,
        manifest.candidates,
    )


def _check_output(output: Path) -> None:
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise DataError(f"{output}: already exists. Give a new folder, or an empty one.")


def _read_commit(repo: Repository, revision: str | None) -> tuple[str, Manifest, dict[str, Any]]:
    """The commit, its manifest, and the files that it holds."""
    info = repo.info(revision, act="read")
    if info is None:
        raise HubError(f"{repo.id}: {not_found(repo.kind, revision)}")
    listed = {e.path: e for e in repo.list_files(info.sha, act="read") if hasattr(e, "blob_id")}
    if MANIFEST not in listed or CARD not in listed:
        raise HubError(
            f"{repo.id}: not pushed by `invdpo curate push` (no {MANIFEST} there). `invdpo train "
            f"{repo.id}` can still train on it."
        )
    return info.sha, read_manifest(repo.read(MANIFEST, info.sha), repo.id), listed


def _check_names(repo_id: str, wanted: Mapping[str, str | None], listed: Mapping[str, Any]) -> None:
    """Refuse names that lead elsewhere, and a repository that was changed by hand."""
    for name, sha256 in wanted.items():
        if name != CARD and not SAFE.fullmatch(name):
            raise HubError(f"{repo_id}: {MANIFEST} names a file {name!r}, which no push writes.")
        entry = listed.get(name)
        lfs = getattr(entry, "lfs", None)
        if entry is None or (sha256 and lfs is not None and lfs.sha256 != sha256):
            change = "is missing" if entry is None else "was replaced"
            raise HubError(
                f"{repo_id}: {name} {change} since the last push. Push again, or give --revision."
            )


@contextmanager
def _staging_folder(output: Path, commit: str) -> Iterator[Path]:
    """A hidden folder for one commit; kept when something fails, else removed at the end."""
    from invdpo.curate.storage.errors import storage_errors

    top = output.with_name(f".{output.name}.pull")
    with storage_errors(top):
        top.mkdir(parents=True, exist_ok=True)
        for older in top.iterdir():
            if older.name != commit:
                shutil.rmtree(older)
        shutil.rmtree(top / commit / "whole", ignore_errors=True)
        yield top / commit
        shutil.rmtree(top, ignore_errors=True)


def _download(
    repo: Repository, wanted: Mapping[str, str | None], commit: str, folder: Path
) -> None:
    """Download every file that is missing, and compare each with its hash."""
    for name, sha256 in wanted.items():
        with hub_errors(repo.id, "read"), quiet_hub():
            repo.api.hf_hub_download(
                repo.id, name, repo_type=repo.kind, revision=commit, local_dir=folder
            )
        path = folder / name
        if sha256 and hash_file(path) != sha256:
            path.unlink()
            raise HubError(
                f"{repo.id}: {name} has another hash than when it was pushed. "
                "Run the same command again; if that does not help, push again."
            )


def _assemble(files: Path, manifest: Manifest, whole: Path) -> list[str]:
    """The workspace, or only `dataset/`, from the downloaded files; notes on what was left out."""
    for name in (CARD, *manifest.files):
        if not name.startswith("workspace/"):
            target = whole / "dataset" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(files / name, target)
    if not manifest.workspace:
        return []
    from invdpo.curate.dataset.archive import unpack_workspace
    from invdpo.curate.dataset.folder import DatasetFolder

    return unpack_workspace(files / "workspace", DatasetFolder(files), whole)
