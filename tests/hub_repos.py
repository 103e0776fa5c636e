"""Repositories of the loopback Hub: commits, trees and blobs, all in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

LARGE = 10_000
"""Bytes from which a file goes by LFS, as weights and images always do."""
LARGE_SUFFIXES = {".safetensors", ".parquet", ".png"}
LICENSES = {"apache-2.0", "mit", "openrail", "openrail++", "creativeml-openrail-m", "other"}
ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
RELATIONS = {"adapter", "finetune", "merge", "quantized"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Blob:
    """A file's bytes, and whether git holds them or LFS does."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """What git would call it; for LFS that of the pointer."""
        held = self.pointer if self.lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(held) + held).hexdigest()

    @property
    def pointer(self) -> bytes:
        lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}")
        return "\n".join((*lines, f"size {len(self.content)}", "")).encode()

    def entry(self, path: str) -> Json:
        """As a tree lists it."""
        size = len(self.content)
        lfs = {"oid": self.sha256, "size": size, "pointerSize": len(self.pointer)}
        found = {"type": "file", "path": path, "oid": self.oid, "size": size}
        return found | ({"lfs": lfs} if self.lfs else {})


@dataclass
class Repo:
    """One repository: what its branches point at, and the files of each commit."""

    kind: str
    """`models` or `datasets`."""
    name: str
    private: bool = False
    trees: dict[str, dict[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    """Of the commits, oldest first."""

    def __post_init__(self) -> None:
        self.advance("main", {}, "initial commit")

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """Path -> bytes of a branch or commit. Raises `KeyError` for an unknown one."""
        return {path: blob.content for path, blob in self.tree(revision).items()}

    def tree(self, revision: str) -> dict[str, Blob]:
        return self.trees[self.commit_of(revision)]

    def commit_of(self, revision: str) -> str:
        """The commit of a branch, or of itself."""
        found = self.branches.get(revision, revision)
        if found not in self.trees:
            raise KeyError(revision)
        return found

    def advance(self, branch: str, tree: dict[str, Blob], message: str) -> str:
        """A new commit on a branch; its id."""
        told = [self.kind, self.name, len(self.trees), branch, message]
        commit = hashlib.sha1(json.dumps(told).encode()).hexdigest()
        self.trees[commit], self.branches[branch] = tree, commit
        self.messages.append(message)
        return commit

    def put(self, branch: str, files: dict[str, bytes], message: str) -> str:
        """Add files without any protocol; the commit."""
        fresh = {p: Blob(c, upload_mode(p, len(c)) == "lfs") for p, c in files.items()}
        return self.advance(branch, {**self.tree(branch), **fresh}, message)

    def entries(self, revision: str, under: str = "", *, recursive: bool) -> list[Json]:
        """Files and folders below a folder. Raises `KeyError` for a folder that isn't there."""
        tree, top = self.tree(revision), PurePosixPath(under)
        found = {p: b.entry(p) for p, b in tree.items() if PurePosixPath(p).is_relative_to(top)}
        if under and not found:
            raise KeyError(under)
        folders = {str(p) for path in found for p in PurePosixPath(path).parents} - {".", under}
        found |= {p: {"type": "directory", "path": p, "oid": "0" * 40, "size": 0} for p in folders}
        depth = len(top.parts) + 1
        return [
            entry
            for path, entry in sorted(found.items())
            if recursive or len(PurePosixPath(path).parts) == depth
        ]

    def info(self, revision: str) -> Json:
        siblings = [
            {"rfilename": path, "size": len(blob.content), "blobId": blob.oid}
            for path, blob in sorted(self.tree(revision).items())
        ]
        return {
            "id": self.name,
            "sha": self.commit_of(revision),
            "private": self.private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": siblings,
        }

    def commit(self, branch: str, lines: bytes, objects: dict[str, bytes]) -> str:
        """Apply the lines of a commit request; `objects` are the LFS store, by hash.

        Raises `ValueError` for a parent that is not the head, and for bytes nobody uploaded.
        """
        tree, message = dict(self.tree(branch)), ""
        for line in filter(None, lines.split(b"\n")):
            item = json.loads(line)
            key, value = item["key"], item["value"]
            path = value.get("path", "")
            if key == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, self.commit_of(branch)):
                    raise ValueError("the branch has moved on")
            elif key == "file":
                tree[path] = Blob(base64.b64decode(value["content"]), lfs=False)
            elif key == "lfsFile" and value["oid"] in objects:
                tree[path] = Blob(objects[value["oid"]], lfs=True)
            elif key == "deletedFile":
                del tree[path]
            elif key == "deletedFolder":
                tree = {p: b for p, b in tree.items() if not p.startswith(path.rstrip("/") + "/")}
            else:
                raise ValueError(f"{key} {path}: not understood, or never uploaded")
        return self.advance(branch, tree, message)


def upload_mode(path: str, size: int) -> str:
    """Whether git or LFS takes a file."""
    large = size >= LARGE or PurePosixPath(path).suffix in LARGE_SUFFIXES
    return "lfs" if large and size else "regular"


def card_errors(text: str, repo_type: str) -> list[str]:
    """What is wrong with the YAML head of a card, in the Hub's rules as far as cards here go."""
    if not text.startswith("---\n"):
        return []
    try:
        head = yaml.safe_load(text.split("---\n", 2)[1])
    except yaml.YAMLError:
        return ["the metadata is no YAML"]
    if not isinstance(head, dict):
        return ["the metadata is no mapping"]
    ids = [*_list(head, "base_model"), *_list(head, "datasets")]
    rules = {
        "license": all(name in LICENSES for name in _list(head, "license")),
        "base_model_relation": all(r in RELATIONS for r in _list(head, "base_model_relation")),
        "tags": all(isinstance(tag, str) for tag in _list(head, "tags")),
        "base_model, datasets": all(ID.fullmatch(name) for name in ids),
        "pipeline_tag": repo_type == "model" or "pipeline_tag" not in head,
    }
    return [f'"{key}" is not valid' for key, kept in rules.items() if not kept]


def _list(head: Json, key: str) -> list[Any]:
    found = head.get(key, [])
    return found if isinstance(found, list) else [found]
