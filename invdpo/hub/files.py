"""Which files of a folder go to the Hub, with what bytes, and whether they have arrived."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from invdpo.hub.errors import HubError
from invdpo.schemas import DataError
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.files import git_hasher, hash_file
from invdpo.schemas.io.model_folder import INDEX, read_index
from invdpo.schemas.io.redact import redact

Content = Path | bytes
"""A file as it is here, or the bytes that go in its place."""

MODEL_FILES = (
    "*.safetensors",
    INDEX,
    "README.md",
    "training.json",
    "metrics.jsonl",
    "curves.png",
    "pictures/*.png",
)
NOTING_PATHS = {"training.json", INDEX, "config.json", "adapter_config.json"}
"""JSON files in which trainers and libraries note where a model came from."""
PICTURE_PROMPTS = "pictures/prompts.txt"
"""What the validation images show."""


def model_files(folder: Path, *, prompts: bool = False) -> tuple[str, ...]:
    """Patterns of the files of a trained model that belong on the Hub.

    Weights, card, figures and images, and the parts of a whole pipeline if it is one; never
    checkpoints, a run's state, trackers' files or evaluations. The prompts of the validation
    images only if asked for: they may be from a file that is nobody's business.
    """
    files = (*MODEL_FILES, *([PICTURE_PROMPTS] if prompts else []))
    if not (folder / INDEX).is_file():
        return files
    names = sorted(name for name, entry in read_index(folder).items() if isinstance(entry, list))
    return (*files, *(f"{name}/**/*" for name in names))


def collect_files(folder: Path, patterns: Sequence[str]) -> dict[str, Content]:
    """Path in the repository -> its content, sorted. Raises `DataError` when there is none.

    Hidden files are left out, and links that lead out of the folder.
    """
    root = folder.resolve()
    files = {
        path.relative_to(folder).as_posix(): path
        for pattern in patterns
        for path in folder.glob(pattern)
        if path.is_file() and path.resolve().is_relative_to(root)
    }
    visible = {name: files[name] for name in sorted(files) if not _is_hidden(name)}
    if not visible:
        raise DataError(f"{folder}: no files to push; looked for {', '.join(patterns)}.")
    return {name: redact_file(path) or path for name, path in visible.items()}


def redact_file(path: Path) -> bytes | None:
    """What to publish in place of a file that reveals too much; None if it can go as it is."""
    if path.name not in NOTING_PATHS:
        return None
    try:
        content = read_json(read_file(path), path)
    except DataError:  # no JSON: nobody's note, but whatever it is goes without secrets
        text = path.read_text(encoding="utf-8", errors="replace")
        return None if redact(text) == text else redact(text).encode()
    redacted = redact(content)
    return None if redacted == content else (json.dumps(redacted, indent=1) + "\n").encode()


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def verify(
    repo_id: str,
    sent: Mapping[str, Content],
    listed: Iterable[Any],
    known: Mapping[str, str] | None = None,
) -> None:
    """Compare the Hub's list of files with what was sent. Raises `HubError` for a difference.

    Large files are listed with their SHA-256, small ones with git's hash of a blob. `known` holds
    SHA-256 that need no computing.
    """
    entries = {entry.path: entry for entry in listed if hasattr(entry, "blob_id")}
    hashes = known or {}
    wrong = [
        name
        for name, content in sent.items()
        if not same_as_listed(content, entries.get(name), hashes.get(name))
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise HubError(
            f"{repo_id}: {wrong[0]}{more} did not arrive intact: the Hub lists another hash or "
            "none.\nDelete it there and push again."
        )


def same_as_listed(content: Content, entry: Any, sha256: str | None = None) -> bool:
    """Whether the Hub lists a file with these bytes; their hash is computed unless given."""
    if entry is None:
        return False
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == (sha256 or _hash(content, hashlib.sha256)))
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    return bool(entry.blob_id == _hash(content, git_hasher(size)))


def _hash(content: Content, algorithm: Callable[..., Any]) -> str:
    """The hash of all bytes, in hexadecimal."""
    if isinstance(content, Path):
        return hash_file(content, algorithm)
    hasher = algorithm()
    hasher.update(content)
    return str(hasher.hexdigest())
