"""A model's name, place and revision; the commit of a Hub repository."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from invdpo.schemas.io.hub import hub_failures, model_error
from invdpo.schemas.io.model_folder import INDEX


class Source(NamedTuple):
    """A model that was found."""

    name: str
    """As recorded in tables: without the folders of this machine."""
    location: str
    """What `from_pretrained` is given."""
    revision: str


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
        raise model_error(error, model, revision) from None
