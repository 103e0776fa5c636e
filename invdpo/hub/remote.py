"""What a repository holds before a push, and whether it is the same data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invdpo.hub.errors import HubError
from invdpo.hub.manifest import NAME, Manifest, ancestry, digest, read_manifest
from invdpo.hub.repository import Repository
from invdpo.hub.source import Source
from invdpo.schemas.io.files import hash_file

CARD = "README.md"


@dataclass(frozen=True)
class Remote:
    """What a branch holds before the push; nothing when it is not there."""

    listed: list[Any]
    commit: str | None = None
    manifest: Manifest | None = None


def look(repo: Repository, revision: str | None) -> Remote:
    """What the branch holds; of a branch that is not there what it would start from."""
    info = repo.info(revision) or (repo.info(None) if revision else None)
    if info is None:
        return Remote([])
    listed = repo.listed(info.sha)
    manifest = None
    if any(entry.path == NAME for entry in listed):
        manifest = read_manifest(repo.read(NAME, info.sha), repo.id)
    return Remote(listed, info.sha, manifest)


def card_to_push(repo: Repository, card: str, there: Remote) -> str:
    """Our card; where people edited the one on the Hub since the last push, with their words."""
    from invdpo.data_cards import renewed

    listed = {entry.path for entry in there.listed}
    if there.manifest is None or there.commit is None or CARD not in listed:
        return card
    old = repo.read(CARD, there.commit)
    if old == card.encode() or digest(old) == there.manifest.card:
        return card
    return renewed(card, old.decode(errors="replace"), f"{repo.id}/{CARD}")


def check_same(repo_id: str, source: Source, there: Remote, force: bool) -> None:
    """Refuse to replace another data set, without `force`."""
    if force:
        return
    mine, old = ancestry(source.fingerprint), there.manifest
    tables = sorted(e.path for e in there.listed if e.path.endswith((".parquet", ".arrow")))
    if old is None and tables:
        raise HubError(
            f"{repo_id} holds files that invdpo did not push, {tables[0]} first. "
            "Choose another name, or replace its tables with --force."
        )
    if old is not None and old.ancestry and old.ancestry != mine:
        from invdpo.curate.storage.parts import differences

        lines = [
            line.replace("in the workspace", "there") for line in differences(old.ancestry, mine)
        ]
        more = f"\n  and {len(lines) - 4} more" if len(lines) > 4 else ""
        told = "\n  ".join(line.replace("asked for", "here") for line in lines[:4])
        raise HubError(
            f"{repo_id} holds another data set, made of other candidates.\n  {told}{more}\n"
            "Choose another name, or replace it with --force."
        )
    if old is not None and not old.ancestry and old.pairs:
        _check_known(repo_id, source, old)


def _check_known(repo_id: str, source: Source, old: Manifest) -> None:
    """A set without ancestry is the same only when its files are."""
    names = {f"data/{p.name}" for p in (source.dataset / "data").glob("*.parquet")}
    mine = {n: hash_file(source.dataset / n) for n in sorted(names)}
    theirs = {n: f["sha256"] for n, f in old.files.items() if n.startswith("data/")}
    if mine != theirs:
        raise HubError(
            f"{repo_id} holds another data set, and neither tells what it was made of. "
            "Choose another name, or replace it with --force."
        )
