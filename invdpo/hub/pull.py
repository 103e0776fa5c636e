"""Downloading a dataset from the Hub, with the workspace that it came from.

All files go to a hidden folder beside the output, `.OUTPUT.pull/COMMIT`: what arrives to `files`,
what is made of it to `whole`, which becomes `complete` when each file has the hash that the push
noted. Then the downloads are removed, and only then does `complete` get the output's name. So
nobody ever finds a half-downloaded dataset, and a pull that was killed resumes from any moment.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from invdpo.hub.errors import HubError, hub_errors
from invdpo.hub.manifest import MANIFEST, Manifest, read_manifest
from invdpo.hub.repository import Repository
from invdpo.schemas import DataError
from invdpo.schemas.io.files import flush_tree, hash_file, plain_modes
from invdpo.schemas.io.hub import not_found
from invdpo.schemas.io.lock import FolderLock
from invdpo.schemas.io.logs import quiet_hub
from invdpo.schemas.io.text import count_noun, format_bytes, quote

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
    """Download a dataset that `push_set` pushed, with its workspace if that was pushed too.

    An interrupted pull continues with the missing files. Raises `ConfigError` for a name that the
    Hub does not allow, `DataError` when the output exists, `WorkspaceError` while another process
    writes it, `HubError` when there is no such dataset or its files are not those that were
    pushed.
    """
    with FolderLock(output, beside=True):
        return _pull(Repository(repo_id, "dataset"), output, revision, note)


class Pushed(NamedTuple):
    """What a repository holds at one commit."""

    commit: str
    manifest: Manifest
    wanted: dict[str, str | None]
    """Name of each file -> its SHA-256; none for the card, which people edit."""

    @property
    def bytes(self) -> int:
        """Of all files but the card."""
        return sum(int(facts["bytes"]) for facts in self.manifest.files.values())


def _pull(repo: Repository, output: Path, revision: str | None, note: Note) -> PullResult:
    exists, top = _is_filled(output), output.with_name(f".{output.name}.pull")
    if exists and not _is_moved(top):
        raise already_exists(output)
    pushed = _read_commit(repo, revision)
    manifest, count, size = pushed.manifest, len(pushed.wanted), format_bytes(pushed.bytes)
    if exists:
        same = all(path.name == pushed.commit for path in top.iterdir())
        shutil.rmtree(top)
        if not same or not _holds(output / "dataset", manifest):
            raise already_exists(output)
        note(f"{output}: already downloaded; nothing to do.")
    else:
        note(f"Downloading {count_noun(count, 'file')}, {size}, from {repo.page(revision)}")
        _fetch(repo, pushed, top, output, note)
    return PullResult(
        str(output),
        manifest.pairs,
        count,
        pushed.bytes,
        pushed.commit,
        manifest.workspace,
        manifest.candidates,
    )


def _is_filled(output: Path) -> bool:
    return output.exists() and not (output.is_dir() and not any(output.iterdir()))


def _is_moved(top: Path) -> bool:
    """Whether a pull was killed after its output got its name: only empty folders are left."""
    return top.is_dir() and not any(path.is_file() for path in top.rglob("*"))


def _holds(dataset: Path, manifest: Manifest) -> bool:
    """Whether the files of the dataset are there, by their sizes."""
    sizes = {dataset / n: f["bytes"] for n, f in manifest.files.items() if not _is_packed(n)}
    return all(path.is_file() and path.stat().st_size == sizes[path] for path in sizes)


def _is_packed(name: str) -> bool:
    """Whether a file is of the workspace, whose tables are unpacked."""
    return name.startswith("workspace/")


def already_exists(output: Path) -> DataError:
    """The error for an output that holds something."""
    return DataError(f"{output}: already exists. Give a new folder, or an empty one.")


def _read_commit(repo: Repository, revision: str | None) -> Pushed:
    """The commit, its manifest, and the files to download."""
    info = repo.info(revision, act="read")
    if info is None:
        raise HubError(f"{repo.id}: {not_found(repo.kind, revision)}")
    listed = {e.path: e for e in repo.list_files(info.sha, act="read") if hasattr(e, "blob_id")}
    if MANIFEST not in listed or CARD not in listed:
        raise HubError(
            f"{repo.id}: not pushed by `invdpo curate push` (no {MANIFEST} there). `invdpo train "
            f"{repo.id}` can still train on it."
        )
    manifest = read_manifest(repo.read(MANIFEST, info.sha), repo.id)
    wanted = {CARD: None, **{name: facts["sha256"] for name, facts in manifest.files.items()}}
    _check_names(repo.id, wanted, listed)
    return Pushed(info.sha, manifest, wanted)


def _check_names(repo_id: str, wanted: Mapping[str, str | None], listed: Mapping[str, Any]) -> None:
    """Refuse names that lead elsewhere, and a repository that was changed by hand."""
    for name, sha256 in wanted.items():
        if name != CARD and not SAFE.fullmatch(name):
            raise HubError(
                f"{repo_id}: {MANIFEST} names the file {quote(name)}, which `invdpo curate push` "
                "never writes."
            )
        entry = listed.get(name)
        lfs = getattr(entry, "lfs", None)
        if entry is None or (sha256 and lfs is not None and lfs.sha256 != sha256):
            change = "is missing" if entry is None else "was replaced"
            raise HubError(
                f"{repo_id}: {name} {change} since the last push. Push again, or give --revision."
            )


def _fetch(repo: Repository, pushed: Pushed, top: Path, output: Path, note: Note) -> None:
    """Download into `top`, which stays when something fails, and give the result its name."""
    from invdpo.curate.storage.errors import storage_errors

    folder = top / pushed.commit
    files, whole, complete = (folder / name for name in ("files", "whole", "complete"))
    with storage_errors(top):
        folder.mkdir(parents=True, exist_ok=True)
        for older in top.iterdir():
            if older.name != pushed.commit:
                shutil.rmtree(older)
        shutil.rmtree(whole, ignore_errors=True)
        if not complete.is_dir():
            _download(repo, pushed, files)
            for text in _assemble(files, pushed.manifest, whole):
                note(text)
            plain_modes(whole)
            flush_tree(whole)
            whole.rename(complete)
        shutil.rmtree(files, ignore_errors=True)
        if output.is_dir():
            output.rmdir()
        complete.rename(output)
        folder.rmdir()
        top.rmdir()


def _download(repo: Repository, pushed: Pushed, folder: Path) -> None:
    """Download every file that is missing, and compare each with its hash."""
    for name, sha256 in pushed.wanted.items():
        with hub_errors(repo.id, "read"), quiet_hub():
            repo.api.hf_hub_download(
                repo.id, name, repo_type=repo.kind, revision=pushed.commit, local_dir=folder
            )
        path = folder / name
        if sha256 and hash_file(path) != sha256:
            path.unlink()
            raise HubError(
                f"{repo.id}: the hash of {name} differs from that of the pushed file. Run the "
                "same command again; if that does not help, push again."
            )


def _assemble(files: Path, manifest: Manifest, whole: Path) -> list[str]:
    """The workspace, or only `dataset/`, from the downloaded files; notes on what was left out."""
    for name in (CARD, *manifest.files):
        if not _is_packed(name):
            target = whole / "dataset" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(files / name, target)
    if not manifest.workspace:
        return []
    from invdpo.curate.dataset.archive import unpack_workspace
    from invdpo.curate.dataset.folder import DatasetFolder

    return unpack_workspace(files / "workspace", DatasetFolder(files), whole)
