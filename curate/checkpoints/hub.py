"""A model's name, place and revision; the commit of a Hub repository."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from invdpo.schemas import ModelError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.hub import hub_failures
from invdpo.schemas.io.text import describe

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

DECISIVE = {".safetensors", ".json", ".txt", ".model"}
"""Endings of the files that decide what a pipeline draws."""
INDEX = "model_index.json"


class Source(NamedTuple):
    """A model that was found."""

    name: str
    """As recorded in tables: without the folders of this machine."""
    location: str
    """What `from_pretrained` is given."""
    revision: str


def folder_revision(folder: Path) -> str:
    """A hash over weights, configurations and vocabularies; the same wherever the folder lies."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in DECISIVE and p.is_file())
    named = [(file.relative_to(folder).as_posix(), _digest(file)) for file in files]
    return content_id(*sorted(named))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def commit_of(model: str, revision: str | None, file: str = INDEX) -> str:
    """The commit that a branch or tag of a Hub repository means now, or meant when last fetched.

    `file` is one that every copy of the repository has. Raises `ModelError` without any copy.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return str(HfApi().model_info(model, revision=revision, timeout=20).sha)
    except RepositoryNotFoundError:
        raise ModelError(f"{model}: neither a folder here nor a model on the Hub.") from None
    except hub_failures() as error:
        cached = try_to_load_from_cache(model, file, revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name
        text = (
            f"{model}: no such folder here; the Hub can't be reached, and no copy is here "
            f"({describe(error)})."
        )
        raise ModelError(text) from error
