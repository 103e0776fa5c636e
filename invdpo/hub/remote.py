"""What a repository holds before a push, and whether that is the same dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invdpo.hub.errors import HubError
from invdpo.hub.manifest import MANIFEST, Manifest, ancestry, digest, read_manifest
from invdpo.hub.repository import Repository
from invdpo.hub.source import LocalDataset
from invdpo.schemas.io.files import hash_file

CARD = "README.md"
SHOWN = 4
"""Differences of two datasets that an error lists."""


@dataclass(frozen=True)
class Remote:
    """What a branch holds before the push; nothing when there is no such branch."""

    entries: list[Any]
    """Files as the client lists them."""
    commit: str | None = None
    manifest: Manifest | None = None


def read_remote(repo: Repository, revision: str | None) -> Remote:
    """What the branch holds; for a new branch, what it would start from."""
    info = repo.info(revision) or (repo.info(None) if revision else None)
    if info is None:
        return Remote([])
    entries = repo.list_files(info.sha)
    manifest = None
    if any(entry.path == MANIFEST for entry in entries):
        manifest = read_manifest(repo.read(MANIFEST, info.sha), repo.id)
    return Remote(entries, info.sha, manifest)


def card_to_push(repo: Repository, card: str, remote: Remote) -> str:
    """Our card, with what people wrote into the one on the Hub since the last push."""
    from invdpo.data_cards import renewed

    names = {entry.path for entry in remote.entries}
    if remote.manifest is None or remote.commit is None or CARD not in names:
        return card
    old = repo.read(CARD, remote.commit)
    if old == card.encode() or digest(old) == remote.manifest.card:
        return card
    return renewed(card, old.decode(errors="replace"), f"{repo.id}/{CARD}")


def check_same_dataset(repo_id: str, local: LocalDataset, remote: Remote, force: bool) -> None:
    """Refuse to replace another dataset, without `force`."""
    if force:
        return
    mine, old = ancestry(local.fingerprint), remote.manifest
    tables = sorted(e.path for e in remote.entries if e.path.endswith((".parquet", ".arrow")))
    if old is None and tables:
        raise HubError(
            f"{repo_id} holds files that invdpo did not push, such as {tables[0]}. "
            "Choose another name, or replace its tables with --force."
        )
    if old is not None and old.ancestry and old.ancestry != mine:
        raise HubError(
            f"{repo_id} holds another dataset, made from other "
            f"candidates.\n{_differences(old.ancestry, mine)}\nChoose another name, or replace "
            "it with --force."
        )
    if old is not None and not old.ancestry and old.pairs:
        _check_same_files(repo_id, local, old)


def _differences(published: dict[str, Any], local: dict[str, Any]) -> str:
    """The first differences of two ancestries, one per line."""
    from invdpo.curate.storage.parts import differences

    lines = differences(published, local)
    words = [
        line.replace("in the workspace", "there").replace("asked for", "here")
        for line in lines[:SHOWN]
    ]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*words, *more])


def _check_same_files(repo_id: str, local: LocalDataset, old: Manifest) -> None:
    """Without ancestry it is the same dataset only if its files are the same."""
    names = {f"data/{p.name}" for p in (local.folder / "data").glob("*.parquet")}
    mine = {n: hash_file(local.folder / n) for n in sorted(names)}
    theirs = {n: f["sha256"] for n, f in old.files.items() if n.startswith("data/")}
    if mine != theirs:
        raise HubError(
            f"{repo_id} holds another dataset, and the origin of both is unknown. Choose another "
            "name, or replace it with --force."
        )
