"""A model's name, place and revision; the commit of a Hub repository."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from invdpo.schemas import ModelError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.files import hash_file
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.model_folder import INDEX

DECISIVE = {".safetensors", ".json", ".txt", ".model"}
"""Endings of the files that decide what a pipeline draws."""


class Source(NamedTuple):
    """A model that was found."""

    name: str
    """As recorded in tables: without the folders of this machine."""
    location: str
    """What `from_pretrained` is given."""
    revision: str


def folder_revision(folder: Path) -> str:
    """A hash over weights, configurations and vocabularies; the same wherever the folder lies.

    It is the `revision` of tables and data sets, and covers all components of a pipeline. The
    trainer's `hash_components` covers those that it loads and leaves `.model` files out: another
    value for the same folder. Both are kept, since each stands in files that were written before.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix in DECISIVE and p.is_file())
    named = [(file.relative_to(folder).as_posix(), hash_file(file)) for file in files]
    return content_id(*sorted(named))


def commit_of(model: str, revision: str | None, file: str = INDEX) -> str:
    """The commit that a branch or tag of a Hub repository means now, or meant when last fetched.

    `file` is one that every copy of the repository has. Raises `ModelError` without any copy.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return str(HfApi().model_info(model, revision=revision, timeout=20).sha)
    except hub_failures() as error:
        cached = try_to_load_from_cache(model, file, revision=revision)
        if isinstance(cached, str) and not isinstance(error, RepositoryNotFoundError):
            return Path(cached).parent.name
        raise ModelError(hub_failure(error, model, "model", revision)) from None
